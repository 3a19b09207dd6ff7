/** Name servers of the outside world, for tests: real sockets on the loopback. */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import type { Packet, Resource } from 'dns2';
import { Dns } from './support.ts';

export interface Heard {
  readonly query: Packet;
  readonly from: RemoteInfo;
  readonly transport: 'udp' | 'tcp';
}

/** What a server says to a question; undefined says nothing. A buffer is sent as it is. */
export type Script = (heard: Heard) => Packet | Buffer | undefined;

export function record(name: string, address: string, ttl = 60): Resource {
  return new Dns.Resource({ name, type: Dns.TYPE.A, class: 1, ttl, address });
}

export function soa(name: string, minimum: number): Resource {
  const numbers = { serial: 1, refresh: 1, retry: 1, expiration: 1, minimum };
  return new Dns.Resource({ name, type: Dns.TYPE.SOA, class: 1, ttl: 600, primary: 'a', admin: 'b', ...numbers });
}

export function reply(query: Packet, answers: readonly Resource[], rcode = 0): Packet {
  const packet = Dns.createResponseFromRequest(query);
  packet.header.ra = 1;
  packet.header.rcode = rcode;
  packet.answers.push(...answers);
  packet.additionals.push(Dns.Resource.EDNS([], { udpPayloadSize: 1232 }));
  return packet;
}

/** A server on `address`; servers on several addresses share a port, as real ones do. */
export class Upstream {
  readonly heard: Heard[] = [];
  script: Script = ({ query }) => reply(query, [record(query.questions[0]?.name ?? '', '192.0.2.1')]);
  #socket: Socket | undefined;
  #server: Server | undefined;
  readonly address: string;

  constructor(address = '127.0.0.1') {
    this.address = address;
  }

  async listen(port = 0): Promise<number> {
    for (let attempt = 1; ; attempt++) {
      const [socket, server] = [this.#newSocket(), this.#newServer()];
      try {
        socket.bind(port, this.address);
        await once(socket, 'listening');
        const bound = socket.address().port;
        server.listen(bound, this.address);
        await once(server, 'listening');
        [this.#socket, this.#server] = [socket, server];
        return bound;
      } catch (error) {
        socket.close();
        server.close();
        // A port that is free for datagrams may be taken for connections: then another one is.
        if (port !== 0 || attempt === 10) throw error;
      }
    }
  }

  #newSocket(): Socket {
    const socket = createSocket('udp4');
    socket.on('message', (message, from) => {
      const answer = this.#answer(message, from, 'udp');
      if (answer !== undefined) socket.send(answer, from.port, from.address);
    });
    return socket;
  }

  #newServer(): Server {
    return createServer((connection) => {
      connection.on('error', () => {});
      connection.on('data', (chunk) => {
        const answer = this.#answer(chunk.subarray(2), { address: '', family: 'IPv4', port: 0, size: 0 }, 'tcp');
        if (answer === undefined) return;
        const length = Buffer.alloc(2);
        length.writeUInt16BE(answer.length);
        connection.end(Buffer.concat([length, answer]));
      });
    });
  }

  /** Sends from the server's address and port, as a forger who knows them would. */
  send(message: Buffer, to: RemoteInfo): void {
    this.#socket?.send(message, to.port, to.address);
  }

  close(): void {
    this.#socket?.close();
    this.#server?.close();
  }

  #answer(message: Buffer, from: RemoteInfo, transport: 'udp' | 'tcp'): Buffer | undefined {
    const query = Dns.parse(message);
    const heard = { query, from, transport };
    this.heard.push(heard);
    const said = this.script(heard);
    return said === undefined || Buffer.isBuffer(said) ? said : said.toBuffer();
  }
}
