/** What a task finds in its secrets and configs: the bytes as they are, or a template filled in for the task. Pure. */
import { invalidField, SwarmError } from '#common/errors.ts';
import { sameBytes } from '#common/same-bytes.ts';
import {
  fillPayload,
  type PayloadLookups,
  type PlaceholderValues,
  placeOfProblem,
} from '#common/template/placeholders.ts';
import { TemplateError } from '#common/template/template-error.ts';
import { nameOf, type Payload, type PayloadReference, type PayloadWord } from './payload-store.ts';

/** One reference of a task with what it holds. */
export interface Referred {
  readonly reference: PayloadReference;
  readonly payload: Payload;
}

/** What templates speak of. */
export interface FillContext {
  readonly values: PlaceholderValues;
  /** NAME=value of the container. */
  readonly env: readonly string[];
  /** Everything that the task refers to: a template gets at nothing else. */
  readonly all: readonly Referred[];
}

/** Throws `bad-field` when the template cannot be filled in; of a secret the error says where, and nothing of what. */
export function filledPayload({ reference, payload }: Referred, context: FillContext): Uint8Array {
  if (payload.templateDriver === '') return payload.data;
  try {
    return Buffer.from(fillPayload(textOf({ reference, payload }), context.values, lookupsIn(context)));
  } catch (error) {
    if (error instanceof SwarmError || !(error instanceof TemplateError)) throw error;
    const problem = reference.word === 'secret' ? placeOfProblem(error.message) : error.message;
    throw invalidField(
      reference.word,
      `${reference.word}: the template of ${nameOf(reference)} cannot be filled in: ${problem}`,
      'update it with what the task has: see docs/secrets.md',
    );
  }
}

function lookupsIn({ env, all }: FillContext): PayloadLookups {
  const find = (word: PayloadWord, target: string): string => {
    const ofKind = all.filter(({ reference }) => reference.word === word);
    const found =
      ofKind.find(({ reference }) => reference.file?.path === target) ??
      ofKind.find(({ reference }) => reference.name === target || (reference.env === target && target !== ''));
    if (found === undefined) throw new Error(`${word} target ${target} not found`);
    return textOf(found);
  };
  return {
    secret: (target) => find('secret', target),
    config: (target) => find('config', target),
    env: (name) => env.findLast((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1) ?? '',
  };
}

/** Throws `bad-field` for bytes that are no text. */
function textOf({ reference, payload }: Referred): string {
  const { data } = payload;
  const text = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('utf8');
  if (sameBytes(Buffer.from(text), data)) return text;
  throw invalidField(
    reference.word,
    `${reference.word}: ${nameOf(reference)} is no UTF-8 text and cannot be part of a template`,
    'give it as a file of its own',
  );
}
