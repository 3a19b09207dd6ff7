import { NodeService } from '#gen/swarm/v1/node.ts';
import { createClient } from '#proto/grpc/client.ts';
import { SocketTransport } from '#proto/grpc/socket-transport.ts';

/** Longer than any grace period that fits a shutdown; the service manager has the last word. */
const TIMEOUT_MS = 90_000;

/** `swarmd stop-tasks`: asks the running daemon to end its tasks in order. */
export async function stopTasks(socket: string, reason: string): Promise<void> {
  const transport = new SocketTransport(socket);
  try {
    const { stopped, left } = await createClient(NodeService, transport).stopTasks(
      { reason, timeoutMs: TIMEOUT_MS - 5_000 },
      { timeoutMs: TIMEOUT_MS },
    );
    process.stdout.write(`stopped ${stopped} tasks${left > 0 ? `, ${left} had not ended in time` : ''}\n`);
  } finally {
    transport.close();
  }
}
