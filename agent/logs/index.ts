export { DEFAULT_LOG_CONFIG, type LogConfig } from './config.ts';
export type { LogLine, LogStreamName } from './log-line.ts';
export { type LogSettings, parseLogOptions } from './log-options.ts';
export { LogRotator, type RotatedLog } from './log-rotator.ts';
export { type LogQuery, type LogSource, readLog } from './read-log.ts';
