export type { FoundTask, PreparedTask, TaskAssignment, TaskExit } from '#agent/tasks/index.ts';
export type { Executor, LogLine, LogQuery, TaskStatistics } from './executor.ts';
export {
  SIMULATED_DEFAULTS,
  type SimulatedBehaviour,
  SimulatedExecutor,
  SimulatedHost,
} from './simulated/simulated-executor.ts';
