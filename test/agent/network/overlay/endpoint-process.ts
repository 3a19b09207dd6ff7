/** A program inside a task's namespace that a test talks to over IPC: servers, clients, forgers. Run by hosts.ts. */
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { serveMethods } from '#test/support/namespace-program.ts';

const conversations = new Map<string, Socket>();
const datagramClients = new Map<string, DatagramSocket>();
const heard = new Map<string, number>();

function datagramSocket(host: string): DatagramSocket {
  return createSocket(host.includes(':') ? 'udp6' : 'udp4');
}

function plain(address: string | undefined): string {
  return (address ?? '').replace('::ffff:', '');
}

function errorCode(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message;
}

/** What a parent may ask for; every answer survives JSON. */
export const METHODS = {
  /** A TCP server: "<name> <address of the client>" first, then it repeats what it hears. */
  async serve(name: string, port: number): Promise<void> {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.setNoDelay(true);
      socket.write(`${name} ${plain(socket.remoteAddress)}\n`);
      socket.pipe(socket);
    });
    server.listen({ host: '::', port });
    await once(server, 'listening');
  },

  /** A TCP server that counts what it gets and says how much when the client has ended. */
  async serveCounting(port: number): Promise<void> {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      let bytes = 0;
      socket.on('error', () => {});
      socket.on('data', (chunk) => {
        bytes += chunk.length;
      });
      socket.on('end', () => socket.end(String(bytes)));
    });
    server.listen({ host: '::', port });
    await once(server, 'listening');
  },

  /** Sends so many bytes; what the server has counted. */
  async send(host: string, port: number, bytes: number): Promise<string> {
    const socket = connect({ host, port, timeout: 5_000 });
    return new Promise((resolve) => {
      socket.on('error', (error) => resolve(errorCode(error)));
      socket.on('timeout', () => resolve('timeout'));
      socket.on('data', (chunk) => resolve(chunk.toString()));
      socket.end(Buffer.alloc(bytes));
    });
  },

  /** A UDP server with "<name> <address of the client> <length>". */
  async serveDatagrams(name: string, host: string, port: number): Promise<void> {
    const socket = datagramSocket(host);
    socket.on('message', (message, from) => {
      heard.set(name, (heard.get(name) ?? 0) + 1);
      socket.send(`${name} ${plain(from.address)} ${message.length}`, from.port, from.address);
    });
    socket.bind(port, host);
    await once(socket, 'listening');
  },

  /** How many datagrams the server of that name has had. */
  heard: (name: string): number => heard.get(name) ?? 0,

  /** The first line of the server at the address; or the errno, or "timeout". */
  async ask(host: string, port: number, timeoutMs = 1500): Promise<string> {
    return new Promise((resolve) => {
      const socket = connect({ host, port, timeout: timeoutMs });
      const done = (answer: string): void => {
        resolve(answer);
        socket.destroy();
      };
      socket.on('timeout', () => done('timeout'));
      socket.on('error', (error) => done(errorCode(error)));
      socket.on('data', (chunk) => done(chunk.toString().trim()));
      socket.on('end', () => done('end'));
    });
  },

  /** One datagram of that length from a new socket; the answer, the errno or "timeout". */
  async askDatagram(host: string, port: number, bytes = 1, source?: string, timeoutMs = 1000): Promise<string> {
    const socket = datagramSocket(host);
    try {
      return await new Promise((resolve) => {
        const timer = setTimeout(() => resolve('timeout'), timeoutMs);
        const done = (answer: string): void => {
          clearTimeout(timer);
          resolve(answer);
        };
        socket.on('message', (message) => done(message.toString()));
        socket.on('error', (error) => done(errorCode(error)));
        const send = (): void => socket.connect(port, host, () => socket.send(Buffer.alloc(bytes, '?')));
        if (source === undefined) socket.bind(send);
        else socket.bind({ address: source }, send);
      });
    } finally {
      socket.close();
    }
  },

  /** A datagram from a socket that is kept under the name: the same port every time. */
  async askDatagramAgain(name: string, host: string, port: number, timeoutMs = 1000): Promise<string> {
    let socket = datagramClients.get(name);
    if (socket === undefined) {
      socket = datagramSocket(host);
      datagramClients.set(name, socket);
      socket.on('error', () => {});
      socket.bind();
      await once(socket, 'listening');
      socket.connect(port, host);
      await once(socket, 'connect');
    }
    const kept = socket;
    return new Promise((resolve) => {
      const done = (answer: string): void => {
        clearTimeout(timer);
        kept.removeAllListeners('message');
        kept.removeAllListeners('error');
        kept.on('error', () => {});
        resolve(answer);
      };
      const timer = setTimeout(() => done('timeout'), timeoutMs);
      kept.once('message', (message) => done(message.toString()));
      kept.once('error', (error) => done(errorCode(error)));
      kept.send('?');
    });
  },

  /** Opens a connection that lasts, for `say`; the server's first line. */
  async converse(name: string, host: string, port: number): Promise<string> {
    const socket = connect({ host, port });
    conversations.set(name, socket);
    const [line] = (await once(socket, 'data')) as [Buffer];
    socket.on('error', () => {});
    return line.toString().trim();
  },

  /** Says something in a conversation; what comes back, the errno, "closed" or "timeout". */
  async say(name: string, text: string, timeoutMs = 2000): Promise<string> {
    const socket = conversations.get(name);
    if (socket === undefined || socket.destroyed) return 'closed';
    return new Promise((resolve) => {
      const done = (said: string): void => {
        clearTimeout(timer);
        for (const event of ['data', 'error', 'close']) socket.removeAllListeners(event);
        socket.on('error', () => {});
        resolve(said);
      };
      const timer = setTimeout(() => done('timeout'), timeoutMs);
      socket.once('error', (error) => done(errorCode(error)));
      socket.once('close', () => done('closed'));
      socket.once('data', (chunk) => done(chunk.toString()));
      socket.write(text);
    });
  },

  hangUp(name: string): void {
    conversations.get(name)?.destroy();
    conversations.delete(name);
  },

  /** Sends as much as goes in that time to `serveCounting`; bits per second, as the receiver counted. */
  async throughput(host: string, port: number, milliseconds: number): Promise<number> {
    const socket = connect({ host, port });
    const chunk = Buffer.alloc(256 * 1024);
    await once(socket, 'connect');
    const begin = performance.now();
    const write = (): void => {
      while (performance.now() - begin < milliseconds) if (!socket.write(chunk)) return;
      socket.end();
    };
    socket.on('drain', write);
    write();
    const [answer] = (await once(socket, 'data')) as [Buffer];
    return (Number(answer.toString()) * 8_000) / (performance.now() - begin);
  },

  /** One byte there and back with `serve`, so often; microseconds of each. */
  async roundTrips(host: string, port: number, count: number): Promise<number[]> {
    const socket = connect({ host, port });
    socket.setNoDelay(true);
    await once(socket, 'data');
    const each: number[] = [];
    for (let trip = 0; trip < count; trip++) {
      const begin = performance.now();
      socket.write('!');
      await once(socket, 'data');
      each.push((performance.now() - begin) * 1000);
    }
    socket.destroy();
    return each;
  },

  /** A datagram with any content, as hex. */
  async sendRaw(host: string, port: number, hex: string): Promise<void> {
    const socket = datagramSocket(host);
    await new Promise<void>((resolve) => socket.send(Buffer.from(hex, 'hex'), port, host, () => resolve()));
    socket.close();
  },
};

export type Methods = typeof METHODS;

serveMethods(METHODS);
