import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import type { Codec } from '#proto/codec.ts';

const ROOT = join(import.meta.dirname, '../../..');

/** A message whose type the test does not know. */
export type AnyMessage = Readonly<Record<string, unknown>>;

export interface GeneratedModule {
  readonly directory: string;
  readonly exports: Readonly<Record<string, unknown>>;
  codec(name: string): Codec<AnyMessage>;
  remove(): Promise<void>;
}

/** Runs the generator as `make gen` does. */
export async function runProtogen(protoDirectory: string, outputDirectory: string): Promise<void> {
  const main = join(ROOT, 'tools/protogen/main.ts');
  await promisify(execFile)(process.execPath, [main, protoDirectory, outputDirectory]);
}

/** A place for generated code from which `#proto/...` can be imported. */
export async function outputDirectory(): Promise<string> {
  const parent = join(ROOT, 'bin/.cache');
  await mkdir(parent, { recursive: true });
  return mkdtemp(join(parent, 'protogen-test-'));
}

/** Generates the module of one file of the fixtures and imports it. */
export async function generate(fixture: 'release' | 'newer'): Promise<GeneratedModule> {
  const directory = await outputDirectory();
  await runProtogen(join(ROOT, 'test/proto/fixtures', fixture), directory);
  const exports = (await import(pathToFileURL(join(directory, 'kitchen.ts')).href)) as Readonly<
    Record<string, unknown>
  >;
  return {
    directory,
    exports,
    codec: (name) => exports[name] as Codec<AnyMessage>,
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}

/** Every codec of the contract. */
export async function contractCodecs(): Promise<readonly Codec<AnyMessage>[]> {
  const directory = join(ROOT, 'gen/swarm/v1');
  const codecs: Codec<AnyMessage>[] = [];
  for (const file of (await readdir(directory)).toSorted()) {
    if (!file.endsWith('.ts')) continue;
    const exports = (await import(pathToFileURL(join(directory, file)).href)) as Readonly<Record<string, unknown>>;
    for (const value of Object.values(exports))
      if (typeof value === 'object' && value !== null && 'typeName' in value) codecs.push(value as Codec<AnyMessage>);
  }
  return codecs;
}
