/** `--volume [SOURCE:]TARGET[:OPTIONS]` and `--tmpfs TARGET[:OPTIONS]`, the short forms of mounts. */
import { resolve } from 'node:path';
import { TMPFS_OPTIONS_HINT, tmpfsOptionProblem } from '#common/tmpfs-options.ts';
import { BindOptions, Mount, MountPropagation, MountType, TmpfsOptions, VolumeOptions } from '#gen/swarm/v1/specs.ts';
import { FlagValueError } from '../cli-errors.ts';
import { sizeBytes } from './scalars.ts';

const PROPAGATIONS: Readonly<Record<string, MountPropagation>> = {
  rprivate: MountPropagation.RPRIVATE,
  private: MountPropagation.PRIVATE,
  rshared: MountPropagation.RSHARED,
  shared: MountPropagation.SHARED,
  rslave: MountPropagation.RSLAVE,
  slave: MountPropagation.SLAVE,
};

/** A path of the host, which is made when it is missing, the name of a volume, or a volume without a name. */
export function volumeMount(text: string): Mount {
  const parts = text.split(':');
  const [first = '', second, options = '', ...more] = parts;
  if (more.length > 0 || parts.some((part) => part === ''))
    throw new FlagValueError(`invalid volume specification: '${text}'`, 'write SOURCE:TARGET or SOURCE:TARGET:ro');
  if (second === undefined) return Mount.create({ type: MountType.VOLUME, target: absolute(first, text) });
  const isPath = /^[./~]/.test(first);
  if (first.startsWith('~'))
    throw new FlagValueError(`invalid volume specification: '${text}'`, 'write the whole path of the directory');
  let readOnly = false;
  let noCopy = false;
  let propagation: MountPropagation = MountPropagation.UNSPECIFIED;
  for (const word of options === '' ? [] : options.split(',')) {
    const known = Object.hasOwn(PROPAGATIONS, word) ? PROPAGATIONS[word] : undefined;
    if (word === 'ro') readOnly = true;
    else if (word === 'nocopy' && !isPath) noCopy = true;
    else if (known !== undefined && isPath) propagation = known;
    else if (word !== 'rw')
      throw new FlagValueError(`invalid mode: ${word}`, `use ro, rw${isPath ? ' or a propagation' : ' or nocopy'}`);
  }
  const common = { source: isPath ? resolve(first) : first, target: absolute(second, text), readOnly };
  return isPath
    ? Mount.create({ ...common, type: MountType.BIND, bind: BindOptions.create({ propagation, createSource: true }) })
    : Mount.create({ ...common, type: MountType.VOLUME, volume: VolumeOptions.create({ noCopy }) });
}

export function tmpfsMount(text: string): Mount {
  const [target = '', options = '', ...more] = text.split(':');
  if (more.length > 0) throw new FlagValueError(`invalid tmpfs specification: '${text}'`);
  let sizeInBytes = 0;
  let mode = 0;
  let readOnly = false;
  const furtherOptions: string[] = [];
  for (const word of options === '' ? [] : options.split(',')) {
    const [key = '', value = ''] = word.split('=');
    if (key === 'size') sizeInBytes = sizeBytes(value);
    else if (key === 'mode' && /^0?[0-7]{3,4}$/.test(value)) mode = Number.parseInt(value, 8);
    else if (word === 'ro') readOnly = true;
    else if (word !== 'rw') {
      const problem = tmpfsOptionProblem(word);
      if (problem !== undefined)
        throw new FlagValueError(`invalid tmpfs option: ${problem}`, `${TMPFS_OPTIONS_HINT}, size=, mode=, ro`);
      furtherOptions.push(word);
    }
  }
  return Mount.create({
    type: MountType.TMPFS,
    target: absolute(target, text),
    readOnly,
    tmpfs: TmpfsOptions.create({ sizeBytes: sizeInBytes, mode, options: furtherOptions }),
  });
}

function absolute(target: string, whole: string): string {
  if (target.startsWith('/')) return target;
  throw new FlagValueError(
    `invalid volume specification: '${whole}': '${target}' is not an absolute path`,
    'name the place in the container from its root on: /data',
  );
}
