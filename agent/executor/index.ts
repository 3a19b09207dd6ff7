export type { FoundTask, PreparedTask, TaskAssignment, TaskExit } from '#agent/tasks/index.ts';
export type { Executor, LogLine, LogQuery, TaskStatistics } from './executor.ts';
export { VOLUMES_LABEL } from './oci/container-view.ts';
export { OciExecutor, type OciExecutorOptions } from './oci/oci-executor.ts';
export type { HeldImage, TaskImages } from './oci/task-images.ts';
export {
  SIMULATED_DEFAULTS,
  type SimulatedBehaviour,
  SimulatedExecutor,
  SimulatedHost,
} from './simulated/simulated-executor.ts';
