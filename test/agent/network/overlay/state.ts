/** What a router holds, as text that can be compared. */
import { NetlinkKernel } from '#agent/network/overlay/kernel/netlink-kernel.ts';
import type { KernelNamespace } from '#agent/network/overlay/kernel/network-kernel.ts';
import { keyOf, valueOf } from '#agent/network/overlay/kernel/operations.ts';
import { ALL_SETS } from '#agent/network/overlay/load-balancer.ts';

export async function routerState(namespace: KernelNamespace): Promise<string> {
  const links = (await namespace.links()).map(({ name, up, mtu, linkLayerAddress, vxlan }) =>
    [name, up ? 'up' : 'down', mtu, linkLayerAddress, JSON.stringify(vxlan)].join(' '),
  );
  const items = (await namespace.items()).map((item) => `${keyOf(item)} = ${valueOf(item)}`);
  const elements: string[] = [];
  for (const set of ALL_SETS)
    for (const [key, value] of await namespace.elements(set))
      elements.push(`${set.family} ${set.name} ${key} : ${value}`);
  return [...links.toSorted(), ...items.toSorted(), ...elements.toSorted(), await namespace.ruleset()].join('\n');
}

export async function stateAt(path: string): Promise<string> {
  const namespace = await new NetlinkKernel().open(path);
  try {
    return await routerState(namespace);
  } finally {
    await namespace.close();
  }
}
