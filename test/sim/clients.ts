import { SwarmError } from '#common/errors.ts';
import type { Node } from '#gen/swarm/v1/objects.ts';
import type { ReplicatedStore } from '#manager/replicated-store/index.ts';
import type { Finish, HistoryRecorder, OperationKind, Outcome } from '#test/linearizability/index.ts';
import { keyed, valueOf } from './objects.ts';
import type { Running, SimManager } from './sim-manager.ts';
import type { SimRandom } from './sim-random.ts';
import type { World } from './world.ts';

/** After these a change certainly did not happen, and does not happen later. */
const NEVER_HAPPENED: ReadonlySet<string> = new Set([
  'not-leader',
  'no-quorum',
  'too-many',
  'too-large',
  'shutting-down',
  'out-of-sequence',
  'unknown-object',
  'duplicate-name',
]);
/** After these nobody knows. Any other reason is a defect. */
const UNKNOWN: ReadonlySet<string> = new Set(['timeout', 'leadership-lost', 'log-failed', 'disk-full', 'node-removed']);

/** An update is repeated when something before it was lost, each time with its own timeout; others have but one. */
const UPDATE_ATTEMPTS = 4;
/** For the turns that it takes to tell. */
const SETTLED_SLACK_MS = 1000;
/** What a client waits for a manager that says nothing. */
const PATIENCE_MS = 4000;

const KINDS: readonly OperationKind[] = [
  'write',
  'write',
  'write',
  'read',
  'read',
  'compare-and-set',
  'create',
  'delete',
];

export interface ClientsWorld extends World {
  readonly recorder: HistoryRecorder;
  readonly managers: readonly SimManager[];
  /** Answers so far. */
  countAnswer(kind: OperationKind): void;
}

/** Asks managers to read and write keys, one request after another, and writes down what came of it. */
export class Client {
  readonly #name: string;
  readonly #world: ClientsWorld;
  readonly #random: SimRandom;
  #requests = 0;
  /** What the client read last: the version that it expects when it replaces. */
  #seen: Node | undefined;
  #isDone = false;

  constructor(name: string, world: ClientsWorld, random: SimRandom) {
    this.#name = name;
    this.#world = world;
    this.#random = random;
  }

  start(): void {
    const { clockWorld, options } = this.#world;
    clockWorld.time.after(2 * options.thinkMs * this.#random.next(), () => {
      if (this.#isDone) return;
      // Now and then many at once, most of which nobody waits for.
      if (this.#random.chance(options.burstShare)) this.burst();
      this.#request();
    });
  }

  /** Writes many times at once. */
  burst(): void {
    for (let extra = this.#random.between(5, 30); extra > 0; extra--) this.#request('nobody waits');
  }

  /** Asks for nothing more. */
  end(): void {
    this.#isDone = true;
  }

  #request(waiting?: 'nobody waits'): void {
    const then = (): void => {
      if (waiting === undefined && !this.#isDone) this.start();
    };
    const manager = this.#pickManager();
    const running = manager?.running;
    const kind = waiting === undefined ? this.#random.pick(KINDS) : 'write';
    const seen = kind === 'compare-and-set' ? this.#seen : undefined;
    if (running === undefined || (kind === 'compare-and-set' && seen === undefined)) {
      then();
      return;
    }
    const key = seen?.id ?? `key-${this.#random.below(this.#world.options.keys)}`;
    const value = kind === 'read' || kind === 'delete' ? undefined : `${this.#name}-${++this.#requests}`;
    const expected = seen === undefined ? undefined : { version: seen.version, value: valueOf(seen) ?? undefined };
    const process = waiting === undefined ? this.#name : `${this.#name}-${this.#requests}`;
    const finish = this.#world.recorder.invoke({ process, key, kind, value, expected });
    this.#world.trace(() => `${this.#name} asks ${running.process.name} for ${kind} ${key} ${value ?? ''}`);
    const run = (store: ReplicatedStore, timeoutMs: number) =>
      this.#run(store, timeoutMs, kind, key, value ?? '', seen);
    this.#send(running, kind, finish, run, then);
  }

  #send(
    running: Running,
    kind: OperationKind,
    finish: Finish,
    run: (store: ReplicatedStore, timeoutMs: number) => Promise<Outcome>,
    then: () => void,
  ): void {
    const { options, network, clockWorld } = this.#world;
    let isOver = false;
    const end = (outcome: Outcome): void => {
      if (isOver) return;
      isOver = true;
      finish(outcome);
      this.#world.trace(() => `${this.#name} is told ${JSON.stringify(outcome)}`);
      if (outcome.outcome === 'ok') this.#world.countAnswer(kind);
      then();
    };
    const timeoutMs = options.requestTimeoutMs;
    running.process.after(network.delayMs(), () => {
      let isSettled = false;
      const attempts = kind === 'read' || kind === 'compare-and-set' ? 1 : UPDATE_ATTEMPTS;
      running.process.clock.setTimer(attempts * timeoutMs + SETTLED_SLACK_MS, () => {
        if (!isSettled) this.#world.broken(`${running.process.name} never settles a ${kind} of ${this.#name}`);
      });
      run(running.store, timeoutMs).then(
        (outcome) => {
          isSettled = true;
          end(outcome);
        },
        (thrown: unknown) => {
          isSettled = true;
          end(this.#failure(running.process.name, kind, SwarmError.from(thrown)));
        },
      );
    });
    clockWorld.time.after(timeoutMs + PATIENCE_MS, () => end({ outcome: kind === 'read' ? 'failed' : 'unknown' }));
  }

  async #run(
    store: ReplicatedStore,
    timeoutMs: number,
    kind: OperationKind,
    key: string,
    value: string,
    seen: Node | undefined,
  ): Promise<Outcome> {
    if (kind === 'read') {
      const view = await store.readBarrier({ timeoutMs });
      const object = view.get('node', key);
      this.#seen = object;
      return { outcome: 'ok', value: valueOf(object), version: object?.version };
    }
    if (kind === 'compare-and-set' && seen !== undefined) {
      await store.commit([{ kind: 'update', table: 'node', object: keyed(key, value, seen) }], { timeoutMs });
      return { outcome: 'ok' };
    }
    await store.update(
      (transaction) => {
        const before = transaction.view.get('node', key);
        if (kind === 'delete') transaction.remove('node', key);
        else if (kind === 'create' || before === undefined) transaction.create('node', keyed(key, value));
        else transaction.update('node', keyed(key, value, before));
      },
      { timeoutMs },
    );
    return { outcome: 'ok' };
  }

  #failure(manager: string, kind: OperationKind, error: SwarmError): Outcome {
    this.#world.trace(() => `${manager} answers ${this.#name}: ${error.reason}: ${error.message}`);
    if (!NEVER_HAPPENED.has(error.reason) && !UNKNOWN.has(error.reason))
      this.#world.broken(`${manager} answers a ${kind} with ${error.reason}: ${error.message}`);
    if (kind === 'read' || NEVER_HAPPENED.has(error.reason)) return { outcome: 'failed' };
    return { outcome: 'unknown' };
  }

  #pickManager(): SimManager | undefined {
    const up = this.#world.managers.filter((manager) => manager.running?.isStarted === true);
    const leaders = up.filter((manager) => manager.leads);
    if (leaders.length > 0 && this.#random.chance(0.7)) return this.#random.pick(leaders);
    return up.length === 0 ? undefined : this.#random.pick(up);
  }
}
