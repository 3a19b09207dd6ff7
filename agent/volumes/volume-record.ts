/** What is kept of a volume beside its data. Pure. */
import { invalidField, SwarmError } from '#common/errors.ts';

export interface VolumeRecord {
  /** Of this format. */
  readonly version: 1;
  readonly name: string;
  readonly createdAtMs: number;
  readonly labels: Readonly<Record<string, string>>;
  /** The task that an anonymous volume was made for, and goes with; undefined for a named one. */
  readonly owner: string | undefined;
}

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/;

/** Names become directories: throws `bad-name` before any path is joined. */
export function checkVolumeName(name: string): void {
  if (NAME.test(name)) return;
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

/** Throws `not-supported` for anything but a plain directory of this node. */
export function checkVolumeDriver(driver: string, options: Readonly<Record<string, string>>): void {
  if (driver !== '' && driver !== 'local')
    throw new SwarmError({
      code: 'unimplemented',
      reason: 'not-supported',
      field: 'mounts.volume.driver',
      message: `there is no volume driver ${JSON.stringify(driver)}`,
      hint: 'use the driver local',
    });
  const [option] = Object.keys(options);
  if (option !== undefined)
    throw invalidField(
      'mounts.volume.options',
      `the volume driver local takes no option ${JSON.stringify(option)}`,
      'mount the file system on the nodes and use type=bind',
    );
}

/** Reads a record's text; undefined when it is none of ours. */
export function parseVolumeRecord(text: string): VolumeRecord | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return undefined;
    const { version, name, createdAtMs, labels, owner } = value as Partial<VolumeRecord>;
    if (version !== 1 || typeof name !== 'string' || !NAME.test(name) || typeof createdAtMs !== 'number')
      return undefined;
    return { version, name, createdAtMs, labels: labels ?? {}, owner };
  } catch {
    return undefined;
  }
}
