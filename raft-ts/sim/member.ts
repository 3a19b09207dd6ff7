import {
  type Configuration,
  describeConfiguration,
  describeMessage,
  describeReady,
  type Entry,
  isLocalTarget,
  MemoryStorage,
  type Message,
  type NodeId,
  RawNode,
  type Ready,
  type Snapshot,
  type Status,
} from '../src/index.ts';
import type { Checker } from './checker.ts';
import { SimDisk } from './disk.ts';
import type { EventQueue } from './event-queue.ts';
import { HashMachine } from './machine.ts';
import { type Options, TICK } from './options.ts';
import type { SeededRandom } from './random.ts';
import { ShadowLog } from './shadow-log.ts';

/** What a member asks of the world around it. */
export interface World {
  readonly events: EventQueue;
  readonly random: SeededRandom;
  readonly options: Options;
  readonly checker: Checker;
  /** How long a flush, or applying some entries, takes now. */
  workTime(): number;
  send(message: Message): void;
  /** A read is answered: everything up to this index is to be seen. */
  answered(context: Uint8Array, index: number): void;
  trace(text: () => string): void;
}

/**
 * The node's readable storage. A snapshot is made when one is asked for, since one made before a new member was added
 * is of no use to it; now and then making it takes a while.
 */
class SimStorage {
  readonly memory: MemoryStorage;
  readonly #random: SeededRandom;
  readonly #make: () => Snapshot;

  constructor(memory: MemoryStorage, random: SeededRandom, make: () => Snapshot) {
    this.memory = memory;
    this.#random = random;
    this.#make = make;
  }

  initialState = (): ReturnType<MemoryStorage['initialState']> => this.memory.initialState();
  entries: MemoryStorage['entries'] = (low, high, maxBytes) => this.memory.entries(low, high, maxBytes);
  term: MemoryStorage['term'] = (index) => this.memory.term(index);
  firstIndex = (): number => this.memory.firstIndex();
  lastIndex = (): number => this.memory.lastIndex();
  snapshot = (): Snapshot | 'unavailable' => (this.#random.chance(0.1) ? 'unavailable' : this.#make());
}

/** What lives until the next crash. */
interface Running {
  readonly node: RawNode;
  readonly storage: MemoryStorage;
  readonly machine: HashMachine;
  readonly log: ShadowLog;
  /** Inputs that wait while the node is busy with its disk, or paused. */
  readonly waiting: ((node: RawNode) => void)[];
  readonly appendWork: Message[];
  readonly applyWork: Message[];
  busy: boolean;
  appending: boolean;
  /** The commit index of the last Ready that said one. */
  committedBefore: number;
  /** The index of a received snapshot that is being stored: what it holds is not applied entry by entry any more. */
  replacedUpTo: number;
  applying: boolean;
  status: Status;
}

/** A simulated process: a node with its disk, its clock and its application. */
export class Member {
  readonly id: NodeId;
  readonly disk: SimDisk;
  readonly async: boolean;
  readonly #world: World;
  /** Virtual milliseconds between its ticks. */
  readonly #tickTime: number;
  #running: Running | undefined = undefined;
  /** Set while the process is stopped by a signal: time passes, and it does not notice. */
  #pausedTicks: number | undefined = undefined;

  constructor(id: NodeId, world: World, first: Snapshot | undefined) {
    this.id = id;
    this.#world = world;
    this.disk = new SimDisk(first);
    const { options, random } = world;
    this.async = random.chance(options.asyncShare);
    this.#tickTime = TICK * (1 + (2 * random.next() - 1) * options.clockSkew);
    this.start();
    this.#tickLater();
  }

  get up(): boolean {
    return this.#running !== undefined;
  }

  get paused(): boolean {
    return this.#pausedTicks !== undefined;
  }

  /** Undefined while the node is down. */
  get status(): Status | undefined {
    return this.#running?.status;
  }

  get log(): ShadowLog | undefined {
    return this.#running?.log;
  }

  get machine(): HashMachine | undefined {
    return this.#running?.machine;
  }

  start(): void {
    if (this.#running !== undefined) return;
    const { random, options } = this.#world;
    const storage = this.disk.restart();
    const machine = new HashMachine();
    const log = new ShadowLog();
    const snapshot = storage.snapshot();
    if (snapshot !== 'unavailable' && snapshot.index > 0) {
      machine.restore(snapshot);
      log.restore(snapshot);
    }
    const entries = storage.entries(storage.firstIndex(), storage.lastIndex() + 1, Infinity);
    if (typeof entries !== 'string') log.append(entries);
    const node = new RawNode({
      ...options.config,
      id: this.id,
      storage: new SimStorage(storage, random, () => this.#makeSnapshot()),
      random: (bound) => random.below(bound),
      applied: machine.applied,
      asyncStorageWrites: this.async,
    });
    this.#running = {
      node,
      storage,
      machine,
      log,
      waiting: [],
      appendWork: [],
      applyWork: [],
      busy: false,
      appending: false,
      replacedUpTo: 0,
      committedBefore: node.status().commit,
      applying: false,
      status: node.status(),
    };
    this.#world.trace(() => `${this.id} starts at term ${node.status().term}`);
    this.#work();
  }

  crash(): void {
    if (this.#running === undefined) return;
    this.#running = undefined;
    this.#pausedTicks = undefined;
    this.disk.crash(this.#world.random);
    this.#world.trace(() => `${this.id} crashes`);
  }

  pause(): void {
    if (this.#running !== undefined) this.#pausedTicks ??= 0;
  }

  /** Continues after a pause; the driver makes up for the ticks it missed before it does anything else. */
  resume(): void {
    const missed = this.#pausedTicks ?? 0;
    this.#pausedTicks = undefined;
    const running = this.#running;
    if (running === undefined) return;
    running.waiting.unshift((node) => {
      for (let i = 0; i < missed; i++) node.tick();
    });
    this.#drain(running);
  }

  /** Gives the node an input, now or when it has time. Lost if it is down. */
  input(run: (node: RawNode) => void): void {
    const running = this.#running;
    if (running === undefined) return;
    running.waiting.push(run);
    this.#drain(running);
  }

  /** Takes a snapshot of the application, and forgets the log up to a little before it. */
  compact(keep: number): void {
    const running = this.#running;
    if (running === undefined || this.paused) return;
    const { machine, storage } = running;
    if (machine.applied < running.replacedUpTo) return;
    const first = storage.firstIndex();
    if (machine.applied < first || machine.applied > this.disk.synced.lastIndex()) return;
    const { index, confState, data } = this.#makeSnapshot();
    const made = storage.createSnapshot(index, confState, data);
    if (made === undefined) return;
    this.disk.writeMade(made);
    storage.compact(Math.max(first - 1, index - keep));
    this.#world.trace(() => `${this.id} makes a snapshot at ${index}`);
  }

  /** The application's state as it is now. */
  #makeSnapshot(): Snapshot {
    const running = this.#running;
    if (running === undefined) throw new Error(`${this.id} is down`);
    const { machine, node, log } = running;
    const { voters, learners, learnersNext, autoLeave } = node.status().configuration;
    const confState = { voters: voters.incoming, votersOutgoing: voters.outgoing, learners, learnersNext, autoLeave };
    return { index: machine.applied, term: log.term(machine.applied) ?? 0, confState, data: machine.data() };
  }

  #tickLater(): void {
    this.#world.events.after(this.#tickTime, () => {
      if (this.#pausedTicks !== undefined) this.#pausedTicks++;
      else this.input((node) => node.tick());
      this.#tickLater();
    });
  }

  #drain(running: Running): void {
    while (running === this.#running && !running.busy && !this.paused) {
      const next = running.waiting.shift();
      if (next === undefined) return;
      next(running.node);
      this.#work();
    }
  }

  /** Does what the node wants, until it wants nothing or has to wait for its disk. */
  #work(): void {
    const running = this.#running;
    if (running === undefined) return;
    this.#check(running);
    while (!running.busy && running.node.hasReady()) {
      const led = running.status.state === 'StateLeader';
      const ready = running.node.ready();
      this.#world.trace(() => `${this.id} ${describeReady(ready).replaceAll('\n', '\n      ').trimEnd()}`);
      this.#checkReady(running, ready, led);
      if (this.async) this.#spread(running, ready);
      else this.#store(running, ready);
    }
  }

  #check(running: Running): void {
    const now = running.node.status();
    this.#world.checker.checkStatus(now, running.status);
    running.status = now;
  }

  #checkReady(running: Running, ready: Ready, led: boolean): void {
    const { checker } = this.#world;
    const { log, status } = running;
    const last = log.lastIndex;
    if (ready.snapshot !== undefined) {
      log.restore(ready.snapshot);
      running.replacedUpTo = ready.snapshot.index;
    }
    if (!log.append(ready.entries)) throw new Error(`${this.id} leaves a hole in its log`);
    const leads = led && ready.softState === undefined;
    checker.checkEntries(this.id, log, ready.entries, leads, last);
    if (leads && ready.hardState !== undefined) checker.checkLeaderCommit(this.id, log, ready.hardState);
    if (ready.hardState !== undefined)
      checker.checkCommit(this.id, log, running.machine.applied, ready.hardState.commit);
    if (ready.softState?.state === 'StateLeader')
      checker.checkNewLeader(this.id, status.term, running.committedBefore, log);
    running.committedBefore = ready.hardState?.commit ?? running.committedBefore;
    if (status.state === 'StateLeader') checker.checkPendingChanges(this.id, log, status.applied);
    for (const { context, index } of ready.readStates) this.#world.answered(context, index);
  }

  /** Synchronous writes: store, flush, send, apply, advance; nothing else meanwhile. */
  #store(running: Running, ready: Ready): void {
    const { events } = this.#world;
    this.disk.write(ready.hardState, ready.entries, ready.snapshot);
    this.#write(running, ready.hardState, ready.entries, ready.snapshot);
    running.busy = true;
    const finish = (): void => {
      if (running !== this.#running) return;
      if (ready.mustSync || ready.snapshot !== undefined) this.disk.sync();
      running.busy = false;
      for (const message of ready.messages) this.#send(message);
      this.#apply(running, ready.committedEntries);
      running.node.advance();
      this.#check(running);
    };
    if (!ready.mustSync && ready.snapshot === undefined) {
      finish();
      return;
    }
    events.after(this.#world.workTime(), () => {
      finish();
      if (running !== this.#running) return;
      this.#work();
      this.#drain(running);
    });
  }

  #write(
    running: Running,
    hardState: Ready['hardState'],
    entries: readonly Entry[],
    snapshot: Ready['snapshot'],
  ): void {
    if (hardState !== undefined) running.storage.setHardState(hardState);
    if (snapshot !== undefined) {
      running.storage.applySnapshot(snapshot);
      running.machine.restore(snapshot);
      this.#world.checker.checkApplied(this.id, snapshot.index, running.machine.hash);
    }
    running.storage.append(entries);
  }

  /** Asynchronous writes: each thread gets its work, and the node goes on. */
  #spread(running: Running, ready: Ready): void {
    for (const message of ready.messages) {
      if (message.type === 'MsgStorageAppend') running.appendWork.push(message);
      else if (message.type === 'MsgStorageApply') running.applyWork.push(message);
      else this.#send(message);
    }
    this.#appendNext(running);
    this.#applyNext(running);
  }

  #appendNext(running: Running): void {
    const work = running.appendWork[0];
    if (work === undefined || running.appending) return;
    running.appending = true;
    const { events } = this.#world;
    const hardState = work.term === 0 ? undefined : { term: work.term, vote: work.vote, commit: work.commit };
    this.disk.write(hardState, work.entries, work.snapshot);
    const writes = hardState !== undefined || work.entries.length > 0 || work.snapshot !== undefined;
    events.after(writes ? this.#world.workTime() : 0, () => {
      if (running !== this.#running) return;
      this.disk.sync();
      this.#write(running, hardState, work.entries, work.snapshot);
      running.appendWork.shift();
      running.appending = false;
      this.#respond(running, work.responses);
      this.#appendNext(running);
    });
  }

  #applyNext(running: Running): void {
    const work = running.applyWork[0];
    if (work === undefined || running.applying) return;
    running.applying = true;
    const { events } = this.#world;
    events.after(this.#world.workTime(), () => {
      if (running !== this.#running) return;
      running.waiting.push((node) => {
        // A snapshot may have overtaken them: then they are in it.
        const known = Math.max(running.machine.applied, running.replacedUpTo);
        const fresh = work.entries.filter((entry) => entry.index > known);
        for (const entry of fresh)
          if (entry.index > this.disk.synced.lastIndex())
            throw new Error(`${this.id} applies ${entry.index}, which is not on its disk`);
        this.#apply(running, fresh);
        for (const response of work.responses) node.step(response);
      });
      running.applyWork.shift();
      running.applying = false;
      this.#drain(running);
      this.#applyNext(running);
    });
  }

  #respond(running: Running, responses: readonly Message[]): void {
    for (const response of responses) {
      if (response.to !== this.id) {
        this.#send(response);
        continue;
      }
      if (!isLocalTarget(response.from)) this.#world.checker.checkSent(response, this.disk);
      running.waiting.push((node) => {
        node.step(response);
      });
    }
    this.#drain(running);
  }

  #send(message: Message): void {
    this.#world.checker.checkSent(message, this.disk);
    this.#world.trace(() => `sends ${describeMessage(message)}`);
    this.#world.send(message);
  }

  #apply(running: Running, entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (entry.index !== running.machine.applied + 1)
        throw new Error(`${this.id} applies ${entry.index} after ${running.machine.applied}`);
      running.machine.apply(entry);
      this.#world.checker.checkApplied(this.id, entry.index, running.machine.hash);
      if (entry.type !== 'EntryNormal')
        this.#changeConfiguration(running.node, entry.index, () => running.node.applyConfChange(entry));
    }
  }

  #changeConfiguration(node: RawNode, index: number, change: () => void): void {
    const before: Configuration = node.status().configuration;
    change();
    const after = node.status().configuration;
    this.#world.trace(() => `${this.id} is in ${describeConfiguration(after)} from ${index} on`);
    this.#world.checker.checkConfiguration(this.id, index, before, after);
  }
}
