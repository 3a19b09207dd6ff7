/**
 * `<state>/departure.json`: that this host leaves its swarm, or has left it. Written before the first step that cannot be
 * taken back, so that a daemon which dies on the way finishes at its next start; what is left of it then says why this
 * host is in no swarm, and what the managers could not be told, until it is about to be in one again.
 *
 *   (member) --begin--> leaving --everything is forgotten--> left --init|join|restore--> (none)
 */
import { readFile, rm } from 'node:fs/promises';
import { writeFileAtomic } from '#common/system/atomic-file.ts';

export interface Departure {
  readonly phase: 'leaving' | 'left';
  /** Of the node that this host was; empty where it could not be read. */
  readonly nodeId: string;
  /** The swarm has removed it; otherwise it leaves by itself. */
  readonly removed: boolean;
  /** Why, for people. */
  readonly message: string;
  /** Wall clock. */
  readonly atMs: number;
  /** What the operator has to do because managers could not be told. */
  readonly warnings: readonly string[];
}

const FORMAT = 1;

export async function writeDeparture(path: string, departure: Departure): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify({ format: FORMAT, ...departure })}\n`, 0o600);
}

/** Undefined where there is none, or none that can be read: then this host goes on as what it is. */
export async function readDeparture(path: string): Promise<Departure | undefined> {
  try {
    const read: unknown = JSON.parse(await readFile(path, 'utf8'));
    if (typeof read !== 'object' || read === null) return undefined;
    const { format, phase, nodeId, removed, message, atMs, warnings } = read as Readonly<Record<string, unknown>>; // an object
    if (format !== FORMAT || (phase !== 'leaving' && phase !== 'left')) return undefined;
    if (typeof nodeId !== 'string' || typeof message !== 'string') return undefined;
    if (typeof removed !== 'boolean' || typeof atMs !== 'number') return undefined;
    return { phase, nodeId, removed, message, atMs, warnings: textsOf(warnings) };
  } catch {
    return undefined;
  }
}

/** A note without warnings, or with something else in their place, is a note all the same. */
function textsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((text): text is string => typeof text === 'string') : [];
}

export async function forgetDeparture(path: string): Promise<void> {
  await rm(path, { force: true });
}
