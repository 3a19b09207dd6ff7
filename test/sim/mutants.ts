/** Bugs that the simulation must find: each is a plausible slip in a line of what is around the Raft core. */
import type { Mutant } from '#raft-ts/sim/mutate.ts';

const DISK: readonly Mutant[] = [
  {
    name: 'acknowledged-before-the-flush',
    file: 'manager/raft/append-thread.ts',
    find: 'if (isNeeded) this.#write(work);\n    else this.#report();',
    replace: 'if (isNeeded) this.#write(work);\n    work.isDurable = true;\n    this.#report();',
  },
  {
    name: 'term-and-vote-not-flushed',
    file: 'manager/raft/append-thread.ts',
    find: 'this.#hardState.term !== this.#written.term ||\n      this.#hardState.vote !== this.#written.vote;',
    replace: 'false;',
  },
  {
    name: 'received-snapshot-without-a-record',
    file: 'manager/raft/append-thread.ts',
    find: 'if (snapshot !== undefined) records.push(restoredRecord(snapshot));',
    replace: '',
  },
  {
    name: 'identity-not-in-new-segments',
    file: 'manager/raft/raft-log.ts',
    find: 'if (this.#identity !== undefined) records.push(identityRecord(this.#identity));',
    replace: '',
  },
  {
    name: 'mark-before-the-snapshot',
    file: 'manager/raft/snapshots.ts',
    find:
      'const bytes = await files.write(position, wal.logId, content, this.#abort.signal);\n' +
      '      await wal.append([markRecord(position)]);',
    replace:
      'await wal.append([markRecord(position)]);\n' +
      '      const bytes = await files.write(position, wal.logId, content, this.#abort.signal);',
  },
  {
    name: 'segments-deleted-too-early',
    file: 'manager/log/wal/wal.ts',
    find: 'behind > index + 1) break;',
    replace: 'behind > index + 9) break;',
  },
  {
    name: 'frames-not-synced',
    file: 'manager/log/wal/segment-writer.ts',
    find: "const file = await disk.open(path, 'durable');",
    replace: "const file = await disk.open(path, 'write');",
  },
  {
    name: 'directory-not-synced',
    file: 'manager/log/wal/segment-writer.ts',
    find: 'await disk.syncDirectory(directory);',
    replace: '',
  },
];

const RECOVERY: readonly Mutant[] = [
  {
    name: 'hard-state-not-recovered',
    file: 'manager/raft/recovery.ts',
    find: 'this.#takeHardState(hardStateOf(record));',
    replace: '',
  },
  {
    name: 'snapshot-taken-where-one-comes-in',
    file: 'manager/raft/snapshots.ts',
    find: 'if (applied.index === this.#incoming?.index) return;',
    replace: '',
  },
];

const STATE: readonly Mutant[] = [
  {
    name: 'leader-announced-before-it-has-caught-up',
    file: 'manager/raft/leadership-book.ts',
    find: "this.#set(appliedTerm === node.term ? { state: 'leader', term: node.term } : { state: 'none' });",
    replace: "this.#set(appliedTerm >= 0 ? { state: 'leader', term: node.term } : { state: 'none' });",
  },
  {
    name: 'loss-of-leadership-told-late',
    file: 'manager/raft/raft-engine.ts',
    find: 'this.leadership.observe(node, this.#applier.applied.term);\n    if (led &&',
    replace: 'if (!led) this.leadership.observe(node, this.#applier.applied.term);\n    if (led &&',
  },
  {
    name: 'snapshot-of-a-later-state',
    file: 'manager/raft/snapshots.ts',
    find: 'const { confState } = book;',
    replace: 'await new Promise<void>((resolve) => setImmediate(resolve));\n      const { confState } = book;',
  },
  {
    name: 'members-not-restored-with-a-snapshot',
    file: 'manager/raft/raft-engine.ts',
    find: 'this.book.replace(await readSnapshot(this.snapshots.read(position), restore));',
    replace: 'await readSnapshot(this.snapshots.read(position), restore);',
  },
  {
    name: 'snapshot-sent-that-lacks-the-new-member',
    file: 'manager/raft/raft-storage.ts',
    find: ' && sameConfState(newest.confState, this.#confState()))',
    replace: ')',
  },
  {
    name: 'removed-members-forgotten',
    file: 'manager/raft/members-book.ts',
    find: 'this.#removed.add(nodeId);',
    replace: '',
  },
  {
    name: 'raft-id-used-again',
    file: 'manager/raft/member-changes.ts',
    find: 'RaftMember.create({ raftId: this.#newRaftId(), nodeId',
    replace: 'RaftMember.create({ raftId: known?.raftId ?? this.#newRaftId(), nodeId',
  },
];

const CLIENTS: readonly Mutant[] = [
  {
    name: 'proposal-done-by-another-entry',
    file: 'manager/raft/proposals.ts',
    find: 'if (next.index === index && stint.term === term) found = next.proposal;',
    replace: 'if (next.index === index) found = next.proposal;',
  },
  {
    name: 'unknown-outcome-told-as-never-happened',
    file: 'manager/raft/proposals.ts',
    find: 'this.#settleWith(next.proposal, leadershipLost(problem));',
    replace: 'this.#settleWith(next.proposal, notLeader());',
  },
  {
    name: 'waiting-proposals-never-settled',
    file: 'manager/raft/proposals.ts',
    find: 'const cancelTimer = this.#clock.setTimer(timeoutMs, () => reject(timedOut(timeoutMs)));',
    replace: 'const cancelTimer = (): void => {};',
  },
  {
    name: 'reads-without-a-barrier',
    file: 'manager/raft/reads.ts',
    find: 'if (this.#count >= this.#config.waitingReads)',
    replace:
      'if (this.#count >= 0) return Promise.resolve(this.#appliedIndex);\n    if (this.#count >= this.#config.waitingReads)',
  },
  {
    name: 'reads-before-their-index-is-applied',
    file: 'manager/raft/reads.ts',
    find: 'if (index <= this.#appliedIndex) this.#serve(round.readers);',
    replace: 'if (index >= 0) this.#serve(round.readers);',
  },
  {
    name: 'readers-join-a-round-under-way',
    file: 'manager/raft/reads.ts',
    find: 'this.#next.push(reader);',
    replace: '((this.#round?.readers as Reader[] | undefined) ?? this.#next).push(reader);',
  },
];

const STORE: readonly Mutant[] = [
  {
    name: 'own-transactions-applied-on-any-base',
    file: 'manager/replicated-store/replicated-store.ts',
    find: 'pending !== undefined && pending.prepared.base === this.#chain.committed)',
    replace: 'pending !== undefined)',
  },
  {
    name: 'watches-go-on-across-a-snapshot',
    file: 'manager/replicated-store/replicated-store.ts',
    find: 'this.#hub.reset(state.version);',
    replace: '',
  },
  {
    name: 'level-raised-above-a-joining-manager',
    file: 'manager/roles/feature-level.ts',
    find: 'featureLevelOf(current, [...members, ...admitting])',
    replace: 'featureLevelOf(current, members)',
  },
  {
    name: 'level-of-one-manager-is-enough',
    file: 'manager/roles/feature-level.ts',
    find: 'Math.min(...members.map((member) => member.featureLevel))',
    replace: 'Math.max(...members.map((member) => member.featureLevel))',
  },
];

export const MUTANTS: readonly Mutant[] = [...DISK, ...RECOVERY, ...STATE, ...CLIENTS, ...STORE];
