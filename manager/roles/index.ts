export { ROLES_CONFIG, type RolesConfig } from './config.ts';
export { decideRoles, type RoleDecision, type RoleStep, removalProblem } from './decide-roles.ts';
export {
  FeatureLevelRaiser,
  type FeatureLevelRaiserOptions,
  featureLevelOf,
  type LeveledNode,
} from './feature-level.ts';
export type { RoleFacts, RoleMember } from './role-facts.ts';
export { type RoleLog, RoleReconciler, type RoleReconcilerOptions, type RoleStore } from './role-reconciler.ts';
