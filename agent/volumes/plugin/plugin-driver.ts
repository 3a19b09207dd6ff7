/** Volumes that a plugin keeps: Docker's volume plugin protocol, version 1. */
import { stat } from 'node:fs/promises';
import { SwarmError } from '#common/errors.ts';
import type { VolumesConfig } from '../config.ts';
import { isMounted, isMountedOutside } from '../mounts.ts';
import type { VolumeDriver, VolumeScope } from '../volume-driver.ts';
import type { VolumeRecord } from '../volume-record.ts';
import type { VolumeStore } from '../volume-store.ts';
import { findPlugin } from './find-plugin.ts';
import { callPlugin, type PluginAnswer } from './plugin-client.ts';

export interface PluginDriverOptions {
  readonly name: string;
  readonly store: VolumeStore;
  readonly config: VolumesConfig;
}

export class PluginDriver implements VolumeDriver {
  readonly #options: PluginDriverOptions;
  /** Where volumes are mounted for tasks, by name and task: a plugin counts each Mount. */
  readonly #mounted = new Map<string, string>();
  #activated = false;
  #scope: VolumeScope | undefined;

  constructor(options: PluginDriverOptions) {
    this.#options = options;
  }

  async create(record: VolumeRecord, begin: () => Promise<void>): Promise<void> {
    // One that is there was made by somebody else, by another node perhaps: it is used, and was not made here.
    if ((await this.#get(record)) !== undefined) return;
    await begin();
    await this.#call('VolumeDriver.Create', { Name: record.name, Opts: record.driverOptions });
  }

  async remove(record: VolumeRecord): Promise<void> {
    try {
      await this.#call('VolumeDriver.Remove', { Name: record.name });
    } catch (error) {
      // Gone already: a crash came between its removal and ours.
      if (error instanceof SwarmError && error.code === 'precondition' && (await this.#get(record)) === undefined)
        return;
      throw error;
    }
  }

  async mount(record: VolumeRecord, taskId: string): Promise<string> {
    const key = `${record.name}/${taskId}`;
    const known = this.#mounted.get(key);
    if (known !== undefined) return known;
    await this.#options.store.noteUse(record.name, taskId);
    const answer = await this.#call(
      'VolumeDriver.Mount',
      { Name: record.name, ID: taskId },
      this.#options.config.pluginMountTimeoutMs,
    );
    const path = await this.#checkMountpoint(answer['Mountpoint']);
    this.#mounted.set(key, path);
    return path;
  }

  async unmount(record: VolumeRecord, taskId: string): Promise<void> {
    const { store, config } = this.#options;
    // Nothing was asked of the plugin for this task.
    if (!(await store.uses(record.name)).includes(taskId)) return;
    const body = { Name: record.name, ID: taskId };
    await this.#call('VolumeDriver.Unmount', body, config.pluginMountTimeoutMs);
    await store.dropUse(record.name, taskId);
    this.#mounted.delete(`${record.name}/${taskId}`);
  }

  async mountpoint(record: VolumeRecord): Promise<string> {
    const path = (await this.#get(record))?.['Mountpoint'];
    return typeof path === 'string' ? path : '';
  }

  async scope(): Promise<VolumeScope> {
    this.#scope ??= await this.#askScope();
    return this.#scope;
  }

  readonly ownsData = (): boolean => false;

  /** Plugins of before capabilities are local ones, says the protocol. */
  async #askScope(): Promise<VolumeScope> {
    const answer = await this.#call('VolumeDriver.Capabilities', {}).catch((error: unknown): PluginAnswer => {
      if (error instanceof SwarmError && error.code === 'precondition') return {};
      throw error;
    });
    const capabilities = answer['Capabilities'];
    const scope =
      typeof capabilities === 'object' && capabilities !== null && 'Scope' in capabilities
        ? String(capabilities.Scope).toLowerCase()
        : 'local';
    return scope === 'global' ? 'global' : 'local';
  }

  /** The plugin's own view of the volume; undefined when it has none of that name. */
  async #get({ name }: VolumeRecord): Promise<PluginAnswer | undefined> {
    try {
      const volume = (await this.#call('VolumeDriver.Get', { Name: name }))['Volume'];
      return typeof volume === 'object' && volume !== null ? (volume as PluginAnswer) : undefined;
    } catch (error) {
      // "Not found" comes as an error with words of the plugin's choice.
      if (error instanceof SwarmError && error.code === 'precondition') return undefined;
      throw error;
    }
  }

  async #call(
    method: string,
    body: object,
    timeoutMs: number = this.#options.config.pluginCallTimeoutMs,
  ): Promise<PluginAnswer> {
    const { name, config } = this.#options;
    const address = await findPlugin(name, config);
    const common = { plugin: name, address, answerBytesMax: config.pluginAnswerBytesMax };
    try {
      if (!this.#activated) {
        const answer = await callPlugin({
          ...common,
          method: 'Plugin.Activate',
          body: {},
          timeoutMs: config.pluginCallTimeoutMs,
        });
        const kinds = answer['Implements'];
        if (!Array.isArray(kinds) || !kinds.includes('VolumeDriver')) throw notForVolumes(name);
        this.#activated = true;
      }
      return await callPlugin({ ...common, method, body, timeoutMs });
    } catch (error) {
      // It may be another one when it is back.
      if (error instanceof SwarmError && error.code === 'unavailable') {
        this.#activated = false;
        this.#scope = undefined;
      }
      throw error;
    }
  }

  async #checkMountpoint(path: unknown): Promise<string> {
    const { name } = this.#options;
    const bad = (why: string, hint = 'look at the log of the plugin'): SwarmError =>
      new SwarmError({
        code: 'precondition',
        reason: 'plugin-failed',
        message: `the volume plugin ${name} mounted at ${JSON.stringify(path)}, ${why}`,
        hint,
      });
    if (typeof path !== 'string' || !/^\/[^\0\n]+$/.test(path) || path.split('/').includes('..'))
      throw bad('which is no path of a directory');
    const seen = await stat(path).catch(() => undefined);
    if (seen?.isDirectory() !== true) throw bad('where this node has no directory');
    // What is mounted where nobody passes mounts on is not seen here: the data would go below the mount.
    if ((await isMountedOutside(path)) && !(await isMounted(path)))
      throw bad('which this daemon does not see', 'let mounts propagate from there: mount --make-rshared /');
    return path;
  }
}

function notForVolumes(name: string): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'plugin-failed',
    message: `the plugin ${name} is not a volume plugin`,
    hint: 'its answer to Plugin.Activate has to name VolumeDriver',
  });
}
