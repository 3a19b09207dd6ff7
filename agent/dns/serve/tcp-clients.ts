/** Questions by TCP (RFC 7766): several a connection, answered as they are ready, bounded in every direction. */
import type { Socket } from 'node:net';
import type { Clock } from '#common/clock.ts';
import { read16 } from '../answer/wire.ts';
import type { DnsServerConfig } from '../config.ts';
import type { QueryHandler } from './query-handler.ts';

export interface TcpClientsOptions {
  readonly config: DnsServerConfig;
  readonly handler: QueryHandler;
  readonly clock: Clock;
  /** Whether the asker may ask one more now. */
  readonly admit: (source: string) => boolean;
}

const LENGTH_BYTES = 2;

/** One connection. */
class TcpClient {
  readonly #socket: Socket;
  readonly #options: TcpClientsOptions;
  readonly #source: string;
  #received: Buffer = Buffer.alloc(0);
  /** Questions without an answer yet. */
  #pending = 0;
  #ended = false;

  constructor(socket: Socket, source: string, options: TcpClientsOptions) {
    this.#socket = socket;
    this.#source = source;
    this.#options = options;
    socket.setTimeout(options.config.tcpIdleMs, () => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => {
      this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
      this.#read();
    });
    socket.on('end', () => {
      this.#ended = true;
      this.#endIfDone();
    });
  }

  /** Takes no further questions and closes after the answers that are due. */
  finish(): void {
    this.#ended = true;
    this.#socket.pause();
    this.#endIfDone();
  }

  #read(): void {
    const { config } = this.#options;
    while (this.#received.length >= LENGTH_BYTES && this.#pending < config.tcpPipelineMax && !this.#socket.destroyed) {
      const length = read16(this.#received, 0);
      if (length > config.questionBytesMax) {
        this.#socket.destroy();
        return;
      }
      if (this.#received.length < LENGTH_BYTES + length) break;
      if (!this.#options.admit(this.#source)) {
        this.#socket.destroy();
        return;
      }
      const message = this.#received.subarray(LENGTH_BYTES, LENGTH_BYTES + length);
      this.#received = this.#received.subarray(LENGTH_BYTES + length);
      this.#answer(message);
    }
    if (this.#pending >= config.tcpPipelineMax) this.#socket.pause();
  }

  #answer(message: Buffer): void {
    const answer = this.#options.handler.handle(message, this.#source, 'tcp');
    if (!(answer instanceof Promise)) {
      if (answer !== undefined) this.#write(answer);
      return;
    }
    this.#pending++;
    void answer.then((late) => {
      this.#pending--;
      this.#write(late);
      if (!this.#ended) {
        this.#socket.resume();
        this.#read();
      }
      this.#endIfDone();
    });
  }

  #write(answer: Buffer): void {
    if (this.#socket.destroyed) return;
    if (this.#socket.writableLength > this.#options.config.tcpUnreadBytesMax) {
      this.#socket.destroy();
      return;
    }
    const framed = Buffer.allocUnsafe(LENGTH_BYTES + answer.length);
    framed.writeUInt16BE(answer.length);
    framed.set(answer, LENGTH_BYTES);
    this.#socket.write(framed);
  }

  #endIfDone(): void {
    if (this.#ended && this.#pending === 0) this.#socket.end();
  }
}

export class TcpClients {
  readonly #options: TcpClientsOptions;
  readonly #clients = new Map<Socket, TcpClient>();
  readonly #bySource = new Map<string, number>();
  #onEmpty: (() => void) | undefined;

  constructor(options: TcpClientsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#clients.size;
  }

  add(socket: Socket): void {
    const { config } = this.#options;
    const source = socket.remoteAddress;
    const ofSource = source === undefined ? 0 : (this.#bySource.get(source) ?? 0);
    const isFull = this.#clients.size >= config.tcpConnectionsMax || ofSource >= config.tcpConnectionsPerAsker;
    if (source === undefined || isFull) {
      socket.on('error', () => {});
      socket.resetAndDestroy();
      return;
    }
    this.#bySource.set(source, ofSource + 1);
    this.#clients.set(socket, new TcpClient(socket, source, this.#options));
    socket.once('close', () => {
      this.#clients.delete(socket);
      const left = (this.#bySource.get(source) ?? 1) - 1;
      if (left > 0) this.#bySource.set(source, left);
      else this.#bySource.delete(source);
      if (this.#clients.size === 0) this.#onEmpty?.();
    });
  }

  /** Lets every connection end after the answers that are due. */
  async drain(timeoutMs: number): Promise<void> {
    for (const client of this.#clients.values()) client.finish();
    if (this.#clients.size === 0) return;
    await new Promise<void>((resolve) => {
      const cancel = this.#options.clock.setTimer(timeoutMs, resolve);
      this.#onEmpty = () => {
        cancel();
        resolve();
      };
    });
  }

  close(): void {
    for (const socket of this.#clients.keys()) socket.destroy();
  }
}
