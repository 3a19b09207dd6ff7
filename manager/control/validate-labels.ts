/** The rules for labels, and how a size is refused. */
import { invalidField, SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';

export const bytes = (text: string): number => Buffer.byteLength(text);

export function tooLarge(
  field: string,
  what: string,
  size: number,
  limit: keyof typeof LIMITS,
  hint: string,
): SwarmError {
  return new SwarmError({
    code: 'invalid',
    reason: 'too-large',
    field,
    limit,
    message: `${field}: ${what} is ${size} bytes, the limit is ${LIMITS[limit]} (${limit})`,
    hint,
  });
}

/** Labels of any object. @throws SwarmError */
export function validateLabels(field: string, labels: Readonly<Record<string, string>>): void {
  const keys = Object.keys(labels);
  if (keys.length > LIMITS.LABELS_PER_OBJECT)
    throw new SwarmError({
      code: 'invalid',
      reason: 'too-many',
      field,
      limit: 'LABELS_PER_OBJECT',
      message: `${field}: ${keys.length} labels, the limit is ${LIMITS.LABELS_PER_OBJECT}`,
      hint: 'use fewer labels',
    });
  for (const [key, value] of Object.entries(labels)) {
    if (key === '') throw invalidField(field, `${field}: a label has an empty key`, 'write labels as key=value');
    if (key.length > LIMITS.LABEL_KEY_LENGTH)
      throw tooLarge(field, `the key ${key.slice(0, 32)}...`, bytes(key), 'LABEL_KEY_LENGTH', 'choose a shorter key');
    if (bytes(value) > LIMITS.LABEL_VALUE_BYTES)
      throw tooLarge(
        field,
        `the value of ${key}`,
        bytes(value),
        'LABEL_VALUE_BYTES',
        'keep the data in a file or volume',
      );
  }
}
