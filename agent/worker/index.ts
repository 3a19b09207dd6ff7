export { AssignmentCollector, type AssignmentStep } from './assignment-set.ts';
export { type BootClock, bootTimeMs, readBootClock } from './boot-clock.ts';
export { WORKER_DEFAULTS, type WorkerConfig } from './config.ts';
export { DisconnectGuard, type DisconnectGuardOptions } from './disconnect-guard.ts';
export { Worker, type WorkerOptions } from './worker.ts';
