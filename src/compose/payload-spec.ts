/** Secrets and configs: what they hold, and how services refer to them. */
import { ConfigSpec, SecretSpec } from '#gen/swarm/v1/objects.ts';
import { ConfigReference, FileTarget, SecretReference } from '#gen/swarm/v1/specs.ts';
import { StackConfig, StackSecret } from '#gen/swarm/v1/stacks.ts';
import type { Fields } from './fields.ts';
import type { Variables } from './interpolate.ts';
import { honoured } from './keys.ts';
import type { FileReader } from './load.ts';
import type { Member, Members } from './member-names.ts';
import type { StackNames } from './names.ts';

const REFERENCE_KEYS = honoured('source', 'target', 'uid', 'gid', 'mode', 'x-env');

interface Reference {
  readonly name: string;
  readonly follow: boolean;
  readonly file: FileTarget | undefined;
  readonly env: string;
  readonly member: Member;
}

export function secretReferences(service: Fields, secrets: Members): readonly SecretReference[] {
  return references(service, 'secrets', secrets).map(({ name, ...rest }) =>
    SecretReference.create({ secretId: name, secretName: name, follow: rest.follow, file: rest.file, env: rest.env }),
  );
}

export function configReferences(service: Fields, configs: Members): readonly ConfigReference[] {
  return references(service, 'configs', configs).map(({ name, ...rest }) =>
    ConfigReference.create({ configId: name, configName: name, follow: rest.follow, file: rest.file, env: rest.env }),
  );
}

function references(service: Fields, key: 'secrets' | 'configs', members: Members): readonly Reference[] {
  return service.maps(key, REFERENCE_KEYS).flatMap((fields) => {
    const source = fields.text('source');
    if (source === undefined) {
      fields.error('source', 'the reference names nothing', `write source: NAME`);
      return [];
    }
    const member = members.get(source);
    if (member === undefined) {
      const word = key === 'secrets' ? 'secret' : 'config';
      fields.error(
        'source',
        `there is no ${word} ${source} in the file`,
        `declare it: ${key}: {${source}: {file: ...}}`,
      );
      return [];
    }
    const env = fields.text('x-env') ?? '';
    const target = fields.text('target');
    // One that is wanted in the environment is a file besides only where the file says where.
    const file =
      env !== '' && target === undefined
        ? undefined
        : FileTarget.create({
            path: target ?? source,
            uid: fields.text('uid') ?? '',
            gid: fields.text('gid') ?? '',
            mode: fields.mode('mode'),
          });
    // The stack's own are its services' too: when the file changes them, their services roll.
    return [{ name: member.name, follow: !member.external, file, env, member }];
  });
}

export interface PayloadSources {
  readonly variables: Variables;
  readonly read: FileReader;
}

export async function stackSecret(member: Member, names: StackNames, sources: PayloadSources): Promise<StackSecret> {
  const { labels, templateDriver, data } = await payload(member, names, sources, 'secret');
  return StackSecret.create({ spec: SecretSpec.create({ name: member.name, labels, templateDriver }), data });
}

export async function stackConfig(member: Member, names: StackNames, sources: PayloadSources): Promise<StackConfig> {
  const { labels, templateDriver, data } = await payload(member, names, sources, 'config');
  return StackConfig.create({ spec: ConfigSpec.create({ name: member.name, labels, templateDriver }), data });
}

async function payload(
  { fields }: Member,
  names: StackNames,
  { variables, read }: PayloadSources,
  word: 'secret' | 'config',
): Promise<{
  readonly labels: Readonly<Record<string, string>>;
  readonly templateDriver: string;
  readonly data: Uint8Array;
}> {
  const given = ['file', 'environment', 'content'].filter((key) => fields.has(key));
  if (given.length !== 1)
    fields.problems.error(
      fields.map.at,
      fields.path,
      given.length === 0 ? `nothing says what the ${word} holds` : `${given.join(' and ')} are given together`,
      'give one of file, environment, content, or external: true',
    );
  return {
    labels: names.labels(fields.record('labels')),
    templateDriver: fields.text('template_driver') ?? '',
    data: (await dataOf(fields, given[0], variables, read)) ?? new Uint8Array(),
  };
}

async function dataOf(
  fields: Fields,
  key: string | undefined,
  variables: Variables,
  read: FileReader,
): Promise<Uint8Array | undefined> {
  if (key === undefined) return undefined;
  const text = fields.text(key);
  if (text === undefined) return undefined;
  if (key === 'content') return Buffer.from(text);
  if (key === 'environment') {
    const value = variables[text];
    return value === undefined
      ? fields.error('environment', `the variable ${text} is not set`, 'set it, or use file')
      : Buffer.from(value);
  }
  return (await read(text)) ?? fields.error('file', `the file ${text} cannot be read`);
}
