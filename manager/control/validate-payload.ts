/** The rules for a secret or config: its name, its labels, what it holds. */
import { invalidField, SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import { sameBytes } from '#common/same-bytes.ts';
import { payloadProblem, placeOfProblem } from '#common/template/placeholders.ts';
import type { SecretSpec } from '#gen/swarm/v1/objects.ts';
import type { PayloadKind } from '#manager/payloads/index.ts';
import { validateLabels } from './validate-labels.ts';

/** Of both kinds: the contract gives them the same fields. */
export type PayloadSpec = SecretSpec;

/** Swarm's. */
const NAME = /^[a-zA-Z0-9](?:[a-zA-Z0-9._-]*[a-zA-Z0-9])?$/;

const SIZE_LIMITS = { secret: 'SECRET_BYTES', config: 'CONFIG_BYTES' } as const;

/** @throws SwarmError for the first rule that the spec breaks */
export function validatePayloadSpec(kind: PayloadKind, spec: PayloadSpec): void {
  const { name, labels, templateDriver } = spec;
  if (name === '') throw invalidField('name', `name: a ${kind.word} needs a name`, 'give a name');
  if (name.length > LIMITS.PAYLOAD_NAME_LENGTH || !NAME.test(name))
    throw invalidField(
      'name',
      `name: invalid name ${JSON.stringify(name.slice(0, 80))}: only ${LIMITS.PAYLOAD_NAME_LENGTH} [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]`,
      'choose another name',
    );
  validateLabels('labels', labels);
  if (templateDriver !== '' && templateDriver !== 'golang')
    throw invalidField(
      'template-driver',
      `template-driver: ${JSON.stringify(templateDriver)} is not known`,
      'use golang, or leave it out',
    );
}

/** @throws SwarmError when nobody could have it, or it is no template though it should be one; never says what it holds */
export function validatePayloadData(kind: PayloadKind, data: Uint8Array, templateDriver: string): void {
  const limit = SIZE_LIMITS[kind.word];
  if (data.length === 0 || data.length > LIMITS[limit])
    throw new SwarmError({
      code: 'invalid',
      reason: data.length === 0 ? 'bad-field' : 'too-large',
      field: 'data',
      ...(data.length === 0 ? {} : { limit }),
      message: `data: ${kind.word} data must be larger than 0 and at most ${LIMITS[limit]} bytes (${limit}), and is ${data.length}`,
      hint: data.length === 0 ? 'give the file that holds it' : 'keep it in a volume or in an image',
    });
  if (templateDriver === '') return;
  const text = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('utf8');
  if (!sameBytes(Buffer.from(text), data))
    throw invalidField('data', 'data: a template has to be UTF-8 text', 'leave --template-driver out for other bytes');
  const found = payloadProblem(text);
  if (found === undefined) return;
  const problem = kind.word === 'secret' ? placeOfProblem(found) : found;
  throw invalidField(
    'data',
    `data: the template cannot be used: ${problem}`,
    'see the placeholders in docs/secrets.md; leave --template-driver out for plain text',
  );
}
