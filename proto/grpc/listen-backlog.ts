import type { ListenOptions, Server as NetServer } from 'node:net';
import type { Server, ServerCredentials } from '@grpc/grpc-js';

/** Where grpc-js makes its listeners; no part of its public interface, and so asserted by the tests. */
interface ListeningServer {
  createHttp2Server: (credentials: ServerCredentials) => NetServer;
}

/**
 * Has the kernel keep this many connections until they are accepted, or as many as `net.core.somaxconn` allows. With the
 * 511 of Node the rest of a thousand agents that come at once is dropped, and comes again after a second or three.
 */
export function useBacklog(server: Server, backlog: number): void {
  const listening = server as unknown as ListeningServer; // a private method to the types
  const create = listening.createHttp2Server.bind(server);
  listening.createHttp2Server = (credentials) => {
    const listener = create(credentials);
    const listen = listener.listen.bind(listener);
    const listenWith = (address: ListenOptions, onListening: () => void): NetServer =>
      listen({ ...address, backlog }, onListening);
    listener.listen = listenWith as NetServer['listen']; // the one form of many that grpc-js calls
    return listener;
  };
}
