/** Whether a volume can be what it is declared to be. */
import { invalidField, SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import { isLocalDriver, parseLocalOptions } from '#common/local-volume-options.ts';
import { TMPFS_OPTIONS_HINT, tmpfsOptionProblem } from '#common/tmpfs-options.ts';
import { isDriverName, isVolumeName } from '#common/volume-names.ts';
import type { VolumeSpec } from '#gen/swarm/v1/objects.ts';
import type { Mount } from '#gen/swarm/v1/specs.ts';
import { validateLabels } from './validate-labels.ts';

/** Options of a driver in one volume, and the length of each. */
const OPTIONS_MAX = 64;
const OPTION_BYTES_MAX = 4096;
const SUBPATH_LENGTH_MAX = 4096;
const TMPFS_OPTIONS_MAX = 16;

/** @throws SwarmError for the first rule that the spec breaks */
export function validateVolumeSpec(spec: VolumeSpec): void {
  if (!isVolumeName(spec.name))
    throw new SwarmError({
      code: 'invalid',
      reason: 'bad-name',
      field: 'name',
      message: `name: ${JSON.stringify(spec.name.slice(0, 200))} is not a volume name`,
      hint: 'use up to 128 letters, digits, _, . and -, beginning with a letter or digit',
    });
  validateLabels('labels', spec.labels);
  validateDriver('driver', spec.driver, spec.driverOptions);
}

/** The options of a mount that are for volumes and for tmpfs. */
export function validateMountOptions(field: string, { source, volume, tmpfs }: Mount): void {
  if (volume !== undefined) {
    validateLabels(`${field}.volume.labels`, volume.labels);
    validateDriver(`${field}.volume.driver`, volume.driver, volume.driverOptions);
    validateSubpath(`${field}.volume.subpath`, volume.subpath, source);
  }
  const options = tmpfs?.options ?? [];
  if (options.length > TMPFS_OPTIONS_MAX)
    throw invalidField(`${field}.tmpfs.options`, `${field}: more than ${TMPFS_OPTIONS_MAX} options of a tmpfs`);
  for (const option of options) {
    const problem = tmpfsOptionProblem(option);
    if (problem !== undefined)
      throw invalidField(`${field}.tmpfs.options`, `${field}: tmpfs: ${problem}`, TMPFS_OPTIONS_HINT);
  }
  if ((tmpfs?.mode ?? 0) > 0o7777)
    throw invalidField(
      `${field}.tmpfs.mode`,
      `${field}: tmpfs-mode is more than 7777`,
      'write the mode in octal: 1770',
    );
}

function validateDriver(field: string, driver: string, options: Readonly<Record<string, string>>): void {
  if (isLocalDriver(driver)) {
    const parsed = parseLocalOptions(`${field}_options`, options);
    if (!parsed.ok) throw parsed.error;
    return;
  }
  if (!isDriverName(driver))
    throw invalidField(
      field,
      `${field}: ${JSON.stringify(driver.slice(0, 200))} is not the name of a volume driver`,
      'use local, or the name of a volume plugin of the nodes',
    );
  const entries = Object.entries(options);
  if (entries.length > OPTIONS_MAX)
    throw new SwarmError({
      code: 'invalid',
      reason: 'too-many',
      field: `${field}_options`,
      message: `${field}_options: ${entries.length} options, and a driver takes ${OPTIONS_MAX} at most`,
    });
  for (const [key, value] of entries)
    if (key === '' || key.length > LIMITS.LABEL_KEY_LENGTH || value.length > OPTION_BYTES_MAX || /\0/.test(key + value))
      throw invalidField(
        `${field}_options`,
        `${field}_options: ${JSON.stringify(key.slice(0, 64))} is no option, or too long`,
        `write KEY=VALUE with a value of up to ${OPTION_BYTES_MAX} characters`,
      );
}

function validateSubpath(field: string, subpath: string, source: string): void {
  if (subpath === '') return;
  const isBad = subpath.startsWith('/') || /[\0\n]/.test(subpath) || subpath.split('/').includes('..');
  if (isBad || subpath.length > SUBPATH_LENGTH_MAX)
    throw invalidField(
      field,
      `${field}: ${JSON.stringify(subpath.slice(0, 200))} is no path below the root of a volume`,
      'write volume-subpath=inner/directory, without ..',
    );
  if (source === '')
    throw invalidField(
      field,
      `${field}: a new volume without a name has nothing at ${subpath}`,
      'name the volume: source=',
    );
}
