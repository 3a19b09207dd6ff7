/** Asks a server over real sockets. */
import { createSocket } from 'node:dgram';
import { connect, type Socket } from 'node:net';

/** The first datagram that comes back; undefined when none does. `localAddress` says who asks. */
export function askUdp(
  server: { readonly address: string; readonly port: number },
  message: Buffer,
  { localAddress = '127.0.0.1', timeoutMs = 2000 } = {},
): Promise<Buffer | undefined> {
  const socket = createSocket(server.address.includes(':') ? 'udp6' : 'udp4');
  return new Promise<Buffer | undefined>((resolve) => {
    const timer = setTimeout(() => resolve(undefined), timeoutMs);
    socket.once('message', (answer) => {
      clearTimeout(timer);
      resolve(answer);
    });
    socket.on('error', () => {});
    socket.bind(0, localAddress, () => socket.send(message, server.port, server.address));
  }).finally(() => socket.close());
}

export function framed(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}

/** A TCP connection whose answers can be awaited one after the other. */
export class TcpAsker {
  readonly socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #waiting: ((answer: Buffer | undefined) => void)[] = [];
  readonly closed: Promise<void>;

  constructor(server: { readonly address: string; readonly port: number }, localAddress = '127.0.0.1') {
    this.socket = connect({ host: server.address, port: server.port, localAddress });
    this.socket.on('error', () => {});
    this.socket.on('data', (chunk) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#deliver();
    });
    this.closed = new Promise((resolve) => {
      this.socket.once('close', () => {
        for (const waiting of this.#waiting.splice(0)) waiting(undefined);
        resolve();
      });
    });
  }

  send(...messages: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(messages.map(framed)));
  }

  /** The next answer; undefined when the connection ends first. */
  next(): Promise<Buffer | undefined> {
    return new Promise((resolve) => {
      if (this.socket.destroyed) resolve(undefined);
      else this.#waiting.push(resolve);
      this.#deliver();
    });
  }

  #deliver(): void {
    while (this.#received.length >= 2 && this.#waiting.length > 0) {
      const length = this.#received.readUInt16BE(0);
      if (this.#received.length < 2 + length) return;
      const answer = this.#received.subarray(2, 2 + length);
      this.#received = this.#received.subarray(2 + length);
      this.#waiting.shift()?.(answer);
    }
  }
}
