/** `--secret` and `--config`: a name, or `source=db,target=/etc/db,uid=0,gid=0,mode=0440,version=3,env=DB`. */
import { ConfigReference, FileTarget, SecretReference } from '#gen/swarm/v1/specs.ts';
import { FlagValueError } from '../cli-errors.ts';
import { csvFields } from './csv.ts';
import { keyValue } from './key-values.ts';

interface Parsed {
  readonly name: string;
  readonly number: number;
  readonly follow: boolean;
  readonly file: FileTarget | undefined;
  readonly env: string;
}

/** The name is as the user gave it, which may be an id. */
export function secretReference(text: string): SecretReference {
  const { name, ...rest } = parsed('secret', text);
  return SecretReference.create({ ...rest, secretName: name });
}

export function configReference(text: string): ConfigReference {
  const { name, ...rest } = parsed('config', text);
  return ConfigReference.create({ ...rest, configName: name });
}

function parsed(word: 'secret' | 'config', text: string): Parsed {
  const fields = csvFields(text);
  const [only = ''] = fields;
  if (fields.length === 1 && !only.includes('=')) return reference(word, { source: only });
  const values: Record<string, string> = {};
  for (const field of fields) {
    const { key: rawKey, value } = keyValue(field);
    const key = rawKey.toLowerCase();
    if (value === undefined) throw new FlagValueError(`invalid field '${field}' must be a key=value pair`);
    const known = KEYS[key];
    if (known === undefined)
      throw new FlagValueError(
        `invalid field in ${word} request: ${key}`,
        'use source, target, uid, gid, mode, version and env',
      );
    values[known] = value;
  }
  return reference(word, values);
}

/** Docker's, and `version` and `env`, which it has not. */
const KEYS: Readonly<Record<string, string>> = {
  source: 'source',
  src: 'source',
  target: 'target',
  uid: 'uid',
  gid: 'gid',
  mode: 'mode',
  version: 'version',
  env: 'env',
};

function reference(word: string, values: Readonly<Record<string, string>>): Parsed {
  const { source = '', target, uid, gid, mode, version, env = '' } = values;
  if (source === '') throw new FlagValueError('source is required', `name the ${word}: source=NAME`);
  const wantsFile = env === '' || [target, uid, gid, mode].some((value) => value !== undefined);
  const number = version === undefined ? 0 : versionOf(version);
  return {
    name: source,
    number,
    // Who names a version means that one.
    follow: number === 0,
    file: wantsFile
      ? FileTarget.create({
          path: target || source,
          uid: uid ?? '',
          gid: gid ?? '',
          mode: mode === undefined ? undefined : modeOf(mode),
        })
      : undefined,
    env,
  };
}

/** As Go reads numbers: octal with a leading 0. */
function modeOf(text: string): number {
  const isOctal = /^0o?[0-7]+$/i.test(text);
  const value = isOctal ? Number.parseInt(text.replace(/^0o?/i, ''), 8) : Number(text);
  const isNumber = isOctal || /^(?:[1-9]\d*|0x[0-9a-f]+|0b[01]+)$/i.test(text);
  if (!isNumber || !Number.isInteger(value) || value < 0 || value > 0xffffffff)
    throw new FlagValueError(
      `invalid mode specified: strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`,
      'write an octal number such as mode=0440',
    );
  return value;
}

function versionOf(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value === 0 || !Number.isSafeInteger(value))
    throw new FlagValueError(
      `invalid version ${JSON.stringify(text)}`,
      'use a number from 1 on, or leave it out to follow the newest',
    );
  return value;
}
