import type { Caller, PeerIdentity } from './caller.ts';

/** What a handler knows about the call beside its request. */
export interface CallContext {
  /** Who made the call; of a forwarded one, whoever made it at the manager that passed it on. */
  readonly caller: Caller;
  /** The manager that passed the call on; undefined for a call that came directly. */
  readonly forwardedBy: PeerIdentity | undefined;
  /** `/swarm.v1.ControlService/GetNode`. */
  readonly path: string;
  /** Address that the caller came from, `192.0.2.7:40312`; empty on the local socket. */
  readonly peer: string;
  /** When the caller stops waiting, wall clock in milliseconds; undefined for no limit. */
  readonly deadlineMs: number | undefined;
  /** Aborted with a SwarmError when the caller cancels or goes away, the deadline passes or the server closes. */
  readonly signal: AbortSignal;
}
