import { type Entry, RawNode, type ReadState, type Snapshot } from 'raft-ts';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { type Random, randomInt } from '#common/random.ts';
import type { RaftMember } from '#gen/swarm/v1/raft.ts';
import type { LogObserver, SnapshotFiles, StateMachine } from '#manager/log/index.ts';
import { AppendThread } from './append-thread.ts';
import { Applier } from './applier.ts';
import { Campaigns } from './campaigns.ts';
import { electionTimeoutMs, type RaftConfig } from './config.ts';
import { DisputedRemoval, twoSwarms } from './disputed-removal.ts';
import { engineError } from './engine-error.ts';
import type { LeadershipBook } from './leadership-book.ts';
import { LearnerPromotion } from './learner-promotion.ts';
import { MemberChanges } from './member-changes.ts';
import { MembersBook } from './members-book.ts';
import { nodeLogger } from './node-logger.ts';
import type { PeerTransport } from './peer-transport.ts';
import { Peers } from './peers.ts';
import { Proposals } from './proposals.ts';
import { type NextTurn, Pump } from './pump.ts';
import { quorumProblem } from './quorum-problem.ts';
import { RaftStorage } from './raft-storage.ts';
import { Reads } from './reads.ts';
import type { Recovered } from './recovery.ts';
import { SnapshotSends } from './snapshot-sends.ts';
import { readSnapshot, Snapshots } from './snapshots.ts';
import { Ticker } from './ticker.ts';
import { Waiters } from './waiters.ts';
import type { SnapshotHeader } from './wal-records.ts';

export interface EngineOptions {
  readonly directory: string;
  readonly raftId: number;
  readonly self: () => RaftMember;
  readonly config: () => RaftConfig;
  readonly clock: Clock;
  readonly random: Random;
  readonly nextTurn: NextTurn;
  readonly logger: Logger;
  readonly observer: LogObserver | undefined;
  readonly transport: PeerTransport;
  readonly files: SnapshotFiles;
  readonly machine: StateMachine;
  readonly recovered: Recovered;
  readonly leadership: LeadershipBook;
  /** Members, their addresses, or who can be reached. */
  readonly membersChanged: () => void;
  /** Of the recovered snapshot, which the state machine holds already. */
  readonly header: SnapshotHeader | undefined;
  /** The log cannot go on. */
  readonly failed: (error: SwarmError) => void;
  /** This member was removed. */
  readonly removed: (error: SwarmError) => void;
}

/** A recovered log at work: the node, and around it everything that does what the node asks for. */
export class RaftEngine {
  readonly #options: EngineOptions;
  readonly book = new MembersBook();
  readonly pump: Pump;
  readonly proposals: Proposals;
  readonly reads: Reads;
  readonly leadership: LeadershipBook;
  readonly snapshots: Snapshots;
  readonly peers: Peers;
  readonly changes: MemberChanges;
  readonly waiters: Waiters;
  readonly #appendThread: AppendThread;
  readonly #applier: Applier;
  readonly #ticker: Ticker;
  readonly #campaigns: Campaigns;
  readonly #sends: SnapshotSends;
  readonly #promotion = new LearnerPromotion();
  #lead = 0;
  /** What a peer said last, if it said that this member was removed. */
  #removal: { readonly error: SwarmError; readonly by: number } | undefined;
  readonly #dispute: DisputedRemoval;
  #isStopped = false;

  constructor(options: EngineOptions) {
    this.#options = options;
    const { recovered, header, clock, nextTurn, random, transport, self } = options;
    const config = options.config();
    this.#dispute = new DisputedRemoval(clock, config.disputeMs);
    if (header !== undefined) this.book.replace(header);
    const storage = new RaftStorage(
      () => this.book.confState,
      () => this.snapshots.want(),
    );
    storage.load(recovered.snapshot, this.book.confState, recovered.hardState, recovered.entries);
    const failed = (thrown: unknown): void => this.#failed(thrown);
    this.pump = new Pump(this.#makeNode(storage, config), this.#pumpParts(), nextTurn);
    const step = this.pump.step.bind(this.pump);
    this.proposals = new Proposals(clock, config);
    this.reads = new Reads(clock, config, step);
    this.reads.applied(recovered.snapshot.index);
    this.leadership = options.leadership;
    this.waiters = new Waiters(clock);
    this.snapshots = new Snapshots({
      ...options,
      wal: recovered.wal,
      storage,
      book: this.book,
      newest: recovered.snapshot,
      isBeingSent: ({ index }) => this.#sends.isUnderWay(index),
      neededFrom: () => this.#sends.neededFrom(this.pump.node),
      failed,
    });
    this.#sends = new SnapshotSends({
      clock,
      random,
      logger: options.logger,
      transport,
      resend: config.snapshotResend,
      catchUpHoldMs: config.catchUpHoldMs,
      read: (position) => this.snapshots.read(position),
      report: (to, outcome) => step((node) => node.reportSnapshot(to, outcome)),
      released: () => this.snapshots.forgetEntries(),
    });
    this.peers = new Peers({ transport, book: this.book, clock, self, silenceMs: electionTimeoutMs(config) });
    const deliver = this.pump.deliver.bind(this.pump);
    this.#appendThread = new AppendThread({
      wal: recovered.wal,
      storage,
      hardState: recovered.hardState,
      deliver,
      restore: (snapshot) => this.#restore(snapshot),
      failed,
    });
    this.#applier = new Applier({
      clock,
      nextTurn,
      sliceMs: config.applySliceMs,
      applied: recovered.snapshot,
      applyEntry: (entry) => this.#applyEntry(entry),
      applyChange: (entry) => this.#applyChange(entry),
      entryApplied: (entry) => this.#applied(entry),
      deliver,
      failed,
    });
    this.changes = this.#makeChanges();
    this.#ticker = new Ticker(clock, nextTurn, config.tickMs, () => this.#tick());
    this.#campaigns = new Campaigns({ clock, random, delayMs: config.campaignDelayMs, step });
  }

  /** Applies what is known to be committed, then takes part. */
  async start(): Promise<void> {
    const { commit } = this.#options.recovered.hardState;
    this.leadership.begin();
    this.pump.drain();
    await this.waiters.until(() => this.#applier.applied.index >= commit);
    this.peers.update();
    this.#ticker.start();
    const { voters } = this.book;
    // Nobody else could object.
    if (voters.length === 1 && voters[0] === this.pump.node.id) this.pump.step((node) => node.campaign());
  }

  get appliedIndex(): number {
    return this.#applier.applied.index;
  }

  get durableHardState(): Recovered['hardState'] {
    return this.#appendThread.durable;
  }

  /** Why there is no leader. */
  problem(): SwarmError | undefined {
    if (this.pump.node.lead !== 0) return undefined;
    const { voters } = this.book;
    const missing = voters.filter((raftId) => !this.peers.isReachable(raftId, this.pump.node));
    return quorumProblem({
      voters: voters.length,
      reachable: voters.length - missing.length,
      missing: missing.map((raftId) => this.book.member(raftId)?.address ?? String(raftId)).sort(),
    });
  }

  /** For two election timeouts: elections have been tried, and failed. */
  hasNoLeaderForLong(): boolean {
    return (this.leadership.leaderlessMs ?? 0) >= 2 * electionTimeoutMs(this.#options.config());
  }

  /** No leader has been heard of since the start, or for an election timeout. */
  #isAbandoned(): boolean {
    return (
      !this.leadership.hasHadLeader || (this.leadership.leaderlessMs ?? 0) >= electionTimeoutMs(this.#options.config())
    );
  }

  /**
   * A peer says that this member was removed. It is believed where the log says so too, or no leader is heard of: a cluster
   * that was made by force beside the real one must not take its members away.
   *
   * The log alone is not enough: those that stay may not know yet that the removal is committed, and need this one to
   * answer their polls. A peer that says so has made it durable.
   */
  toldRemoved(error: SwarmError, by: number): void {
    this.#removal = { error, by };
    const { removed, logger } = this.#options;
    if (this.#believesRemoval()) removed(error);
    else if (this.#dispute.claimed(by)) {
      const problem = this.dispute();
      logger.error('there are two swarms of the same nodes', { error: problem?.message, hint: problem?.hint });
    }
  }

  #believesRemoval(): boolean {
    return this.book.wasRemoved(this.#options.raftId) || this.#isAbandoned();
  }

  /** Why there seem to be two swarms, of which one does not want this member; undefined when all is well. */
  dispute(): SwarmError | undefined {
    const by = this.#dispute.by;
    if (by.length === 0) return undefined;
    return twoSwarms(by.map((raftId) => this.book.member(raftId)?.address ?? `with the id ${raftId}`).sort());
  }

  /** The leader's process is gone: waiting for its silence to last would be a waste of time. */
  leaderGone(raftId: number): void {
    if (raftId === this.pump.node.lead) this.#campaigns.leaderGone();
  }

  /** Makes durable what is known to be committed, which otherwise goes along with the next write. */
  flushCommit(): Promise<void> {
    return this.#appendThread.flushCommit();
  }

  maybeSnapshot(): void {
    this.snapshots.maybeTake(this.#applier.applied);
  }

  /** See `Snapshots.reseal`. */
  reseal(isCurrent: (keyName: string) => boolean): Promise<boolean> {
    return this.snapshots.reseal(this.#applier.applied, isCurrent);
  }

  /** Looks who can be reached, and tells if that has changed. */
  reachabilityChanged(): void {
    if (this.peers.hasReachabilityChanged(this.pump.node)) this.#options.membersChanged();
  }

  /** Nothing goes into the node any more, and nothing is applied. What waits is told. */
  stop(error: SwarmError): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#ticker.stop();
    this.#campaigns.stop();
    this.pump.stop();
    this.#applier.stop();
    this.snapshots.stop();
    this.#sends.stop();
    this.proposals.rejectAll(error);
    this.reads.rejectAll(error);
    this.waiters.rejectAll(error);
  }

  #makeNode(storage: RaftStorage, config: RaftConfig): RawNode {
    const { raftId, recovered, random, logger } = this.#options;
    return new RawNode({
      id: raftId,
      storage,
      random: (bound) => randomInt(random, bound),
      electionTick: config.electionTicks,
      heartbeatTick: config.heartbeatTicks,
      logger: nodeLogger(logger),
      applied: recovered.snapshot.index,
      asyncStorageWrites: true,
      maxBytesPerMessage: config.messageBytes,
      maxCommittedBytesPerReady: config.applyingBytes,
      maxUncommittedBytes: config.uncommittedBytes,
      maxInflightMessages: config.inflightMessages,
      maxInflightBytes: config.inflightBytes,
      checkQuorum: true,
      preVote: true,
      readOnly: 'safe',
      disableProposalForwarding: true,
      stepDownOnRemoval: true,
    });
  }

  #makeChanges(): MemberChanges {
    const { clock, random } = this.#options;
    return new MemberChanges({
      pump: this.pump,
      book: this.book,
      clock,
      random,
      isLeader: () => this.leadership.current.state === 'leader',
      isReachable: (raftId) => this.peers.isReachable(raftId, this.pump.node),
      track: (position, wait) => this.proposals.track(position, wait),
    });
  }

  #pumpParts(): ConstructorParameters<typeof Pump>[1] {
    const { transport } = this.#options;
    return {
      roleChanged: () => this.#roleChanged(),
      readsAnswered: (reads: readonly ReadState[]) => this.reads.answered(reads),
      append: (message) => {
        if (message.snapshot !== undefined) this.snapshots.take();
        this.#appendThread.append(message);
      },
      apply: (message) => this.#applier.apply(message),
      sendSnapshot: (message) => this.#sends.send(message),
      send: (message) => transport.send(message),
      propose: () => this.proposals.submit(this.pump.node),
      failed: (thrown) => this.#failed(thrown),
    };
  }

  #roleChanged(): void {
    const { node } = this.pump;
    const led = this.leadership.current.state === 'leader';
    if (node.state !== 'StateLeader') this.#sends.stop();
    this.leadership.observe(node, this.#applier.applied.term);
    if (led && this.leadership.current.state !== 'leader') this.proposals.leadershipLost();
    if (node.lead !== this.#lead) {
      this.#lead = node.lead;
      if (node.lead !== 0) {
        this.#campaigns.stop();
        this.reads.leaderChanged();
      }
      this.#options.membersChanged();
    }
    this.waiters.check();
  }

  #applyEntry(entry: Entry): void {
    const { index, term, data } = entry;
    const own = this.proposals.take(index, term);
    // An empty one is a new leader's first, or a change of members that could not be made.
    if (data.length > 0) this.#options.machine.apply({ index, term, data, ticket: own?.ticket });
    own?.done();
  }

  async #applyChange(entry: Entry): Promise<void> {
    // A member that was removed may go at once: the others must not need its vote after a restart.
    await this.#appendThread.flushCommit();
    if (this.#isStopped) return;
    const own = this.proposals.take(entry.index, entry.term);
    this.pump.step((node) => this.book.apply(entry, node.applyConfChange(entry)));
    if (this.#isStopped) return;
    own?.done();
  }

  #applied(entry: Entry): void {
    this.reads.applied(entry.index);
    this.snapshots.applied(entry.data.length);
    this.snapshots.maybeTake(entry);
    if (entry.index === this.book.changedIndex) this.#bookChanged();
    else if (this.leadership.current.state === 'none') this.leadership.observe(this.pump.node, entry.term);
    this.waiters.check();
  }

  #bookChanged(): void {
    this.peers.update();
    this.leadership.observe(this.pump.node, this.#applier.applied.term);
    this.#options.membersChanged();
    if (this.#removal !== undefined && this.#believesRemoval()) this.#options.removed(this.#removal.error);
  }

  async #restore(snapshot: Snapshot): Promise<void> {
    const { machine, logger } = this.#options;
    const position = { index: snapshot.index, term: snapshot.term };
    await this.#applier.restore(position, async () => {
      const restore = (chunks: AsyncIterable<Uint8Array>): Promise<void> => machine.restore(position, chunks);
      this.book.replace(await readSnapshot(this.snapshots.read(position), restore));
    });
    this.proposals.covered(position.index);
    this.reads.applied(position.index);
    await this.snapshots.replaced(position);
    logger.info('restored the leader’s snapshot', { ...position });
    this.#bookChanged();
    this.waiters.check();
  }

  #tick(): void {
    this.pump.step((node) => {
      node.tick();
      if (this.#hasLostLeader(node)) node.forgetLeader();
    });
    this.pump.drain();
    if (this.#isStopped) return;
    const problem = this.problem();
    this.reads.tick();
    this.proposals.tick(problem);
    if (problem !== undefined && this.hasNoLeaderForLong()) this.reads.rejectAll(problem);
    this.#sends.tick(this.pump.node, this.snapshots.newest.index);
    this.snapshots.maybeTake(this.#applier.applied);
    if (this.leadership.current.state !== 'leader') this.#promotion.forget();
    else this.#lookAfterMembers();
    this.reachabilityChanged();
    this.waiters.check();
  }

  /** A voter would have stood for election by now; a learner cannot, and would wait for its leader for ever. */
  #hasLostLeader(node: RawNode): boolean {
    if (node.lead === 0 || this.book.isVoter(node.id)) return false;
    return this.peers.silentMs(node.lead) >= 2 * electionTimeoutMs(this.#options.config());
  }

  /** The leader promotes who has caught up, and writes down what members say of themselves. */
  #lookAfterMembers(): void {
    const {
      learnerLagEntries: lagEntries,
      learnerStableMs: stableMs,
      changeTimeoutMs: timeoutMs,
    } = this.#options.config();
    const learner = this.#promotion.next(
      this.pump.node,
      this.book.confState.learners,
      { lagEntries, stableMs },
      (raftId) => this.peers.isReachable(raftId, this.pump.node),
      this.#options.clock.monotonic(),
    );
    // Learners are watched meanwhile: one that goes away and returns has not been there all the time.
    if (this.changes.isBusy) return;
    const claim = this.peers.claim();
    const change =
      learner !== undefined
        ? this.changes.promote(learner, { timeoutMs })
        : claim !== undefined
          ? this.changes.update(claim, { timeoutMs })
          : undefined;
    // Tried again at a later tick.
    change?.catch((thrown: unknown) =>
      this.#options.logger.info('a change of managers did not succeed', { error: SwarmError.from(thrown).message }),
    );
  }

  #failed(thrown: unknown): void {
    if (!this.#isStopped) this.#options.failed(engineError(thrown, this.#options.directory));
  }
}
