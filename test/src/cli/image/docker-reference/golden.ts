import { readFileSync } from 'node:fs';
import type { ContextCase, ImageCase } from './cases.ts';

/** What the docker CLI did with a command line. */
export interface RecordedImageCase extends ImageCase {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

/** A member of a build context. */
export interface Member {
  readonly name: string;
  readonly type: string;
  readonly link: string;
  readonly mode: number;
  readonly bytes: number;
}

/** What the docker CLI sent as the build context. */
export interface RecordedContext extends ContextCase {
  /** Path of the Dockerfile within the context. */
  readonly dockerfile: string;
  readonly members: readonly Member[];
}

export interface RecordedBadIgnore {
  readonly dockerignore: string;
  readonly exitCode: number;
}

export interface RecordedContexts {
  readonly contexts: readonly RecordedContext[];
  readonly badIgnores: readonly RecordedBadIgnore[];
}

export function recordedImageCases(): readonly RecordedImageCase[] {
  return read('image') as readonly RecordedImageCase[];
}

export function recordedContexts(): RecordedContexts {
  return read('build-context') as RecordedContexts;
}

function read(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../../../../golden/docker-cli/${name}.json`, import.meta.url), 'utf8'));
}

/** Texts of times that depend on when they were recorded. */
export function withoutMoments(text: string): string {
  return text.replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} (?:UTC|[+-]\d+)/g, '<time>');
}
