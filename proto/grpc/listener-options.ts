import type { ListenOptions, Server as NetServer } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Server, ServerCredentials } from '@grpc/grpc-js';

/** Where grpc-js makes its listeners; no part of its public interface, and so asserted by the tests. */
interface ListeningServer {
  createHttp2Server: (credentials: ServerCredentials) => NetServer;
}

export function prepareListeners(server: Server, { backlog }: { readonly backlog: number }): void {
  const listening = server as unknown as ListeningServer; // a private method to the types
  const create = listening.createHttp2Server.bind(server);
  listening.createHttp2Server = (credentials) => {
    const listener = create(credentials);
    useBacklog(listener, backlog);
    listener.prependListener('secureConnection', forgetRefusal);
    return listener;
  };
}

/**
 * Has the kernel keep this many connections until they are accepted, or as many as `net.core.somaxconn` allows. With the
 * 511 of Node the rest of a thousand agents that come at once is dropped, and comes again after a second or three.
 */
function useBacklog(listener: NetServer, backlog: number): void {
  const listen = listener.listen.bind(listener);
  const listenWith = (address: ListenOptions, onListening: () => void): NetServer =>
    listen({ ...address, backlog }, onListening);
  listener.listen = listenWith as NetServer['listen']; // the one form of many that grpc-js calls
}

/**
 * A certificate that is not believed leaves errors in a queue that OpenSSL has per thread, and the next read of its
 * connection would end with them before its caller is told why. To look at a certificate clears the queue.
 */
function forgetRefusal(socket: TLSSocket): void {
  if (socket instanceof TLSSocket && !socket.authorized) socket.getPeerX509Certificate();
}
