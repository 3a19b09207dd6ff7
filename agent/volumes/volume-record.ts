/** What is kept of a volume beside its data. Pure. */

import { SwarmError } from '#common/errors.ts';
import { isLocalDriver, parseLocalOptions } from '#common/local-volume-options.ts';
import { isDriverName, isVolumeName } from '#common/volume-names.ts';

/**
 *   creating -> ready -> removing -> (gone)
 *
 * `creating` is written before a driver makes anything, `removing` before it takes anything away: what a crash leaves in
 * either of them is taken away at the next start.
 */
export type VolumePhase = 'creating' | 'ready' | 'removing';

export interface VolumeRecord {
  /** Of this format. */
  readonly version: 1;
  readonly name: string;
  readonly createdAtMs: number;
  readonly labels: Readonly<Record<string, string>>;
  /** The task that an anonymous volume was made for, and goes with; undefined for a named one. */
  readonly owner: string | undefined;
  /** Never empty. */
  readonly driver: string;
  readonly driverOptions: Readonly<Record<string, string>>;
  readonly phase: VolumePhase;
  /** It is being filled from an image, and no container has seen it yet. */
  readonly filling: boolean;
}

/** Names become directories: throws `bad-name` before any path is joined. */
export function checkVolumeName(name: string): void {
  if (isVolumeName(name)) return;
  throw new SwarmError({
    code: 'invalid',
    reason: 'bad-name',
    field: 'mounts.source',
    message: `${JSON.stringify(name)} is not a volume name`,
    hint: name.startsWith('/')
      ? 'use type=bind to mount a path of the host'
      : 'use up to 128 letters, digits, _, . and -, beginning with a letter or digit',
  });
}

/** Throws `bad-name` and `bad-field` for what no node could make. */
export function checkVolumeDriver(driver: string, options: Readonly<Record<string, string>>): void {
  if (isLocalDriver(driver)) {
    const parsed = parseLocalOptions('mounts.volume.driver_options', options);
    if (!parsed.ok) throw parsed.error;
  } else if (!isDriverName(driver))
    throw new SwarmError({
      code: 'invalid',
      reason: 'bad-name',
      field: 'mounts.volume.driver',
      message: `${JSON.stringify(driver)} is not the name of a volume driver`,
      hint: 'use local, or the name of a volume plugin of the node',
    });
}

/** Reads a record's text; undefined when it is none of ours. */
export function parseVolumeRecord(text: string): VolumeRecord | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return undefined;
    const { version, name, createdAtMs, labels, owner, driver, driverOptions, phase, filling } =
      value as Partial<VolumeRecord>;
    if (version !== 1 || typeof name !== 'string' || !isVolumeName(name) || typeof createdAtMs !== 'number')
      return undefined;
    return {
      version,
      name,
      createdAtMs,
      labels: labels ?? {},
      owner,
      // Releases before drivers wrote neither.
      driver: driver ?? 'local',
      driverOptions: driverOptions ?? {},
      phase: phase ?? 'ready',
      filling: filling === true,
    };
  } catch {
    return undefined;
  }
}
