/** What a network looks like from inside a task: one device, its addresses, and the router as the way to the subnet. */
import { canonicalAddress } from '../../kernel/ip-address.ts';
import type { Sysctl } from '../sysctls.ts';
import { isFamily, ROUTER_LINK_ADDRESS, ROUTER_NEXT_HOP6, type Subnet, subnetOf } from './addressing.ts';
import type { KernelNamespace } from './kernel/network-kernel.ts';
import { type Item, keyOf, LOOPBACK, type Operation, wordsFor } from './kernel/operations.ts';
import { itemDifferences } from './repair-router.ts';
import { deviceInTask, type TaskLink } from './router-model.ts';

/** IPv6 is off in new devices of a task; on one with an address of it, nobody is asked and nobody else is believed. */
export function taskSettings(link: TaskLink): readonly Sysctl[] {
  const { name } = deviceInTask(link);
  if (!link.addresses.some((address) => isFamily(address, 6))) return [];
  return [
    [`ipv6/conf/${name}/accept_ra`, '0'],
    [`ipv6/conf/${name}/dad_transmits`, '0'],
    [`ipv6/conf/${name}/disable_ipv6`, '0'],
  ];
}

/** Addresses, the way to every subnet of the network, and the neighbour that makes asking unnecessary. */
export function taskItems(link: TaskLink, subnets: readonly Subnet[], networkName: string): readonly Item[] {
  const device = deviceInTask(link);
  const items: Item[] = [];
  for (const address of link.addresses.map(canonicalAddress)) {
    const own = subnetOf(subnets, address, networkName);
    const nextHop = own.family === 4 ? own.gateway : ROUTER_NEXT_HOP6;
    // The prefix length is for programs that ask which network they are on; the route is not by it.
    items.push({ kind: 'address', device, prefix: `${address}/${own.length}` });
    items.push({ kind: 'neighbour', device, address: nextHop, linkLayerAddress: ROUTER_LINK_ADDRESS });
    for (const one of subnets)
      if (one.family === own.family)
        items.push({
          kind: 'route',
          destination: one.prefix,
          device,
          gateway: nextHop,
          preferredSource: address,
        });
  }
  return items;
}

/** Makes the device's inside whole. */
export async function configureTask(task: KernelNamespace, link: TaskLink, items: readonly Item[]): Promise<void> {
  const settings = taskSettings(link);
  if (settings.length > 0) await task.ensureSettings(settings);
  await task.change([
    { do: 'set-up', device: LOOPBACK },
    { do: 'set-up', device: deviceInTask(link) },
    ...items.map((item): Operation => ({ do: 'set', item })),
  ]);
}

/** Sets what is missing of these; what else the task has is its own affair. */
export async function repairTask(
  task: KernelNamespace,
  link: TaskLink,
  items: readonly Item[],
): Promise<readonly string[]> {
  const device = deviceInTask(link);
  const found = (await task.links()).find((one) => one.name === device.name);
  const repaired: string[] = [];
  if (found?.up === false) {
    await task.change([{ do: 'set-up', device }]);
    repaired.push(`device ${device.name} of task ${link.taskId}: was down`);
  }
  const settings = await task.ensureSettings(taskSettings(link));
  const wanted = items.map((item) => [keyOf(item), item] as const);
  const differences = await itemDifferences(wanted, await task.items());
  // What else the task has is its own affair.
  const missing = differences.filter((operation) => operation.do === 'set');
  await task.change(missing);
  return [
    ...repaired,
    ...settings.map((name) => `setting net/${name} of task ${link.taskId}`),
    ...missing.flatMap((operation) =>
      operation.do === 'set' ? [`${wordsFor(operation.item)} of task ${link.taskId}`] : [],
    ),
  ];
}
