/** What this machine can do for containers that others cannot, in the words that managers place tasks by. Pure. */
import type { MachineFacts } from './spec/machine-facts.ts';

export function machineCapabilities({ appArmor, seLinux, cgroups }: MachineFacts): readonly string[] {
  const known: Readonly<Record<string, boolean>> = {
    apparmor: appArmor,
    selinux: seLinux,
    swap: cgroups.swap,
    'memory-swappiness': cgroups.swappiness,
    'oom-kill-disable': cgroups.oomKillDisable,
    'block-io-weight': cgroups.blockIoWeight,
    'block-io-rate': cgroups.blockIoRate,
  };
  return Object.keys(known).filter((name) => known[name]);
}
