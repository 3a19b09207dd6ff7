/** `--mount type=bind,source=/srv,target=/data,readonly`. */
import { resolve } from 'node:path';
import {
  BindOptions,
  Mount,
  MountPropagation,
  MountType,
  TmpfsOptions,
  VolumeOptions,
  VolumeSticky,
} from '#gen/swarm/v1/specs.ts';
import { FlagValueError } from '../cli-errors.ts';
import { csvFields } from './csv.ts';
import { keyValue } from './key-values.ts';
import { sizeBytes } from './scalars.ts';

const TYPES: Readonly<Record<string, MountType>> = {
  bind: MountType.BIND,
  volume: MountType.VOLUME,
  tmpfs: MountType.TMPFS,
};

const PROPAGATIONS: Readonly<Record<string, MountPropagation>> = {
  rprivate: MountPropagation.RPRIVATE,
  private: MountPropagation.PRIVATE,
  rshared: MountPropagation.RSHARED,
  shared: MountPropagation.SHARED,
  rslave: MountPropagation.RSLAVE,
  slave: MountPropagation.SLAVE,
};

/** Types that Docker knows and this release does not, with what to do instead. */
const ABSENT_TYPES: Readonly<Record<string, string>> = {
  npipe: 'named pipes exist on Windows only',
  cluster: 'cluster volumes (CSI) are not part of this release: use a bind or volume mount',
  image: 'image mounts are not part of this release: use a bind or volume mount',
};

const ABSENT_KEYS: Readonly<Record<string, string>> = {
  consistency: 'it has no meaning on Linux: leave it out',
  'image-subpath': 'image mounts are not part of this release',
};

/** Ours: where a task goes whose volume is on a node already. */
const STICKINESS: Readonly<Record<string, VolumeSticky>> = {
  required: VolumeSticky.REQUIRED,
  preferred: VolumeSticky.PREFERRED,
  off: VolumeSticky.OFF,
};

/** What has been read of one mount. */
interface Draft {
  type: string;
  source: string;
  target: string;
  readOnly: boolean;
  bind: BindOptions | undefined;
  volume: VolumeOptions | undefined;
  tmpfs: TmpfsOptions | undefined;
}

export function mount(text: string): Mount {
  const draft: Draft = {
    type: 'volume',
    source: '',
    target: '',
    readOnly: false,
    bind: undefined,
    volume: undefined,
    tmpfs: undefined,
  };
  if (text === '') throw new FlagValueError('value is empty');
  for (const field of csvFields(text)) readField(draft, field, text);
  return finish(draft);
}

function readField(draft: Draft, field: string, whole: string): void {
  const pair = keyValue(field);
  const key = pair.key.toLowerCase();
  const value = pair.value ?? '';
  if (
    pair.value === undefined &&
    !['readonly', 'ro', 'volume-nocopy', 'bind-nonrecursive', 'bind-create-src'].includes(key)
  )
    throw new FlagValueError(`invalid field '${field}' must be a key=value pair`);
  const absent = Object.hasOwn(ABSENT_KEYS, key) ? ABSENT_KEYS[key] : undefined;
  if (absent !== undefined) throw new FlagValueError(`'${key}' is not supported`, absent);
  switch (key) {
    case 'type':
      draft.type = value.toLowerCase();
      return;
    case 'source':
    case 'src':
      draft.source = value === '.' || value.startsWith('./') ? resolve(value) : value;
      return;
    case 'target':
    case 'dst':
    case 'destination':
      draft.target = value;
      return;
    case 'readonly':
    case 'ro':
      draft.readOnly = flagOf(key, pair.value);
      return;
  }
  if (key.startsWith('bind-')) readBindField(draft, key, pair.value);
  else if (key.startsWith('volume-')) readVolumeField(draft, key, pair.value);
  else if (key.startsWith('tmpfs-')) readTmpfsField(draft, key, value);
  else throw new FlagValueError(`unexpected key '${key}' in '${whole === field ? whole : field}'`);
}

function flagOf(key: string, value: string | undefined): boolean {
  if (value === undefined || /^(?:1|t|true)$/i.test(value)) return true;
  if (/^(?:0|f|false)$/i.test(value)) return false;
  throw new FlagValueError(`invalid value for ${key}: ${value}`);
}

function readBindField(draft: Draft, key: string, value: string | undefined): void {
  const bind = draft.bind ?? BindOptions.create();
  switch (key) {
    case 'bind-propagation': {
      const propagation = Object.hasOwn(PROPAGATIONS, value ?? '') ? PROPAGATIONS[value ?? ''] : undefined;
      if (propagation === undefined) throw new FlagValueError(`invalid value for ${key}: ${value}`);
      draft.bind = { ...bind, propagation };
      return;
    }
    case 'bind-nonrecursive':
      draft.bind = { ...bind, nonRecursive: flagOf(key, value) };
      return;
    case 'bind-recursive':
      if (value !== 'enabled' && value !== 'disabled')
        throw new FlagValueError(`invalid value for ${key}: ${value}`, 'this release knows enabled and disabled');
      draft.bind = { ...bind, nonRecursive: value === 'disabled' };
      return;
    case 'bind-create-src':
      draft.bind = { ...bind, createSource: flagOf(key, value) };
      return;
    default:
      throw new FlagValueError(`unexpected key '${key}' in '${key}=${value ?? ''}'`);
  }
}

function readVolumeField(draft: Draft, key: string, value: string | undefined): void {
  const volume = draft.volume ?? VolumeOptions.create();
  const { key: name, value: content } = keyValue(value ?? '');
  switch (key) {
    case 'volume-nocopy':
      draft.volume = { ...volume, noCopy: flagOf(key, value) };
      return;
    case 'volume-label':
      draft.volume = { ...volume, labels: { ...volume.labels, [name]: content ?? '' } };
      return;
    case 'volume-driver':
      draft.volume = { ...volume, driver: value ?? '' };
      return;
    case 'volume-opt':
      draft.volume = { ...volume, driverOptions: { ...volume.driverOptions, [name]: content ?? '' } };
      return;
    case 'volume-subpath':
      draft.volume = { ...volume, subpath: value ?? '' };
      return;
    case 'volume-sticky': {
      const sticky = Object.hasOwn(STICKINESS, value ?? '') ? STICKINESS[value ?? ''] : undefined;
      if (sticky === undefined)
        throw new FlagValueError(`invalid value for ${key}: ${value}`, 'use required, preferred or off');
      draft.volume = { ...volume, sticky };
      return;
    }
    default:
      throw new FlagValueError(`unexpected key '${key}' in '${key}=${value ?? ''}'`);
  }
}

function readTmpfsField(draft: Draft, key: string, value: string): void {
  const tmpfs = draft.tmpfs ?? TmpfsOptions.create();
  switch (key) {
    case 'tmpfs-size':
      draft.tmpfs = { ...tmpfs, sizeBytes: sizeBytes(value) };
      return;
    case 'tmpfs-mode':
      if (!/^[0-7]{1,5}$/.test(value)) throw new FlagValueError(`invalid value for ${key}: ${value}`);
      draft.tmpfs = { ...tmpfs, mode: Number.parseInt(value, 8) };
      return;
    case 'tmpfs-opt':
      draft.tmpfs = { ...tmpfs, options: [...tmpfs.options, value] };
      return;
    default:
      throw new FlagValueError(`unexpected key '${key}' in '${key}=${value}'`);
  }
}

function finish(draft: Draft): Mount {
  if (draft.type === '') throw new FlagValueError('type is required');
  if (draft.target === '') throw new FlagValueError('target is required');
  const { bind, volume, tmpfs } = draft;
  const mix = (prefix: string): never => {
    throw new FlagValueError(`cannot mix '${prefix}-*' options with mount type '${draft.type}'`);
  };
  if (bind !== undefined && draft.type !== 'bind') mix('bind');
  if (volume !== undefined && draft.type !== 'volume') mix('volume');
  if (tmpfs !== undefined && draft.type !== 'tmpfs') mix('tmpfs');
  const type = Object.hasOwn(TYPES, draft.type) ? TYPES[draft.type] : undefined;
  if (type === undefined) {
    const hint = Object.hasOwn(ABSENT_TYPES, draft.type) ? ABSENT_TYPES[draft.type] : 'use bind, volume or tmpfs';
    throw new FlagValueError(`mount type '${draft.type}' is not supported`, hint);
  }
  const { source, target, readOnly } = draft;
  return Mount.create({ type, source, target, readOnly, bind, volume, tmpfs });
}
