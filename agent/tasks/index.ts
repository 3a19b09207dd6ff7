export {
  type Check,
  gatesStart,
  type HealthPlan,
  healthPlan,
  type ImageHealthcheck,
  type PlannedProbe,
  type ProbeRole,
} from './health-plan.ts';
export {
  activeProbes,
  type HealthReport,
  isNews,
  type ProbeStates,
  reportOf,
  resumedStates,
} from './health-report.ts';
export { absorbOutcome, type CheckOutcome, NEW_PROBE, nextCheckMs, type ProbeState } from './probe-state.ts';
export {
  createMachine,
  isChecked,
  isTerminal,
  needsExplanation,
  type Operation,
  type Step,
  step,
  type TaskEffect,
  type TaskInput,
  type TaskMachine,
  type TaskMachineConfig,
  toldToStop,
} from './task-machine.ts';
export type { FoundTask, PreparedTask, TaskAssignment, TaskExit } from './task-types.ts';
