export { DEFAULT_RUNNER_CONFIG, type RunnerConfig } from './config.ts';
export type { LoopStore } from './loop-store.ts';
export { Runner, type RunnerOptions } from './runner.ts';
export type { RunnerObserver } from './runner-observer.ts';
