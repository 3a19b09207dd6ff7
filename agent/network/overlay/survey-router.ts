/** Compares a router with its model as repairing does, and changes nothing: what differs, in words. */
import { LookOnlyNamespace } from './kernel/look-only-namespace.ts';
import type { NetworkKernel } from './kernel/network-kernel.ts';
import { type Item, LOOPBACK } from './kernel/operations.ts';
import {
  type RepairScene,
  repairDeviceSettings,
  repairElements,
  repairItems,
  repairSettings,
  repairTaskDevices,
  repairVxlan,
  summary,
} from './repair-router.ts';
import type { TaskLink } from './router-model.ts';
import { countChains, type Listing, parseListing, sameSkeleton } from './router-table.ts';
import { repairTask } from './task-side.ts';

export interface RouterSurvey {
  readonly scene: RepairScene;
  readonly kernel: NetworkKernel;
  /** How the tables list when they are whole. */
  readonly whole: Listing;
  readonly taskItems: (link: TaskLink) => readonly Item[];
}

export async function routerDifferences({
  scene: real,
  kernel,
  whole,
  taskItems,
}: RouterSurvey): Promise<readonly string[]> {
  const namespace = new LookOnlyNamespace(real.namespace);
  const scene: RepairScene = { ...real, namespace, host: new LookOnlyNamespace(real.host) };
  const { model } = scene;
  const differences = [...(await repairSettings(scene))];
  const links = await namespace.links();
  if (links.find((link) => link.name === LOOPBACK.name)?.up !== true) differences.push('device lo: is down');
  differences.push(...(await repairVxlan(scene, links)));
  const listing = parseListing(await namespace.ruleset());
  const counts = countChains(listing);
  const isWhole = counts !== undefined && sameSkeleton(listing, whole);
  if (!isWhole) differences.push('nftables tables');
  else differences.push(...[...model.balancer.counts()].filter((count) => !counts.has(count)).map(chainWords));
  const devices = await repairTaskDevices(scene, links);
  differences.push(...devices.repaired, ...devices.missing.map((taskId) => `cable of task ${taskId}`));
  differences.push(...(await repairItems(scene, devices.missing)));
  // What is in tables that are not whole is put right with them.
  if (isWhole) differences.push(...(await repairElements(scene)));
  differences.push(...(await repairDeviceSettings(scene, links)));
  for (const link of model.links.values())
    if (!devices.missing.includes(link.taskId)) differences.push(...(await insideTask(kernel, link, taskItems(link))));
  return summary(differences, 'differences');
}

function chainWords(count: number): string {
  return `chain of ${count} backends`;
}

/** What a task's own end of its cable lacks. */
export async function insideTask(
  kernel: NetworkKernel,
  link: TaskLink,
  items: readonly Item[],
): Promise<readonly string[]> {
  if (!(await kernel.exists(link.netnsPath))) return [`namespace of task ${link.taskId}`];
  const task = await kernel.open(link.netnsPath);
  try {
    return await repairTask(new LookOnlyNamespace(task), link, items);
  } finally {
    await task.close();
  }
}
