/** What a task does with its connections, as the sockets in its own namespace say. */
import type { Clock } from '#common/clock.ts';
import type { NetlinkSocket } from '../kernel/netlink.ts';
import { listTcpSockets, openSocketDiagnosis, type TcpSocket } from '../kernel/netlink-socket-diag.ts';
import { NetworkNamespace } from '../kernel/netns.ts';
import type { NetworkConfig } from './config.ts';
import { pollUntil } from './poll-until.ts';
import { type ExpectedPorts, listening } from './task-readiness.ts';
import { connectionsAtWork, listenedPorts } from './task-sockets.ts';

export interface TrafficOptions {
  readonly clock: Clock;
  readonly config: Pick<NetworkConfig, 'drainPollMs' | 'idleAfterMs' | 'listen'>;
}

/** Waits until the task of this namespace is at work for nobody any more, at most so long. */
export async function drained(
  namespacePath: string,
  { clock, config }: TrafficOptions,
  maxMs: number,
  signal: AbortSignal,
): Promise<void> {
  await withSockets(namespacePath, async (list) => {
    const isDone = async (): Promise<boolean> => connectionsAtWork(await list(), config.idleAfterMs) === 0;
    await pollUntil(isDone, clock, config.drainPollMs, maxMs, signal);
  });
}

/** Waits until the task listens where it is expected to. Resolves to the ports where it still does not. */
export function listensAt(
  namespacePath: string,
  { clock, config }: TrafficOptions,
  ports: ExpectedPorts,
  signal: AbortSignal,
): Promise<readonly number[]> {
  return withSockets(namespacePath, (list) => {
    const listened = async (): Promise<ReadonlySet<number>> => listenedPorts(await list());
    return listening(ports, listened, { clock, times: config.listen }, signal);
  });
}

async function withSockets<T>(
  namespacePath: string,
  work: (list: () => Promise<readonly TcpSocket[]>) => Promise<T>,
): Promise<T> {
  const namespace = NetworkNamespace.open(namespacePath);
  let socket: NetlinkSocket;
  try {
    socket = openSocketDiagnosis(namespace);
  } finally {
    namespace.close();
  }
  try {
    return await work(() => listTcpSockets(socket));
  } finally {
    await socket.close();
  }
}
