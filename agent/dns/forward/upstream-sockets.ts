/** The UDP sockets that other servers are asked through: few, each on a random port, each for many questions. */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import type { CancelTimer, Clock } from '#common/clock.ts';
import { type Random, randomInt } from '#common/random.ts';
import { read16, write16 } from '../answer/wire.ts';
import type { ForwarderConfig } from '../config.ts';

interface Waiting {
  readonly server: string;
  readonly port: number;
  /** Whether the datagram is the answer; anything else could be a forgery and is passed over. */
  readonly accepts: (message: Buffer) => boolean;
  readonly finish: (message: Buffer | undefined) => void;
}

interface Lane {
  readonly socket: Socket;
  readonly waiting: Map<number, Waiting>;
  questions: number;
  retired: boolean;
}

export interface UpstreamSocketsOptions {
  readonly config: Pick<ForwarderConfig, 'sockets' | 'questionsPerSocket' | 'inFlightMax'>;
  readonly clock: Clock;
  /** Has to be unpredictable. */
  readonly random: Random;
}

type Family = 4 | 6;

/** As one server's address is written in a datagram's source: without a zone that the system adds. */
function sameAddress(left: string, right: string): boolean {
  return left.split('%')[0] === right.split('%')[0];
}

export class UpstreamSockets {
  readonly #options: UpstreamSocketsOptions;
  readonly #lanes: Record<Family, (Lane | undefined)[]> = { 4: [], 6: [] };
  readonly #retired = new Set<Lane>();
  #closed = false;

  constructor(options: UpstreamSocketsOptions) {
    this.#options = options;
  }

  /** Questions that wait for their answer. */
  get waiting(): number {
    let count = 0;
    for (const lane of [...this.#lanes[4], ...this.#lanes[6], ...this.#retired]) count += lane?.waiting.size ?? 0;
    return count;
  }

  /** Sends the query with an id of its own choosing. Undefined when no answer came in time, or it cannot be sent. */
  ask(
    query: Buffer,
    server: string,
    port: number,
    timeoutMs: number,
    accepts: (message: Buffer) => boolean,
  ): Promise<Buffer | undefined> {
    return new Promise((resolve) => {
      const lane = this.#closed ? undefined : this.#takeLane(server.includes(':') ? 6 : 4);
      const id = lane === undefined ? undefined : this.#freeId(lane);
      if (lane === undefined || id === undefined) {
        resolve(undefined);
        return;
      }
      let cancel: CancelTimer = () => {};
      const finish = (message: Buffer | undefined): void => {
        cancel();
        lane.waiting.delete(id);
        this.#dropIfDone(lane);
        resolve(message);
      };
      cancel = this.#options.clock.setTimer(timeoutMs, () => finish(undefined));
      lane.waiting.set(id, { server, port, accepts, finish });
      lane.questions++;
      write16(query, 0, id);
      lane.socket.send(query, port, server, (error) => {
        // No route, say: the next server is asked at once.
        if (error !== null) lane.waiting.get(id)?.finish(undefined);
      });
    });
  }

  close(): void {
    this.#closed = true;
    for (const lanes of Object.values(this.#lanes))
      for (const lane of lanes.splice(0)) if (lane !== undefined) this.#retire(lane);
    for (const lane of this.#retired) for (const one of lane.waiting.values()) one.finish(undefined);
  }

  #takeLane(family: Family): Lane | undefined {
    const { config, random } = this.#options;
    const index = randomInt(random, config.sockets);
    const lanes = this.#lanes[family];
    const lane = lanes[index];
    if (lane !== undefined && !lane.retired && lane.questions < config.questionsPerSocket) return lane;
    if (lane !== undefined) this.#retire(lane);
    const fresh = this.#open(family, index);
    lanes[index] = fresh;
    return fresh;
  }

  /** The kernel chooses the port, at random. */
  #open(family: Family, index: number): Lane {
    const socket = createSocket({
      type: family === 6 ? 'udp6' : 'udp4',
      // Servers are addresses: nothing to look up.
      lookup: (address, _options, done) => done(null, address, family),
    });
    const lane: Lane = { socket, waiting: new Map(), questions: 0, retired: false };
    socket.on('message', (message, from) => this.#take(lane, message, from));
    socket.on('error', () => {
      // A socket that cannot be bound, or an ICMP error of some question: that question times out, others go on.
      if (this.#lanes[family][index] === lane) this.#lanes[family][index] = undefined;
      this.#retire(lane);
    });
    socket.bind({ port: 0, exclusive: true });
    socket.unref();
    return lane;
  }

  #take(lane: Lane, message: Buffer, from: RemoteInfo): void {
    const waiting = lane.waiting.get(read16(message, 0));
    if (waiting === undefined || waiting.port !== from.port || !sameAddress(waiting.server, from.address)) return;
    if (waiting.accepts(message)) waiting.finish(message);
  }

  #freeId(lane: Lane): number | undefined {
    if (lane.waiting.size >= this.#options.config.inFlightMax) return undefined;
    for (;;) {
      const id = randomInt(this.#options.random, 65_536);
      if (!lane.waiting.has(id)) return id;
    }
  }

  #retire(lane: Lane): void {
    lane.retired = true;
    this.#retired.add(lane);
    this.#dropIfDone(lane);
  }

  #dropIfDone(lane: Lane): void {
    if (!lane.retired || lane.waiting.size > 0 || !this.#retired.delete(lane)) return;
    lane.socket.close();
  }
}
