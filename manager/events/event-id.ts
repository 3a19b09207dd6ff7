/**
 * Ids of events sort in the order in which things happened, and each names the version before it that has any, so that
 * who knows one version can tell whether something is missing after it:
 *
 *   version (11 digits) | position within it (3) | the version before that has events (11)
 *
 * All in base 36: 11 digits hold every version, 2^53.
 */
import { assert } from '#common/errors.ts';
import { ID_LENGTH } from '#common/ids.ts';

const VERSION_DIGITS = 11;
const POSITION_DIGITS = 3;
const POSITIONS_MAX = 36 ** POSITION_DIGITS;

export interface EventPlace {
  readonly version: number;
  /** Among the events of that version, from 0. */
  readonly position: number;
  /** The version before that has events; 0: there is none. */
  readonly previousVersion: number;
}

export function eventId({ version, position, previousVersion }: EventPlace): string {
  assert(position < POSITIONS_MAX, 'the events of a transaction can be numbered');
  return `${digits(version, VERSION_DIGITS)}${digits(position, POSITION_DIGITS)}${digits(previousVersion, VERSION_DIGITS)}`;
}

export function eventPlace(id: string): EventPlace {
  assert(id.length === ID_LENGTH, 'an id of an event has its length');
  const positionAt = VERSION_DIGITS + POSITION_DIGITS;
  return {
    version: Number.parseInt(id.slice(0, VERSION_DIGITS), 36),
    position: Number.parseInt(id.slice(VERSION_DIGITS, positionAt), 36),
    previousVersion: Number.parseInt(id.slice(positionAt), 36),
  };
}

/** Whether events came after the version and before this one, which is the first that is known after it. */
export function isMissingBefore(first: EventPlace, afterVersion: number): boolean {
  if (first.position > 0) return true;
  return first.previousVersion > afterVersion;
}

function digits(number: number, width: number): string {
  return number.toString(36).padStart(width, '0');
}
