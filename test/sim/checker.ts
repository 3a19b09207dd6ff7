import type { Message } from 'raft-ts';
import type { LogPosition } from '#manager/log/index.ts';
import type { CommitEvents } from '#manager/store/index.ts';
import { describeCommit } from './objects.ts';

/** A broken promise. */
export class Violation extends Error {}

interface AppliedEntry {
  readonly term: number;
  readonly content: string;
}

/** What an observer who sees every manager at once can check, whatever happens. */
export class Checker {
  readonly #entries = new Map<number, AppliedEntry>();
  /** State after each applied index, as far as any member was asked; the highest index at or below counts. */
  readonly #states = new Map<number, string>();
  readonly #stateIndexes: number[] = [];
  readonly #leaders = new Map<number, string>();
  readonly #commits = new Map<number, string>();
  readonly #terms = new Map<number, number>();
  readonly #votes = new Map<string, number>();
  readonly #raftIds = new Map<number, string>();
  /** By term, the highest index of an entry of that term that anybody applied. */
  readonly #appliedInTerm = new Map<number, number>();
  /** The newest entry that anybody applied. */
  lastIndex = 0;
  /** The first thing that went wrong. What is checked may swallow the error that it is given. */
  violation: Violation | undefined;

  fail(text: string): never {
    this.violation ??= new Violation(text);
    throw this.violation;
  }

  /** A member applied an entry: every member applies the same there. */
  applied(member: string, index: number, term: number, content: string): void {
    const known = this.#entries.get(index);
    if (known === undefined) this.#entries.set(index, { term, content });
    else if (known.term !== term || known.content !== content)
      this.fail(
        `state machine safety: ${member} applies ${term}/${index}, another applied ${known.term}/${index} or other data`,
      );
    this.lastIndex = Math.max(this.lastIndex, index);
    this.#appliedInTerm.set(term, Math.max(index, this.#appliedInTerm.get(term) ?? 0));
  }

  /** A proposal is said to be applied at an index: it is what was applied there. */
  settled({ index, term }: LogPosition, content: string): void {
    const known = this.#entries.get(index);
    if (known?.term !== term || known.content !== content)
      this.fail(
        `a proposal is said to be applied at ${term}/${index}, where ${known?.term ?? 'nothing'} is, or other data`,
      );
  }

  /** The state of a member right after an entry, which is the same for all. */
  state(member: string, index: number, state: string): void {
    const known = this.#states.get(index);
    if (known === undefined) {
      this.#states.set(index, state);
      const last = this.#stateIndexes.at(-1) ?? 0;
      if (index > last) this.#stateIndexes.push(index);
      else
        this.#stateIndexes.splice(
          this.#stateIndexes.findIndex((other) => other > index),
          0,
          index,
        );
    } else if (known !== state) this.fail(`${member} is in state ${state} after ${index}, another was in ${known}`);
  }

  /** A member took over a snapshot: the state after everything up to the index. */
  restored(member: string, index: number, state: string): void {
    let at = '';
    for (const known of this.#stateIndexes) {
      if (known > index) break;
      at = this.#states.get(known) ?? '';
    }
    if (at !== '' && at !== state)
      this.fail(`${member} restored a snapshot at ${index} in state ${state}, others were in ${at}`);
  }

  /** A member says that it leads: nobody else does in that term, and it has everything of the terms before. */
  leads(member: string, term: number, appliedIndex: number): void {
    const other = this.#leaders.get(term);
    if (other !== undefined) this.fail(`${member} leads term ${term}, which ${other} led already`);
    this.#leaders.set(term, member);
    for (const [earlier, index] of this.#appliedInTerm)
      if (earlier < term && index > appliedIndex)
        this.fail(
          `${member} leads term ${term} having applied ${appliedIndex}, but ${earlier}/${index} is applied elsewhere`,
        );
  }

  /** How often anybody has led. */
  get leaderships(): number {
    return this.#leaders.size;
  }

  /** Watchers on every member are told the same of each version. */
  committed(member: string, commit: CommitEvents): void {
    const text = describeCommit(commit);
    const known = this.#commits.get(commit.version) ?? text;
    if (known !== text) this.fail(`${member} commits version ${commit.version} as ${text}, another as ${known}`);
    this.#commits.set(commit.version, text);
  }

  /** What a member vouches for by a message holds after every restart: terms never go back, a vote is given once. */
  sent({ type, from, to, term, reject }: Message): void {
    if (type !== 'MsgAppResp' && type !== 'MsgVoteResp') return;
    const before = this.#terms.get(from) ?? 0;
    if (term < before) this.fail(`member ${from} answers in term ${term}, and did in term ${before} already`);
    this.#terms.set(from, term);
    if (type !== 'MsgVoteResp' || reject) return;
    const key = `${from} in term ${term}`;
    const other = this.#votes.get(key) ?? to;
    if (other !== to) this.fail(`member ${key} votes for ${other} and for ${to}`);
    this.#votes.set(key, to);
  }

  /** Ids of members are used once. */
  member(raftId: number, incarnation: string): void {
    const known = this.#raftIds.get(raftId) ?? incarnation;
    if (known !== incarnation) this.fail(`raft id ${raftId} is ${incarnation} and was ${known}`);
    this.#raftIds.set(raftId, incarnation);
  }

  /** The state that was after the highest index at or below this one. */
  stateAt(index: number): string | undefined {
    let at: string | undefined;
    for (const known of this.#stateIndexes) {
      if (known > index) break;
      at = this.#states.get(known);
    }
    return at;
  }

  /** Whether this was the state at any index. */
  wasState(state: string): boolean {
    return [...this.#states.values()].includes(state);
  }
}
