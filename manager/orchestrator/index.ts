export {
  DEFAULT_ORCHESTRATOR_CONFIG,
  type OrchestratorConfig,
  type ReaperConfig,
  type RestartConfig,
} from './config.ts';
export { ConstraintEnforcer } from './constraint-enforcer.ts';
export { createLoops, type LoopsOptions } from './create-loops.ts';
export { waitsFor } from './dependencies/dependency-gate.ts';
export { DependencyLoop } from './dependencies/dependency-loop.ts';
export { globalMode } from './global-mode.ts';
export { JobLoop } from './jobs/job-loop.ts';
export { activeRun, endedRun, lastRun, queuedRun, queueRun, withRun } from './jobs/job-runs.ts';
export { isJob, type JobRules, type JobShape, jobRules, jobShape } from './jobs/job-settings.ts';
export { fenceMs, mayStillRun, type Overhang, overhang, replacedAfterMs, ViewedLoss } from './node-loss.ts';
export { replicatedMode } from './replicated-mode.ts';
export { describeEnd, isCrashLooping } from './restart-policy.ts';
export { type NewRevision, reviseService, revisionOf } from './revise-service.ts';
export { replacesTasks } from './revision-book.ts';
export { ServiceLoop } from './service-loop.ts';
export type { ServiceMode } from './service-mode.ts';
export { type RestartRules, replicasOf, restartRules, type UpdateRules, updateRules } from './service-settings.ts';
export { StackLoop } from './stacks/stack-loop.ts';
export { isHealthy, isLost } from './task-facts.ts';
export { TaskReaper } from './task-reaper.ts';
export { returnPoint } from './update/kept-revisions.ts';
export { asReturn, type Return, specReturnedTo } from './update/return-service.ts';
export { type UpdateContext, updateContext } from './update/update-context.ts';
