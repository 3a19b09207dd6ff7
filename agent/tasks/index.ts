export {
  createMachine,
  isTerminal,
  type Operation,
  type Step,
  step,
  type TaskEffect,
  type TaskInput,
  type TaskMachine,
  type TaskMachineConfig,
} from './task-machine.ts';
export type { FoundTask, PreparedTask, TaskAssignment, TaskExit } from './task-types.ts';
