/** Mounts of a service: `volumes` and `tmpfs`. */

import { parseSize } from '#common/size.ts';
import { tmpfsOptionProblem } from '#common/tmpfs-options.ts';
import { BindOptions, Mount, MountPropagation, MountType, TmpfsOptions, VolumeOptions } from '#gen/swarm/v1/specs.ts';
import type { Fields } from './fields.ts';
import { honoured, type KeyTable } from './keys.ts';
import type { Members } from './member-names.ts';
import type { StackNames } from './names.ts';

const MOUNT_KEYS: KeyTable = {
  ...honoured('type', 'source', 'target', 'read_only', 'bind', 'volume', 'tmpfs'),
  consistency: { leftOut: 'it is for macOS', hint: 'leave it out' },
  image: { refused: 'images are not mounted', hint: 'copy what is wanted into the image of the service' },
  cluster: { refused: 'there are no volumes of cluster storage (CSI)', hint: 'use a volume with a driver' },
};

const BIND_KEYS: KeyTable = {
  ...honoured('propagation', 'create_host_path', 'recursive'),
  selinux: { leftOut: 'files of nodes are not given other SELinux labels', hint: 'label them on the nodes: chcon' },
};
const VOLUME_KEYS = honoured('nocopy', 'subpath', 'labels');
const TMPFS_KEYS = honoured('size', 'mode');

const TYPES = { bind: MountType.BIND, volume: MountType.VOLUME, tmpfs: MountType.TMPFS };

const PROPAGATIONS = {
  rprivate: MountPropagation.RPRIVATE,
  private: MountPropagation.PRIVATE,
  rshared: MountPropagation.RSHARED,
  shared: MountPropagation.SHARED,
  rslave: MountPropagation.RSLAVE,
  slave: MountPropagation.SLAVE,
};

export interface Mounts {
  readonly mounts: readonly Mount[];
  /** Names in the swarm of named volumes that are the stack's own. */
  readonly volumes: readonly string[];
}

export function mountsOf(service: Fields, volumes: Members, names: StackNames): Mounts {
  const own: string[] = [];
  const mounts = service.maps('volumes', MOUNT_KEYS).flatMap((fields) => mountOf(fields, volumes, names, own) ?? []);
  return { mounts: [...mounts, ...tmpfsOf(service)], volumes: own };
}

function mountOf(fields: Fields, volumes: Members, names: StackNames, own: string[]): Mount | undefined {
  const type = fields.oneOf('type', TYPES) ?? (fields.has('type') ? undefined : MountType.VOLUME);
  const target = fields.text('target');
  if (type === undefined) return undefined;
  if (target === undefined)
    return fields.map.entries.size === 0
      ? undefined
      : fields.error('target', 'the mount has no target', 'give the path in the container');
  const base = { type, target, readOnly: fields.bool('read_only') ?? false };
  for (const [key, wanted] of [
    ['bind', MountType.BIND],
    ['volume', MountType.VOLUME],
    ['tmpfs', MountType.TMPFS],
  ] as const)
    if (fields.has(key) && wanted !== type)
      fields.error(key, 'these are options of another type of mount', 'leave them out');
  switch (type) {
    case MountType.BIND:
      return Mount.create({
        ...base,
        source: fields.text('source') ?? '',
        bind: bindOptions(fields.fields('bind', BIND_KEYS)),
      });
    case MountType.TMPFS:
      return Mount.create({ ...base, tmpfs: tmpfsOptions(fields.fields('tmpfs', TMPFS_KEYS)) });
    default:
      return namedMount(fields, base, volumes, names, own);
  }
}

function bindOptions(fields: Fields | undefined): BindOptions | undefined {
  if (fields === undefined) return undefined;
  const recursive = fields.oneOf('recursive', {
    enabled: 'enabled',
    disabled: 'disabled',
    writable: 'writable',
    readonly: 'readonly',
  });
  if (recursive === 'writable' || recursive === 'readonly')
    fields.error('recursive', `${recursive} is not known here`, 'use enabled or disabled');
  return BindOptions.create({
    propagation: fields.oneOf('propagation', PROPAGATIONS) ?? MountPropagation.UNSPECIFIED,
    nonRecursive: recursive === 'disabled',
    createSource: fields.bool('create_host_path') ?? false,
  });
}

function tmpfsOptions(fields: Fields | undefined): TmpfsOptions | undefined {
  if (fields === undefined) return undefined;
  return TmpfsOptions.create({ sizeBytes: fields.bytes('size') ?? 0, mode: fields.mode('mode') ?? 0 });
}

function namedMount(
  fields: Fields,
  base: Pick<Mount, 'type' | 'target' | 'readOnly'>,
  volumes: Members,
  names: StackNames,
  own: string[],
): Mount | undefined {
  const source = fields.text('source');
  const options = fields.fields('volume', VOLUME_KEYS);
  const common = {
    noCopy: options?.bool('nocopy') ?? false,
    subpath: options?.text('subpath') ?? '',
    labels: options?.record('labels') ?? {},
  };
  if (source === undefined)
    return Mount.create({ ...base, volume: VolumeOptions.create({ ...common, labels: names.labels(common.labels) }) });
  const volume = volumes.get(source);
  if (volume === undefined)
    return fields.error(
      'source',
      `there is no volume ${source} in the file`,
      `declare it: volumes: {${source}: }, or write ./${source} for a directory of the nodes`,
    );
  if (volume.external)
    return Mount.create({
      ...base,
      source: volume.name,
      volume: options === undefined ? undefined : VolumeOptions.create(common),
    });
  own.push(volume.name);
  return Mount.create({
    ...base,
    source: volume.name,
    volume: VolumeOptions.create({
      ...common,
      labels: names.labels({ ...volume.fields.record('labels'), ...common.labels }),
      driver: volume.fields.text('driver') ?? '',
      driverOptions: volume.fields.record('driver_opts'),
    }),
  });
}

/** `/run`, or `/run:size=64m,mode=1777,uid=1000`. */
function tmpfsOf(service: Fields): readonly Mount[] {
  return service.texts('tmpfs').flatMap((text, i) => {
    const at = text.indexOf(':');
    const target = at < 0 ? text : text.slice(0, at);
    let readOnly = false;
    let sizeBytes = 0;
    let mode = 0;
    const options: string[] = [];
    for (const word of at < 0 ? [] : text.slice(at + 1).split(',')) {
      const [name = '', value = ''] = word.split('=', 2);
      if (name === 'ro') readOnly = true;
      else if (name === 'rw') readOnly = false;
      else if (name === 'size') {
        const size = parseSize(value);
        if (size.ok) sizeBytes = size.bytes;
        else service.error('tmpfs', `[${i}]: ${JSON.stringify(value)} is not a size`, 'write size=64m');
      } else if (name === 'mode' && /^0?[0-7]{1,4}$/.test(value)) mode = Number.parseInt(value, 8);
      else {
        const problem = tmpfsOptionProblem(word);
        if (problem === undefined) options.push(word);
        else service.error('tmpfs', `[${i}]: ${problem}`, 'use size, mode, uid, gid, exec, ro');
      }
    }
    return [
      Mount.create({
        type: MountType.TMPFS,
        target,
        readOnly,
        tmpfs: TmpfsOptions.create({ sizeBytes, mode, options }),
      }),
    ];
  });
}
