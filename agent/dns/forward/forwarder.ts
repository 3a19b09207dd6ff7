/**
 * Questions about names that are not ours: asked of other servers, one after the other, each question once at a time
 * whoever asks it, and remembered. Everything is bounded: time, questions under way, memory.
 */
import type { Clock } from '#common/clock.ts';
import { type Random, randomInt } from '#common/random.ts';
import { RCODE } from '../answer/wire.ts';
import type { ForwarderConfig } from '../config.ts';
import { AnswerCache } from './answer-cache.ts';
import { askByTcp } from './ask-by-tcp.ts';
import {
  type Asked,
  answersQuestion,
  askedKey,
  readUpstreamAnswer,
  type UpstreamAnswer,
  upstreamQuery,
} from './upstream-message.ts';
import { UpstreamSockets } from './upstream-sockets.ts';

export interface ForwarderOptions {
  readonly config: ForwarderConfig;
  readonly clock: Clock;
  /** Has to be unpredictable: ids come from it. */
  readonly random: Random;
  /** 53, but in tests. */
  readonly serverPort?: number;
}

export type ForwardResult =
  | { readonly kind: 'answer'; readonly answer: UpstreamAnswer; readonly ageSeconds: number }
  /** Too many questions under way, in all or of this asker. */
  | { readonly kind: 'busy' }
  /** No server answered. */
  | { readonly kind: 'failed' };

interface Job {
  readonly result: Promise<ForwardResult>;
}

const BUSY: ForwardResult = { kind: 'busy' };
const FAILED: ForwardResult = { kind: 'failed' };

export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #sockets: UpstreamSockets;
  readonly #cache: AnswerCache;
  /** By servers and question. */
  readonly #jobs = new Map<string, Job>();
  /** Askers that wait, by asker. Invariant: no zeros. */
  readonly #waitingOf = new Map<string, number>();
  #waiting = 0;
  /** Until when a server that did not answer comes last. */
  readonly #avoided = new Map<string, number>();

  constructor(options: ForwarderOptions) {
    this.#options = options;
    this.#sockets = new UpstreamSockets(options);
    this.#cache = new AnswerCache(options.config);
  }

  /** Askers that wait for an answer. */
  get waiting(): number {
    return this.#waiting;
  }

  get cached(): { readonly entries: number; readonly bytes: number } {
    return { entries: this.#cache.size, bytes: this.#cache.bytes };
  }

  /** Never rejects. A cached answer comes without a wait in between. */
  ask(asked: Asked, servers: readonly string[], askerId: string): ForwardResult | Promise<ForwardResult> {
    const { config, clock } = this.#options;
    const key = `${servers.join(' ')} ${askedKey(asked)}`;
    const cached = this.#cache.get(key, clock.monotonic());
    if (cached !== undefined) return { kind: 'answer', ...cached };
    if (servers.length === 0) return FAILED;
    const ofAsker = this.#waitingOf.get(askerId) ?? 0;
    if (this.#waiting >= config.inFlightMax || ofAsker >= config.inFlightPerAsker) return BUSY;
    this.#waiting++;
    this.#waitingOf.set(askerId, ofAsker + 1);
    return this.#join(key, asked, servers).finally(() => {
      this.#waiting--;
      const left = (this.#waitingOf.get(askerId) ?? 1) - 1;
      if (left > 0) this.#waitingOf.set(askerId, left);
      else this.#waitingOf.delete(askerId);
    });
  }

  /** What was remembered is forgotten: the servers are others now. */
  forget(): void {
    this.#cache.clear();
    this.#avoided.clear();
  }

  close(): void {
    this.#sockets.close();
  }

  #join(key: string, asked: Asked, servers: readonly string[]): Promise<ForwardResult> {
    const underWay = this.#jobs.get(key);
    if (underWay !== undefined) return underWay.result;
    const result = this.#askServers(asked, servers)
      .then((answer): ForwardResult => {
        if (answer === undefined) return FAILED;
        this.#cache.put(key, answer, this.#options.clock.monotonic());
        return { kind: 'answer', answer, ageSeconds: 0 };
      })
      .catch((): ForwardResult => FAILED)
      .finally(() => this.#jobs.delete(key));
    this.#jobs.set(key, { result });
    return result;
  }

  /** The first definite answer; else the last indefinite one (SERVFAIL, REFUSED), if any. */
  async #askServers(asked: Asked, servers: readonly string[]): Promise<UpstreamAnswer | undefined> {
    const { config, clock } = this.#options;
    const deadline = clock.monotonic() + config.totalTimeoutMs;
    let indefinite: UpstreamAnswer | undefined;
    for (let round = 0; round < 2; round++) {
      for (const server of this.#inOrder(servers)) {
        const leftMs = Math.min(config.attemptTimeoutMs, deadline - clock.monotonic());
        if (leftMs <= 0) return indefinite;
        const answer = await this.#askServer(asked, server, leftMs);
        if (answer === undefined) this.#avoid(server);
        else if (answer.rcode === RCODE.NOERROR || answer.rcode === RCODE.NXDOMAIN) return answer;
        else indefinite = answer;
      }
      // A server that said no says it again; one that said nothing may have lost the datagram.
      if (indefinite !== undefined) return indefinite;
    }
    return undefined;
  }

  async #askServer(asked: Asked, server: string, timeoutMs: number): Promise<UpstreamAnswer | undefined> {
    const { clock, random, serverPort = 53 } = this.#options;
    const begin = clock.monotonic();
    const read = (message: Buffer | undefined): UpstreamAnswer | undefined =>
      message === undefined ? undefined : readUpstreamAnswer(message, asked.question.end);
    const accepts = (message: Buffer): boolean => answersQuestion(message, asked);
    const byUdp = read(await this.#sockets.ask(upstreamQuery(asked, 0), server, serverPort, timeoutMs, accepts));
    if (byUdp?.truncated !== true) return byUdp;
    const leftMs = Math.max(timeoutMs - (clock.monotonic() - begin), timeoutMs / 4);
    const query = upstreamQuery(asked, randomInt(random, 65_536));
    const byTcp = read(await askByTcp(query, server, serverPort, leftMs, accepts, clock));
    return byTcp ?? byUdp;
  }

  /** As they stand, those that lately did not answer last. */
  #inOrder(servers: readonly string[]): readonly string[] {
    const nowMs = this.#options.clock.monotonic();
    const isAvoided = (server: string): boolean => (this.#avoided.get(server) ?? 0) > nowMs;
    return [...servers.filter((server) => !isAvoided(server)), ...servers.filter(isAvoided)];
  }

  #avoid(server: string): void {
    const nowMs = this.#options.clock.monotonic();
    for (const [known, untilMs] of this.#avoided) if (untilMs <= nowMs) this.#avoided.delete(known);
    this.#avoided.set(server, nowMs + this.#options.config.avoidServerMs);
  }
}
