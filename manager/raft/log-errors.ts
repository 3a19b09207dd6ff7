import { SwarmError } from '#common/errors.ts';

export function recovering(): SwarmError {
  return new SwarmError({
    code: 'unavailable',
    reason: 'not-leader',
    message: 'the log is still being recovered',
    hint: 'try again in a moment',
  });
}

export function closedTooSoon(): SwarmError {
  return new SwarmError({
    code: 'deadline',
    reason: 'timeout',
    message: 'the log was closed before the change was durable; it may still come into effect',
    hint: 'look whether it did when the manager is back',
  });
}

export function stopped(when: string): SwarmError {
  return new SwarmError({
    code: 'unavailable',
    reason: 'shutting-down',
    message: `the log was closed ${when}`,
    hint: 'try again when the manager is back, or ask another manager',
  });
}
