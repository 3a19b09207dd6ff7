import { SwarmError, type SwarmErrorInit } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import { fromGrpcError, type GrpcError } from '../grpc-error.ts';
import type { Target } from './transport.ts';

/** gRPC status numbers that this side of the wire has to tell apart. */
export const STATUS = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  deadline: 4,
  exhausted: 8,
  unimplemented: 12,
  unavailable: 14,
} as const;

/** A call that failed before anything of it left this process: it had no effect, and may be made again elsewhere. */
export class UnsentError extends SwarmError {}

/** Words of grpc-js for calls that it has not begun, and of HTTP/2 for streams that the server has not looked at. */
const NEVER_SENT =
  /^(?:No connection established|Channel closed before call started|Name resolution failed|Stream refused by server)/;

/** A call that failed, as the SwarmError of the server, or as a clear one for what the transport met. */
export function callError(received: GrpcError, target: Target, path: string): SwarmError {
  if (received.extra !== undefined) return fromGrpcError(received);
  switch (received.code) {
    case STATUS.unavailable: {
      const error = connectionError(target, received.details);
      return NEVER_SENT.test(received.details) ? new UnsentError(error) : error;
    }
    case STATUS.deadline:
      return new SwarmError({
        code: 'deadline',
        reason: 'timeout',
        message: `${describeTarget(target)} did not answer ${methodName(path)} in time`,
      });
    case STATUS.exhausted:
      if (/larger than/.test(received.details)) return tooLarge('a message', /\((\d+) vs/.exec(received.details)?.[1]);
      return fromGrpcError(received);
    case STATUS.unimplemented:
      return new SwarmError({
        code: 'unimplemented',
        reason: 'not-supported',
        message: `${describeTarget(target)} does not serve ${methodName(path)}`,
        hint: 'compare the versions of client and daemon: `swarm version`',
      });
    default:
      return fromGrpcError(received);
  }
}

export function cancelledError(message = 'the call was cancelled'): SwarmError {
  return new SwarmError({ code: 'cancelled', reason: 'cancelled', message });
}

/** What an aborted signal says, as a SwarmError. */
export function abortError(signal: AbortSignal): SwarmError {
  return signal.reason instanceof SwarmError ? signal.reason : cancelledError();
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortError(signal);
}

/** Refuses a message that the other end would not take. */
export function checkSize(typeName: string, bytes: Uint8Array): void {
  if (bytes.byteLength > LIMITS.MESSAGE_BYTES) throw tooLarge(typeName, String(bytes.byteLength));
}

/** For a message that came from the other end. */
export function tooLargeMessage(bytes: number): SwarmError {
  return tooLarge('a message', String(bytes));
}

function tooLarge(what: string, bytes: string | undefined): SwarmError {
  return new SwarmError({
    code: 'exhausted',
    reason: 'too-large',
    limit: 'MESSAGE_BYTES',
    message: `${what}${bytes === undefined ? '' : ` of ${bytes} bytes`} is larger than the limit of ${LIMITS.MESSAGE_BYTES} bytes`,
  });
}

function describeTarget(target: Target): string {
  return target.kind === 'socket' ? `swarmd at ${target.name}` : target.name;
}

/** `/swarm.v1.ControlService/GetNode` -> `GetNode`. */
function methodName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

interface Cause extends Pick<SwarmErrorInit, 'code' | 'reason' | 'message' | 'hint'> {
  readonly pattern: RegExp;
}

/** Known causes by their words in the messages of Node and OpenSSL; the first that matches. Messages follow the peer's name. */
const TLS_CAUSES: readonly Cause[] = [
  {
    pattern: /certificate has expired|CERT_HAS_EXPIRED/i,
    code: 'unauthenticated',
    reason: 'expired',
    message: 'has a certificate that has expired',
    hint: 'check the clocks of both machines',
  },
  {
    pattern: /certificate is not yet valid|CERT_NOT_YET_VALID/i,
    code: 'unauthenticated',
    reason: 'bad-certificate',
    message: 'has a certificate that is not valid yet',
    hint: 'check the clocks of both machines',
  },
  {
    pattern: /self.signed certificate|unable to (?:verify|get)|UNABLE_TO_|SELF_SIGNED|signature failure/i,
    code: 'unauthenticated',
    reason: 'bad-certificate',
    message: 'has a certificate of another root: it belongs to another cluster, or the root was replaced',
    hint: 'check the address; a node that was away during a root rotation has to join again',
  },
  {
    pattern:
      /alert (?:certificate required|bad certificate|unknown ca|certificate unknown|certificate expired|access denied)/i,
    code: 'unauthenticated',
    reason: 'no-certificate',
    message: "refused this node's certificate",
    hint: 'if the node was removed, let it leave and join again',
  },
  {
    pattern: /wrong version number|packet length too long|EPROTO|SSL routines|http request/i,
    code: 'unavailable',
    reason: 'connection-failed',
    message: 'does not speak TLS as a Starling manager does',
    hint: 'check address and port; managers listen on 2377 by default',
  },
];

const NETWORK_CAUSES: readonly Cause[] = [
  {
    pattern: /ECONNREFUSED/,
    code: 'unavailable',
    reason: 'connection-failed',
    message: 'refused the connection: nothing listens there',
    hint: 'check the address and that swarmd runs on that machine',
  },
  {
    pattern: /EHOSTUNREACH|ENETUNREACH|EHOSTDOWN/,
    code: 'unavailable',
    reason: 'connection-failed',
    message: 'cannot be reached: no route',
    hint: 'check the network between the machines',
  },
  {
    pattern: /ETIMEDOUT|Ping timeout|Keepalive timeout|Failed to connect before the deadline/i,
    code: 'unavailable',
    reason: 'connection-failed',
    message: 'does not answer',
    hint: 'check that no firewall drops 2377/tcp',
  },
  {
    pattern: /ENOTFOUND|EAI_AGAIN|Name resolution failed/i,
    code: 'unavailable',
    reason: 'connection-failed',
    message: 'has a name that cannot be resolved',
    hint: 'check the name, or use an IP address',
  },
  {
    pattern:
      /ECONNRESET|EPIPE|Connection dropped|closed during the TLS handshake|socket hang up|GOAWAY|Connection closed/i,
    code: 'unavailable',
    reason: 'connection-failed',
    message: 'closed the connection',
    hint: 'try again; the log of swarmd there says why',
  },
];

/** A connection that could not be made, or broke; `details` is the text of whatever library noticed. */
export function connectionError(target: Target, details: string, thrown?: unknown): SwarmError {
  // What the check of the peer's certificate said stands as it is.
  const refusal = /the peer (?:is|belongs to) [^,]+, not [\w ]+/.exec(details);
  if (refusal !== null)
    return new SwarmError({
      code: 'unauthenticated',
      reason: 'bad-certificate',
      message: `${target.name}: ${refusal[0]}`,
    });
  if (target.kind === 'socket') return socketError(target, details, thrown);
  const cause = [...TLS_CAUSES, ...NETWORK_CAUSES].find(({ pattern }) => pattern.test(details));
  if (cause === undefined)
    return new SwarmError({
      code: 'unavailable',
      reason: 'connection-failed',
      message: `${target.name} cannot be reached: ${firstLine(details)}`,
      cause: thrown,
    });
  const { code, reason, message, hint } = cause;
  return new SwarmError({ code, reason, message: `${target.name} ${message}`, hint, cause: thrown });
}

function socketError(target: Target, details: string, thrown: unknown): SwarmError {
  const unreachable = (code: SwarmErrorInit['code'], message: string, hint: string): SwarmError =>
    new SwarmError({ code, reason: 'daemon-unreachable', message, hint, cause: thrown });
  const where = `swarmd at ${target.name}`;
  if (/EACCES|EPERM/.test(details))
    return unreachable(
      'denied',
      `cannot reach ${where}: permission denied`,
      'run the command as root: `sudo swarm ...`',
    );
  if (/ENOENT/.test(details))
    return unreachable(
      'unavailable',
      `cannot reach ${where}: there is no such socket`,
      'is swarmd running? `systemctl start starling`; another socket is named with STARLING_SOCKET',
    );
  if (/ECONNREFUSED/.test(details))
    return unreachable(
      'unavailable',
      `cannot reach ${where}: nothing listens on the socket`,
      'is swarmd running? `systemctl status starling` says why not',
    );
  return unreachable(
    'unavailable',
    `the connection to ${where} is lost: ${firstLine(details)}`,
    'was swarmd stopped or restarted? `systemctl status starling`',
  );
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}
