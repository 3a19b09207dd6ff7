import type { Caller } from './caller.ts';

/** What a handler knows about the call beside its request. */
export interface CallContext {
  readonly caller: Caller;
  /** `/swarm.v1.ControlService/GetNode`. */
  readonly path: string;
  /** Address of the peer, `192.0.2.7:40312`; empty on the local socket. */
  readonly peer: string;
  /** When the caller stops waiting, wall clock in milliseconds; undefined for no limit. */
  readonly deadlineMs: number | undefined;
  /** Aborted with a SwarmError when the caller cancels or goes away, the deadline passes or the server closes. */
  readonly signal: AbortSignal;
}
