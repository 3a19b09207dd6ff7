/** Pieces of what events say. Messages and attributes are bounded, so that events are. */
import { type FieldRules, fieldDifferences } from '#common/field-diff.ts';
import type { EventSubject } from './event-types.ts';

/** As many as are named one by one. */
const LISTED_MAX = 10;
const LIST_LENGTH_MAX = 160;
const NAME_LENGTH_MAX = 64;

const NO_CONTROL = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** At most `max` characters, none of them a control character. */
export function bounded(text: string, max: number): string {
  const readable = text.replace(NO_CONTROL, '');
  return readable.length <= max ? readable : `${readable.slice(0, max - 1)}…`;
}

/** `web-1`, or the id of what has no name. */
export function called({ id, name }: EventSubject): string {
  return bounded(name || id, NAME_LENGTH_MAX);
}

/** `a, b and 3 more`. */
export function listed(words: readonly string[]): string {
  const shown = words.slice(0, LISTED_MAX).map((word) => bounded(word, NAME_LENGTH_MAX));
  const rest = words.length - shown.length;
  return bounded(`${shown.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`, LIST_LENGTH_MAX);
}

const RULES: FieldRules = {
  // Keys of maps are the user's, names of fields ours.
  isMap: (path) => /(^|[._])(labels|options|driver_options)(\[\])?$/.test(path),
};

/** Paths of the fields that differ, none of their values: those may be secret. */
export function changedFields(before: unknown, after: unknown): readonly string[] {
  if (before === after) return [];
  return fieldDifferences(before, after, RULES).map(({ path }) => path);
}
