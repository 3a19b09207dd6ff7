/** Bugs that the simulation of services must find: each is a plausible slip in a line of how updates are made. */
import type { Mutant } from '#raft-ts/sim/mutate.ts';

const PLANNER = 'manager/orchestrator/update/update-planner.ts';
const JUDGE = 'manager/orchestrator/slot-judge.ts';
const CONTEXT = 'manager/orchestrator/update/update-context.ts';

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'parallelism-forgotten',
    file: PLANNER,
    find: 'counts.busy + begun < parallelism && ',
    replace: '',
  },
  {
    name: 'first-slots-prove-nothing',
    file: PLANNER,
    find: 'hasBegunWell(state, desk.book) ?',
    replace: 'desk.room > 0 ?',
  },
  {
    name: 'no-progress-deadline',
    file: PLANNER,
    find: 'const stallsAtMs = stallTime(state);',
    replace: 'const stallsAtMs = stallTime(state) === 1 ? 1 : undefined;',
  },
  {
    name: 'deadline-not-waited-for',
    file: 'manager/orchestrator/service-loop.ts',
    find: 'this.#setTimer(state, wakeAtMs);',
    replace: '',
  },
  {
    name: 'never-complete',
    file: PLANNER,
    find: 'else if (counts.watched === 0) complete(state, desk);',
    replace: 'else if (counts.watched === 0 && update.rollback) complete(state, desk);',
  },
  {
    name: 'old-task-retired-too-early',
    file: JUDGE,
    find: 'const keepsOthers = update.rules.startFirst && (isCanary',
    replace: 'const keepsOthers = update.rules.startFirst && facts.hasEnded(task) && (isCanary',
  },
  {
    name: 'old-task-kept-with-stop-first',
    file: JUDGE,
    find: 'const stays = (task: Task): boolean => update.rules.startFirst &&',
    replace: 'const stays = (task: Task): boolean => update.rules !== undefined &&',
  },
  {
    name: 'abandoned-task-taken-for-the-old-one',
    file: JUDGE,
    find: 'facts.isWanted(task) && !stays(task)',
    replace: 'facts.isWanted(task) && !(task === newestWanted(this.#tasks) && stays(task))',
  },
  {
    name: 'readiness-ignored',
    file: 'manager/orchestrator/task-facts.ts',
    find: 'return stateOf(task) === TaskState.RUNNING && isReady(task);',
    replace: 'return stateOf(task) === TaskState.RUNNING;',
  },
  {
    name: 'healthy-slots-moved-first',
    file: 'manager/orchestrator/service-state.ts',
    find: 'return a.summary.running ? 1 : -1;',
    replace: 'return a.summary.running ? -1 : 1;',
  },
  {
    name: 'canaries-not-held',
    file: CONTEXT,
    find: 'const tryingCanaries = begun && rules.canaries > 0',
    replace: 'const tryingCanaries = begun && rules.canaries > 8',
  },
  {
    name: 'new-slots-get-the-canary',
    file: CONTEXT,
    find: "fillsWithEarlier: !rollback && (phase === 'paused' || tryingCanaries),",
    replace: "fillsWithEarlier: !rollback && phase === 'paused' && !tryingCanaries,",
  },
  {
    name: 'pause-forgotten',
    file: CONTEXT,
    find: "return 'paused';",
    replace: "return 'active';",
  },
  {
    name: 'revision-half-written',
    file: 'manager/orchestrator/revise-service.ts',
    find: "{ kind: 'create', table: 'revision', object: revisionOf(service, next) },",
    replace: '',
  },
  {
    name: 'rollback-to-what-failed',
    file: 'manager/orchestrator/update/kept-revisions.ts',
    find: 'earlier.findLast(({ outcome }) => outcome === RevisionOutcome.HEALTHY) ??',
    replace: 'earlier.at(-1) ??',
  },
  {
    name: 'completed-slot-begins-again',
    file: 'manager/orchestrator/jobs/job-slot-judge.ts',
    find: 'facts.stateOf(task) === TaskState.COMPLETE',
    replace: 'facts.stateOf(task) === TaskState.REMOVE',
  },
  {
    name: 'exhausted-slot-is-made-anew',
    file: 'manager/orchestrator/jobs/job-slot-judge.ts',
    find: "if (newest.finalReason !== '') return still('failed');",
    replace: '',
  },
  {
    name: 'time-is-due-again',
    file: 'manager/orchestrator/jobs/follow-schedule.ts',
    find: 'let status: JobStatus = { ...before, scheduledUntilMs: latestMs };',
    replace: 'let status: JobStatus = { ...before, scheduledUntilMs: latestMs - 1000 };',
  },
  {
    name: 'left-out-and-not-counted',
    file: 'manager/orchestrator/jobs/job-runs.ts',
    find: 'skipped: status.skipped + count',
    replace: 'skipped: status.skipped',
  },
  {
    name: 'forgotten-runs-keep-tasks',
    file: 'manager/orchestrator/jobs/job-loop.ts',
    find: '!job.isKept(slot.iteration)',
    replace: 'job.service.pendingDelete',
  },
];
