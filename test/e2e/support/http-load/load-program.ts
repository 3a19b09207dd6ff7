/**
 * Makes HTTP requests, as its one argument says (JSON of HttpLoadOptions), until its standard input ends and all are
 * made. Writes to standard output how many it has made, now and then, and at last its report. A process of its own, so
 * that it can run in any network namespace.
 */
import { Resolver } from 'node:dns/promises';
import { isIP } from 'node:net';
import { failureOf, HttpConnection } from './http-connection.ts';
import type { FailureKind, HttpLoadOptions } from './load-report.ts';
import { LoadTally } from './load-tally.ts';

/** As the TTL of our names: a client may believe an answer for as long. */
const NAME_TTL_MS = 1000;
/** A load that nobody ends ends by itself. */
const LONGEST_MS = 60 * 60_000;
const PROGRESS_MS = 200;

type Target = HttpLoadOptions['targets'][number];

class HttpLoad {
  readonly #options: HttpLoadOptions;
  readonly #tally = new LoadTally();
  readonly #resolver = new Resolver({ timeout: 2000, tries: 2 });
  readonly #names = new Map<string, { readonly address: string; readonly untilMs: number }>();
  readonly #request: string;
  /** Requests begun. */
  #begun = 0;
  #isToFinish = false;

  constructor(options: HttpLoadOptions) {
    this.#options = options;
    if (options.nameserver !== undefined) this.#resolver.setServers([options.nameserver]);
    const connection = options.keepAlive ? 'keep-alive' : 'close';
    this.#request = `GET ${options.path} HTTP/1.1\r\nHost: load\r\nConnection: ${connection}\r\n\r\n`;
  }

  get requests(): number {
    return this.#tally.requests;
  }

  finish(): void {
    this.#isToFinish = true;
  }

  async run(): Promise<LoadTally> {
    const workers = Array.from({ length: this.#options.concurrency }, (_, index) => this.#work(index));
    await Promise.all(workers);
    return this.#tally;
  }

  async #work(index: number): Promise<void> {
    const { targets, keepAlive, concurrency, requestsPerSecond } = this.#options;
    const spacingMs = requestsPerSecond === undefined ? 0 : (concurrency * 1000) / requestsPerSecond;
    let dueMs = performance.now() + (spacingMs * index) / concurrency;
    let connection: HttpConnection | undefined;
    for (let opened = index; !this.#isOver(); ) {
      if (spacingMs > 0) await new Promise((resolve) => setTimeout(resolve, dueMs - performance.now()));
      dueMs = Math.max(dueMs + spacingMs, performance.now() - spacingMs);
      this.#begun++;
      const target = targets[opened % targets.length] as Target;
      const before = connection;
      connection = await this.#ask(target, connection?.isEnded === false ? connection : undefined);
      if (connection !== before) opened++;
      if (keepAlive) continue;
      connection?.close();
      connection = undefined;
    }
    connection?.close();
  }

  #isOver(): boolean {
    return this.#isToFinish && this.#begun >= this.#options.requests;
  }

  /** One request. Returns the connection, if it can take another. */
  async #ask(target: Target, reused: HttpConnection | undefined): Promise<HttpConnection | undefined> {
    const startMs = performance.now();
    const connection = reused ?? (await this.#open(target));
    if (connection === undefined) return undefined;
    const answer = await connection.ask(this.#request);
    if (answer.kind === 'answered') {
      this.#tally.answered(answer.body, performance.now() - startMs);
      if (!answer.closes) return connection;
      connection.close();
      return undefined;
    }
    const { localPort, ageMs, answers } = connection;
    connection.close();
    if (reused !== undefined && answer.isUnanswered && answer.failure !== 'timeout') {
      this.#tally.askedAgain++;
      return this.#ask(target, undefined);
    }
    this.#failed(target, answer.failure, `${answer.detail} after ${(performance.now() - startMs).toFixed(1)} ms`, {
      localPort,
      answersBefore: answers,
      connectedForMs: Math.round(ageMs),
    });
    return undefined;
  }

  async #open(target: Target): Promise<HttpConnection | undefined> {
    try {
      const address = await this.#addressOf(target.host);
      const connection = await HttpConnection.open(address, target.port, this.#options.timeoutMs);
      this.#tally.connections++;
      return connection;
    } catch (error) {
      const refusal = error as NodeJS.ErrnoException; // what sockets and the resolver throw
      this.#failed(target, failureOf(refusal), refusal.message);
      return undefined;
    }
  }

  #failed(
    { host, port }: Target,
    kind: FailureKind,
    detail: string,
    where = { localPort: 0, answersBefore: 0, connectedForMs: 0 },
  ): void {
    this.#tally.failed({ kind, detail, atMs: Date.now(), target: `${host}:${port}`, ...where });
  }

  async #addressOf(host: string): Promise<string> {
    if (isIP(host) !== 0) return host;
    const known = this.#names.get(host);
    if (known !== undefined && known.untilMs > performance.now()) return known.address;
    const [address = ''] = await this.#resolver.resolve4(host);
    this.#names.set(host, { address, untilMs: performance.now() + NAME_TTL_MS });
    return address;
  }
}

const load = new HttpLoad(JSON.parse(process.argv[2] ?? '') as HttpLoadOptions); // our own words, from http-load.ts
const progress = setInterval(() => process.stdout.write(`${load.requests}\n`), PROGRESS_MS);
const longest = setTimeout(() => load.finish(), LONGEST_MS);
process.stdin.on('end', () => load.finish()).resume();
const tally = await load.run();
clearTimeout(longest);
clearInterval(progress);
process.stdout.write(`${JSON.stringify(tally.report())}\n`);
