import { asV2, type ConfState, decodeConfChange, EMPTY_CONF_STATE, type Entry } from 'raft-ts';
import { assert } from '#common/errors.ts';
import { type RaftMember, RaftMemberChange } from '#gen/swarm/v1/raft.ts';
import { encodeSnapshotHeader, type SnapshotHeader } from './wal-records.ts';

/** Who takes part, as of the last entry that is applied here: the part of the log's state that is its own. */
export class MembersBook {
  #confState: ConfState = EMPTY_CONF_STATE;
  /** Invariant: those that `#confState` names, and no others. */
  #members = new Map<number, RaftMember>();
  /** Ids that were members once. Invariant: never shrinks. */
  #removed = new Set<number>();
  /** Of the last entry that changed anything here. */
  #changedIndex = 0;

  get confState(): ConfState {
    return this.#confState;
  }

  get members(): readonly RaftMember[] {
    return [...this.#members.values()];
  }

  get changedIndex(): number {
    return this.#changedIndex;
  }

  get voters(): readonly number[] {
    const { voters, votersOutgoing } = this.#confState;
    return votersOutgoing.length === 0 ? voters : [...new Set([...voters, ...votersOutgoing])];
  }

  member(raftId: number): RaftMember | undefined {
    return this.#members.get(raftId);
  }

  memberOfNode(nodeId: string): RaftMember | undefined {
    return this.members.find((member) => member.nodeId === nodeId);
  }

  isVoter(raftId: number): boolean {
    return this.voters.includes(raftId);
  }

  wasRemoved(raftId: number): boolean {
    return this.#removed.has(raftId);
  }

  /** A committed change, with the configuration that it led to. */
  apply(entry: Entry, confState: ConfState): void {
    const change = decodeConfChange(entry);
    assert(change !== undefined, 'an entry that changes the configuration says how');
    this.#confState = confState;
    this.#changedIndex = entry.index;
    for (const member of RaftMemberChange.decode(change.context).members) this.#members.set(member.raftId, member);
    for (const { type, nodeId } of asV2Changes(change)) {
      if (type !== 'ConfChangeRemoveNode') continue;
      this.#members.delete(nodeId);
      this.#removed.add(nodeId);
    }
  }

  /** As of a snapshot. */
  replace(header: SnapshotHeader): void {
    this.#confState = header.confState;
    this.#members = new Map(header.members.map((member) => [member.raftId, member]));
    this.#removed = new Set([...this.#removed, ...header.removed]);
  }

  /** The first chunk of a snapshot that is taken now. */
  header(): Uint8Array {
    return encodeSnapshotHeader({
      confState: this.#confState,
      members: this.members,
      removed: [...this.#removed],
    });
  }
}

function asV2Changes(change: Parameters<typeof asV2>[0]): ReturnType<typeof asV2>['changes'] {
  return asV2(change).changes;
}

/** Whether two configurations are the same, whatever order they name their members in. */
export function sameConfState(left: ConfState, right: ConfState): boolean {
  return words(left) === words(right);
}

function words({ voters, learners, votersOutgoing, learnersNext, autoLeave }: ConfState): string {
  const lists = [voters, learners, votersOutgoing, learnersNext];
  return JSON.stringify([...lists.map((ids) => ids.toSorted((left, right) => left - right)), autoLeave]);
}
