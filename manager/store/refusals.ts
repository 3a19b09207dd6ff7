/** Why the store refuses a change: the errors, in one place and one voice. */
import { SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import type { StoredObject, TableName } from './stored-objects.ts';
import { TABLES } from './tables.ts';

export function outOfSequence(table: TableName, id: string, read: number, current: number): SwarmError {
  return new SwarmError({
    code: 'conflict',
    reason: 'out-of-sequence',
    message: `update out of sequence: ${TABLES[table].label} ${id} is at version ${current}, the change was made for version ${read}`,
    hint: 'read it again and repeat the change',
  });
}

/** The change was built upon another one that did not come into effect. */
export function baseLost(): SwarmError {
  return new SwarmError({
    code: 'conflict',
    reason: 'out-of-sequence',
    message: 'a change that came before this one was lost, so this one was not made either',
    hint: 'read again and repeat the change',
  });
}

export function unknownObject(table: TableName, id: string): SwarmError {
  return new SwarmError({
    code: 'not-found',
    reason: 'unknown-object',
    message: `${TABLES[table].label} ${id} not found`,
    hint: 'it may have been removed meanwhile',
  });
}

export function duplicateId(table: TableName, id: string): SwarmError {
  return new SwarmError({
    code: 'exists',
    reason: 'duplicate-name',
    field: 'id',
    message: `a ${TABLES[table].label} with id ${id} already exists`,
    hint: 'create it with a new id',
  });
}

export function duplicateKey(table: TableName, index: string, key: string, holder: string): SwarmError {
  const { label } = TABLES[table];
  return new SwarmError({
    code: 'exists',
    reason: 'duplicate-name',
    field: index,
    message: `a ${label} with ${index} ${key} already exists (${holder})`,
    hint: `choose another ${index}, or update or remove that ${label}`,
  });
}

export function badId(table: TableName, id: string): SwarmError {
  return new SwarmError({
    code: 'invalid',
    reason: 'bad-field',
    field: 'id',
    message: `${TABLES[table].label} id ${JSON.stringify(id)} is not a word of letters, digits and dashes`,
    hint: 'let the manager choose the id',
  });
}

export function createdWithVersion(table: TableName, object: StoredObject): SwarmError {
  return new SwarmError({
    code: 'invalid',
    reason: 'bad-field',
    field: 'version',
    message: `a new ${TABLES[table].label} has version 0, not ${object.version}`,
    hint: 'create it without a version',
  });
}

export function tooManyChanges(count: number): SwarmError {
  return new SwarmError({
    code: 'invalid',
    reason: 'too-many',
    limit: 'CHANGES_PER_TRANSACTION',
    message: `${count} changes in one transaction, at most ${LIMITS.CHANGES_PER_TRANSACTION} are allowed`,
    hint: 'make the change in several steps',
  });
}

export function transactionTooLarge(bytes: number): SwarmError {
  return new SwarmError({
    code: 'invalid',
    reason: 'too-large',
    limit: 'TRANSACTION_BYTES',
    message: `the change takes ${bytes} bytes, at most ${LIMITS.TRANSACTION_BYTES} are allowed in one transaction`,
    hint: 'make the objects smaller or the change in several steps',
  });
}

/** Written by a release that knows more; to go on would make this member differ from the others. */
export function newerContent(what: string): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'feature-level',
    message: `the cluster's state holds ${what} that this release does not know`,
    hint: 'run the release that the other managers run, or a newer one',
  });
}

export function damagedSnapshot(what: string): SwarmError {
  return new SwarmError({
    code: 'data-loss',
    reason: 'corrupt-state',
    message: `the snapshot of the cluster's state cannot be read: ${what}`,
    hint: 'restore it from another manager or from a backup',
  });
}
