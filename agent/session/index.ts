export { SESSION_DEFAULTS, type SessionConfig } from './config.ts';
export { type DispatcherStream, Session, type SessionLink, type SessionOptions } from './session.ts';
