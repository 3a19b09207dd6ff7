import type { Logger as NodeLogger } from 'raft-ts';
import type { Logger } from '#common/log.ts';

/** What the node says, in the daemon's log: elections and members are rare, the rest is for looking closely. */
export function nodeLogger(logger: Logger): NodeLogger {
  return {
    debug: (text) => logger.debug(text),
    info: (text) => logger.debug(text),
    warning: (text) => logger.info(text),
    error: (text) => logger.warn(text),
  };
}
