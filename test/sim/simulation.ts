import type { Message } from 'raft-ts';
import { checkHistory, HistoryRecorder, type OperationKind } from '#test/linearizability/index.ts';
import { birth } from './birth.ts';
import { checkRunning } from './check-running.ts';
import { Checker } from './checker.ts';
import { Client, type ClientsWorld } from './clients.ts';
import { HAPPENINGS } from './happenings.ts';
import { Healing } from './healing.ts';
import { askToJoin } from './joining.ts';
import { Operator } from './operator.ts';
import { drawOptions, type Fault, NEWEST_LEVEL, type Options } from './options.ts';
import { RealTimeDoors } from './real-time.ts';
import { type Joined, SimManager } from './sim-manager.ts';
import { SimNetwork } from './sim-network.ts';
import type { ProcessWorld, SimProcess } from './sim-process.ts';
import { SimRandom } from './sim-random.ts';
import { Trace } from './trace.ts';
import { VirtualTime } from './virtual-time.ts';
import { Watcher } from './watchers.ts';

export interface Failure {
  readonly seed: number;
  /** Virtual milliseconds from the start. */
  readonly timeMs: number;
  readonly text: string;
}

export interface Result {
  readonly failure: Failure | undefined;
  /** Of the whole trace: the same seed gives the same. */
  readonly hash: string;
  readonly events: number;
  readonly timeMs: number;
  readonly operations: number;
  readonly leaderships: number;
}

export interface SimulationInit {
  readonly onTrace?: (line: string) => void;
  /** In place of what is drawn. */
  readonly options?: Partial<Options>;
}

/** One swarm of managers, from its birth through faults to its healing; all of it follows from the seed. */
export class Simulation implements ClientsWorld {
  readonly random: SimRandom;
  readonly options: Options;
  readonly clockWorld: ProcessWorld;
  readonly network: SimNetwork;
  readonly checker = new Checker();
  readonly recorder: HistoryRecorder;
  readonly managers: readonly SimManager[];
  readonly clients: readonly Client[];
  readonly watchers: readonly Watcher[];
  readonly operator: Operator;
  readonly answers = new Map<OperationKind, number>();
  isQuiet = false;
  readonly #seed: number;
  readonly #time = new VirtualTime();
  readonly #trace: Trace;
  readonly #doors: RealTimeDoors;
  #isFaulty = false;
  #historyMs = 0;

  constructor(seed: number, { onTrace, options }: SimulationInit = {}) {
    this.#seed = seed;
    this.#trace = new Trace(this.#time, onTrace);
    this.random = new SimRandom(seed);
    this.options = { ...drawOptions(this.random), ...options };
    this.clockWorld = { time: this.#time, current: undefined };
    this.#doors = new RealTimeDoors(() => this.clockWorld.current);
    const trace = (text: () => string): void => this.trace(text);
    this.network = new SimNetwork(this.#time, this.random.fork(), this.options.network, trace, (message) =>
      this.#sent(message),
    );
    this.recorder = new HistoryRecorder({ nowMs: () => this.#nextHistoryMs() });
    const { managers, spares, newerShare, clients, watchers } = this.options;
    this.managers = numbered(managers + spares, 'm').map(
      (name) => new SimManager(name, this, this.random.fork(), this.random.chance(newerShare) ? NEWEST_LEVEL : 1),
    );
    this.clients = numbered(clients, 'client-').map((name) => new Client(name, this, this.random.fork()));
    this.watchers = numbered(watchers, 'watcher-').map((name) => new Watcher(name, this, this.random.fork()));
    this.operator = new Operator(this, this.#time);
  }

  /** A life full of faults. */
  run(): Promise<Result> {
    return this.play(() => this.#faultsAndHealing());
  }

  /** What a test wants to happen, once the first managers have found together. */
  async play(script: () => Promise<Failure | undefined>): Promise<Result> {
    const onThrown = (thrown: unknown): void => this.#note(`nobody handles an error: ${describeThrown(thrown)}`);
    process.on('unhandledRejection', onThrown);
    process.on('uncaughtException', onThrown);
    this.#doors.close();
    let failure: Failure | undefined;
    try {
      this.trace(() => `options ${JSON.stringify(this.options)}`);
      failure = (await birth(this)) ?? (await script()) ?? this.#checkHistory();
    } catch (thrown) {
      failure = this.failure(this.checker.violation?.message ?? describeThrown(thrown));
    } finally {
      this.#doors.open();
      process.off('unhandledRejection', onThrown);
      process.off('uncaughtException', onThrown);
    }
    const { hash } = this.#trace;
    const operations = this.recorder.events().filter(({ type }) => type === 'invoke').length;
    const leaderships = this.checker.leaderships;
    return { failure, hash, events: this.#time.events, timeMs: this.#time.nowMs, operations, leaderships };
  }

  trace(text: () => string): void {
    this.#trace.write(text);
  }

  broken(text: string): never {
    return this.checker.fail(text);
  }

  noted(run: () => void): void {
    try {
      run();
    } catch (thrown) {
      this.note(thrown);
    }
  }

  countAnswer(kind: OperationKind): void {
    this.answers.set(kind, 1 + (this.answers.get(kind) ?? 0));
  }

  /** Runs something later, unless the faults are over by then. */
  later(delayMs: number, run: () => void): void {
    this.#time.after(delayMs, () => {
      if (this.#isFaulty) run();
    });
  }

  /** The manager that leads in its own opinion, of several the one in the latest term. */
  leader(): SimManager | undefined {
    let latest: { readonly manager: SimManager; readonly term: number } | undefined;
    for (const manager of this.managers) {
      const { leadership } = manager;
      if (leadership?.state === 'leader' && leadership.term > (latest?.term ?? 0))
        latest = { manager, term: leadership.term };
    }
    return latest?.manager;
  }

  askToJoin(manager: SimManager, process: SimProcess): Promise<Joined> {
    return askToJoin(this, manager, process);
  }

  #sent(message: Message): void {
    this.noted(() => this.checker.sent(message));
    const { type, from } = message;
    const { crashAfterVoteShare, crashAfterAppendShare } = this.options;
    const share = type === 'MsgVoteResp' ? crashAfterVoteShare : type === 'MsgAppResp' ? crashAfterAppendShare : 0;
    if (!this.#isFaulty || share === 0 || !this.random.chance(share)) return;
    const manager = this.managers.find(({ running }) => running?.log.self()?.raftId === from);
    this.later(this.random.pick([0, 1, 5]), () => manager?.crash());
  }

  startClients(): void {
    for (const client of this.clients) client.start();
    for (const watcher of this.watchers) watcher.start();
  }

  async #faultsAndHealing(): Promise<Failure | undefined> {
    this.startClients();
    this.network.beginFaults();
    this.#isFaulty = true;
    for (const fault of Object.keys(HAPPENINGS) as Fault[]) this.#repeat(fault);
    await this.runFor(this.options.faultyMs);
    this.#isFaulty = false;
    const healing = new Healing(this);
    for (const phase of healing.phases()) {
      this.trace(() => `healing: ${phase.name}`);
      phase.begin();
      const done = await this.runFor(phase.dueMs, () => phase.isDone());
      if (!done) return this.failure(`${phase.name}: not within ${phase.dueMs} ms: ${phase.explain()}`);
      phase.check?.();
    }
    return undefined;
  }

  /** Runs for some time or until something holds. Throws at the first broken promise. */
  runFor(forMs: number, until: () => boolean = () => false): Promise<boolean> {
    return this.#time.run(this.#time.nowMs + forMs, () => {
      this.#checkStep();
      return until();
    });
  }

  /** What must hold after every event. */
  #checkStep(): void {
    const { current } = this.clockWorld;
    this.clockWorld.current = undefined;
    const violation = this.checker.violation ?? this.#doors.leak;
    if (violation !== undefined) throw violation;
    const running = this.managers.find((manager) => manager.running?.process === current)?.running;
    if (running !== undefined) checkRunning(running, this.checker);
  }

  #repeat(fault: Fault): void {
    const everyMs = this.options.every[fault];
    if (everyMs === Infinity) return;
    this.later(this.random.between(1, 2 * everyMs), () => {
      HAPPENINGS[fault](this);
      this.#repeat(fault);
    });
  }

  #checkHistory(): Failure | undefined {
    const report = checkHistory(this.recorder.events(), { timeoutMs: 10_000 });
    if (report.verdict === 'ok') return undefined;
    return this.failure(
      `the history is ${report.verdict}: ${report.problems.join('\n')}${report.undecidedKeys.join(' ')}`,
    );
  }

  failure(text: string): Failure {
    return { seed: this.#seed, timeMs: this.#time.nowMs, text };
  }

  /** Keeps what was thrown where nobody else would see it. */
  note(thrown: unknown): void {
    this.#note(describeThrown(thrown));
  }

  #note(text: string): void {
    try {
      this.checker.fail(text);
    } catch {
      // It is kept, and found after this event.
    }
  }

  /** Times of the history tell the order of events also where no virtual time passes between them. */
  #nextHistoryMs(): number {
    this.#historyMs = Math.max(this.#historyMs + 1e-6, this.#time.nowMs);
    return this.#historyMs;
  }
}

function numbered(count: number, prefix: string): readonly string[] {
  return Array.from({ length: count }, (_, at) => `${prefix}${at + 1}`);
}

function describeThrown(thrown: unknown): string {
  return thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
}
