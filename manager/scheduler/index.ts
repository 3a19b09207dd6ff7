export { type AgentNeed, needAbove, neededAgentLevel } from './agent-needs.ts';
export { DEFAULT_SCHEDULER_CONFIG, IDENTITY_LEVEL, type SchedulerConfig, SERVICES_LEVEL } from './config.ts';
export {
  type Constraint,
  compileConstraints,
  isPlainConstraint,
  meetsConstraints,
  parseConstraint,
  parseConstraints,
} from './constraint.ts';
export { groupKey } from './failure-index.ts';
export { GenericTable } from './generic-resources.ts';
export { hostModePorts } from './host-ports.ts';
export { labelOf } from './node-attributes.ts';
export { normalArchitecture, platformMatches } from './platform.ts';
export { type PlannedMove, RebalancePlan } from './rebalance-plan.ts';
export { Scheduler } from './scheduler.ts';
