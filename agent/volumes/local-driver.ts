/** The driver `local`: a directory of this node, or what its options mount. */
import { lookup } from 'node:dns/promises';
import { mkdir, rmdir } from 'node:fs/promises';
import { isIP } from 'node:net';
import { SwarmError } from '#common/errors.ts';
import { type LocalMount, parseLocalOptions } from '#common/local-volume-options.ts';
import { withDeadline } from '#common/system/deadline.ts';
import type { VolumesConfig } from './config.ts';
import { isMounted, mountByProgram, unmountByProgram } from './mounts.ts';
import type { VolumeDriver, VolumeScope } from './volume-driver.ts';
import type { VolumeRecord } from './volume-record.ts';
import type { VolumeStore } from './volume-store.ts';

export interface LocalDriverOptions {
  readonly store: VolumeStore;
  /**
   * Where options mount. Never below the directories of volumes: whoever removes one of those must not be able to reach
   * what is mounted.
   */
  readonly mountsDirectory: string;
  readonly config: VolumesConfig;
}

export class LocalDriver implements VolumeDriver {
  readonly #options: LocalDriverOptions;

  constructor(options: LocalDriverOptions) {
    this.#options = options;
  }

  async create(record: VolumeRecord): Promise<void> {
    if (mountOf(record) === undefined) await this.#options.store.makeDataDirectory(record.name);
  }

  /** The data of a plain one goes with its record; what options mount is somebody else's. */
  async remove(record: VolumeRecord): Promise<void> {
    if (mountOf(record) !== undefined) await this.#unmount(record.name);
  }

  async mount(record: VolumeRecord): Promise<string> {
    const mount = mountOf(record);
    if (mount === undefined) return this.#options.store.dataDirectory(record.name);
    const target = this.#targetOf(record.name);
    if (await isMounted(target)) return target;
    await mkdir(target, { recursive: true, mode: 0o700 });
    try {
      const options = await resolved(mount, this.#options.config.pluginCallTimeoutMs);
      const { type, device } = mount;
      await mountByProgram({ type, device, target, options, timeoutMs: this.#options.config.mountTimeoutMs });
    } catch (error) {
      await this.#unmount(record.name);
      throw error;
    }
    return target;
  }

  async unmount(record: VolumeRecord, _taskId: string, isLast: boolean): Promise<void> {
    if (isLast && mountOf(record) !== undefined) await this.#unmount(record.name);
  }

  async mountpoint(record: VolumeRecord): Promise<string> {
    const isPlain = mountOf(record) === undefined;
    return Promise.resolve(isPlain ? this.#options.store.dataDirectory(record.name) : this.#targetOf(record.name));
  }

  async scope(record: VolumeRecord): Promise<VolumeScope> {
    return Promise.resolve(mountOf(record)?.isRemote === true ? 'global' : 'local');
  }

  readonly ownsData = (record: VolumeRecord): boolean => mountOf(record) === undefined;

  #targetOf(name: string): string {
    return `${this.#options.mountsDirectory}/${name}`;
  }

  async #unmount(name: string): Promise<void> {
    const target = this.#targetOf(name);
    await unmountByProgram(target, this.#options.config.unmountTimeoutMs);
    await rmdir(target).catch(() => {}); // it was not there, or is about to be used again
  }
}

function mountOf(record: VolumeRecord): LocalMount | undefined {
  const parsed = parseLocalOptions('driver_options', record.driverOptions);
  if (!parsed.ok) throw parsed.error;
  return parsed.mount;
}

/** The kernel wants the address of a server, and no name. NFS finds it in the device, too: `server:/export`. */
async function resolved(
  { options, device, isRemote, type }: LocalMount,
  timeoutMs: number,
): Promise<readonly string[]> {
  if (!isRemote) return options;
  const given = options.find((option) => option.startsWith('addr='))?.slice('addr='.length);
  const host = given ?? (type.startsWith('nfs') ? /^\[?([^/\]]+)\]?:\//.exec(device)?.[1] : undefined);
  if (host === undefined || (given !== undefined && isIP(given) !== 0)) return options;
  const address = isIP(host) !== 0 ? host : await addressOf(host, timeoutMs);
  return [...options.filter((option) => !option.startsWith('addr=')), `addr=${address}`];
}

async function addressOf(host: string, timeoutMs: number): Promise<string> {
  try {
    return (await withDeadline(lookup(host), timeoutMs, `looking up ${host}`)).address;
  } catch (cause) {
    throw new SwarmError({
      code: 'precondition',
      reason: 'runtime-failed',
      field: 'driver_options.o',
      message: `the server ${JSON.stringify(host)} of the volume has no address`,
      hint: 'give its address: o=addr=10.0.0.1',
      cause,
    });
  }
}
