export { DEFAULT_HEALTH_CONFIG, type HealthConfig } from './config.ts';
export { type CheckedContainer, runCheck } from './run-check.ts';
export { TaskProber, type TaskProberOptions } from './task-prober.ts';
