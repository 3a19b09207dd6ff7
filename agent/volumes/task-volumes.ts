/** The volumes of a node: which tasks use which, and the directories that their containers get. */
import { randomBytes } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import type { MountSpec } from '#agent/runtime/index.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { Turns } from '#common/system/turns.ts';
import { bindSource } from './bind-source.ts';
import { fillVolume } from './fill-volume.ts';
import { mountTargetsBelow, unmountByProgram } from './mounts.ts';
import { SubpathMounts } from './subpath-mounts.ts';
import { checkTaskMounts, type TaskMount, type VolumeMount } from './task-mounts.ts';
import type { VolumeDriver } from './volume-driver.ts';
import type { VolumeDrivers } from './volume-drivers.ts';
import { checkVolumeDriver, checkVolumeName, type VolumeRecord } from './volume-record.ts';
import type { NewVolume, VolumeStore } from './volume-store.ts';

export interface TaskVolumesOptions {
  readonly store: VolumeStore;
  readonly drivers: VolumeDrivers;
  /** Given up with the machine's memory: for what is mounted. Nothing in it is anybody's data. */
  readonly runDirectory: string;
  readonly unmountTimeoutMs: number;
  readonly log: Logger;
}

/** What of tasks is there when the daemon starts. */
export interface TasksFound {
  /** Named volumes of every container that has not ended, by task. */
  readonly living: ReadonlyMap<string, readonly string[]>;
  /** Every task that has a container, ended or not: their anonymous volumes stay. */
  readonly all: ReadonlySet<string>;
}

/** Where volumes with options are mounted, below the run directory. */
export function mountsDirectoryOf(runDirectory: string): string {
  return `${runDirectory}/mounts`;
}

export class TaskVolumes {
  readonly #store: VolumeStore;
  readonly #drivers: VolumeDrivers;
  readonly #subpaths: SubpathMounts;
  readonly #options: TaskVolumesOptions;
  readonly #log: Logger;
  /** Tasks by volume. Invariant: a volume that a container may have mounted is here. */
  readonly #users = new Map<string, Set<string>>();
  /** Work on one volume at a time. */
  readonly #turns = new Turns();
  readonly #watchers = new Set<(name: string) => void>();

  constructor(options: TaskVolumesOptions) {
    this.#options = options;
    this.#store = options.store;
    this.#drivers = options.drivers;
    this.#subpaths = new SubpathMounts(`${options.runDirectory}/subpaths`);
    this.#log = options.log;
  }

  /** Calls back with the name of every named volume that comes, goes or changes. */
  onChange(callback: (name: string) => void): () => void {
    this.#watchers.add(callback);
    return () => this.#watchers.delete(callback);
  }

  /**
   * Makes, mounts and fills what is missing, and says what the container is to mount. From here on the volumes count as
   * used by the task, until `ended` or `release`. `rootPath` is the container's root file system, in which nothing runs
   * yet.
   */
  async prepare(taskId: string, mounts: readonly TaskMount[], rootPath: string): Promise<readonly MountSpec[]> {
    checkTaskMounts(mounts);
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
    const { labels, driver, driverOptions, target, readOnly, subpath } = mount;
    const owner = isAnonymous ? taskId : undefined;
    return this.#turns.take(name, async () => {
      const others = [...(this.#users.get(name) ?? [])].filter((user) => user !== taskId);
      this.#use(name, taskId);
      const record = await this.#ensure({ name, labels, owner, driver, driverOptions });
      const source = await this.#drivers.of(record.driver).mount(record, taskId);
      // While a container has it, links in it can change under the copy; and what that container keeps empty is its own.
      if (!mount.noCopy && others.length === 0 && subpath === '') await this.#fill(record, source, target, rootPath);
      return {
        kind: 'bind',
        source: subpath === '' ? source : await this.#subpaths.hold(taskId, name, source, subpath),
        target,
        readOnly,
        propagation: 'rprivate',
        recursive: true,
      };
    });
  }

  /** The volume, made if it does not exist. To be called in the volume's turn. */
  async #ensure(wanted: NewVolume): Promise<VolumeRecord> {
    const driver = this.#drivers.of(wanted.driver);
    let record = await this.#store.inspect(wanted.name);
    if (record !== undefined && record.phase !== 'ready') {
      await this.#undo(record);
      record = undefined;
    }
    if (record !== undefined) return alike(record, wanted);
    const fresh = this.#store.newRecord({ ...wanted, driver: wanted.driver === '' ? 'local' : wanted.driver });
    try {
      await driver.create(fresh, async () => {
        await this.#store.write(fresh);
      });
      const made = await this.#store.write({ ...fresh, phase: 'ready' });
      if (made.owner === undefined) this.#changed(made.name);
      return made;
    } catch (error) {
      // A plugin that did not answer may have made it all the same: the record stays for the next attempt.
      if (error instanceof SwarmError && error.code === 'precondition') await this.#store.discard(wanted.name);
      throw error;
    }
  }

  /** Takes away what was begun or is half removed. */
  async #undo(record: VolumeRecord): Promise<void> {
    await this.#drivers.of(record.driver).remove(record);
    await this.#store.discard(record.name);
  }

  async #fill(record: VolumeRecord, source: string, target: string, rootPath: string): Promise<void> {
    const isOwn = this.#drivers.of(record.driver).ownsData(record);
    if (record.filling && isOwn)
      for (const entry of await readdir(source)) await rm(`${source}/${entry}`, { recursive: true, force: true });
    if (!(await this.#store.isEmpty(source))) return;
    if (isOwn) await this.#store.write({ ...record, filling: true });
    await fillVolume(rootPath, target, source);
    if (isOwn) await this.#store.write({ ...record, filling: false });
  }

  #use(name: string, taskId: string): void {
    const users = this.#users.get(name) ?? new Set<string>();
    users.add(taskId);
    this.#users.set(name, users);
  }

  /** The task's container is made and has mounts of its own. */
  async created(taskId: string): Promise<void> {
    await this.#subpaths.release(taskId);
  }

  /** The task's container has ended: its named volumes are free. Its anonymous ones stay until `release`. */
  async ended(taskId: string): Promise<void> {
    await this.#subpaths.release(taskId);
    await this.#letGo(taskId, (record) => record?.owner !== taskId);
  }

  /** The task's container is gone: its volumes are free, its anonymous ones are removed. */
  async release(taskId: string): Promise<void> {
    await this.#subpaths.release(taskId);
    await this.#letGo(taskId, () => true);
  }

  async #letGo(taskId: string, concerned: (record: VolumeRecord | undefined) => boolean): Promise<void> {
    for (const [name, users] of [...this.#users]) {
      if (!users.has(taskId)) continue;
      await this.#turns.take(name, async () => {
        const record = await this.#store.inspect(name);
        if (!concerned(record)) return;
        if (record !== undefined) await this.#drivers.of(record.driver).unmount(record, taskId, users.size === 1);
        users.delete(taskId);
        if (users.size === 0 && this.#users.get(name) === users) this.#users.delete(name);
        if (record?.owner === taskId) await this.#remove(record);
      });
    }
  }

  /**
   * After a restart: the users of volumes are known again, and what belongs to nobody goes: anonymous volumes, mounts,
   * and whatever was half made or half removed. Plugins are told in the background: they may not be there yet.
   */
  async restore({ living, all }: TasksFound): Promise<void> {
    for (const [taskId, names] of living) for (const name of names) this.#use(name, taskId);
    await this.#subpaths.sweep();
    await this.#store.sweep();
    for (const record of await this.#store.list()) {
      const { name, owner } = record;
      if (owner !== undefined && all.has(owner)) this.#use(name, owner);
      else if (owner !== undefined || record.phase !== 'ready') this.#inBackground(name, () => this.#restoreGone(name));
      for (const taskId of await this.#store.uses(name))
        if (this.#users.get(name)?.has(taskId) !== true)
          this.#inBackground(name, () => this.#restoreUnused(name, taskId));
    }
    await this.#unmountUnused();
    // What needs no plugin is over at once.
    await withDeadline(this.#turns.over(), RESTORE_WAIT_MS, 'volumes of nobody to go').catch(() => {});
  }

  async #restoreGone(name: string): Promise<void> {
    const record = await this.#store.inspect(name);
    if (record === undefined || (record.owner === undefined && record.phase === 'ready')) return;
    this.#log.info('removing a volume that belongs to nobody', { volume: name, task: record.owner ?? '' });
    for (const taskId of await this.#store.uses(name))
      await this.#drivers.of(record.driver).unmount(record, taskId, false);
    await this.#undo(record);
  }

  async #restoreUnused(name: string, taskId: string): Promise<void> {
    const record = await this.#store.inspect(name);
    if (record === undefined || this.#users.get(name)?.has(taskId) === true) return;
    await this.#drivers.of(record.driver).unmount(record, taskId, false);
  }

  #inBackground(name: string, work: () => Promise<void>): void {
    this.#turns.take(name, work).catch((thrown: unknown) => {
      this.#log.warn('what is left of a volume cannot be taken away', {
        volume: name,
        error: SwarmError.from(thrown).message,
      });
    });
  }

  /** Mounts of volumes that no task uses any more. */
  async #unmountUnused(): Promise<void> {
    const directory = mountsDirectoryOf(this.#options.runDirectory);
    for (const target of await mountTargetsBelow(directory)) {
      const [name = ''] = target.slice(directory.length + 1).split('/');
      if ((this.#users.get(name)?.size ?? 0) > 0) continue;
      await unmountByProgram(target, this.#options.unmountTimeoutMs).catch((thrown: unknown) =>
        this.#log.warn('a volume cannot be unmounted', { target, error: SwarmError.from(thrown).message }),
      );
    }
  }

  /** Volumes that are there to be used, anonymous ones too. */
  async list(): Promise<readonly VolumeRecord[]> {
    return (await this.#store.list()).filter(({ phase }) => phase === 'ready');
  }

  async inspect(name: string): Promise<VolumeRecord | undefined> {
    const record = await this.#store.inspect(name);
    return record?.phase === 'ready' ? record : undefined;
  }

  /** Tasks that have it. */
  usersOf(name: string): readonly string[] {
    return [...(this.#users.get(name) ?? [])];
  }

  driverOf(record: VolumeRecord): VolumeDriver {
    return this.#drivers.of(record.driver);
  }

  /** Makes a named volume. One that is there already and is alike is no error. */
  async create(wanted: Omit<NewVolume, 'owner'>): Promise<VolumeRecord> {
    checkVolumeName(wanted.name);
    checkVolumeDriver(wanted.driver, wanted.driverOptions);
    return this.#turns.take(wanted.name, () => this.#ensure({ ...wanted, owner: undefined }));
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
      const record = await this.#store.inspect(name);
      if (record === undefined)
        throw new SwarmError({
          code: 'not-found',
          reason: 'unknown-object',
          message: `there is no volume ${name} on this node`,
        });
      await this.#remove(record);
    });
  }

  async #remove(record: VolumeRecord): Promise<void> {
    const driver = this.#drivers.of(record.driver);
    // Told of a use before a crash, and of its end never.
    for (const taskId of await this.#store.uses(record.name)) await driver.unmount(record, taskId, true);
    await this.#store.write({ ...record, phase: 'removing' });
    try {
      await driver.remove(record);
    } catch (error) {
      // It is there still, as far as anybody knows; whoever wants it gone says so again.
      await this.#store.write({ ...record, phase: 'ready' });
      throw error;
    }
    await this.#store.discard(record.name);
    if (record.owner === undefined) this.#changed(record.name);
  }

  #changed(name: string): void {
    for (const watcher of this.#watchers) watcher(name);
  }
}

/** Removing directories is quick; whatever takes longer goes on beside the node's start. */
const RESTORE_WAIT_MS = 2_000;

/** A volume keeps the driver and the options that it was made with: what asks for others does not get its data. */
function alike(record: VolumeRecord, wanted: NewVolume): VolumeRecord {
  const driver = wanted.driver === '' ? record.driver : wanted.driver;
  const options = Object.entries(wanted.driverOptions);
  const sameOptions =
    options.length === 0 ||
    (options.length === Object.keys(record.driverOptions).length &&
      options.every(([key, value]) => record.driverOptions[key] === value));
  if (driver === record.driver && sameOptions) return record;
  throw new SwarmError({
    code: 'precondition',
    reason: 'duplicate-name',
    field: 'mounts.volume.driver',
    message:
      driver === record.driver
        ? `volume ${record.name} exists on this node with other options`
        : `volume ${record.name} exists on this node with the driver ${record.driver}, not ${driver}`,
    hint: 'give the volume another name, or remove the one that is there: swarm volume rm',
  });
}
