import { readFile } from 'node:fs/promises';
import type { Cgroups } from './cgroups.ts';
import { CgroupsV1 } from './cgroups-v1.ts';
import { CgroupsV2 } from './cgroups-v2.ts';
import { readCgroupLayout } from './layout.ts';

/** The driver for this machine, by what this process sees mounted. */
export async function detectCgroups(): Promise<Cgroups> {
  const layout = readCgroupLayout(await readFile('/proc/self/mountinfo', 'utf8'));
  return layout.mode === 'v2' ? new CgroupsV2(layout) : new CgroupsV1(layout);
}
