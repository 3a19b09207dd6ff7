/** Carries datagrams from [::1]:port to 127.0.0.1:port, with a socket for every client so that answers find back. */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import type { CancelTimer, Clock } from '#common/clock.ts';
import type { LoopbackConfig } from '../config.ts';
import type { ConnectionCount } from './tcp-relay.ts';

const FROM = '::1';
const TO = '127.0.0.1';

interface Client {
  readonly socket: Socket;
  lastMs: number;
}

export class UdpRelay {
  readonly #port: number;
  readonly #config: LoopbackConfig;
  readonly #total: ConnectionCount;
  readonly #clock: Clock;
  readonly #clients = new Map<string, Client>();
  #socket: Socket | undefined;
  #cancelSweep: CancelTimer | undefined;

  constructor(port: number, config: LoopbackConfig, total: ConnectionCount, clock: Clock) {
    this.#port = port;
    this.#config = config;
    this.#total = total;
    this.#clock = clock;
  }

  get size(): number {
    return this.#clients.size;
  }

  /** Rejects with EADDRINUSE and the like. */
  listen(): Promise<void> {
    const socket = createSocket({
      type: 'udp6',
      ipv6Only: true,
      reusePort: true,
      lookup: (address, _options, done) => done(null, address, 6),
    });
    socket.on('message', (message, from) => this.#forward(message, from));
    return new Promise((resolve, reject) => {
      socket.once('error', (error) => {
        socket.close();
        reject(error);
      });
      socket.bind({ address: FROM, port: this.#port, exclusive: true }, () => {
        socket.removeAllListeners('error');
        socket.on('error', () => {});
        this.#socket = socket;
        resolve();
      });
    });
  }

  close(): void {
    this.#cancelSweep?.();
    this.#cancelSweep = undefined;
    for (const [key, client] of this.#clients) this.#drop(key, client);
    this.#socket?.close();
    this.#socket = undefined;
  }

  #forward(message: Buffer, from: RemoteInfo): void {
    const client = this.#clientOf(from);
    if (client === undefined) return; // as a full queue does
    client.lastMs = this.#clock.monotonic();
    client.socket.send(message, this.#port, TO, () => {});
  }

  #clientOf(from: RemoteInfo): Client | undefined {
    const key = `${from.address} ${from.port}`;
    const known = this.#clients.get(key);
    if (known !== undefined) return known;
    const { udpClientsMax, udpClientsPerPort } = this.#config;
    if (this.#total.current >= udpClientsMax || this.#clients.size >= udpClientsPerPort) return undefined;
    const socket = createSocket({ type: 'udp4', lookup: (address, _options, done) => done(null, address, 4) });
    const client: Client = { socket, lastMs: this.#clock.monotonic() };
    socket.on('error', () => {});
    socket.on('message', (message, sender) => {
      if (sender.port !== this.#port || sender.address !== TO) return;
      client.lastMs = this.#clock.monotonic();
      this.#socket?.send(message, from.port, from.address, () => {});
    });
    this.#clients.set(key, client);
    this.#total.current++;
    this.#sweepLater();
    return client;
  }

  #sweepLater(): void {
    this.#cancelSweep ??= this.#clock.setTimer(this.#config.udpIdleMs / 2, () => {
      this.#cancelSweep = undefined;
      const idleSince = this.#clock.monotonic() - this.#config.udpIdleMs;
      for (const [key, client] of this.#clients) if (client.lastMs <= idleSince) this.#drop(key, client);
      if (this.#clients.size > 0) this.#sweepLater();
    });
  }

  #drop(key: string, client: Client): void {
    this.#clients.delete(key);
    this.#total.current--;
    client.socket.close();
  }
}
