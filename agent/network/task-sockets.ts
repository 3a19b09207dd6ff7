/** What the sockets in a task's namespace say: where it listens, and which connections of others it still works for. */
import type { TcpSocket, TcpSocketState } from '../kernel/netlink-socket-diag.ts';

/** The task has what its client sent, or may get more; in FIN_WAIT2 all is sent and confirmed, and it has closed. */
const OPEN: ReadonlySet<TcpSocketState> = new Set<TcpSocketState>([
  'SYN_RECV',
  'ESTABLISHED',
  'CLOSE_WAIT',
  'FIN_WAIT1',
  'CLOSING',
  'LAST_ACK',
]);

export function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1';
}

/** The ports that others reach the task on. */
export function listenedPorts(sockets: readonly TcpSocket[]): ReadonlySet<number> {
  return new Set(
    sockets.filter((one) => one.state === 'LISTEN' && !isLoopback(one.localAddress)).map((one) => one.localPort),
  );
}

/**
 * Whether the task has something left to do for the connection: bytes are on their way, the last that came is not
 * answered, or it was used a moment ago. One that is kept for a next request is not at work: which servers close when
 * they are asked to stop, and clients are ready for that.
 */
export function isAtWork(connection: TcpSocket, idleAfterMs: number): boolean {
  const { state, unread, unsent, lastSentMs, lastReceivedMs, dataIn, dataOut } = connection;
  if (!OPEN.has(state)) return false;
  if (state !== 'ESTABLISHED' || unread > 0 || unsent > 0) return true;
  if (lastSentMs === undefined || lastReceivedMs === undefined) return true;
  // The kernel's times are some milliseconds coarse: a first request can come in the same one as its connection.
  const isOwedAnAnswer = lastReceivedMs < lastSentMs || (dataIn > 0 && dataOut === 0);
  return isOwedAnAnswer || Math.min(lastSentMs, lastReceivedMs) < idleAfterMs;
}

/** How many connections that others opened to the task are at work. */
export function connectionsAtWork(sockets: readonly TcpSocket[], idleAfterMs: number): number {
  const ports = listenedPorts(sockets);
  return sockets.filter(
    (one) => ports.has(one.localPort) && !isLoopback(one.remoteAddress) && isAtWork(one, idleAfterMs),
  ).length;
}
