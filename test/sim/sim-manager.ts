import { SwarmError } from '#common/errors.ts';
import { type LogFields, type Logger } from '#common/log.ts';
import type { RaftMember } from '#gen/swarm/v1/raft.ts';
import type { Leadership, LogPosition } from '#manager/log/index.ts';
import { forceNewCluster, type LogOrigin, RaftLog } from '#manager/raft/index.ts';
import { ReplicatedStore } from '#manager/replicated-store/index.ts';
import type { CommitEvents } from '#manager/store/index.ts';
import { checkedLog } from './checked-log.ts';
import { LeaderLoop, LOOP_OBJECT, loopTerm } from './leader-loop.ts';
import { NEWEST_LEVEL } from './options.ts';
import { SimDisk } from './sim-disk.ts';
import { SimProcess } from './sim-process.ts';
import type { SimRandom } from './sim-random.ts';
import { SimTransport } from './sim-transport.ts';
import type { World } from './world.ts';

const DIRECTORY = '/log';
const KEYS = { current: new Uint8Array(32).fill(7) };

/** A manager in one life of its process. */
export interface Running {
  readonly process: SimProcess;
  readonly log: RaftLog;
  readonly store: ReplicatedStore;
  readonly loop: LeaderLoop;
  /** `start` has resolved. */
  isStarted: boolean;
  isClosing: boolean;
  lastApplied: LogPosition;
  lastCommitted: number;
  /** Of the last write of a leader's loop. */
  loopTerm: number;
}

/** A machine with a manager on it: its disk and its clock outlive the manager's processes. */
export class SimManager {
  readonly name: string;
  readonly disk: SimDisk;
  featureLevel: number;
  readonly #world: World;
  readonly #random: SimRandom;
  #running: Running | undefined;
  #lives = 0;
  #moves = 0;
  #wallOffsetMs = 0;
  readonly #rate: number;
  /** Whether this machine is meant to be a manager: one that ended is started again. */
  isWanted = false;
  /** Its state directory holds the log of a member. */
  hasLog = false;
  /** Its state directory was lost, and it is a member still. */
  isWiped = false;
  /** Its next start is at another address. */
  isMoving = false;

  constructor(name: string, world: World, random: SimRandom, featureLevel: number) {
    this.name = name;
    this.#world = world;
    this.#random = random;
    this.featureLevel = featureLevel;
    this.disk = new SimDisk(random.fork());
    this.disk.health.writeMs = world.options.writeMs;
    this.#rate = 1 + (2 * random.next() - 1) * world.options.clockSkew;
  }

  get running(): Running | undefined {
    return this.#running;
  }

  get nodeId(): string {
    return `node-${this.name}`;
  }

  get address(): string {
    return `${this.name}:${2377 + this.#moves}`;
  }

  /** In its own opinion; undefined while it is down. */
  get leadership(): Leadership | undefined {
    return this.#running?.log.leadership();
  }

  get leads(): boolean {
    return this.leadership?.state === 'leader';
  }

  /** Up, and with a log that takes part. */
  get isReady(): boolean {
    const running = this.#running;
    return running?.isStarted === true && !running.isClosing && !running.process.isPaused;
  }

  start(kind: LogOrigin['kind']): void {
    if (this.#running !== undefined) return;
    const { options, clockWorld, network, checker } = this.#world;
    const traits = { rate: this.#rate, workShare: options.workShare, workMs: options.workMs };
    const name = `${this.name}#${++this.#lives}`;
    const random = this.#random.fork();
    const process = new SimProcess(name, clockWorld, random.fork(), traits, this.#wallOffsetMs);
    const { address, nodeId } = this;
    const transport = new SimTransport(network, process, this.name, nodeId, () => address);
    const log = new RaftLog({
      directory: DIRECTORY,
      keys: KEYS,
      logger: this.#logger(name),
      clock: process.clock,
      random,
      disk: this.disk.mount(process),
      nextTurn: (run) => process.nextTurn(run),
      config: options.log,
      transport,
      nodeId,
      address: () => address,
      featureLevel: this.featureLevel,
      origin: this.#origin(kind, process),
      onRemoved: (error) => this.#world.noted(() => this.#removed(running, error)),
    });
    const checked = checkedLog(log, checker, {
      applied: ({ index, term }, content) => checker.applied(name, index, term, content),
      afterApply: (position) => this.#applied(running, position),
      restored: (position) => this.#restored(running, position),
    });
    const store = new ReplicatedStore({
      log: checked,
      logger: this.#logger(name),
      clock: process.clock,
      random: random.fork(),
      config: options.store,
    });
    const running: Running = {
      ...{ process, log, store, isStarted: false, isClosing: false, lastApplied: { index: 0, term: 0 } },
      loop: new LeaderLoop(name, this.#world, process, random.fork(), log, store),
      lastCommitted: 0,
      loopTerm: 0,
    };
    this.#running = running;
    this.#world.trace(() => `${name} starts (${kind}) as ${nodeId} at ${address}`);
    process.after(0, () => this.#begin(running));
  }

  /** What an operator does when the others are lost for good; then it starts alone. */
  forceNewCluster(): void {
    this.crash();
    const { options, clockWorld } = this.#world;
    const traits = { rate: this.#rate, workShare: options.workShare, workMs: options.workMs };
    const process = new SimProcess(`${this.name}!`, clockWorld, this.#random.fork(), traits, this.#wallOffsetMs);
    process.after(0, () => {
      forceNewCluster({
        directory: DIRECTORY,
        keys: KEYS,
        logger: this.#logger(process.name),
        clock: process.clock,
        disk: this.disk.mount(process),
        nodeId: this.nodeId,
        address: this.address,
        featureLevel: this.featureLevel,
      }).then(
        () =>
          process.after(1, () => {
            process.end();
            this.disk.crash();
            this.start('resume');
          }),
        (thrown: unknown) => this.#world.noted(() => this.#world.broken(`${process.name}: ${String(thrown)}`)),
      );
    });
  }

  /** The power fails, or the process is killed: what was not synced may be gone. */
  crash(): void {
    const running = this.#running;
    if (running === undefined) return;
    this.#world.trace(() => `${running.process.name} crashes`);
    this.#end(running);
  }

  /** Stops in order, and ends. */
  stop(): void {
    const running = this.#running;
    if (running === undefined || running.isClosing) return;
    running.isClosing = true;
    this.#world.trace(() => `${running.process.name} is asked to stop`);
    running.process.after(0, () => {
      running.loop.end();
      running.store.close().then(
        () => running.process.after(0, () => this.#end(running)),
        (thrown: unknown) => this.#world.broken(`${running.process.name}: close rejected: ${String(thrown)}`),
      );
    });
  }

  /** The state directory is lost, or removed because it is of no use any more. */
  wipe(): void {
    this.crash();
    this.disk.wipe();
  }

  /** From this start on it has another address. */
  move(): void {
    this.isMoving = false;
    this.#moves++;
  }

  jumpWallClock(byMs: number): void {
    this.#wallOffsetMs += byMs;
    this.#running?.process.jumpWallClock(byMs);
  }

  #origin(kind: LogOrigin['kind'], process: SimProcess): LogOrigin {
    if (kind !== 'join') return { kind };
    return { kind, join: () => this.#world.askToJoin(this, process) };
  }

  #begin(running: Running): void {
    const { log, store, process } = running;
    log.onLeadership((leadership) => this.#world.noted(() => this.#leadershipChanged(running, leadership)));
    store.onCommit((commit) => this.#world.noted(() => this.#committed(running, commit)));
    store.start().then(
      () => {
        running.isStarted = true;
        this.#world.operator.hasStarted(this);
        this.#world.trace(() => `${process.name} has started`);
      },
      (thrown: unknown) => this.#startFailed(running, SwarmError.from(thrown)),
    );
  }

  #committed(running: Running, commit: CommitEvents): void {
    const { process, log } = running;
    const { checker } = this.#world;
    checker.committed(process.name, commit);
    for (const { kind, table, object } of commit.events) {
      if (table === 'node' && object.id === LOOP_OBJECT && kind !== 'remove') {
        const term = loopTerm(object);
        if (term < running.loopTerm)
          checker.fail(`${process.name}: a loop of term ${term} writes after one of ${running.loopTerm}`);
        running.loopTerm = term;
      }
      if (table !== 'cluster') continue;
      const level = object.spec?.log?.snapshotsKept === undefined ? object.featureLevel : NEWEST_LEVEL;
      const older = log.members().find(({ featureLevel }) => featureLevel < level);
      if (older !== undefined)
        checker.fail(
          `${process.name}: what needs level ${level} is allowed, and ${older.nodeId} has ${older.featureLevel}`,
        );
    }
  }

  #startFailed(running: Running, error: SwarmError): void {
    this.#world.trace(() => `${running.process.name} could not start: ${error.reason}: ${error.message}`);
    this.#world.operator.startFailed(this, error);
    running.process.after(1, () => this.#end(running));
  }

  #leadershipChanged(running: Running, leadership: Leadership): void {
    const { process, log, loop } = running;
    this.#world.trace(() => `${process.name} is ${describeLeadership(leadership)}`);
    if (leadership.state === 'leader')
      this.#world.checker.leads(process.name, leadership.term, log.status().appliedIndex);
    loop.changed(leadership);
    // A manager whose log failed ends, and is started again by whoever looks after it.
    if (leadership.state === 'stopped' && leadership.error !== undefined && !running.isClosing) {
      const { error } = leadership;
      this.#world.operator.logFailed(this, error);
      process.after(1, () => this.#end(running));
    }
  }

  #removed(running: Running, error: SwarmError): void {
    this.#world.trace(() => `${running.process.name} was removed: ${error.message}`);
    this.#world.operator.removed(this);
  }

  #applied(running: Running, position: LogPosition): void {
    running.lastApplied = position;
    this.#world.checker.state(running.process.name, position.index, stateText(running.store));
  }

  #restored(running: Running, position: LogPosition): void {
    running.lastApplied = position;
    this.#world.trace(() => `${running.process.name} restored a snapshot at ${position.index}`);
    this.#world.checker.restored(running.process.name, position.index, stateText(running.store));
  }

  #end(running: Running): void {
    if (this.#running !== running) return;
    this.#world.trace(() => `${running.process.name} ends`);
    running.process.end();
    this.#running = undefined;
    this.disk.crash();
    this.#world.operator.ended(this);
  }

  #logger(name: string): Logger {
    const write = (level: string) => (message: string, fields?: LogFields) =>
      this.#world.trace(() => `${name} ${level}: ${message} ${fields === undefined ? '' : plain(fields)}`);
    const logger: Logger = {
      ...{ debug: () => {}, info: write('info'), warn: write('warn'), error: write('error') },
      with: () => logger,
    };
    return logger;
  }
}

export function stateText(store: ReplicatedStore): string {
  const view = store.view() as ReturnType<ReplicatedStore['view']> & { readonly transactionId: number };
  return `${view.version}/${view.transactionId}`;
}

/** What differs from run to run stays out: stacks, and times of the machine. */
function plain(fields: LogFields): string {
  return JSON.stringify(fields, (key, value: unknown) => (key === 'thrown' ? undefined : value));
}

export function describeLeadership(leadership: Leadership): string {
  if (leadership.state === 'leader') return `leader of term ${leadership.term}`;
  if (leadership.state === 'follower') return `follower of ${leadership.leader ?? '?'} in term ${leadership.term}`;
  if (leadership.state === 'stopped') return `stopped (${leadership.error?.reason ?? 'closed'})`;
  return leadership.state;
}

export type Joined = { readonly raftId: number; readonly members: readonly RaftMember[] };
