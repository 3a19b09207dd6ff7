/** What each task was given, one small file per task in the run directory: it lives and dies with the kernel's state. */
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { invalidField } from '#common/errors.ts';
import { hasErrno } from '../kernel/libc.ts';
import type { DnsSettings, HostPort, NetworkMembership, NetworkMode } from './task-network.ts';

export interface AttachmentRecord {
  readonly taskId: string;
  readonly mode: NetworkMode;
  /** Of its namespace; undefined in mode `host`. */
  readonly number: number | undefined;
  readonly ports: readonly HostPort[];
  /** As managers gave them. Undefined: none. */
  readonly networks?: readonly NetworkMembership[];
  /** Those that published ports of the cluster lead to, of IPv4 and of IPv6. */
  readonly ingressAddress?: string;
  readonly ingressAddress6?: string;
  /** It is on internal networks only: nothing outside is to be reached. */
  readonly confined?: boolean;
  /** Its server of names is 127.0.0.11. */
  readonly asksResolver?: boolean;
  /** Servers and options of its own. */
  readonly dns?: DnsSettings;
}

const RECORD = /^([A-Za-z0-9][A-Za-z0-9_.-]{0,127})\.json$/;

/** Throws `bad-field` unless the id is safe as part of a file name. */
export function checkTaskId(taskId: string): void {
  if (!RECORD.test(`${taskId}.json`) || taskId.includes('..'))
    throw invalidField('taskId', `taskId: ${JSON.stringify(taskId)} is not a valid task id`);
}

export class AttachmentRecords {
  readonly #directory: string;

  constructor(runDirectory: string) {
    this.#directory = join(runDirectory, 'tasks');
  }

  /** Written before anything is published, so that a crash leaves nothing that nobody knows. */
  async write(record: AttachmentRecord): Promise<void> {
    const path = this.#path(record.taskId);
    // No sync: after a power loss neither the file nor what it describes is there.
    await writeFile(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
    await rename(`${path}.new`, path);
  }

  async remove(taskId: string): Promise<void> {
    await rm(this.#path(taskId), { force: true });
  }

  /** All of them; a damaged one counts as none, and its namespace as nobody's. */
  async readAll(): Promise<readonly AttachmentRecord[]> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const records: AttachmentRecord[] = [];
    for (const name of await readdir(this.#directory)) {
      const taskId = RECORD.exec(name)?.[1];
      const record = taskId === undefined ? undefined : await this.#read(taskId);
      if (record === undefined) await rm(join(this.#directory, name), { force: true });
      else records.push(record);
    }
    return records;
  }

  #path(taskId: string): string {
    checkTaskId(taskId);
    return join(this.#directory, `${taskId}.json`);
  }

  async #read(taskId: string): Promise<AttachmentRecord | undefined> {
    try {
      const record = JSON.parse(await readFile(this.#path(taskId), 'utf8')) as AttachmentRecord;
      const whole = record.taskId === taskId && Array.isArray(record.ports) && typeof record.mode === 'string';
      return whole ? record : undefined;
    } catch (error) {
      if (error instanceof SyntaxError || hasErrno(error, 'ENOENT')) return undefined;
      throw error;
    }
  }
}
