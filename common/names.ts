import { invalidField, type SwarmError } from './errors.ts';
import { LIMITS } from './limits.ts';

const NAME = /^[a-zA-Z0-9](?:[-_]*[A-Za-z0-9]+)*$/;

/** Checks a service, network or similar name against Swarm's rule; the error to answer with, or undefined. */
export function checkName(field: string, name: string): SwarmError | undefined {
  if (name === '') return invalidField(field, `${field}: name must be provided`, 'give a name');
  if (name.length > LIMITS.NAME_LENGTH)
    return invalidField(
      field,
      `${field}: name must be ${LIMITS.NAME_LENGTH} characters or fewer (got ${name.length})`,
      'choose a shorter name',
    );
  if (!NAME.test(name))
    return invalidField(
      field,
      `${field}: name ${JSON.stringify(name)} must be valid as a DNS name component`,
      'use letters, digits, - and _, beginning and ending with a letter or digit',
    );
  return undefined;
}
