/** Values of flags about devices, profiles, namespaces and shares, in Docker's notation. */
import { readFileSync } from 'node:fs';
import { deviceAccess, parseDeviceRule } from '#common/device-rule.ts';
import { parseSize } from '#common/size.ts';
import { BlockIoRate, BlockIoWeight, DeviceMapping, SeccompMode } from '#gen/swarm/v1/specs.ts';
import { FlagValueError } from '../cli-errors.ts';
import { unsigned } from './scalars.ts';

/** `/dev/sda`, `/dev/sda:/dev/xvda`, `/dev/sda:/dev/xvda:rw`, `/dev/sda:rw`. */
export function device(text: string): DeviceMapping {
  const [pathOnHost = '', second = '', third, ...more] = text.split(':');
  const isShort = third === undefined && deviceAccess(second) !== undefined;
  const pathInContainer = isShort ? '' : second;
  const permissions = isShort ? second : (third ?? '');
  if (more.length > 0)
    throw new FlagValueError(`invalid device specification: ${text}`, 'write PATH[:PATH-IN-CONTAINER][:rwm]');
  if (permissions !== '' && deviceAccess(permissions) === undefined)
    throw new FlagValueError(`invalid device mode: ${permissions}`, 'use letters of rwm, each once');
  for (const path of [pathOnHost, pathInContainer])
    if (path !== '' && !path.startsWith('/'))
      throw new FlagValueError(`${path} is not an absolute path`, 'name a device of the node, such as /dev/fuse');
  if (pathOnHost === '') throw new FlagValueError(`invalid device specification: ${text}`, 'name a device of the node');
  return DeviceMapping.create({ pathOnHost, pathInContainer, permissions });
}

/** `c 189:* rmw`. */
export function deviceRule(text: string): string {
  if (parseDeviceRule(text) !== undefined) return text;
  throw new FlagValueError(`invalid device cgroup format '${text}'`, 'write "TYPE MAJOR:MINOR ACCESS": "c 189:* rmw"');
}

/** What one `--security-opt` says. */
export type SecurityOption =
  | { readonly kind: 'no-new-privileges'; readonly value: boolean }
  | { readonly kind: 'seccomp'; readonly mode: SeccompMode; readonly profile: string }
  | { readonly kind: 'apparmor'; readonly name: string }
  | { readonly kind: 'label'; readonly key: string; readonly value: string }
  | { readonly kind: 'systempaths' };

export const SECURITY_WORDS = ['apparmor=', 'label=', 'no-new-privileges', 'seccomp=', 'systempaths=unconfined'];

function unknownOption(text: string): FlagValueError {
  return new FlagValueError(`invalid --security-opt: ${JSON.stringify(text)}`, `use ${SECURITY_WORDS.join(', ')}`);
}

/** The old notation with a colon is taken too. */
export function securityOption(text: string): SecurityOption {
  const [, key = '', value] = /^([a-z-]+)(?:[=:](.*))?$/s.exec(text) ?? [];
  switch (key) {
    case 'no-new-privileges':
      if (value === undefined || value === 'true') return { kind: key, value: true };
      if (value === 'false') return { kind: key, value: false };
      throw unknownOption(text);
    case 'seccomp':
      return seccomp(value ?? '');
    case 'apparmor':
      if (value === undefined || value === '') throw unknownOption(text);
      return { kind: key, name: value };
    case 'label':
      return label(text, value ?? '');
    case 'systempaths':
      if (value !== 'unconfined') throw unknownOption(text);
      return { kind: key };
    default:
      throw unknownOption(text);
  }
}

function label(text: string, value: string): SecurityOption {
  if (value === 'disable') return { kind: 'label', key: 'disable', value: '' };
  const [, key, rest] = /^(user|role|type|level):(.+)$/.exec(value) ?? [];
  if (key === undefined || rest === undefined)
    throw new FlagValueError(`invalid --security-opt: ${JSON.stringify(text)}`, 'use label=disable or label=type:NAME');
  return { kind: 'label', key, value: rest };
}

/** A profile is a file of the caller's machine, which travels with the spec. */
function seccomp(value: string): SecurityOption {
  if (value === 'unconfined') return { kind: 'seccomp', mode: SeccompMode.UNCONFINED, profile: '' };
  if (value === 'builtin') return { kind: 'seccomp', mode: SeccompMode.DEFAULT, profile: '' };
  try {
    const profile = JSON.stringify(JSON.parse(readFileSync(value, 'utf8')));
    return { kind: 'seccomp', mode: SeccompMode.CUSTOM, profile };
  } catch (error) {
    const why = error instanceof SyntaxError ? 'decoding' : 'opening';
    throw new FlagValueError(
      `${why} seccomp profile (${value}) failed: ${(error as Error).message}`,
      'use unconfined, builtin, or the path of a profile in JSON',
    );
  }
}

/** What `--security-opt-rm` names: an option, or one of the labels. */
export function securityOptionName(text: string): string {
  if (/^(?:no-new-privileges|seccomp|apparmor|systempaths|label(?:=(?:user|role|type|level|disable))?)$/.test(text))
    return text;
  throw new FlagValueError(
    `${JSON.stringify(text)} is no security option`,
    'use seccomp, apparmor, label, label=type, systempaths or no-new-privileges',
  );
}

/** A namespace: one of a few words, or nothing for the default. */
export function namespaceMode(field: string, words: readonly string[]): (text: string) => string {
  return (text) => {
    if (text === '' || words.includes(text)) return text;
    throw new FlagValueError(
      `invalid ${field} mode: ${JSON.stringify(text)}`,
      `use ${words.map((word) => JSON.stringify(word)).join(', ')} or ""; tasks of a swarm join no other container's`,
    );
  };
}

function pathAndValue(text: string): readonly [path: string, value: string] {
  const at = text.lastIndexOf(':');
  const path = text.slice(0, Math.max(0, at));
  if (!path.startsWith('/dev/')) throw new FlagValueError(`bad format: ${text}`, 'write /dev/DISK:VALUE');
  return [path, text.slice(at + 1)];
}

/** `/dev/sda:1mb`, a second. */
export function byteRate(text: string): BlockIoRate {
  const [path, value] = pathAndValue(text);
  const size = parseSize(value);
  if (!size.ok || size.bytes <= 0) throw new FlagValueError(`invalid rate for device: ${text}`, 'write /dev/sda:1mb');
  return BlockIoRate.create({ path, rate: size.bytes });
}

/** `/dev/sda:1000`, a second. */
export function operationRate(text: string): BlockIoRate {
  const [path, value] = pathAndValue(text);
  const rate = unsigned(value);
  if (rate === 0) throw new FlagValueError(`invalid rate for device: ${text}`, 'write /dev/sda:1000');
  return BlockIoRate.create({ path, rate });
}

/** `/dev/sda:200`. */
export function diskWeight(text: string): BlockIoWeight {
  const [path, value] = pathAndValue(text);
  const weight = unsigned(value);
  if (weight < 10 || weight > 1000) throw new FlagValueError(`invalid weight for device: ${text}`, 'use 10 to 1000');
  return BlockIoWeight.create({ path, weight });
}
