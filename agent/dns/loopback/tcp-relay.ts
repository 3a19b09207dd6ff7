/** Carries TCP connections from [::1]:port to 127.0.0.1:port, each direction ending by itself. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { LoopbackConfig } from '../config.ts';

const FROM = '::1';
const TO = '127.0.0.1';

/** How many connections there are in all, shared by the relays of all ports. */
export interface ConnectionCount {
  current: number;
}

export class TcpRelay {
  readonly #port: number;
  readonly #config: LoopbackConfig;
  readonly #total: ConnectionCount;
  readonly #connections = new Set<Socket>();
  #server: Server | undefined;

  constructor(port: number, config: LoopbackConfig, total: ConnectionCount) {
    this.#port = port;
    this.#config = config;
    this.#total = total;
  }

  get size(): number {
    return this.#connections.size;
  }

  /** Rejects with EADDRINUSE and the like. */
  listen(): Promise<void> {
    // Paused until the other side is connected, so that nothing is read that cannot be passed on.
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (socket) => {
      this.#relay(socket);
    });
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host: FROM, port: this.#port, ipv6Only: true, reusePort: true, exclusive: true }, () => {
        server.off('error', reject);
        server.on('error', () => {});
        this.#server = server;
        resolve();
      });
    });
  }

  /** Takes no more connections; those that are there go on. */
  stopListening(): void {
    this.#server?.close();
    this.#server = undefined;
  }

  close(): void {
    this.stopListening();
    for (const socket of this.#connections) socket.resetAndDestroy();
  }

  #relay(client: Socket): void {
    const { connectionsMax, connectionsPerPort, connectTimeoutMs, keepAliveMs } = this.#config;
    client.on('error', () => {});
    if (this.#total.current >= connectionsMax || this.#connections.size >= connectionsPerPort) {
      client.resetAndDestroy();
      return;
    }
    this.#total.current++;
    this.#connections.add(client);
    const server = connect({ host: TO, port: this.#port, allowHalfOpen: true, noDelay: true });
    server.setTimeout(connectTimeoutMs, () => server.destroy());
    for (const socket of [client, server]) socket.setKeepAlive(true, keepAliveMs);
    server.once('connect', () => {
      server.setTimeout(0);
      // pipe() passes an end on and holds back who writes faster than the other reads.
      client.pipe(server);
      server.pipe(client);
    });
    // A reset, a refusal, a timeout: the other side learns of it in the same way.
    const cut = (socket: Socket): void => {
      if (!socket.destroyed) socket.resetAndDestroy();
    };
    server.on('error', () => cut(client));
    server.once('close', () => {
      // Destroyed before its end came through.
      if (!client.writableEnded) cut(client);
    });
    client.once('close', () => {
      this.#total.current--;
      this.#connections.delete(client);
      if (!server.writableEnded || !server.readableEnded) cut(server);
    });
  }
}
