/** Kernel settings of a container. Pure. Only those that belong to one of its own namespaces are safe to allow. */
import { invalidField } from '#common/errors.ts';

/** Settings of the IPC namespace, and the beginnings of names of such. */
const IPC_NAMES: ReadonlySet<string> = new Set([
  'kernel.msgmax',
  'kernel.msgmnb',
  'kernel.msgmni',
  'kernel.sem',
  'kernel.shmall',
  'kernel.shmmax',
  'kernel.shmmni',
  'kernel.shm_rmid_forced',
]);
const IPC_PREFIX = 'fs.mqueue.';
const NETWORK_PREFIX = 'net.';
const NAME = /^[a-z0-9_]+(?:[./][A-Za-z0-9_-]+)+$/;

/** Checks each; the same map comes back. Throws `bad-field` for those of the whole machine. */
export function checkSysctls(
  sysctls: Readonly<Record<string, string>>,
  hasOwnNetwork: boolean,
): Readonly<Record<string, string>> {
  for (const [name, text] of Object.entries(sysctls)) {
    const field = `sysctls.${name}`;
    const isNamespaced =
      IPC_NAMES.has(name) || name.startsWith(IPC_PREFIX) || (hasOwnNetwork && name.startsWith(NETWORK_PREFIX));
    if (!isNamespaced || !NAME.test(name) || name.includes('..'))
      throw invalidField(
        field,
        `${field}: a container may not set this, since it holds for the whole machine`,
        'use net.*, fs.mqueue.*, or one of the kernel.msg*, kernel.sem and kernel.shm* settings',
      );
    if (/[\0\n]/.test(text)) throw invalidField(field, `${field}: the value has a line break or a NUL`);
  }
  return sysctls;
}
