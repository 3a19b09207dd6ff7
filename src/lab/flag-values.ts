/** Checks of what the lab is told on its command line. */
import { SwarmError } from '#common/errors.ts';

export function bad(message: string): SwarmError {
  return new SwarmError({ code: 'invalid', reason: 'bad-flag', message, hint: 'see lab --help' });
}

/** A number that is not below `least`. Throws `bad-flag`. */
export function numberOf(flag: string, text: unknown, least: number): number {
  const value = Number(text);
  if (typeof text !== 'string' || text === '' || !Number.isFinite(value) || value < least)
    throw bad(`${flag}: ${JSON.stringify(text)} is not a number of at least ${least}`);
  return value;
}
