/**
 * A steady load with a history: many clients write, read and watch through all managers while things break, and in the
 * end all that they saw is checked. Every write sets the label of a service to a value that is never used again.
 */
import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import { SwarmError } from '#common/errors.ts';
import { connectLocal } from '#src/client/local.ts';
import type { LabHost } from '#src/lab/lab-host.ts';
import { checkHistory, HistoryRecorder, type HistoryReport } from '#test/linearizability/index.ts';
import { calmDown, type LoadContext, makeKey, readKey, watchKeys, writeKey } from './load-clients.ts';

/** Clients that write, each mostly a service of its own: 200 writes a second can be had while one takes 60 ms. */
const WRITERS = 12;
/** Every so many writes a client writes the service of its neighbour, and one of the two loses the race. */
const QUARREL = 10;
const READ_EVERY_MS = 50;
const CAUGHT_UP_MS = 20_000;

export interface LoadOptions {
  readonly managers: readonly LabHost[];
  readonly writesPerSecond?: number;
  /** Least length of written values. */
  readonly valueBytes?: number;
  /** Tells loads on one swarm apart. */
  readonly name?: string;
}

/** A write that was acknowledged; times of performance.now(). */
export interface Acknowledged {
  readonly invokedMs: number;
  readonly returnedMs: number;
  readonly manager: string;
}

export interface LoadReport extends HistoryReport {
  readonly acknowledged: number;
  readonly failures: Readonly<Record<string, number>>;
}

export class Load {
  readonly #context: LoadContext;
  readonly #managers: readonly string[];
  readonly #keys: readonly string[];
  readonly #valueBytes: number;
  readonly #slotMs: number;
  readonly #loading = new AbortController();
  readonly #watching = new AbortController();
  readonly #acknowledged: Acknowledged[] = [];
  readonly #listeners = new Set<(write: Acknowledged) => void>();
  #clientsDone: Promise<unknown> = Promise.resolve();
  #watchersDone: Promise<unknown> = Promise.resolve();
  #values = 0;
  #nextSlotMs = 0;

  private constructor({ managers, writesPerSecond = 200, valueBytes = 0, name = 'load' }: LoadOptions) {
    this.#managers = managers.map((host) => host.name);
    this.#keys = Array.from({ length: WRITERS }, (_, number) => `${name}-${number}`);
    this.#valueBytes = valueBytes;
    this.#slotMs = 1000 / writesPerSecond;
    this.#context = {
      recorder: new HistoryRecorder(),
      clients: new Map(managers.map((host) => [host.name, connectLocal(host.paths.socket)])),
      keys: new Set(this.#keys),
      known: new Map(),
      failures: new Map(),
      watched: new Map(),
    };
  }

  /** Makes what is to be written, and begins. The caller ends it by `finish`, or `abandon`. */
  static async start(options: LoadOptions): Promise<Load> {
    const load = new Load(options);
    try {
      await load.#prepare();
    } catch (error) {
      await load.abandon();
      throw error;
    }
    load.#begin();
    return load;
  }

  /** In the order of their answers. */
  get acknowledged(): readonly Acknowledged[] {
    return this.#acknowledged;
  }

  /** The first write to be acknowledged of those that are asked for from now on. */
  next(timeoutMs: number): Promise<Acknowledged> {
    const began = performance.now();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#listeners.delete(listener);
        const message = `no write was accepted within ${timeoutMs} ms; failures so far: ${this.#failures()}`;
        reject(new SwarmError({ code: 'deadline', reason: 'timeout', message }));
      }, timeoutMs);
      const listener = (write: Acknowledged): void => {
        if (write.invokedMs < began) return;
        clearTimeout(timer);
        this.#listeners.delete(listener);
        resolve(write);
      };
      this.#listeners.add(listener);
    });
  }

  /** So many more writes, one after the other. */
  async more(writes: number, timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    for (let count = 0; count < writes; count++) await this.next(Math.max(1, deadline - performance.now()));
  }

  /** The longest that an acknowledged write took of those that were under way since then. */
  longestSinceMs(fromMs: number): number {
    let longest = 0;
    for (const { invokedMs, returnedMs } of this.#acknowledged)
      if (returnedMs >= fromMs) longest = Math.max(longest, returnedMs - invokedMs);
    return longest;
  }

  /** Ends it, reads everything once more from everywhere, and checks all that was seen. All managers are to be well. */
  async finish(): Promise<LoadReport> {
    this.#loading.abort();
    try {
      await this.#clientsDone;
      for (const manager of this.#managers)
        for (const key of this.#keys) {
          const { outcome } = await readKey(this.#context, `last-${manager}`, manager, key);
          assert.equal(outcome, 'ok', `${key} can be read from ${manager}; failures: ${this.#failures()}`);
        }
      await this.#watchersCatchUp();
      const report = checkHistory(this.#context.recorder.events());
      const failures = Object.fromEntries(this.#context.failures);
      return { ...report, acknowledged: this.#acknowledged.length, failures };
    } finally {
      await this.abandon();
    }
  }

  /** `finish`, and what was seen has to be right. */
  async finishWell(): Promise<LoadReport> {
    const report = await this.finish();
    assert.deepEqual(report.problems.slice(0, 5), []);
    assert.equal(report.verdict, 'ok', `undecided: ${report.undecidedKeys.join(', ')}`);
    return report;
  }

  /** Ends it without a look at what was seen. Also after `finish`. */
  async abandon(): Promise<void> {
    this.#loading.abort();
    this.#watching.abort();
    for (const client of this.#context.clients.values()) client.close();
    await this.#clientsDone;
    await this.#watchersDone.catch(() => {});
  }

  /** For who looks into a failure: JSON lines, as test/linearizability/main.ts reads them. */
  history(): string {
    return this.#context.recorder
      .events()
      .map((event) => `${JSON.stringify(event)}\n`)
      .join('');
  }

  async #prepare(): Promise<void> {
    for (const key of this.#keys) await makeKey(this.#context, this.#managers[0] ?? '', key);
  }

  #begin(): void {
    this.#nextSlotMs = performance.now();
    const { signal } = this.#watching;
    this.#watchersDone = Promise.all(this.#managers.map((manager) => watchKeys(this.#context, manager, signal)));
    this.#watchersDone.catch(() => {});
    this.#clientsDone = Promise.all([
      ...Array.from({ length: WRITERS }, (_, number) => this.#writeOn(number)),
      ...this.#managers.map((manager) => this.#readOn(manager)),
    ]);
  }

  async #writeOn(number: number): Promise<void> {
    const { signal } = this.#loading;
    for (let turn = number; ; turn++) {
      await this.#slot(signal);
      if (signal.aborted) return;
      const manager = this.#managers[turn % this.#managers.length] ?? '';
      const key = this.#keys[(number + (turn % QUARREL === 0 ? 1 : 0)) % WRITERS] ?? '';
      const value = `${++this.#values}`.padEnd(this.#valueBytes, '.');
      const invokedMs = performance.now();
      const outcome = await writeKey(this.#context, `writer-${number}`, manager, key, value);
      if (outcome.outcome === 'ok') this.#acknowledge({ invokedMs, returnedMs: performance.now(), manager });
      await calmDown(outcome, signal);
    }
  }

  /** Waits for this writer's turn. What is late because all writers were busy is not made up. */
  async #slot(signal: AbortSignal): Promise<void> {
    const now = performance.now();
    const slot = Math.max(this.#nextSlotMs, now);
    this.#nextSlotMs = slot + this.#slotMs;
    await wait(slot - now, undefined, { signal }).catch(() => {});
  }

  async #readOn(manager: string): Promise<void> {
    const { signal } = this.#loading;
    for (let turn = 0; !signal.aborted; turn++) {
      await readKey(this.#context, `reader-${manager}`, manager, this.#keys[turn % WRITERS] ?? '');
      await wait(READ_EVERY_MS, undefined, { signal }).catch(() => {});
    }
  }

  #acknowledge(write: Acknowledged): void {
    this.#acknowledged.push(write);
    for (const listener of this.#listeners) listener(write);
  }

  async #watchersCatchUp(): Promise<void> {
    const last = Math.max(...[...this.#context.known.values()].map((known) => known.version));
    const deadline = performance.now() + CAUGHT_UP_MS;
    for (const manager of this.#managers)
      while ((this.#context.watched.get(manager) ?? 0) < last) {
        const told = this.#context.watched.get(manager);
        assert.ok(performance.now() < deadline, `the watcher of ${manager} was told ${told}, not yet ${last}`);
        await Promise.race([this.#watchersDone, wait(20)]);
      }
  }

  #failures(): string {
    return JSON.stringify(Object.fromEntries(this.#context.failures));
  }
}
