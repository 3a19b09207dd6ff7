import { type Logger as Pino, pino } from 'pino';
import type { LogFields, Logger } from '../log.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

function wrap(inner: Pino): Logger {
  const line = (level: 'debug' | 'info' | 'warn' | 'error') => (message: string, fields?: LogFields) => {
    inner[level](fields ?? {}, message);
  };
  return {
    debug: line('debug'),
    info: line('info'),
    warn: line('warn'),
    error: line('error'),
    with: (fields) => wrap(inner.child({ ...fields })),
  };
}

/** A logger that writes JSON lines to the given file descriptor (2 is stderr, what the journal reads). */
export function jsonLogger(level: LogLevel, fd = 2): Logger {
  return wrap(
    pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ fd, sync: false })),
  );
}
