/** Where things of the runtime lie. Pure. */
import { invalidField, SwarmError } from '#common/errors.ts';

/** Ids name directories and cgroups and are arguments of programs: no separators, no leading dash, no options. */
const CONTAINER_ID = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/;

/** Throws `bad-name` unless the id may name a container. To be called before any path is joined. */
export function checkContainerId(id: string): void {
  if (CONTAINER_ID.test(id)) return;
  throw new SwarmError({
    code: 'invalid',
    reason: 'bad-name',
    field: 'id',
    message: `${JSON.stringify(id)} cannot be the id of a container`,
    hint: 'use up to 128 letters, digits, _, . and -, beginning with a letter or digit',
  });
}

/** A unix socket's path, which has to fit into 108 bytes, is `<run>/c/<id>/attach`. */
const RUN_DIRECTORY_BYTES_MAX = 60;

export class RuntimePaths {
  /** Survives a reboot: records, writable layers, logs. Mode 0700. */
  readonly stateDirectory: string;
  /** Means nothing after a reboot: the runtime's own state, bundles, exit files. Mode 0700. */
  readonly runDirectory: string;

  constructor(stateDirectory: string, runDirectory: string) {
    for (const [field, path] of [
      ['stateDirectory', stateDirectory],
      ['runDirectory', runDirectory],
    ] as const)
      if (!/^\/[^:,\\\s\0]*[^:,\\\s\0/]$/.test(path) || path.includes('/../'))
        throw invalidField(
          field,
          `${field}: ${JSON.stringify(path)} cannot be used`,
          'use an absolute path without spaces, colons, commas and backslashes',
        );
    if (Buffer.byteLength(runDirectory) > RUN_DIRECTORY_BYTES_MAX)
      throw invalidField(
        'runDirectory',
        `runDirectory: ${runDirectory} is too long for the sockets in it`,
        `use a path of at most ${RUN_DIRECTORY_BYTES_MAX} bytes`,
      );
    this.stateDirectory = stateDirectory;
    this.runDirectory = runDirectory;
  }

  get containers(): string {
    return `${this.stateDirectory}/containers`;
  }

  /** One container's record, writable layer and log. */
  container(id: string): string {
    checkContainerId(id);
    return `${this.containers}/${id}`;
  }

  record(id: string): string {
    return `${this.container(id)}/record.json`;
  }

  log(id: string): string {
    return `${this.container(id)}/log`;
  }

  get bundles(): string {
    return `${this.runDirectory}/c`;
  }

  /** config.json, injected files, and the monitor's FIFOs and sockets. */
  bundle(id: string): string {
    checkContainerId(id);
    return `${this.bundles}/${id}`;
  }

  /** The OCI runtime's own state (its --root). Never on a disk: a stale pid in it would be killed after a reboot. */
  get runtimeRoot(): string {
    return `${this.runDirectory}/rt`;
  }

  get exits(): string {
    return `${this.runDirectory}/exits`;
  }

  exitFile(id: string): string {
    checkContainerId(id);
    return `${this.exits}/${id}`;
  }

  get layerLinks(): string {
    return `${this.runDirectory}/l`;
  }

  /** Which boot the run directory belongs to, where it lies on a disk. */
  get bootId(): string {
    return `${this.runDirectory}/boot-id`;
  }
}
