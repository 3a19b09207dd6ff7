export { AssignmentCollector, type AssignmentStep } from './assignment-set.ts';
export { WORKER_DEFAULTS, type WorkerConfig } from './config.ts';
export { Worker, type WorkerOptions } from './worker.ts';
