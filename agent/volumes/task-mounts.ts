/** What tasks ask to have mounted. Pure. */
import type { Propagation } from '#agent/runtime/index.ts';
import { SwarmError } from '#common/errors.ts';
import { checkVolumeDriver, checkVolumeName } from './volume-record.ts';

export type TaskMount =
  | {
      readonly kind: 'bind';
      readonly source: string;
      readonly target: string;
      readonly readOnly: boolean;
      readonly propagation: Propagation;
      readonly recursive: boolean;
      /** Make the source when it is missing. */
      readonly createSource: boolean;
    }
  | {
      readonly kind: 'volume';
      /** Empty: one that lives as long as the task. */
      readonly name: string;
      readonly target: string;
      readonly readOnly: boolean;
      /** Leave an empty volume empty. */
      readonly noCopy: boolean;
      readonly labels: Readonly<Record<string, string>>;
      readonly driver: string;
      readonly driverOptions: Readonly<Record<string, string>>;
      /** Below the root of the volume, which has to have it; empty: all of it. */
      readonly subpath: string;
    }
  | {
      readonly kind: 'tmpfs';
      readonly target: string;
      readonly readOnly: boolean;
      readonly sizeBytes: number | undefined;
      readonly mode: number;
      /** Further ones: `exec`, `uid=1000`. */
      readonly options: readonly string[];
    };

export type VolumeMount = Extract<TaskMount, { kind: 'volume' }>;

/** Names of volumes that outlive the task. */
export function namedVolumes(mounts: readonly TaskMount[]): readonly string[] {
  return [...new Set(mounts.flatMap((mount) => (mount.kind === 'volume' && mount.name !== '' ? [mount.name] : [])))];
}

/** An anonymous volume at every path that the image declares and the user mounts nothing at. */
export function withImageVolumes(mounts: readonly TaskMount[], declared: readonly string[]): readonly TaskMount[] {
  const trim = (path: string): string => path.replace(/\/+$/, '');
  const taken = new Set(mounts.map((mount) => trim(mount.target)));
  const added = declared
    .filter((path) => !taken.has(trim(path)))
    .map(
      (target): TaskMount => ({
        kind: 'volume',
        name: '',
        target,
        readOnly: false,
        noCopy: false,
        labels: {},
        driver: '',
        driverOptions: {},
        subpath: '',
      }),
    );
  return [...mounts, ...added];
}

/** Checks what can be known without an image. Throws `bad-name`, `bad-field`. */
export function checkTaskMounts(mounts: readonly TaskMount[]): void {
  for (const mount of mounts) {
    if (mount.kind !== 'volume') continue;
    if (mount.name !== '') checkVolumeName(mount.name);
    checkVolumeDriver(mount.driver, mount.driverOptions);
    if (mount.subpath !== '' && (mount.name === '' || /\0/.test(mount.subpath) || mount.subpath.startsWith('/')))
      throw new SwarmError({
        code: 'invalid',
        reason: 'bad-field',
        field: 'mounts.volume.subpath',
        message: `mounts.volume.subpath: ${JSON.stringify(mount.subpath)} is no path below a named volume`,
        hint: 'write volume-subpath=inner/directory, and name the volume by source=',
      });
  }
}
