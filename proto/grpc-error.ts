/**
 * SwarmErrors on the wire: a gRPC status code and text that any client understands, and beside them, in the trailing
 * metadata `swarm-error-bin`, the rest as JSON, from which a client of ours has the same error again.
 */
import { type ErrorCode, type ErrorReason, SwarmError } from '#common/errors.ts';

/** An error in the form that gRPC libraries take and give. */
export interface GrpcError {
  readonly code: number;
  readonly details: string;
  /** Value of the trailing metadata `swarm-error-bin`; undefined from a server that is not ours. */
  readonly extra: Uint8Array | undefined;
}

export const GRPC_ERROR_KEY = 'swarm-error-bin';

const GRPC_CODES: { readonly [Code in ErrorCode]: number } = {
  cancelled: 1,
  invalid: 3,
  deadline: 4,
  'not-found': 5,
  exists: 6,
  denied: 7,
  exhausted: 8,
  precondition: 9,
  conflict: 10,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  'data-loss': 15,
  unauthenticated: 16,
};

/** What a bare code most likely means when it comes from a library or a proxy and not from our own server. */
const BARE_REASONS: { readonly [Code in ErrorCode]: ErrorReason } = {
  cancelled: 'cancelled',
  invalid: 'bad-field',
  deadline: 'timeout',
  'not-found': 'unknown-object',
  exists: 'duplicate-name',
  denied: 'wrong-role',
  exhausted: 'too-large',
  precondition: 'not-in-swarm',
  conflict: 'out-of-sequence',
  unimplemented: 'not-supported',
  internal: 'internal',
  unavailable: 'connection-failed',
  'data-loss': 'corrupt-state',
  unauthenticated: 'no-certificate',
};

const CODES_BY_NUMBER: ReadonlyMap<number, ErrorCode> = new Map(
  Object.entries(GRPC_CODES).map(([code, number]) => [number, code as ErrorCode]),
);

/** HTTP/2 header lists are bounded (grpc allows 8 KiB of metadata), so a long text is cut. */
const TEXT_MAX_LENGTH = 1500;

/** The error for a caller. Causes and stacks stay here. */
export function toGrpcError(thrown: unknown): GrpcError {
  const error = SwarmError.from(thrown);
  const details = cut(error.message);
  const { reason, field, limit, hint } = error;
  const extra = { reason, field, limit, hint: hint === undefined ? undefined : cut(hint) };
  return { code: GRPC_CODES[error.code], details, extra: new TextEncoder().encode(JSON.stringify(extra)) };
}

/** The error of a call as the SwarmError that the server threw, or the nearest to it. */
export function fromGrpcError(received: GrpcError, cause?: unknown): SwarmError {
  const code = CODES_BY_NUMBER.get(received.code) ?? 'internal';
  const extra = parseExtra(received.extra);
  return new SwarmError({
    code,
    reason: extra.reason ?? BARE_REASONS[code],
    message: received.details,
    field: extra.field,
    limit: extra.limit,
    hint: extra.hint,
    cause,
  });
}

interface Extra {
  readonly reason?: ErrorReason | undefined;
  readonly field?: string | undefined;
  readonly limit?: string | undefined;
  readonly hint?: string | undefined;
}

function parseExtra(bytes: Uint8Array | undefined): Extra {
  if (bytes === undefined || bytes.length > 4 * TEXT_MAX_LENGTH) return {};
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return {};
  }
  if (typeof parsed !== 'object' || parsed === null) return {};
  const fields = parsed as Readonly<Record<string, unknown>>;
  const text = (name: keyof Extra): string | undefined => {
    const value = fields[name];
    return typeof value === 'string' ? value : undefined;
  };
  const reason = text('reason');
  return {
    // A newer server may send a reason that this release does not know: it is passed on, and matches no branch.
    reason: reason !== undefined && /^[a-z][a-z-]{1,40}$/.test(reason) ? (reason as ErrorReason) : undefined,
    field: text('field'),
    limit: text('limit'),
    hint: text('hint'),
  };
}

/** Also whole: half a surrogate pair, which a cut may leave, cannot be written into a header and would throw there. */
function cut(text: string): string {
  const short = text.length <= TEXT_MAX_LENGTH ? text : `${text.slice(0, TEXT_MAX_LENGTH)}...`;
  return short.toWellFormed();
}
