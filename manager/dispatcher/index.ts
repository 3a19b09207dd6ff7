export { type DispatcherStore } from './change-writer.ts';
export { DISPATCHER_DEFAULTS, type DispatcherConfig } from './config.ts';
export { Dispatcher, type DispatcherOptions } from './dispatcher.ts';
export { DispatcherSession, type SessionOutput } from './dispatcher-session.ts';
export { redirectAgent } from './redirect-agent.ts';
