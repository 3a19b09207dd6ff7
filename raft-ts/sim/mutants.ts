/** Bugs that the simulator must find: each is a plausible slip in one line of the core. Files are those of `src`. */
import type { Mutant } from './mutate.ts';

const STORAGE: readonly Mutant[] = [
  {
    name: 'no-sync-of-entries',
    file: 'raw-node.ts',
    find: 'mustSync: entries.length > 0 || ',
    replace: 'mustSync: ',
  },
  {
    name: 'no-sync-of-votes',
    file: 'raw-node.ts',
    find: ' || current.vote !== previous.vote',
    replace: '',
  },
  {
    name: 'append-acknowledged-before-it-is-stored',
    file: 'core.ts',
    find: 'if (AFTER_APPEND.has(type)) {',
    replace: "if (AFTER_APPEND.has(type) && (type !== 'MsgAppResp' || complete.to === this.id)) {",
  },
  {
    name: 'vote-sent-before-it-is-stored',
    file: 'core.ts',
    find: 'if (AFTER_APPEND.has(type)) {',
    replace: "if (AFTER_APPEND.has(type) && (type !== 'MsgVoteResp' || complete.to === this.id)) {",
  },
  {
    name: 'stable-entries-without-their-term',
    file: 'unstable.ts',
    find: 'if (term !== id.term) {',
    replace: 'if (term < 0) {',
  },
  {
    name: 'unstable-entries-applied',
    file: 'raw-node.ts',
    find: 'const committedEntries = core.log.nextCommitted(!this.#async);',
    replace: 'const committedEntries = core.log.nextCommitted(true);',
  },
  {
    name: 'replaced-entries-not-written-again',
    file: 'unstable.ts',
    find: 'this.offsetInProgress = Math.min(this.offsetInProgress, from);',
    replace: '',
  },
  {
    name: 'vote-not-stored',
    file: 'types.ts',
    find: 'return a.term === b.term && a.vote === b.vote && a.commit === b.commit;',
    replace: 'return a.term === b.term && a.commit === b.commit;',
  },
];

const REPLICATION: readonly Mutant[] = [
  {
    name: 'commits-entries-of-older-terms-by-counting',
    file: 'log.ts',
    find: ' || id.term === 0 || this.termOrZero(id.index) !== id.term) return false;',
    replace: ') return false;',
  },
  {
    name: 'previous-entry-not-compared',
    file: 'log.ts',
    find: 'if (!this.matches(previous)) return undefined;',
    replace: 'if (previous.index > this.lastIndex()) return undefined;',
  },
  {
    name: 'appends-of-older-terms-taken',
    file: 'raft.ts',
    find: 'message.term < core.term) {',
    replace: "message.term < core.term && message.type !== 'MsgApp') {",
  },
  {
    name: 'heartbeat-carries-too-high-a-commit',
    file: 'read-index.ts',
    find: 'const commit = Math.min(progress.match, core.log.committed);',
    replace: 'const commit = core.log.committed;',
  },
  {
    name: 'window-never-freed',
    file: 'leader.ts',
    find: 'progress.inflights.freeUpTo(index);',
    replace: '',
  },
  {
    name: 'paused-for-ever',
    file: 'leader.ts',
    find: '  progress.appendFlowPaused = false;\n',
    replace: '',
  },
  {
    name: 'snapshot-status-ignored',
    file: 'leader.ts',
    find: "if (progress.state !== 'StateSnapshot') return;",
    replace: 'if (progress.match >= 0) return;',
  },
  {
    name: 'match-from-a-rejection',
    file: 'leader.ts',
    find: 'if (message.reject) handleRejection(core, message, progress);',
    replace: 'if (message.reject && message.index < 0) handleRejection(core, message, progress);',
  },
];

const ELECTION: readonly Mutant[] = [
  {
    name: 'two-votes-in-a-term',
    file: 'election.ts',
    find: '(core.vote === NONE && core.lead === NONE) ||',
    replace: 'true ||',
  },
  {
    name: 'votes-for-shorter-logs',
    file: 'log.ts',
    find: 'candidate.term === last.term && candidate.index >= last.index',
    replace: 'candidate.term === last.term',
  },
  {
    name: 'votes-for-older-logs',
    file: 'log.ts',
    find: 'return candidate.term > last.term || (candidate.term === last.term && candidate.index >= last.index);',
    replace: 'return candidate.index >= last.index;',
  },
  {
    name: 'poll-counts-as-vote',
    file: 'candidate.ts',
    find: '  MsgVoteResp: handleVoteResponse,\n',
    replace: '  MsgVoteResp: handleVoteResponse,\n  MsgPreVoteResp: handleVoteResponse,\n',
  },
  {
    name: 'transfer-never-given-up',
    file: 'raft.ts',
    find: '    core.leadTransferee = NONE;\n',
    replace: '',
  },
];

const MEMBERSHIP: readonly Mutant[] = [
  {
    name: 'learners-counted-for-commits',
    file: 'tracker.ts',
    find: 'return jointCommittedIndex(this.configuration.voters, (id) => this.#progress.get(id)?.match);',
    replace:
      'return jointCommittedIndex({ incoming: this.#ids, outgoing: [] }, (id) => this.#progress.get(id)?.match);',
  },
  {
    name: 'old-majority-forgotten-while-joint',
    file: 'quorum.ts',
    find: 'return Math.min(committedIndex(quorum.incoming, acknowledged), committedIndex(quorum.outgoing, acknowledged));',
    replace: 'return committedIndex(quorum.incoming, acknowledged);',
  },
  {
    name: 'several-changes-pending',
    file: 'membership.ts',
    find: 'if (core.pendingConfIndex > core.log.applied)',
    replace: 'if (core.pendingConfIndex < 0)',
  },
  {
    name: 'new-leader-forgets-pending-changes',
    file: 'roles.ts',
    find: 'core.pendingConfIndex = core.log.lastIndex();',
    replace: '',
  },
  {
    name: 'joint-configuration-never-left',
    file: 'applied.ts',
    find: 'if (!leaving) return;',
    replace: 'if (index >= 0) return;',
  },
  {
    name: 'any-number-of-voters-changed-at-once',
    file: 'conf-change.ts',
    find: 'change.changes.length === 1) return',
    replace: 'change.changes.length <= 3) return',
  },
  {
    name: 'removed-leader-keeps-the-commit-to-itself',
    file: 'election.ts',
    find: 'const voter = isVoter(core.tracker.configuration.voters, core.id);',
    replace: 'const voter = isVoter(core.tracker.configuration.voters, core.id) || true;',
  },
];

const READS: readonly Mutant[] = [
  {
    name: 'reads-survive-a-change-of-term',
    file: 'core.ts',
    find: '    this.reads = new PendingReads();\n',
    replace: '',
  },
  {
    name: 'reads-confirmed-by-anybody',
    file: 'pending-reads.ts',
    find: 'jointCommittedIndex(voters, (id) => this.#acknowledged.get(id)),',
    replace: 'Math.max(0, ...voters.incoming.map((id) => this.#acknowledged.get(id) ?? 0)),',
  },
  {
    name: 'reads-before-the-first-commit-of-a-term',
    file: 'read-index.ts',
    find: 'if (!core.committedEntryInCurrentTerm()) {',
    replace: 'if (core.term < 0) {',
  },
  {
    name: 'lease-without-proof',
    file: 'read-index.ts',
    find: 'return heardAt > 0 && core.ticks - heardAt < core.config.electionTick - core.config.leaseMarginTicks;',
    replace: 'return true;',
  },
  {
    name: 'lease-held-during-a-transfer',
    file: 'read-index.ts',
    find: 'if (core.leaseSurrendered) return false;',
    replace: '',
  },
];

export const MUTANTS: readonly Mutant[] = [...STORAGE, ...REPLICATION, ...ELECTION, ...MEMBERSHIP, ...READS];
