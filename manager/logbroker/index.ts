export { LogBroker } from './log-broker.ts';
