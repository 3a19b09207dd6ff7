import {
  type Configuration,
  describeConfiguration,
  describeEntry,
  type Entry,
  type HardState,
  isVoter,
  type JointQuorum,
  jointVoteResult,
  jointVoters,
  type Message,
  type NodeId,
  type Snapshot,
  type Status,
} from '../src/index.ts';
import type { SimDisk } from './disk.ts';
import type { ShadowLog } from './shadow-log.ts';

/** A broken invariant. */
export class Violation extends Error {}

function fail(text: string): never {
  throw new Violation(text);
}

interface Known {
  readonly previousTerm: number | undefined;
  readonly text: string;
}

/** The invariants of the algorithm over the whole group: what an observer who sees every node at once can check. */
export class Checker {
  readonly #leaders = new Map<number, NodeId>();
  /** By index and term: in two logs such an entry is the same, and so is the one before it. */
  readonly #entries = new Map<string, Known>();
  /** The term of each committed entry. */
  readonly #committed = new Map<number, number>();
  /** By term, what its leader had committed when it was elected, and since. */
  readonly #committedAtElection = new Map<number, number>();
  readonly #leaderCommits = new Map<number, number>();
  readonly #hashes = new Map<number, number>();
  readonly #votes = new Map<string, NodeId>();
  readonly #configurations = new Map<number, Configuration>();
  /** The highest index that any node knows to be committed. */
  maxCommitted = 0;

  /** The first snapshot, from which all initial members start. */
  start(first: Snapshot): void {
    this.#committed.set(first.index, first.term);
    this.maxCommitted = first.index;
  }

  /** After every step of a node. */
  checkStatus(now: Status, before: Status | undefined): void {
    const { id, term, state, commit, lastIndex, applied } = now;
    if (state === 'StateLeader') {
      const other = this.#leaders.get(term) ?? id;
      if (other !== id) fail(`election safety: ${other} and ${id} both lead term ${term}`);
      this.#leaders.set(term, id);
      for (const [member, progress] of now.progress)
        if (progress.match >= progress.next) fail(`${id} has match >= next for ${member}`);
    }
    if (commit > lastIndex) fail(`${id} commits ${commit} beyond its last entry ${lastIndex}`);
    if (applied > commit) fail(`${id} applied ${applied} beyond its commit ${commit}`);
    if (before === undefined) return;
    if (term < before.term) fail(`${id} went back from term ${before.term} to ${term}`);
    if (commit < before.commit) fail(`${id} went back from commit ${before.commit} to ${commit}`);
    if (term === before.term && before.vote !== 0 && now.vote !== before.vote)
      fail(`${id} changed its vote in term ${term}`);
  }

  /** New entries in a node's log. */
  checkEntries(id: NodeId, log: ShadowLog, entries: readonly Entry[], led: boolean, lastBefore: number): void {
    const [first] = entries;
    if (first === undefined) return;
    if (led && first.index <= lastBefore)
      fail(`leader append-only: ${id} overwrites its entry ${first.index} while it leads`);
    for (const entry of entries) {
      const key = `${entry.term}/${entry.index}`;
      const known = { previousTerm: log.term(entry.index - 1), text: describeEntry(entry) };
      const other = this.#entries.get(key);
      if (other === undefined) this.#entries.set(key, known);
      else if (other.text !== known.text) fail(`log matching: ${id} has ${known.text}, another ${other.text}`);
      else if (other.previousTerm !== known.previousTerm)
        fail(`log matching: before ${key}, ${id} has term ${known.previousTerm}, another ${other.previousTerm}`);
    }
  }

  /** A node considers these indexes committed. */
  checkCommit(id: NodeId, log: ShadowLog, from: number, to: number): void {
    for (let index = Math.max(from, log.base) + 1; index <= to; index++) {
      const term = log.term(index) ?? fail(`${id} commits ${index}, which it does not have`);
      const other = this.#committed.get(index) ?? term;
      if (other !== term)
        fail(`state machine safety: ${id} commits ${term}/${index}, another has committed ${other}/${index}`);
      this.#committed.set(index, term);
    }
    this.maxCommitted = Math.max(this.maxCommitted, to);
  }

  /** A leader counts replicas of entries of its own term only; older ones are committed with them (paper 5.4.2). */
  checkLeaderCommit(id: NodeId, log: ShadowLog, { term, commit }: HardState): void {
    const at = this.#leaderCommits.get(term) ?? this.#committedAtElection.get(term) ?? commit;
    this.#leaderCommits.set(term, commit);
    if (commit > at && log.term(commit) !== term)
      fail(`${id} leads term ${term} and commits ${commit} of term ${log.term(commit)} by counting`);
  }

  /** A node has just become leader: its log holds everything committed in earlier terms. */
  checkNewLeader(id: NodeId, term: number, commit: number, log: ShadowLog): void {
    this.#committedAtElection.set(term, commit);
    for (const [index, committedTerm] of this.#committed) {
      if (index <= log.base || committedTerm >= term) continue;
      if (log.term(index) !== committedTerm)
        fail(`leader completeness: ${id} leads term ${term} without the committed ${committedTerm}/${index}`);
    }
  }

  /** A leader's log holds at most one configuration change that it has not applied. */
  checkPendingChanges(id: NodeId, log: ShadowLog, applied: number): void {
    const pending = log.from(applied + 1).filter((entry) => entry.type !== 'EntryNormal');
    if (pending.length > 1)
      fail(
        `${id} leads with ${pending.length} configuration changes not applied: ${pending.map((one) => describeEntry(one)).join(', ')}`,
      );
  }

  /** A state after everything up to an index. */
  checkApplied(id: NodeId, index: number, hash: number): void {
    const other = this.#hashes.get(index) ?? hash;
    if (other !== hash) fail(`state machine safety: ${id} has another state after ${index} than others`);
    this.#hashes.set(index, hash);
  }

  /** A configuration in force from an index on; quorums of it and of the one before it intersect. */
  checkConfiguration(id: NodeId, index: number, before: Configuration, after: Configuration): void {
    const known = this.#configurations.get(index);
    if (known !== undefined) {
      if (describeConfiguration(known) !== describeConfiguration(after))
        fail(`${id} is in another configuration after ${index} than others: ${describeConfiguration(after)}`);
      return;
    }
    this.#configurations.set(index, after);
    if (!quorumsIntersect(before.voters, after.voters))
      fail(`configurations at ${index}: a quorum of each can decide without the other`);
  }

  /** A message leaves a node: what it vouches for must be on its disk, whatever crash comes next. */
  checkSent(message: Message, disk: SimDisk): void {
    const { from, to, type, term, index, reject } = message;
    if (reject || (type !== 'MsgAppResp' && type !== 'MsgVoteResp')) return;
    const { hardState } = disk.synced.initialState();
    if (hardState.term < term) fail(`${from} sends ${type} of term ${term}; its disk is at term ${hardState.term}`);
    if (type === 'MsgAppResp') {
      const last = disk.synced.lastIndex();
      if (index > last) fail(`${from} acknowledges ${index} to ${to}; its disk ends at ${last}`);
      return;
    }
    if (hardState.term === term && hardState.vote !== to)
      fail(`${from} votes for ${to} in term ${term}; its disk says ${hardState.vote}`);
    const key = `${from}@${term}`;
    const other = this.#votes.get(key) ?? to;
    if (other !== to) fail(`${from} votes for ${other} and ${to} in term ${term}`);
    this.#votes.set(key, to);
  }
}

/** Whether every set that decides in one configuration shares a node with every set that decides in the other. */
function quorumsIntersect(a: JointQuorum, b: JointQuorum): boolean {
  const all = [...new Set([...jointVoters(a), ...jointVoters(b)])];
  for (let mask = 0; mask < 2 ** all.length; mask++) {
    const inside = new Map(all.map((id, at) => [id, (mask & (1 << at)) !== 0] as const));
    const outside = new Map([...inside].map(([id, is]) => [id, !is] as const));
    const decides = jointVoteResult(a, inside) === 'VoteWon' && all.some((id) => isVoter(a, id));
    if (decides && jointVoteResult(b, outside) === 'VoteWon') return false;
  }
  return true;
}
