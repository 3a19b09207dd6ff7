import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** A wire between two processes that can be cut, slowed down, or die without a word. */
export class TcpProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #targetPort: number;
  #frozen = false;
  /** Of what flows to the target; undefined for no limit. */
  bytesPerSecond: number | undefined;
  /** That flowed to the target. */
  bytes = 0;
  /** Called after every piece that flowed to the target. */
  onBytes: () => void = () => {};

  private constructor(targetPort: number) {
    this.#targetPort = targetPort;
    this.#server = createServer({ pauseOnConnect: true }, (inner) => this.#accept(inner));
  }

  static async start(targetPort: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(targetPort);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Nothing goes through any more, and nobody is told; new connections find nobody either. */
  freeze(): void {
    this.#frozen = true;
    for (const socket of this.#sockets) socket.pause();
  }

  /** New connections go through again; the old stay dead. */
  thaw(): void {
    this.#frozen = false;
  }

  /** Every connection breaks. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #accept(near: Socket): void {
    this.#adopt(near);
    if (this.#frozen) return;
    const far = connect(this.#targetPort, '127.0.0.1');
    this.#adopt(far);
    near.once('close', () => far.destroy());
    far.once('close', () => near.destroy());
    far.on('data', (bytes) => near.write(bytes));
    near.on('data', (bytes) => {
      far.write(bytes);
      this.bytes += bytes.length;
      this.#pace(near, bytes.length);
      this.onBytes();
    });
    near.resume();
  }

  #pace(near: Socket, bytes: number): void {
    if (this.bytesPerSecond === undefined) return;
    near.pause();
    const timer = setTimeout(
      () => {
        this.#timers.delete(timer);
        if (!this.#frozen) near.resume();
      },
      (bytes / this.bytesPerSecond) * 1_000,
    );
    this.#timers.add(timer);
  }

  #adopt(socket: Socket): void {
    this.#sockets.add(socket);
    // Or every small write would wait for the acknowledgement of the one before.
    socket.setNoDelay();
    socket.on('error', () => {});
    socket.once('close', () => this.#sockets.delete(socket));
  }
}
