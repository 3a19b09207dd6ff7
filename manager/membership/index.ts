export { CLEANUP_CONFIG, type CleanupConfig } from './config.ts';
export { certificatesUntilMs, certificateTimes, orphanChanges, removalChanges } from './node-removal.ts';
