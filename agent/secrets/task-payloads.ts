/**
 * Secrets and configs as files of tasks: a file system in memory per task, which is never swapped out, mounted in the
 * agent's own mount namespace, and each file bound into the container, read-only. It outlives the agent, as the container
 * does, and goes with the container's end.
 */
import { chmod, chown, mkdir, readdir, rmdir, writeFile } from 'node:fs/promises';
import { hasErrno } from '#agent/kernel/libc.ts';
import { MOUNT_FLAGS, mountFileSystem, unmount } from '#agent/kernel/mount.ts';
import type { MountSpec } from '#agent/runtime/index.ts';
import type { TaskAssignment } from '#agent/tasks/index.ts';
import { invalidField, SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { PlaceholderValues } from '#common/template/placeholders.ts';
import type { FileTarget } from '#gen/swarm/v1/specs.ts';
import { filledPayload, type Referred } from './fill-payload.ts';
import {
  nameOf,
  type PayloadReference,
  type PayloadStore,
  type PayloadWord,
  payloadReferences,
} from './payload-store.ts';

/** What the container is given. */
export interface PreparedPayloads {
  readonly mounts: readonly MountSpec[];
  /** NAME=value, of those that are to be in the environment. */
  readonly env: readonly string[];
}

export interface TaskPayloadsOptions {
  readonly store: PayloadStore;
  /** Of this agent alone, on a tmpfs: a directory per task. */
  readonly directory: string;
  readonly log: Logger;
}

/** Where a path that is not absolute begins. */
const BASES: Readonly<Record<PayloadWord, string>> = { secret: '/run/secrets', config: '' };

const DEFAULT_MODE = 0o444;
/** A file takes whole pages, and an inode. */
const PAGE_BYTES = 4096;
/** For the directory and what the file system keeps of itself. */
const SPARE_BYTES = 64 * 1024;
const TASK_ID = /^[a-z0-9]{1,64}$/;

export class TaskPayloads {
  readonly #store: PayloadStore;
  readonly #directory: string;
  readonly #log: Logger;

  constructor({ store, directory, log }: TaskPayloadsOptions) {
    this.#store = store;
    this.#directory = directory;
    this.#log = log;
  }

  /**
   * Makes the files of a task. Nothing is left behind when it fails. What an attempt before has left goes first.
   * @param env NAME=value of the container, for templates
   */
  async prepare(
    { task, spec }: TaskAssignment,
    values: PlaceholderValues,
    env: readonly string[],
  ): Promise<PreparedPayloads> {
    const references = payloadReferences(spec);
    if (references.length === 0) return { mounts: [], env: [] };
    const all = references.map((reference): Referred => {
      const payload = this.#store.get(reference);
      if (payload !== undefined) return { reference, payload };
      throw new SwarmError({
        code: 'not-found',
        reason: 'unknown-object',
        field: reference.word,
        message: `${nameOf(reference)} is not on this node any more`,
      });
    });
    const filled = all.map((one) => ({ ...one, data: filledPayload(one, { values, env, all }) }));
    const files = filled.flatMap(({ reference, data }) =>
      reference.file === undefined ? [] : [{ word: reference.word, file: reference.file, data }],
    );
    await this.release(task.id);
    const mounts = files.length === 0 ? [] : await this.#makeFiles(task.id, files);
    return { mounts, env: filled.flatMap(({ reference, data }) => environmentOf(reference, data)) };
  }

  /** The container has ended, or was not made: its files go. Nothing to do is no error. */
  async release(taskId: string): Promise<void> {
    const directory = this.#directoryOf(taskId);
    // A mount over a mount is what two agents that were killed in between have left.
    while ((await unmount(directory)) !== 'absent');
    await rmdir(directory).catch((error: unknown) => {
      if (!hasErrno(error, 'ENOENT')) throw error;
    });
  }

  /** After a restart of the agent: what belongs to no container goes. */
  async restore(living: ReadonlySet<string>): Promise<void> {
    const found = await readdir(this.#directory).catch((error: unknown) => {
      if (hasErrno(error, 'ENOENT')) return [];
      throw error;
    });
    for (const taskId of found) {
      if (living.has(taskId) || !TASK_ID.test(taskId)) continue;
      this.#log.info('removing the secrets and configs of a task that is gone', { task: taskId });
      await this.release(taskId);
    }
  }

  #directoryOf(taskId: string): string {
    if (TASK_ID.test(taskId)) return `${this.#directory}/${taskId}`;
    throw invalidField('id', `${JSON.stringify(taskId)} is no id of a task`, 'use the id that the manager gave');
  }

  async #makeFiles(
    taskId: string,
    files: readonly { readonly word: PayloadWord; readonly file: FileTarget; readonly data: Uint8Array }[],
  ): Promise<readonly MountSpec[]> {
    const directory = this.#directoryOf(taskId);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    try {
      const bytes = files.reduce((sum, { data }) => sum + data.length + 2 * PAGE_BYTES, SPARE_BYTES);
      mountUnswapped(directory, bytes);
      const mounts: MountSpec[] = [];
      for (const [index, { word, file, data }] of files.entries()) {
        const source = `${directory}/${index}`;
        await writeFile(source, data, { flag: 'wx', mode: 0o600 });
        await chown(source, Number(file.uid || 0), Number(file.gid || 0));
        await chmod(source, file.mode ?? DEFAULT_MODE);
        const target = file.path.startsWith('/') ? file.path : `${BASES[word]}/${file.path}`;
        mounts.push({ kind: 'bind', source, target, readOnly: true, propagation: 'rprivate', recursive: false });
      }
      return mounts;
    } catch (error) {
      await this.release(taskId);
      throw error;
    }
  }
}

/** Kernels before 6.3 know no `noswap`; a ramfs is never swapped out either, and what we write is bounded. */
function mountUnswapped(target: string, bytes: number): void {
  const options = [['size', String(bytes)], ['mode', '0700'], ['noswap']] as const;
  // Configs may be programs: an execution is for the container's own mounts to forbid.
  const attributes = MOUNT_FLAGS.noSuid | MOUNT_FLAGS.noDevices;
  try {
    mountFileSystem({ type: 'tmpfs', options, attributes, target });
  } catch (error) {
    if (!hasErrno(error, 'EINVAL')) throw error;
    mountFileSystem({ type: 'ramfs', options: [['mode', '0700']], attributes, target });
  }
}

/** Throws `bad-field` for bytes that no environment can hold; the version may be newer than the spec. */
function environmentOf(reference: PayloadReference, data: Uint8Array): readonly string[] {
  if (reference.env === '') return [];
  if (data.includes(0))
    throw invalidField(
      `${reference.word}.env`,
      `${reference.word}.env: ${nameOf(reference)} contains a NUL byte, which no environment can hold`,
      'give it as a file: target=PATH',
    );
  return [`${reference.env}=${Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('utf8')}`];
}
