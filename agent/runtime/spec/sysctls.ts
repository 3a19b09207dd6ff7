/** Kernel settings of a container. Pure. Only those that belong to one of its own namespaces are safe to allow. */
import { invalidField } from '#common/errors.ts';
import { namespaceOfSetting } from '#common/kernel-names.ts';

/** Which of the namespaces that have settings are the container's own. */
export interface OwnNamespaces {
  readonly network: boolean;
  readonly ipc: boolean;
}

/** Checks each; the same map comes back. Throws `bad-field` for those of the whole machine. */
export function checkSysctls(
  sysctls: Readonly<Record<string, string>>,
  own: OwnNamespaces,
): Readonly<Record<string, string>> {
  for (const [name, text] of Object.entries(sysctls)) {
    const field = `sysctls.${name}`;
    const namespace = namespaceOfSetting(name);
    if (namespace === undefined || !own[namespace])
      throw invalidField(
        field,
        `${field}: a container may not set this, since it holds for the whole machine`,
        'use net.*, fs.mqueue.*, or one of the kernel.msg*, kernel.sem and kernel.shm* settings',
      );
    if (/[\0\n]/.test(text)) throw invalidField(field, `${field}: the value has a line break or a NUL`);
  }
  return sysctls;
}
