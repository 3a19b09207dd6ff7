export type {
  Executor,
  FoundTask,
  LogLine,
  LogQuery,
  PreparedTask,
  TaskAssignment,
  TaskExit,
  TaskStatistics,
} from './executor.ts';
