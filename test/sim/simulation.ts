import type { Message } from 'raft-ts';
import { SwarmError } from '#common/errors.ts';
import { checkHistory, HistoryRecorder, type OperationKind } from '#test/linearizability/index.ts';
import { Checker } from './checker.ts';
import { Client, type ClientsWorld } from './clients.ts';
import { HAPPENINGS, removeMember } from './happenings.ts';
import { Healing } from './healing.ts';
import { clusterObject, KEPT_OBJECT, keptObject } from './objects.ts';
import { drawOptions, type Fault, NEWEST_LEVEL, type Options } from './options.ts';
import { RealTimeDoors } from './real-time.ts';
import { type Joined, SimManager } from './sim-manager.ts';
import { SimNetwork } from './sim-network.ts';
import type { ProcessWorld, SimProcess } from './sim-process.ts';
import { SimRandom } from './sim-random.ts';
import { Trace } from './trace.ts';
import { VirtualTime } from './virtual-time.ts';
import { Watcher } from './watchers.ts';

/** Without faults, the first managers have to find together in this time. */
const BIRTH_DUE_MS = 60_000;
/** Whoever asks to join asks again after this. */
const JOIN_RETRY_MS = 500;
const JOIN_ANSWER_MS = 6000;
const JOIN_TIMEOUT_MS = 4000;
/** Members are not removed so shortly before or after a disk is lost. */
const WIPE_DISTANCE_MS = 10_000;
const CARE_MS = 500;

/** Why a start may fail, or a log may end, while disks fail and members are removed. */
const EXPECTED_ENDS: ReadonlySet<string> = new Set([
  ...[
    'log-failed',
    'disk-full',
    'node-removed',
    'shutting-down',
    'timeout',
    'not-leader',
    'wiped-member',
    'feature-level',
  ],
]);

/** Refusals that end an attempt to join. */
const FINAL: ReadonlySet<string> = new Set(['wiped-member', 'feature-level']);

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
  readonly answers = new Map<OperationKind, number>();
  isQuiet = false;
  readonly #seed: number;
  readonly #time = new VirtualTime();
  readonly #trace: Trace;
  readonly #doors: RealTimeDoors;
  #isFaulty = false;
  /** Healing: managers that were taken down are not started again. */
  readonly stayDown = new Set<SimManager>();
  #lastWipeMs = -Infinity;
  #lastRemovalMs = -Infinity;
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
      failure = (await this.#birth()) ?? (await script()) ?? this.#checkHistory();
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
      this.#note(describeThrown(thrown));
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

  /** From now on the machine is to be a manager. */
  employ(manager: SimManager): void {
    manager.isWanted = true;
    manager.start(manager.hasLog ? 'resume' : 'join');
  }

  mayRemove(): boolean {
    const isWiped = this.managers.some((manager) => manager.isWiped);
    if (isWiped || this.#time.nowMs - this.#lastWipeMs < WIPE_DISTANCE_MS) return false;
    this.#lastRemovalMs = this.#time.nowMs;
    return true;
  }

  mayWipe(manager: SimManager): boolean {
    const members = manager.running?.log.members() ?? [];
    const voters = members.filter(({ voter }) => voter).length;
    const isWiped = this.managers.some((other) => other.isWiped);
    return voters >= 3 && !isWiped && this.#time.nowMs - this.#lastRemovalMs >= WIPE_DISTANCE_MS;
  }

  wipe(manager: SimManager): void {
    this.trace(() => `${manager.name} loses its state directory`);
    this.#lastWipeMs = this.#time.nowMs;
    manager.isWiped = manager.hasLog;
    manager.wipe();
  }

  /** One at a time, and only when the log knows where everybody is: who moves has to find the others. */
  mayMove(): boolean {
    const members = this.leader()?.running?.log.members() ?? [];
    const isKnown = (manager: SimManager): boolean =>
      members.some(({ nodeId, address }) => nodeId === manager.nodeId && address === manager.address);
    return this.managers.every((manager) => !manager.isMoving && (!manager.isWanted || isKnown(manager)));
  }

  hasStarted(manager: SimManager): void {
    manager.hasLog = true;
  }

  startFailed(manager: SimManager, error: SwarmError): void {
    if (manager.isWiped && error.reason === 'corrupt-state') {
      this.#replaceWiped(manager);
      return;
    }
    this.#checkEnd(manager, error);
  }

  logFailed(manager: SimManager, error: SwarmError): void {
    if (!manager.isWiped || error.reason !== 'corrupt-state') this.#checkEnd(manager, error);
  }

  removed(manager: SimManager): void {
    manager.isWanted = false;
    manager.hasLog = false;
    manager.isWiped = false;
    this.#time.after(5, () => {
      if (!manager.hasLog && !manager.isWanted) manager.wipe();
    });
  }

  ended(manager: SimManager): void {
    const downMs = this.random.chance(0.3) ? this.random.between(1, 50) : this.random.between(100, 1500);
    this.#time.after(downMs, () => {
      if (manager.running !== undefined || !manager.isWanted || this.stayDown.has(manager)) return;
      if (manager.isMoving) manager.move();
      manager.start(manager.hasLog ? 'resume' : 'join');
    });
  }

  async askToJoin(manager: SimManager, process: SimProcess): Promise<Joined> {
    for (;;) {
      const joined = await this.#askOnce(manager, process);
      if (joined !== undefined) return joined;
      await new Promise<void>((resolve) => process.after(JOIN_RETRY_MS, resolve));
    }
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

  /** Undefined where it has to be tried again. */
  #askOnce(manager: SimManager, process: SimProcess): Promise<Joined | undefined> {
    return new Promise((resolve, reject) => {
      process.after(JOIN_ANSWER_MS, () => resolve(undefined));
      const running = this.leader()?.running;
      if (running === undefined) return;
      const { log, loop } = running;
      running.process.after(this.network.delayMs(), () => {
        const answer = (run: () => void): void => process.after(this.network.delayMs(), run);
        const { nodeId, address, featureLevel } = manager;
        const joining = { nodeId, address, featureLevel };
        loop
          .admit(joining, () => log.addMember(joining, { timeoutMs: JOIN_TIMEOUT_MS }))
          .then(
            ({ raftId }) => {
              this.checker.member(raftId, process.name);
              this.trace(() => `${process.name} is admitted as ${raftId} by ${running.process.name}`);
              const members = log.members();
              answer(() => resolve({ raftId, members }));
            },
            (thrown: unknown) => {
              const error = SwarmError.from(thrown);
              this.trace(() => `${process.name} is not admitted by ${running.process.name}: ${error.reason}`);
              // An operator who meets a refusal installs the newer release, and tries again.
              if (error.reason === 'feature-level') manager.featureLevel = NEWEST_LEVEL;
              answer(() => (FINAL.has(error.reason) ? reject(error) : resolve(undefined)));
            },
          );
      });
    });
  }

  #checkEnd(manager: SimManager, error: SwarmError): void {
    if (!EXPECTED_ENDS.has(error.reason))
      this.broken(`${manager.name} ends with ${error.reason}: ${error.message}\n${error.stack ?? ''}`);
  }

  /** An operator removes the member whose disk was lost, and lets the node join again. */
  #replaceWiped(manager: SimManager): void {
    manager.hasLog = false;
    this.#time.after(CARE_MS, () => {
      if (!manager.isWiped) return;
      const members = this.leader()?.running?.log.members();
      const member = members?.find(({ nodeId }) => nodeId === manager.nodeId);
      if (member !== undefined) removeMember(this, member.raftId);
      else if (members !== undefined) {
        manager.isWiped = false;
        return;
      }
      this.#replaceWiped(manager);
    });
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

  /** The first managers find together, and the first objects are made. */
  async #birth(): Promise<Failure | undefined> {
    const [first, ...others] = this.managers.slice(0, this.options.managers);
    if (first === undefined) throw new RangeError('a swarm has a manager');
    first.isWanted = true;
    first.start('found');
    let hasObjects = false;
    const born = await this.runFor(BIRTH_DUE_MS, () => {
      const { running } = first;
      if (running?.isStarted !== true) return false;
      if (others.length > 0 && others[0]?.isWanted === false) for (const other of others) this.employ(other);
      if (!hasObjects) {
        hasObjects = true;
        running.process.after(0, () => {
          const objects = [
            { kind: 'create', table: 'cluster', object: clusterObject() },
            { kind: 'create', table: 'node', object: keptObject() },
          ] as const;
          running.store.commit(objects).catch((thrown: unknown) => this.#note(describeThrown(thrown)));
        });
      }
      const voters = running.log.members().filter(({ voter }) => voter);
      return voters.length === this.options.managers && running.store.view().get('node', KEPT_OBJECT) !== undefined;
    });
    return born ? undefined : this.failure('the first managers do not find together');
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
    if (running === undefined) return;
    const { log, process: life, loop } = running;
    const { committedIndex, appliedIndex, leadership } = log.status();
    if (appliedIndex > committedIndex && committedIndex > 0)
      this.broken(`${life.name} applied ${appliedIndex}, which is above its commit ${committedIndex}`);
    if (committedIndex < running.lastCommitted && committedIndex > 0)
      this.broken(`${life.name} goes back from commit ${running.lastCommitted} to ${committedIndex}`);
    running.lastCommitted = committedIndex;
    const term = leadership.state === 'leader' ? leadership.term : undefined;
    if (loop.term !== term && !running.isClosing)
      this.broken(
        `${life.name} ${term === undefined ? 'does not lead' : `leads ${term}`}, its loops run for ${loop.term}`,
      );
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
