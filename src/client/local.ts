import { SocketTransport } from '#proto/grpc/socket-transport.ts';
import { socketPath } from './socket-path.ts';
import { createSwarmClient, type SwarmClient } from './swarm-client.ts';

export { DEFAULT_SOCKET_PATH, SOCKET_VARIABLE, socketPath } from './socket-path.ts';

/** A client of the daemon on this machine. Does not connect yet. */
export function connectLocal(path: string = socketPath(process.env)): SwarmClient {
  return createSwarmClient(new SocketTransport(path));
}
