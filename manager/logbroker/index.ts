export { LogBroker } from './log-broker.ts';
export { LogProgress } from './log-progress.ts';
