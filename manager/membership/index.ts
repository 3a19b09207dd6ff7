export { cleanupSettings, voterStableMs } from './cleanup-settings.ts';
export { CLEANUP_CONFIG, type CleanupConfig } from './config.ts';
export {
  type CleanupFacts,
  type CleanupSettings,
  type CleanupStep,
  decideCleanup,
  type Seen,
} from './decide-cleanup.ts';
export { cleanupChanges, NodeJanitor } from './node-janitor.ts';
export { certificatesUntilMs, certificateTimes, orphanChanges, removalChanges } from './node-removal.ts';
export { Presence } from './presence.ts';
export { removedNodeIds } from './removed-nodes.ts';
