/** What each task was given, one small file per task: it lives and dies with the kernel's state. */
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { checkTaskId } from '../attachment-records.ts';
import type { TaskLink } from './router-model.ts';

const RECORD = /^(.+)\.json$/;

function isLink(value: unknown): value is TaskLink {
  if (typeof value !== 'object' || value === null) return false;
  const fields = value as Readonly<Record<string, unknown>>;
  return (
    ['taskId', 'networkId', 'netnsPath', 'linkLayerAddress'].every((name) => typeof fields[name] === 'string') &&
    Number.isInteger(fields['number']) &&
    Number.isInteger(fields['position']) &&
    Array.isArray(fields['addresses']) &&
    fields['addresses'].every((address) => typeof address === 'string')
  );
}

export class LinkRecords {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = join(directory, 'tasks');
  }

  /** The last step of attaching: what a crash leaves without a record belongs to nobody. */
  async write(taskId: string, links: readonly TaskLink[]): Promise<void> {
    const path = this.#path(taskId);
    // No sync: after a power loss neither the file nor what it describes is there.
    await writeFile(`${path}.new`, JSON.stringify(links), { mode: 0o600 });
    await rename(`${path}.new`, path);
  }

  async remove(taskId: string): Promise<void> {
    await rm(this.#path(taskId), { force: true });
  }

  /** By task id. A damaged one counts as none, and what it told of as nobody's. */
  async readAll(): Promise<ReadonlyMap<string, readonly TaskLink[]>> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const records = new Map<string, readonly TaskLink[]>();
    for (const name of await readdir(this.#directory)) {
      const taskId = RECORD.exec(name)?.[1];
      const links = taskId === undefined ? undefined : parse(await readFile(join(this.#directory, name), 'utf8'));
      if (taskId === undefined || links === undefined || links.some((link) => link.taskId !== taskId))
        await rm(join(this.#directory, name), { force: true });
      else records.set(taskId, links);
    }
    return records;
  }

  #path(taskId: string): string {
    checkTaskId(taskId);
    return join(this.#directory, `${taskId}.json`);
  }
}

function parse(text: string): readonly TaskLink[] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) && value.every(isLink) ? value : undefined;
  } catch {
    return undefined;
  }
}
