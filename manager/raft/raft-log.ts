import type { Clock } from '#common/clock.ts';
import { assert, SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import { systemClock } from '#common/system/clock.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { systemRandom } from '#common/system/random.ts';
import { type RaftIdentity, RaftMember } from '#gen/swarm/v1/raft.ts';
import {
  type DataKeys,
  type Disk,
  type DiskLock,
  diskError,
  keyName,
  type Leadership,
  type Log,
  type LogConfig,
  type LogObserver,
  type LogPosition,
  type LogStatus,
  nodeDisk,
  type ProposeOptions,
  SnapshotFiles,
  type StateMachine,
  type WaitOptions,
  type Wal,
  type WalRecord,
} from '#manager/log/index.ts';
import { DEFAULT_RAFT_CONFIG, electionTimeoutMs, type RaftConfig } from './config.ts';
import { handOver } from './handover.ts';
import { LeadershipBook } from './leadership-book.ts';
import { closedTooSoon, recovering, stopped } from './log-errors.ts';
import { type LogMember, logMembers } from './log-member.ts';
import { type Begun, beginLog, type LogOrigin } from './log-origin.ts';
import type { NewMember } from './member-changes.ts';
import { peerDoor } from './peer-door.ts';
import type { PeerTransport } from './peer-transport.ts';
import { notLeader } from './proposals.ts';
import type { NextTurn } from './pump.ts';
import { RaftEngine } from './raft-engine.ts';
import { recoverLog } from './recovery.ts';
import { readSnapshot } from './snapshots.ts';
import { hardStateRecord, identityRecord, markRecord } from './wal-records.ts';

export interface RaftLogOptions {
  /** Of this log alone; made when missing. */
  readonly directory: string;
  readonly keys: DataKeys;
  readonly logger: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly disk?: Disk;
  /** Runs something after the input that waits now; for simulation. */
  readonly nextTurn?: NextTurn;
  readonly config?: Partial<RaftConfig>;
  readonly observer?: LogObserver;
  readonly transport: PeerTransport;
  readonly nodeId: string;
  /** Where the other managers reach this one, as of now. */
  readonly address: () => string;
  readonly featureLevel: number;
  readonly origin: LogOrigin;
  /** This member is one no more: applied here, or told by a peer. The log has stopped, and is of no use. */
  readonly onRemoved: (error: SwarmError) => void;
}

/**
 * The log that several managers hold together, by Raft: durable on a quorum is committed. After the first disk error, and
 * when this member was removed, it stops for good.
 */
export class RaftLog implements Log {
  readonly #options: RaftLogOptions;
  #config: RaftConfig;
  #keys: DataKeys;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #disk: Disk;
  readonly #files: SnapshotFiles;
  readonly #leadership: LeadershipBook;
  readonly #memberListeners = new Set<() => void>();
  #starting: Promise<void> | undefined;
  #lock: DiskLock | undefined;
  #wal: Wal | undefined;
  #identity: RaftIdentity | undefined;
  #engine: RaftEngine | undefined;
  #closing: Promise<void> | undefined;
  /** Rejects what only the start waits for when the log ends before. */
  #giveUp = (_error: SwarmError): void => {};

  constructor(options: RaftLogOptions) {
    this.#options = options;
    this.#config = { ...DEFAULT_RAFT_CONFIG, ...options.config };
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? systemRandom;
    this.#disk = options.disk ?? nodeDisk;
    const { directory, keys } = options;
    this.#keys = keys;
    const syncBytes = this.#config.snapshotSyncBytes;
    this.#files = new SnapshotFiles({ disk: this.#disk, directory, keys, syncBytes });
    const nodeIdOf = (raftId: number): string | undefined => this.#engine?.book.member(raftId)?.nodeId;
    this.#leadership = new LeadershipBook(this.#clock, nodeIdOf, electionTimeoutMs(this.#config));
  }

  /**
   * Resolves, for the only voter: when it leads; for one of several: when everything that was known to be committed here
   * is applied; for one that joins: when it has caught up with the leader.
   */
  start(machine: StateMachine): Promise<void> {
    assert(this.#starting === undefined, 'a log is started once');
    this.#starting = this.#start(machine);
    return this.#starting;
  }

  propose(data: Uint8Array, options: ProposeOptions): Promise<LogPosition> {
    const engine = this.#engine;
    const refusal = this.#refusal();
    if (refusal !== undefined) return Promise.reject(refusal);
    if (engine === undefined || this.#leadership.current.state !== 'leader')
      return Promise.reject(this.#lastingProblem() ?? notLeader());
    assert(data.length > 0, 'an entry has data');
    const tooMuch = engine.proposals.refusal(data);
    if (tooMuch !== undefined) return Promise.reject(tooMuch);
    const applied = engine.proposals.add(data, options);
    engine.pump.later();
    return applied;
  }

  readBarrier(options: WaitOptions): Promise<number> {
    const refusal = this.#refusal() ?? this.#lastingProblem();
    if (refusal !== undefined) return Promise.reject(refusal);
    if (this.#engine === undefined) return Promise.reject(recovering());
    return this.#engine.reads.barrier(options.timeoutMs);
  }

  leadership(): Leadership {
    return this.#leadership.current;
  }

  onLeadership(listener: (leadership: Leadership) => void): () => void {
    return this.#leadership.onChange(listener);
  }

  status(): LogStatus {
    const engine = this.#engine;
    return {
      leadership: this.#leadership.current,
      committedIndex: engine?.pump.node.committed ?? 0,
      appliedIndex: engine?.appliedIndex ?? 0,
      waiting: engine?.proposals.size ?? 0,
      snapshotIndex: engine?.snapshots.newest.index ?? 0,
      snapshotError: engine?.snapshots.error,
      logBytes: this.#wal?.bytes ?? 0,
    };
  }

  /** Who takes part, as far as it is applied here; this member included. */
  members(): readonly LogMember[] {
    return this.#engine === undefined ? [] : logMembers(this.#engine);
  }

  /** This member as it is now; undefined until it is known which one it is. */
  self(): RaftMember | undefined {
    return this.#identity === undefined ? undefined : this.#as(this.#identity);
  }

  /** Calls the listener when members, their addresses, the leader, or who can be reached have changed. */
  onMembers(listener: () => void): () => void {
    this.#memberListeners.add(listener);
    return () => this.#memberListeners.delete(listener);
  }

  /**
   * Adds a node as a learner with a new raft id; it becomes a voter once it has caught up. A learner of the same node is
   * replaced. Rejects with `not-leader`, `wiped-member` (the node is a voter already), `timeout`, `leadership-lost`.
   */
  async addMember(init: NewMember, wait: WaitOptions): Promise<RaftMember> {
    return this.#leading().changes.add(init, wait);
  }

  /** Rejects with `not-leader`, `no-quorum` (of those that stay), `in-use` (it leads itself), `timeout`. */
  async removeMember(raftId: number, wait: WaitOptions): Promise<void> {
    return this.#leading().changes.remove(raftId, wait);
  }

  /** Writes down another address or feature level. Rejects with `not-leader`, `timeout`. */
  async updateMember(member: RaftMember, wait: WaitOptions): Promise<void> {
    return this.#leading().changes.update(member, wait);
  }

  /** Lets another voter lead, by default the one that has most of the log. Resolves once it does. */
  async transferLeadership(options: WaitOptions & { readonly to?: number }): Promise<void> {
    return handOver(this.#leading(), options);
  }

  /** How often snapshots are taken and how many are kept, from now on: users may set it for their cluster. */
  tuneSnapshots(changes: Partial<Pick<LogConfig, 'snapshotEntries' | 'snapshotsKept'>>): void {
    this.#config = { ...this.#config, ...changes };
    this.#engine?.maybeSnapshot();
  }

  /**
   * Writes with `keys.current` from now on. The log must have started, and the keys must be durable. `keys.previous` have
   * to hold every key of before until `reseal` has resolved with true.
   */
  rekey(keys: DataKeys): void {
    assert(this.#wal !== undefined, 'a log is given other keys once it has started');
    this.#keys = keys;
    this.#wal.rekey(keys);
    this.#files.rekey(keys);
  }

  /**
   * Moves everything that is on the disk under the current data key, as far as that can be done now; resolves with whether
   * no file needs another key any more. The log serves meanwhile.
   */
  async reseal(): Promise<boolean> {
    const refusal = this.#refusal();
    if (refusal !== undefined) throw refusal;
    if (this.#engine === undefined) throw recovering();
    const current = keyName(this.#keys.current);
    return this.#engine.reseal((name) => name === current);
  }

  /** How long learners are to be reachable and caught up before they have a vote, from now on. */
  tuneMembers(changes: Pick<RaftConfig, 'learnerStableMs'>): void {
    this.#config = { ...this.#config, ...changes };
  }

  /** Why there is no leader, as the user should be told; undefined when there is one. */
  quorumProblem(): SwarmError | undefined {
    return this.#leadership.current.state === 'stopped' ? undefined : this.#engine?.problem();
  }

  /** Why there seem to be two swarms of the same nodes, one of which does not want this member; undefined when not. */
  dispute(): SwarmError | undefined {
    return this.#leadership.current.state === 'stopped' ? undefined : this.#engine?.dispute();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #start(machine: StateMachine): Promise<void> {
    const { transport, logger } = this.#options;
    const started = this.#clock.monotonic();
    transport.start(
      peerDoor({
        engine: () => this.#engine,
        self: () => this.self(),
        logger,
      }),
    );
    try {
      await this.#disk.makeDirectory(this.#options.directory);
      this.#lock = await this.#disk.lock(this.#options.directory);
      const begun = await this.#recover();
      const engine = await this.#makeEngine(machine, begun);
      await engine.start();
      this.#options.observer?.recovered(this.#clock.monotonic() - started, begun.recovered.entries.length);
      await this.#takePart(engine);
    } catch (thrown) {
      const error = diskError(thrown, 'starting');
      if (this.#closing === undefined) {
        this.#stop(error);
        await this.#wal?.close();
        await this.#releaseLock();
      }
      throw error;
    }
  }

  async #recover(): Promise<Begun> {
    const { directory, logger, observer, origin, nodeId, address, featureLevel } = this.#options;
    const recovered = await recoverLog({
      disk: this.#disk,
      directory,
      keys: this.#keys,
      logger,
      snapshots: this.#files,
      config: this.#config,
      clock: this.#clock,
      observer,
      preamble: () => this.#preamble(),
      yieldTurn: () => this.#yieldTurn(),
      onFailure: (error) => this.#stop(error),
    });
    this.#wal = recovered.wal;
    const begun = await beginLog(recovered, {
      origin,
      directory,
      files: this.#files,
      random: this.#random,
      self: { nodeId, address: address(), featureLevel },
      stopped: this.#untilStopped(),
    });
    this.#identity = begun.recovered.identity;
    // What an interrupted write left goes. Older snapshots stay: how many to keep is not known before the state is.
    await this.#files.prune(begun.recovered.snapshot.index, Number.POSITIVE_INFINITY);
    return begun;
  }

  /** What a leader tells the others goes out before it writes itself: they are waited for, it is not. */
  #yieldTurn(): Promise<void> | undefined {
    const engine = this.#engine;
    if (engine?.pump.node.state !== 'StateLeader' || engine.book.voters.length === 1) return undefined;
    const nextTurn = this.#options.nextTurn ?? setImmediate;
    return new Promise((resolve) => nextTurn(resolve));
  }

  async #makeEngine(machine: StateMachine, { recovered, peers }: Begun): Promise<RaftEngine> {
    const { directory, logger, observer, transport } = this.#options;
    const { snapshot, wal, identity } = recovered;
    const header =
      snapshot.index === 0
        ? undefined
        : await readSnapshot(this.#files.read(snapshot, wal.logId), (chunks) => machine.restore(snapshot, chunks));
    const refusal = this.#refusal();
    if (refusal !== undefined) throw refusal;
    const engine = new RaftEngine({
      directory,
      raftId: identity.raftId,
      self: () => this.#as(identity),
      config: () => this.#config,
      clock: this.#clock,
      random: this.#random,
      nextTurn: this.#options.nextTurn ?? setImmediate,
      logger,
      observer,
      transport,
      files: this.#files,
      machine,
      recovered,
      header,
      leadership: this.#leadership,
      membersChanged: () => this.#membersChanged(),
      failed: (error) => this.#stop(error),
      removed: (error) => this.#removed(error),
    });
    engine.peers.introduce(peers);
    this.#engine = engine;
    return engine;
  }

  /** Waits until this member can be used as its kind allows; see `start`. */
  async #takePart(engine: RaftEngine): Promise<void> {
    const { book, pump, waiters, reads } = engine;
    const { id } = pump.node;
    if (book.voters.length === 1 && book.isVoter(id)) {
      await waiters.until(() => this.#leadership.current.state !== 'none');
      return;
    }
    if (book.member(id) !== undefined) return;
    // The leader's snapshot names this member. After that a read tells how much else there is to catch up with.
    await waiters.until(() => book.member(id) !== undefined);
    for (;;) {
      try {
        await reads.barrier(this.#config.changeTimeoutMs);
        return;
      } catch (thrown) {
        if (this.#leadership.current.state === 'stopped') throw thrown;
      }
    }
  }

  #as({ raftId }: RaftIdentity): RaftMember {
    const { nodeId, address, featureLevel } = this.#options;
    return RaftMember.create({ raftId, nodeId, address: address(), featureLevel });
  }

  #untilStopped(): Promise<never> {
    const stopped = new Promise<never>((_resolve, reject) => {
      this.#giveUp = reject;
      const refusal = this.#refusal();
      if (refusal !== undefined) reject(refusal);
    });
    // Whoever waits for it hears of it; mostly nobody does.
    stopped.catch(() => {});
    return stopped;
  }

  #preamble(): readonly WalRecord[] {
    const records: WalRecord[] = [];
    if (this.#identity !== undefined) records.push(identityRecord(this.#identity));
    const engine = this.#engine;
    if (engine === undefined) return records;
    if (engine.snapshots.newest.index > 0) records.push(markRecord(engine.snapshots.newest));
    records.push(hardStateRecord(engine.durableHardState));
    return records;
  }

  async #close(): Promise<void> {
    const engine = this.#engine;
    try {
      if (engine !== undefined && this.#leadership.current.state !== 'stopped') await this.#letGo(engine);
    } catch {
      // Nobody takes over, or not in time: then the others elect a leader when this one is silent.
    }
    this.#stop(undefined);
    // The lock stays with this process as long as it takes: a write that hangs may still reach the disk.
    const finished = this.#finishAndUnlock();
    try {
      await withDeadline(finished, this.#config.closeTimeoutMs, 'the log to finish its writes', this.#clock);
    } catch (thrown) {
      this.#options.logger.error('the log did not close in order', { error: SwarmError.from(thrown).message });
    }
  }

  /** Hands over to another voter if there is one, and lets the proposals that wait come to their end. */
  async #letGo(engine: RaftEngine): Promise<void> {
    const { closeTimeoutMs, handoverMs } = this.#config;
    const isAlone = engine.book.voters.length === 1;
    if (!isAlone && this.#leadership.current.state === 'leader') await handOver(engine, { timeoutMs: handoverMs });
    this.#leadership.stop(undefined);
    const timeoutMs = isAlone ? closeTimeoutMs : handoverMs;
    await engine.waiters.until(() => engine.proposals.size === 0, { timeoutMs, what: 'proposals to be settled' });
  }

  async #finishAndUnlock(): Promise<void> {
    try {
      await this.#finishWork();
    } finally {
      await this.#releaseLock();
    }
  }

  async #finishWork(): Promise<void> {
    await this.#starting?.catch(() => {});
    await this.#options.transport.close();
    await this.#engine?.snapshots.stopped();
    await this.#engine?.flushCommit().catch(() => {}); // the failure of the disk has been told
    await this.#wal?.close();
  }

  /** Ends the log for good; without an error because it is closed. Everyone who waits is told. */
  #stop(error: SwarmError | undefined): void {
    if (error !== undefined && this.#leadership.current.state !== 'stopped')
      this.#options.logger.error('the log stopped', { error: error.message });
    this.#leadership.stop(error);
    this.#giveUp(error ?? stopped('before it had joined'));
    this.#engine?.stop(error ?? closedTooSoon());
    if (error !== undefined && this.#closing === undefined) void this.#options.transport.close().catch(() => {});
    this.#membersChanged();
  }

  #removed(error: SwarmError): void {
    if (this.#leadership.current.state === 'stopped') return;
    this.#stop(error);
    this.#options.onRemoved(error);
  }

  #membersChanged(): void {
    for (const listener of [...this.#memberListeners]) listener();
  }

  /** Why nothing can be asked of the log any more; undefined as long as it runs. */
  #refusal(): SwarmError | undefined {
    const { current } = this.#leadership;
    if (current.state === 'stopped') return current.error ?? stopped('already');
    return this.#closing === undefined ? undefined : stopped('already');
  }

  #lastingProblem(): SwarmError | undefined {
    return this.#engine?.hasNoLeaderForLong() === true ? this.#engine.problem() : undefined;
  }

  #leading(): RaftEngine {
    const refusal = this.#refusal() ?? this.#lastingProblem();
    if (refusal !== undefined) throw refusal;
    if (this.#engine === undefined) throw recovering();
    return this.#engine;
  }

  async #releaseLock(): Promise<void> {
    await this.#lock?.release().catch(() => {});
    this.#lock = undefined;
  }
}
