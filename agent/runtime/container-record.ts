/** What the agent keeps of a container across its own restarts. Pure. */
import type { LogSettings } from '#agent/logs/index.ts';
import { assert } from '#common/errors.ts';

/** A process of this boot that cannot be mistaken for another: see `readProcess`. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTicks: number;
}

export interface ContainerExit {
  /** 0 to 255; 128 + signal for a killed one; 255 when nobody knows. */
  readonly code: number;
  /** The kernel killed it, or a child whose end it passed on, for want of memory. */
  readonly oomKilled: boolean;
  readonly finishedAtMs: number;
  /** Why it ended other than by itself, for the user. */
  readonly error: string | undefined;
}

/** States only follow one another downwards; a container runs once. */
export type ContainerState =
  /** Being made; what an agent finds in this state after a crash is half a container, to be removed. */
  | { readonly phase: 'creating' }
  /** Its first process waits for the start. */
  | { readonly phase: 'created'; readonly init: ProcessIdentity; readonly monitor: ProcessIdentity }
  | {
      readonly phase: 'running';
      readonly init: ProcessIdentity;
      readonly monitor: ProcessIdentity;
      readonly startedAtMs: number;
    }
  | { readonly phase: 'exited'; readonly startedAtMs: number | undefined; readonly exit: ContainerExit };

export interface ContainerRecord {
  /** Of this format. */
  readonly version: 1;
  readonly id: string;
  /** Boot in which it was made: its pids mean something only there. */
  readonly bootId: string;
  readonly createdAtMs: number;
  /** Path of the OCI runtime's binary. */
  readonly runtime: string;
  readonly cgroupPath: string;
  readonly imageId: string;
  readonly stopSignal: number;
  /** Between the stop signal and SIGKILL. */
  readonly stopGraceMs: number;
  readonly log: LogSettings;
  /** The caller's own notes; come back after a restart. */
  readonly labels: Readonly<Record<string, string>>;
  readonly state: ContainerState;
}

const ORDER: Readonly<Record<ContainerState['phase'], number>> = { creating: 0, created: 1, running: 2, exited: 3 };

/** The one way in which a container changes state. */
export function moveTo(record: ContainerRecord, state: ContainerState): ContainerRecord {
  assert(
    ORDER[state.phase] > ORDER[record.state.phase],
    `container ${record.id} goes from ${record.state.phase} to ${state.phase}`,
  );
  return { ...record, state };
}

/** Reads a record's text; undefined when it is none of ours or of a later version. */
export function parseRecord(text: string): ContainerRecord | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return undefined;
    const record = value as Partial<ContainerRecord>;
    const phase = record.state?.phase;
    if (record.version !== 1 || typeof record.id !== 'string' || typeof record.bootId !== 'string') return undefined;
    if (phase === undefined || ORDER[phase] === undefined || typeof record.cgroupPath !== 'string') return undefined;
    return value as ContainerRecord;
  } catch {
    return undefined;
  }
}
