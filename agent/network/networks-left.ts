import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodePlan } from './address-plan.ts';

/**
 * Whether a run directory tells of networks of a swarm that are still in the kernel: those of a daemon that was in one and
 * lost its state. Nothing there, or nothing that can be read, means no.
 */
export async function networksLeft(directory: string): Promise<boolean> {
  const plan = decodePlan(await readFile(join(directory, 'gateway.json'), 'utf8').catch(() => ''));
  if (plan?.ingress !== undefined) return true;
  return (await readdir(join(directory, 'overlay', 'ns')).catch(() => [])).length > 0;
}
