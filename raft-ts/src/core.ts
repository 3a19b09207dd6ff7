import type { CheckedConfig } from './config.ts';
import { violated } from './errors.ts';
import { RaftLog } from './log.ts';
import { hex, type Logger } from './logger.ts';
import { type Message, type MessageType, message } from './message.ts';
import { PendingReads } from './pending-reads.ts';
import type { Progress } from './progress.ts';
import { ProgressTracker } from './tracker.ts';
import { type HardState, NONE, type NodeId, type ReadState, type SoftState, type StateType } from './types.ts';

/** These vouch for what was stored, so they may leave only after it is stored. */
const AFTER_APPEND: ReadonlySet<MessageType> = new Set<MessageType>(['MsgAppResp', 'MsgVoteResp', 'MsgPreVoteResp']);

const CAMPAIGN: ReadonlySet<MessageType> = new Set<MessageType>([
  'MsgVote',
  'MsgVoteResp',
  'MsgPreVote',
  'MsgPreVoteResp',
]);

/** The state of one node, shared by the modules that each implement one concern of the algorithm. */
export class Core {
  readonly config: CheckedConfig;
  readonly id: NodeId;
  readonly logger: Logger;
  readonly log: RaftLog;
  tracker: ProgressTracker;

  /** Invariant: never goes down, not even over a restart. */
  term = 0;
  /** Whom this node voted for in `term`. Invariant: changes only from NONE within a term. */
  vote: NodeId = NONE;
  state: StateType = 'StateFollower';
  lead: NodeId = NONE;
  isLearner = false;

  /** To be sent at once, to other nodes only. */
  messages: Message[] = [];
  /** To be sent (or, if to this node, stepped) once everything unstable so far is stored. */
  messagesAfterAppend: Message[] = [];

  /** Who is to take over (thesis 3.10); NONE when no transfer is under way. */
  leadTransferee: NodeId = NONE;
  /**
   * Upper bound of the index of a configuration change that is in the log and not applied. A leader accepts the next
   * one only when it has applied that far, so at most one is ever pending.
   */
  pendingConfIndex = 0;
  /** Payload bytes of the uncommitted tail, as far as this leader added to it. May be too low, never too high. */
  uncommittedBytes = 0;

  /** Ticks since the election timeout last started over: by a leader's message, a vote, or the check of the quorum. */
  electionElapsed = 0;
  heartbeatElapsed = 0;
  /** In [electionTick, 2 * electionTick). Drawn anew on every change of role or term. */
  randomizedElectionTimeout = 0;
  /** Ticks since the start: a clock for leases only. */
  ticks = 0;
  /** Until this tick the node honours a lease that it may have granted before it was restarted. */
  quarantineUntilTick = 0;

  readStates: ReadState[] = [];
  reads = new PendingReads();
  /** Reads that wait for the first commit of this leader's term: until then its commit index may be behind. */
  earlyReads: Message[] = [];
  /** By voter, the tick at which the newest heartbeat was sent that it has answered in this term. */
  leaseTicks = new Map<NodeId, number>();
  /** A transfer was begun in this term: the other node may win an election despite the lease. */
  leaseSurrendered = false;

  constructor(config: CheckedConfig) {
    this.config = config;
    this.id = config.id;
    this.logger = config.logger;
    this.log = new RaftLog(config.storage, config.logger, config.maxCommittedBytesPerReady);
    this.tracker = this.newTracker();
  }

  newTracker(): ProgressTracker {
    return new ProgressTracker({
      maxInflightMessages: this.config.maxInflightMessages,
      maxInflightBytes: this.config.maxInflightBytes,
    });
  }

  /** This node's id as the logs show it. */
  get name(): string {
    return hex(this.id);
  }

  softState(): SoftState {
    return { lead: this.lead, state: this.state };
  }

  hardState(): HardState {
    return { term: this.term, vote: this.vote, commit: this.log.committed };
  }

  /** Queues a message, at once or after the next write, and adds sender and term. */
  send(fields: { readonly type: MessageType } & Partial<Message>): void {
    const { type } = fields;
    const belongsToNoTerm = type === 'MsgProp' || type === 'MsgReadIndex';
    if (CAMPAIGN.has(type)) {
      if ((fields.term ?? 0) === 0) violated(`term should be set when sending ${type}`);
    } else if ((fields.term ?? 0) !== 0) {
      violated(`term should not be set when sending ${type} (was ${fields.term})`);
    }
    const term = CAMPAIGN.has(type) ? (fields.term ?? 0) : belongsToNoTerm ? 0 : this.term;
    const from = fields.from === undefined || fields.from === NONE ? this.id : fields.from;
    const complete = message({ ...fields, from, term });
    if (AFTER_APPEND.has(type)) {
      this.messagesAfterAppend.push(complete);
      return;
    }
    if (complete.to === this.id) violated(`message should not be self-addressed when sending ${type}`);
    this.messages.push(complete);
  }

  /** Starts over for a term: what a follower, candidate or leader knew belongs to the old one. */
  reset(term: number): void {
    if (this.term !== term) {
      this.term = term;
      this.vote = NONE;
    }
    this.lead = NONE;
    this.electionElapsed = 0;
    this.heartbeatElapsed = 0;
    this.drawElectionTimeout();
    this.leadTransferee = NONE;
    this.leaseSurrendered = false;
    this.tracker.resetVotes();
    this.tracker.resetProgress(this.log.lastIndex(), this.id);
    this.pendingConfIndex = 0;
    this.uncommittedBytes = 0;
    this.reads = new PendingReads();
    this.earlyReads = [];
    this.leaseTicks = new Map();
  }

  drawElectionTimeout(): void {
    const { electionTick, random } = this.config;
    this.randomizedElectionTimeout = electionTick + random(electionTick);
  }

  /** Runs for every other member, ascending. */
  forEachPeer(visit: (id: NodeId, progress: Progress) => void): void {
    for (const id of this.tracker.ids) {
      const progress = this.tracker.get(id);
      if (id !== this.id && progress !== undefined) visit(id, progress);
    }
  }

  /** Whether this node may lead: a voter that is not about to have its log replaced. */
  promotable(): boolean {
    const progress = this.tracker.get(this.id);
    return progress !== undefined && !progress.isLearner && !this.log.hasSnapshot();
  }

  committedEntryInCurrentTerm(): boolean {
    return this.log.termOrZero(this.log.committed) === this.term;
  }
}
