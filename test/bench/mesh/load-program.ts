/** What the benchmark of the mesh runs inside namespaces: a server, and clients that ask it as fast as it answers. */
import { connect, createServer, type Socket } from 'node:net';
import { serveMethods } from '#test/support/namespace-program.ts';

const REQUEST = 'GET / HTTP/1.1\r\nHost: bench\r\n\r\n';
const ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
/** Requests and answers come in one piece each: they are smaller than any packet. */
const END = '\r\n\r\n';

interface Load {
  readonly host: string;
  readonly port: number;
  readonly clients: number;
  readonly durationMs: number;
  /** Whether a client keeps its connection, or makes one for every request. */
  readonly keepAlive: boolean;
}

/** One request at a time, each taking so long: what a busy task is like. */
class Worker {
  readonly #serviceMs: number;
  #lane: Promise<void> = Promise.resolve();

  constructor(serviceMs: number) {
    this.#serviceMs = serviceMs;
  }

  answer(socket: Socket): void {
    if (this.#serviceMs === 0) {
      socket.write(ANSWER);
      return;
    }
    this.#lane = this.#lane.then(async () => {
      await new Promise((resolve) => setTimeout(resolve, this.#serviceMs));
      socket.write(ANSWER);
    });
  }
}

function keepAsking(load: Load, isOver: () => boolean, count: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: load.host, port: load.port, noDelay: true });
    socket.on('connect', () => socket.write(REQUEST));
    socket.on('error', reject);
    socket.on('data', () => {
      count();
      if (!isOver()) socket.write(REQUEST);
      else {
        socket.destroy();
        resolve();
      }
    });
  });
}

function askOnce({ host, port }: Load): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true });
    socket.on('connect', () => socket.write(REQUEST));
    socket.on('error', reject);
    socket.on('data', () => {
      // A reset leaves no TIME_WAIT behind, so ports do not run out within seconds.
      socket.resetAndDestroy();
      resolve();
    });
  });
}

async function keepConnecting(load: Load, isOver: () => boolean, count: () => void): Promise<void> {
  while (!isOver()) {
    await askOnce(load);
    count();
  }
}

const METHODS = {
  /** `serviceMs`: 0 answers at once. */
  serve(port: number, serviceMs: number): Promise<void> {
    const worker = new Worker(serviceMs);
    const server = createServer({ noDelay: true }, (socket) => {
      socket.on('error', () => {});
      socket.on('data', (chunk) => {
        if (chunk.includes(END)) worker.answer(socket);
      });
    });
    return new Promise((resolve) => server.listen({ host: '::', port }, resolve));
  },
  /** Requests per second. */
  async load(load: Load): Promise<number> {
    const begin = performance.now();
    let answered = 0;
    const isOver = (): boolean => performance.now() - begin >= load.durationMs;
    const client = load.keepAlive ? keepAsking : keepConnecting;
    const count = (): void => {
      answered++;
    };
    await Promise.all(Array.from({ length: load.clients }, () => client(load, isOver, count)));
    return (answered * 1000) / (performance.now() - begin);
  },
};

export type LoadMethods = typeof METHODS;

serveMethods(METHODS);
