export { type JoinTokenMaker, validateClusterSpec } from './clusters.ts';
export { ControlApi, type ControlCaller, type ControlOptions, type ControlStore } from './control-api.ts';
export type { ImagePinner } from './image-pins.ts';
export type { ManagerMember } from './node-roles.ts';
export type { RunCaller } from './one-offs.ts';
export { redactCluster, redactNode, redactRevision, redactService } from './redact.ts';
export { taskName } from './tasks.ts';
export { type NetworkDefaults, validateNetworkDefaults } from './validate-network-defaults.ts';
export { validateService } from './validate-service.ts';
