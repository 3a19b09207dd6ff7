import type { AnyConfChange } from './conf-change.ts';
import { asV2 } from './conf-change.ts';
import { decodeConfChange, encodeConfChange } from './conf-change-codec.ts';
import type { RaftConfig } from './config.ts';
import type { Core } from './core.ts';
import { type Refusal, violated } from './errors.ts';
import { applyConfChange } from './membership.ts';
import { isLocalMessage, isResponseMessage, type Message, message } from './message.ts';
import { createCore, step, tick } from './raft.ts';
import type { Ready } from './ready.ts';
import { describeStatus, type Status, statusOf } from './status.ts';
import {
  appendMessage,
  appendResponse,
  applyMessage,
  applyResponse,
  needsAppendMessage,
  needsAppendResponse,
} from './storage-messages.ts';
import {
  type ConfState,
  type Entry,
  type HardState,
  isEmptyHardState,
  isLocalTarget,
  type NodeId,
  type SoftState,
  type StateType,
  sameHardState,
} from './types.ts';

/**
 * One member of a group. Feed it messages, ticks and proposals; take its `Ready`s and do what they say. Nothing in it
 * waits, and nothing runs by itself: the same inputs give the same outputs. Not to be called from within its own calls.
 */
export class RawNode {
  readonly #core: Core;
  readonly #async: boolean;
  #previousSoftState: SoftState;
  #previousHardState: HardState;
  /** Messages of the node to itself that `advance` delivers. Undefined while no Ready is out. */
  #stepsOnAdvance: Message[] | undefined = undefined;

  /** Throws a RaftError `invalidConfig` for a configuration that cannot be, `invariant` for a storage that cannot. */
  constructor(config: RaftConfig) {
    this.#core = createCore(config);
    this.#async = this.#core.config.asyncStorageWrites;
    this.#previousSoftState = this.#core.softState();
    this.#previousHardState = this.#core.hardState();
  }

  get id(): NodeId {
    return this.#core.id;
  }

  get term(): number {
    return this.#core.term;
  }

  /** Who leads, in this node's eyes; NONE if nobody is known to. */
  get lead(): NodeId {
    return this.#core.lead;
  }

  get state(): StateType {
    return this.#core.state;
  }

  /** The last index of its log, stored or not. After a proposal that was taken: the last of its entries. */
  get lastIndex(): number {
    return this.#core.log.lastIndex();
  }

  get committed(): number {
    return this.#core.log.committed;
  }

  /** To be called at a steady interval, and after a pause as often as it was missed: leases are measured in ticks. */
  tick(): void {
    tick(this.#core);
  }

  /** Starts an election, whatever the timeout says. */
  campaign(): void {
    step(this.#core, message({ type: 'MsgHup' }));
  }

  /** Asks for an entry with this data. Undefined: it is under way, which does not yet mean that it will be committed. */
  propose(data: Uint8Array): Refusal | undefined {
    return this.proposeAll([data]);
  }

  /** Asks for entries that follow each other in the log; all are refused or none. */
  proposeAll(data: readonly Uint8Array[]): Refusal | undefined {
    const entries = data.map((bytes) => ({ type: 'EntryNormal', term: 0, index: 0, data: bytes }) as const);
    return step(this.#core, message({ type: 'MsgProp', from: this.id, entries }));
  }

  /**
   * Asks for a configuration change. One that may not be made now goes into the log as an empty entry instead, so its
   * proposer must watch what is committed.
   */
  proposeConfChange(change: AnyConfChange): Refusal | undefined {
    const type = change.version === 1 ? 'EntryConfChange' : 'EntryConfChangeV2';
    const entry = { type, term: 0, index: 0, data: encodeConfChange(change) } as const;
    return step(this.#core, message({ type: 'MsgProp', from: this.id, entries: [entry] }));
  }

  /**
   * To be called when the entry of a committed configuration change is applied; not if the application rejects the
   * change, which must be decided alike on all nodes. The result belongs into the next snapshot. An entry that a
   * received snapshot has overtaken changes nothing.
   */
  applyConfChange(entry: Entry): ConfState {
    const { log, tracker } = this.#core;
    const change = decodeConfChange(entry) ?? violated(`entry ${entry.index} is no configuration change`);
    // The configuration in force is that of the snapshot already: the entry is older.
    if (log.hasSnapshot() || entry.index <= log.applied) return tracker.confState();
    return applyConfChange(this.#core, asV2(change));
  }

  /** Takes a message of another node, or of a local thread. */
  step(received: Message): Refusal | undefined {
    const fromThread = isLocalTarget(received.from);
    if (isLocalMessage(received.type) && !fromThread) return 'localMessage';
    if (isResponseMessage(received.type) && !fromThread && this.#core.tracker.get(received.from) === undefined)
      return 'peerNotFound';
    return step(this.#core, received);
  }

  /**
   * Asks for an index from which a read is linearizable: it comes in a later Ready, with the context given here, or
   * not at all, if the leader changes; then ask again.
   */
  readIndex(context: Uint8Array): void {
    const entry = { type: 'EntryNormal', term: 0, index: 0, data: context } as const;
    step(this.#core, message({ type: 'MsgReadIndex', from: this.id, entries: [entry] }));
  }

  /** Asks that another voter lead. Works on a follower too. */
  transferLeader(transferee: NodeId): void {
    step(this.#core, message({ type: 'MsgTransferLeader', from: transferee }));
  }

  /** A follower forgets its leader, so that it votes at once. Its election timeout runs on. */
  forgetLeader(): void {
    step(this.#core, message({ type: 'MsgForgetLeader' }));
  }

  /** The last message to that node was not sent. */
  reportUnreachable(id: NodeId): void {
    step(this.#core, message({ type: 'MsgUnreachable', from: id }));
  }

  /** How sending a snapshot ended. Must be called for every MsgSnap, or nothing more is sent to that node. */
  reportSnapshot(id: NodeId, outcome: 'finished' | 'failed'): void {
    step(this.#core, message({ type: 'MsgSnapStatus', from: id, reject: outcome === 'failed' }));
  }

  /** Whether `ready` would have anything to say. */
  hasReady(): boolean {
    const core = this.#core;
    const hardState = core.hardState();
    return (
      this.#changedSoftState() !== undefined ||
      (!isEmptyHardState(hardState) && !sameHardState(hardState, this.#previousHardState)) ||
      core.log.unstable.nextSnapshot() !== undefined ||
      core.messages.length > 0 ||
      core.messagesAfterAppend.length > 0 ||
      core.log.unstable.hasNextEntries() ||
      core.log.hasNextCommitted(!this.#async) ||
      core.readStates.length > 0
    );
  }

  /** What is to be done now; it counts as handed out. Without asynchronous writes `advance` must follow before the next. */
  ready(): Ready {
    if (this.#stepsOnAdvance !== undefined) violated('two accepted Ready structs without call to Advance');
    const ready = this.#peek();
    this.#accept(ready);
    return ready;
  }

  /** All of the last Ready is done. Not for asynchronous writes, where the threads' responses say so. */
  advance(): void {
    const steps = this.#stepsOnAdvance ?? [];
    this.#stepsOnAdvance = undefined;
    for (const one of steps) step(this.#core, one);
  }

  status(): Status {
    return statusOf(this.#core);
  }

  /** The members' progress in words; empty unless this node leads. */
  describeProgress(): string {
    return describeStatus(this.#core);
  }

  /** For tests: takes the chance out of the next election timeout. Holds until the next change of role or term. */
  setRandomizedElectionTimeout(ticks: number): void {
    this.#core.randomizedElectionTimeout = ticks;
  }

  #changedSoftState(): SoftState | undefined {
    const { lead, state } = this.#core;
    const previous = this.#previousSoftState;
    return lead === previous.lead && state === previous.state ? undefined : { lead, state };
  }

  #peek(): Ready {
    const core = this.#core;
    const current = core.hardState();
    const previous = this.#previousHardState;
    const entries = core.log.unstable.nextEntries();
    const hardState = sameHardState(current, previous) ? undefined : current;
    const snapshot = core.log.unstable.nextSnapshot();
    // Committed entries may be applied before they are on this node's storage, but only if storing comes first anyway.
    const committedEntries = core.log.nextCommitted(!this.#async);
    return {
      softState: this.#changedSoftState(),
      hardState,
      readStates: core.readStates,
      entries,
      snapshot,
      committedEntries,
      messages: this.#outgoing({ hardState, entries, snapshot, committedEntries }),
      mustSync: entries.length > 0 || current.term !== previous.term || current.vote !== previous.vote,
    };
  }

  #outgoing(work: Pick<Ready, 'hardState' | 'entries' | 'snapshot' | 'committedEntries'>): readonly Message[] {
    const core = this.#core;
    if (!this.#async) return core.messages.concat(core.messagesAfterAppend.filter((one) => one.to !== core.id));
    const messages = core.messages.slice();
    if (needsAppendMessage(core, work)) messages.push(appendMessage(core, work));
    if (work.committedEntries.length > 0) messages.push(applyMessage(core, work.committedEntries));
    return messages;
  }

  #accept(ready: Ready): void {
    const core = this.#core;
    if (ready.softState !== undefined) this.#previousSoftState = ready.softState;
    if (ready.hardState !== undefined) this.#previousHardState = ready.hardState;
    if (!this.#async) {
      const steps = core.messagesAfterAppend.filter((one) => one.to === core.id);
      if (needsAppendResponse(core, ready)) steps.push(appendResponse(core, ready.snapshot));
      if (ready.committedEntries.length > 0) steps.push(applyResponse(core, ready.committedEntries));
      this.#stepsOnAdvance = steps;
    }
    core.readStates = [];
    core.messages = [];
    core.messagesAfterAppend = [];
    core.log.unstable.acceptInProgress();
    core.log.acceptApplying(ready.committedEntries, !this.#async);
  }
}
