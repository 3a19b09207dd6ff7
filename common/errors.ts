/**
 * The one error type of Starling. Every refusal that can reach a user is a SwarmError: it says what happened, why
 * (a closed set of reasons), which field and limit were involved, and what to do about it.
 */
import { readableText } from './readable-text.ts';

/** Coarse class of an error; maps one to one to a gRPC status code. */
export type ErrorCode =
  | 'invalid' // INVALID_ARGUMENT: the request can never succeed as it stands
  | 'not-found' // NOT_FOUND
  | 'exists' // ALREADY_EXISTS
  | 'precondition' // FAILED_PRECONDITION: the state of the system forbids it
  | 'conflict' // ABORTED: the object changed since it was read; read again and retry
  | 'exhausted' // RESOURCE_EXHAUSTED: a limit or a disk or memory is full
  | 'unauthenticated' // UNAUTHENTICATED
  | 'denied' // PERMISSION_DENIED
  | 'unavailable' // UNAVAILABLE: try again later
  | 'deadline' // DEADLINE_EXCEEDED
  | 'cancelled' // CANCELLED
  | 'unimplemented' // UNIMPLEMENTED: exists in Swarm, does not exist here (yet)
  | 'data-loss' // DATA_LOSS: what is on disk is damaged
  | 'internal'; // INTERNAL: a defect of ours

/** What a caller may branch on. Closed: add a member here, nowhere else. */
export type ErrorReason =
  | 'bad-field'
  | 'bad-flag'
  | 'bad-name'
  | 'bad-reference'
  | 'bad-message'
  | 'too-large'
  | 'too-many'
  | 'duplicate-name'
  | 'unknown-object'
  | 'ambiguous-prefix'
  | 'out-of-sequence'
  | 'version-gone'
  | 'slow-watcher'
  | 'not-supported'
  | 'policy'
  | 'needs-force'
  | 'needs-choice'
  | 'no-update'
  | 'no-revision'
  | 'in-use'
  | 'not-running'
  | 'port-conflict'
  | 'not-a-manager'
  | 'not-in-swarm'
  | 'already-in-swarm'
  | 'not-leader'
  | 'leadership-lost'
  | 'no-quorum'
  | 'session-invalid'
  | 'node-removed'
  | 'client-revoked'
  | 'wrong-member'
  | 'wiped-member'
  | 'wrong-key'
  | 'locked'
  | 'bad-token'
  | 'wrong-cluster'
  | 'bad-certificate'
  | 'no-certificate'
  | 'wrong-role'
  | 'expired'
  | 'connection-failed'
  | 'daemon-unreachable'
  | 'timeout'
  | 'cancelled'
  | 'shutting-down'
  | 'disk-full'
  | 'corrupt-log'
  | 'corrupt-state'
  | 'log-failed'
  | 'image-not-found'
  | 'image-auth'
  | 'image-invalid'
  | 'registry-unreachable'
  | 'registry-tls'
  | 'build-failed'
  | 'runtime-failed'
  | 'plugin-failed'
  | 'command-not-found'
  | 'oom-killed'
  | 'network-failed'
  | 'address-pool'
  | 'preflight'
  | 'feature-level'
  | 'internal';

export interface SwarmErrorInit {
  readonly code: ErrorCode;
  readonly reason: ErrorReason;
  /** One sentence, no trailing full stop: what is wrong, naming the field and the value. */
  readonly message: string;
  /** Path of the offending field, in the words of the spec or the flag (`--replicas`, `spec.name`). */
  readonly field?: string | undefined;
  /** Name of the limit of `common/limits.ts` that was met. */
  readonly limit?: string | undefined;
  /** The way out, as an imperative sentence. */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
}

export class SwarmError extends Error {
  override readonly name = 'SwarmError';
  readonly code: ErrorCode;
  readonly reason: ErrorReason;
  readonly field: string | undefined;
  readonly limit: string | undefined;
  readonly hint: string | undefined;

  constructor(init: SwarmErrorInit) {
    super(readableText(init.message), init.cause === undefined ? undefined : { cause: init.cause });
    this.code = init.code;
    this.reason = init.reason;
    this.field = init.field;
    this.limit = init.limit;
    this.hint = init.hint;
  }

  /** Any thrown value as a SwarmError; what is not one already is a defect of ours and becomes `internal`. */
  static from(thrown: unknown): SwarmError {
    if (thrown instanceof SwarmError) return thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return new SwarmError({ code: 'internal', reason: 'internal', message, cause: thrown });
  }
}

/** A broken invariant: stops what is running. Never for bad input. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition)
    throw new SwarmError({ code: 'internal', reason: 'internal', message: `invariant broken: ${message}` });
}

/** For the default branch of an exhaustive switch. */
export function unreachable(value: never): never {
  throw new SwarmError({ code: 'internal', reason: 'internal', message: `unexpected value ${JSON.stringify(value)}` });
}

/** Shorthand for the commonest refusal: a field of the request breaks a rule. */
export function invalidField(field: string, message: string, hint?: string): SwarmError {
  return new SwarmError({ code: 'invalid', reason: 'bad-field', field, message, hint });
}
