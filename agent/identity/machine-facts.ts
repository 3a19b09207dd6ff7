/** What tells one machine from another, to notice a state directory that was copied with a disk or by hand. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';

export interface MachineFacts {
  /** Of the operating system's installation, hashed; undefined where there is none. */
  readonly machine: string | undefined;
  /** Of the hardware or the virtual machine, hashed; undefined where there is none. */
  readonly product: string | undefined;
}

const MACHINE_ID_FILES = ['/etc/machine-id', '/var/lib/dbus/machine-id'];
const PRODUCT_ID_FILES = ['/sys/class/dmi/id/product_uuid'];

export async function readMachineFacts(): Promise<MachineFacts> {
  return { machine: await firstId(MACHINE_ID_FILES), product: await firstId(PRODUCT_ID_FILES) };
}

async function firstId(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    const text = await readFile(path, 'utf8').catch(() => '');
    const id = text.trim();
    // "uninitialized" and all zeros or all ones stand for no id.
    if (!/^[0-9a-fA-F-]{32,36}$/.test(id) || /^[0-]+$/.test(id) || /^[fF-]+$/.test(id)) continue;
    // machine-id(5) asks that it is not passed on as it is.
    return createHash('sha256').update(`starling machine\n${id.toLowerCase()}`).digest('hex');
  }
  return undefined;
}
