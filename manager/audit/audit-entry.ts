/**
 * Lines of the audit log: one JSON object each, with the hash of the line before, so that a line that is changed or taken
 * out is seen at the next one.
 */
import { createHash } from 'node:crypto';
import type { Event } from '#gen/swarm/v1/objects.ts';
import { actorKindName } from '#proto/event-actor-kinds.ts';

export type AuditEntry =
  /** The record of a swarm begins: this node has come to it, or the swarm's state was put back. */
  | { readonly kind: 'begin'; readonly timeMs: number; readonly cluster: string; readonly message: string }
  | { readonly kind: 'event'; readonly cluster: string; readonly event: Event }
  /** Events between two versions are not known any more. */
  | {
      readonly kind: 'gap';
      readonly timeMs: number;
      readonly cluster: string;
      readonly afterVersion: number;
      readonly beforeVersion: number;
    }
  /** Somebody asked this manager for what is not theirs; nothing was changed. */
  | {
      readonly kind: 'refused';
      readonly timeMs: number;
      readonly cluster: string;
      readonly method: string;
      readonly caller: string;
      readonly peer: string;
      readonly reason: string;
      /** Refusals since the last one that was noted. */
      readonly more: number;
    };

/** Where the log is: what the next line has to follow. */
export interface AuditPosition {
  /** Of the last line, from 1; 0: there is none. */
  readonly number: number;
  /** Of the last line's bytes, hexadecimal; empty: there is none. */
  readonly hash: string;
  /** Swarm that the last line is about. */
  readonly cluster: string;
  /** The last event that was written of that swarm; empty: none. */
  readonly lastEvent: string;
}

export const BEGINNING: AuditPosition = { number: 0, hash: '', cluster: '', lastEvent: '' };

export interface AuditLine {
  /** Without the line feed. */
  readonly text: string;
  readonly position: AuditPosition;
}

/** Of every line. */
export const LINE_BEGINNING = '{"number":';

export function auditLine(entry: AuditEntry, before: AuditPosition): AuditLine {
  const number = before.number + 1;
  const lastEvent = entry.kind === 'event' ? entry.event.id : entry.kind === 'begin' ? '' : before.lastEvent;
  const text = JSON.stringify({ number, ...contentOf(entry), lastEvent, previous: before.hash });
  return { text, position: { number, hash: hashOf(text), cluster: entry.cluster, lastEvent } };
}

/** What a whole line says of where the log is; undefined for what is none. */
export function positionAfter(text: string): (AuditPosition & { readonly previous: string }) | undefined {
  let line: Record<string, unknown>;
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== 'object' || parsed === null) return undefined;
    line = parsed as Record<string, unknown>; // JSON has no other objects
  } catch {
    return undefined;
  }
  const { number, cluster, lastEvent, previous } = line;
  if (typeof number !== 'number' || typeof cluster !== 'string' || typeof lastEvent !== 'string') return undefined;
  if (typeof previous !== 'string') return undefined;
  return { number, cluster, lastEvent, previous, hash: hashOf(text) };
}

/** When what the line says happened, in milliseconds; undefined for what is no line. */
export function timeOf(text: string): number | undefined {
  const time = /^\{"number":\d+,"time":"([0-9T:.Z-]+)"/.exec(text)?.[1];
  const timeMs = time === undefined ? Number.NaN : Date.parse(time);
  return Number.isNaN(timeMs) ? undefined : timeMs;
}

function contentOf(entry: AuditEntry): object {
  switch (entry.kind) {
    case 'event':
      return eventContent(entry.event, entry.cluster);
    case 'begin':
    case 'gap':
    case 'refused': {
      const { timeMs, ...rest } = entry;
      return { time: timeText(timeMs), ...rest };
    }
  }
}

function eventContent(event: Event, cluster: string): object {
  const { version, type, action, actor, message, attributes } = event;
  return {
    time: timeText(event.createdAtMs),
    kind: 'event',
    cluster,
    version,
    type,
    action,
    subject: { id: event.subjectId, name: event.subjectName },
    actor: {
      kind: actorKindName(actor?.kind) ?? '',
      id: actor?.id ?? '',
      name: actor?.name ?? '',
      peer: actor?.peer ?? '',
    },
    message,
    attributes,
  };
}

function timeText(timeMs: number): string {
  return new Date(timeMs).toISOString();
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
