/** The secrets and configs that a service refers to: looked up, checked, and told apart by where they appear. */
import { invalidField, SwarmError } from '#common/errors.ts';
import { LIMITS, type LimitName } from '#common/limits.ts';
import { type ContainerSpec, FileTarget, type ServiceSpec } from '#gen/swarm/v1/specs.ts';
import {
  mapPayloadReferences,
  newestNumber,
  PAYLOAD_KINDS,
  type PayloadKind,
  type PayloadReference,
  payloadReferences,
} from '#manager/payloads/index.ts';
import type { StoreView } from '#manager/store/index.ts';
import { findPayload } from './references.ts';
import { checkFileTarget, targetPath } from './validate-payload-target.ts';

const PER_SERVICE: Readonly<Record<PayloadKind['word'], LimitName>> = {
  secret: 'SECRETS_PER_SERVICE',
  config: 'CONFIGS_PER_SERVICE',
};

/**
 * The spec with id, name and version of all that it refers to, which may be given by name.
 * @throws SwarmError for the first rule that is broken
 */
export function resolvedPayloads(view: StoreView, spec: ServiceSpec): ServiceSpec {
  const container = spec.task?.container;
  if (container === undefined || payloadReferences(spec).length === 0) return spec;
  for (const kind of PAYLOAD_KINDS) {
    const limit = PER_SERVICE[kind.word];
    const count = kind.referencesIn(container).length;
    if (count > LIMITS[limit])
      throw new SwarmError({
        code: 'invalid',
        reason: 'too-many',
        field: kind.word,
        limit,
        message: `${kind.word}: ${count} ${kind.word}s, the limit is ${LIMITS[limit]} (${limit})`,
        hint: 'put several values into one',
      });
  }
  const resolved = mapPayloadReferences(spec, (kind, reference) => withIdentity(view, kind, reference));
  if (resolved.task?.container !== undefined) refuseSamePlaces(resolved.task.container);
  return resolved;
}

/** What the user should hear though it is allowed. */
export function payloadWarnings(spec: ServiceSpec | undefined): readonly string[] {
  return payloadReferences(spec)
    .filter(({ kind, reference }) => kind.word === 'secret' && reference.env !== '')
    .map(
      ({ reference }) =>
        `secret ${reference.name || reference.id} is put into the environment variable ${reference.env}: programs hand their environment on to those they start and write it into crash reports; a file below /run/secrets is safer`,
    );
}

function withIdentity(view: StoreView, kind: PayloadKind, reference: PayloadReference): PayloadReference {
  const given = reference.id === '' ? reference.name : reference.id;
  if (given === '')
    throw invalidField(
      kind.word,
      `${kind.word}: a reference names no ${kind.word}`,
      `give a name: --${kind.word} NAME`,
    );
  const payload = findPayload(view, kind, given);
  const name = payload.spec?.name ?? payload.id;
  const number = reference.number === 0 ? newestNumber(payload) : reference.number;
  const held = kind.version(view, payload.id, number);
  if (held === undefined)
    throw new SwarmError({
      code: 'not-found',
      reason: 'unknown-object',
      field: `${kind.word}.version`,
      message: `${kind.word} ${name} has no version ${number}; it has ${payload.versions.map((one) => one.number).join(', ')}`,
      hint: 'name one of these, or none for the newest',
    });
  if (reference.env !== '') checkEnvironment(kind, name, reference.env, held);
  const file =
    reference.file === undefined && reference.env !== ''
      ? undefined
      : FileTarget.create({ ...reference.file, path: reference.file?.path || name });
  if (file !== undefined) checkFileTarget(kind, name, file);
  return { ...reference, id: payload.id, name, number, file };
}

function checkEnvironment(
  kind: PayloadKind,
  name: string,
  variable: string,
  held: { readonly data: Uint8Array; readonly templateDriver: string },
): void {
  const field = `${kind.word}.env`;
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(variable))
    throw invalidField(
      field,
      `${field}: ${JSON.stringify(variable)} cannot be the name of an environment variable`,
      'use letters, digits and _, not beginning with a digit',
    );
  if (held.data.includes(0))
    throw invalidField(
      field,
      `${field}: ${kind.word} ${name} contains a NUL byte, which no environment can hold`,
      'give it as a file: target=PATH',
    );
  if (variable.length + 1 + held.data.length > LIMITS.ENV_ENTRY_BYTES)
    throw new SwarmError({
      code: 'invalid',
      reason: 'too-large',
      field,
      limit: 'ENV_ENTRY_BYTES',
      message: `${field}: ${kind.word} ${name} is ${held.data.length} bytes, the limit for ${variable} is ${LIMITS.ENV_ENTRY_BYTES} (ENV_ENTRY_BYTES)`,
      hint: 'give it as a file: target=PATH',
    });
}

/** No two at one path or in one variable, and none where the user mounts or sets something else. */
function refuseSamePlaces(container: ContainerSpec): void {
  const places = new Map<string, string>();
  for (const { target } of container.mounts) places.set(clean(target), 'a mount');
  for (const entry of container.env) places.set(`env:${entry.split('=', 1)[0]}`, '--env');
  for (const kind of PAYLOAD_KINDS)
    for (const { name, file, env } of kind.referencesIn(container)) {
      const what = `${kind.word} ${name}`;
      const wanted = [
        ...(file === undefined ? [] : [{ place: clean(targetPath(kind, file)), field: `${kind.word}.target` }]),
        ...(env === '' ? [] : [{ place: `env:${env}`, field: `${kind.word}.env` }]),
      ];
      for (const { place, field } of wanted) {
        const other = places.get(place);
        if (other !== undefined)
          throw invalidField(
            field,
            `${field}: ${what} and ${other} have the same target ${place.replace(/^env:/, '')}`,
            'give one of them another target',
          );
        places.set(place, what);
      }
    }
}

function clean(path: string): string {
  return path.replace(/\/+/g, '/').replace(/(.)\/$/, '$1');
}
