/** The mounts of tasks: which volumes they use, and the directories that their containers get. */
import { randomBytes } from 'node:crypto';
import type { MountSpec, Propagation } from '#agent/runtime/index.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { Turns } from '#common/system/turns.ts';
import { bindSource } from './bind-source.ts';
import { fillVolume } from './fill-volume.ts';
import { checkVolumeDriver, checkVolumeName, type VolumeRecord } from './volume-record.ts';
import type { VolumeStore } from './volume-store.ts';

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
    }
  | {
      readonly kind: 'tmpfs';
      readonly target: string;
      readonly readOnly: boolean;
      readonly sizeBytes: number | undefined;
      readonly mode: number;
    };

type VolumeMount = Extract<TaskMount, { kind: 'volume' }>;

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
      }),
    );
  return [...mounts, ...added];
}

export class TaskVolumes {
  readonly #store: VolumeStore;
  readonly #log: Logger;
  /** Tasks by volume. Invariant: a volume that a container may have mounted is here. */
  readonly #users = new Map<string, Set<string>>();
  /** Work on one volume at a time. */
  readonly #turns = new Turns();

  constructor(store: VolumeStore, log: Logger) {
    this.#store = store;
    this.#log = log;
  }

  /** Checks what can be known without an image. Throws `bad-name`, `bad-field`, `not-supported`. */
  static check(mounts: readonly TaskMount[]): void {
    for (const mount of mounts) {
      if (mount.kind !== 'volume') continue;
      if (mount.name !== '') checkVolumeName(mount.name);
      checkVolumeDriver(mount.driver, mount.driverOptions);
    }
  }

  /**
   * Makes and fills what is missing, and says what the container is to mount. From here on the volumes count as used
   * by the task, until `release`. `rootPath` is the container's root file system, in which nothing runs yet.
   */
  async prepare(taskId: string, mounts: readonly TaskMount[], rootPath: string): Promise<readonly MountSpec[]> {
    TaskVolumes.check(mounts);
    const specs: MountSpec[] = [];
    for (const mount of mounts) {
      if (mount.kind === 'tmpfs') specs.push(mount);
      else if (mount.kind === 'bind') {
        const { target, readOnly, propagation, recursive } = mount;
        const source = await bindSource(mount.source, mount.createSource);
        specs.push({ kind: 'bind', source, target, readOnly, propagation, recursive });
      } else specs.push(await this.#prepareVolume(taskId, mount, rootPath));
    }
    return specs;
  }

  async #prepareVolume(taskId: string, mount: VolumeMount, rootPath: string): Promise<MountSpec> {
    const isAnonymous = mount.name === '';
    const name = isAnonymous ? randomBytes(32).toString('hex') : mount.name;
    return this.#turns.take(name, async () => {
      const isShared = (this.#users.get(name)?.size ?? 0) > 0;
      this.#use(name, taskId);
      await this.#store.ensure({ name, labels: mount.labels, owner: isAnonymous ? taskId : undefined });
      const source = this.#store.dataDirectory(name);
      // While a container has it, links in it can change under the copy; and what that container keeps empty is its own.
      if (!mount.noCopy && !isShared && (await this.#store.isEmpty(name)))
        await fillVolume(rootPath, mount.target, source);
      return {
        kind: 'bind',
        source,
        target: mount.target,
        readOnly: mount.readOnly,
        propagation: 'rprivate',
        recursive: true,
      };
    });
  }

  #use(name: string, taskId: string): void {
    const users = this.#users.get(name) ?? new Set<string>();
    users.add(taskId);
    this.#users.set(name, users);
  }

  /** The task's containers are gone: its volumes are free, its anonymous ones are removed. */
  async release(taskId: string): Promise<void> {
    for (const [name, users] of this.#users) {
      if (!users.delete(taskId) || users.size > 0) continue;
      this.#users.delete(name);
      const record = await this.#store.inspect(name);
      if (record?.owner === taskId) await this.#turns.take(name, () => this.#store.remove(name));
    }
  }

  /**
   * After a restart: `uses` are the named volumes of every task whose container is there. Anonymous volumes of other
   * tasks are removed.
   */
  async restore(uses: ReadonlyMap<string, readonly string[]>): Promise<void> {
    for (const [taskId, names] of uses) for (const name of names) this.#use(name, taskId);
    for (const record of await this.#store.list()) {
      if (record.owner === undefined) continue;
      if (uses.has(record.owner)) this.#use(record.name, record.owner);
      else {
        this.#log.info('removing the volume of a task that is gone', { volume: record.name, task: record.owner });
        await this.#store.remove(record.name);
      }
    }
  }

  list(): Promise<readonly VolumeRecord[]> {
    return this.#store.list();
  }

  /** Throws `in-use` when a container has it, `unknown-object` when there is none. */
  async remove(name: string): Promise<void> {
    checkVolumeName(name);
    await this.#turns.take(name, async () => {
      const [user] = this.#users.get(name) ?? [];
      if (user !== undefined)
        throw new SwarmError({
          code: 'precondition',
          reason: 'in-use',
          message: `volume ${name} is used by task ${user}`,
          hint: 'remove the service first',
        });
      await this.#store.remove(name);
    });
  }

  /** Removes named volumes that nobody uses and that are not on the list of names to keep; returns their names. */
  async prune(keep: ReadonlySet<string> = new Set()): Promise<readonly string[]> {
    const removed: string[] = [];
    for (const { name } of await this.#store.list()) {
      if (keep.has(name) || this.#users.has(name)) continue;
      await this.remove(name);
      removed.push(name);
    }
    return removed;
  }
}
