/** Compares a router with its model and puts right what differs. Built anew, taken over after a restart, healed: one way. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { ElementChange, ElementSet } from '../../kernel/nftables-elements.ts';
import type { Sysctl } from '../sysctls.ts';
import { nodeLinkAddress } from './addressing.ts';
import type { OverlayConfig } from './config.ts';
import { inOrder } from './item-book.ts';
import { isRefusal, type KernelNamespace, type LinkState } from './kernel/network-kernel.ts';
import { type Item, keyOf, LOOPBACK, type Operation, valueOf, wordsFor } from './kernel/operations.ts';
import { chainCount, type ElementGroup, SETS } from './load-balancer.ts';
import { deviceInRouter, type RouterModel, VXLAN } from './router-model.ts';
import { TASK_DEVICE_LETTER } from './router-table.ts';

/** For the namespace; those of `default` are inherited by every device made later. */
const ROUTER_SETTINGS: readonly Sysctl[] = [
  ['ipv4/ip_forward', '1'],
  ['ipv4/conf/all/send_redirects', '0'],
  ['ipv4/conf/default/send_redirects', '0'],
  ['ipv4/conf/all/accept_redirects', '0'],
  ['ipv4/conf/default/accept_redirects', '0'],
  // A namespace begins with what the host has; for this one `all` alone decides.
  ['ipv4/conf/all/accept_source_route', '0'],
  // The stricter of `all` and the device counts, and 2 would be looser: every device has 1.
  ['ipv4/conf/all/rp_filter', '0'],
  ['ipv4/conf/default/rp_filter', '1'],
  ['ipv6/conf/all/disable_ipv6', '0'],
  ['ipv6/conf/default/disable_ipv6', '0'],
  ['ipv6/conf/all/forwarding', '1'],
  ['ipv6/conf/default/forwarding', '1'],
  ['ipv6/conf/all/accept_redirects', '0'],
  ['ipv6/conf/default/accept_redirects', '0'],
  ['ipv6/conf/default/accept_ra', '0'],
  // No link-local addresses: nobody talks to the router by them, all neighbours are written down.
  ['ipv6/conf/default/addr_gen_mode', '1'],
];

function deviceSettings(name: string): readonly Sysctl[] {
  return [
    [`ipv4/conf/${name}/rp_filter`, '1'],
    [`ipv4/conf/${name}/forwarding`, '1'],
    [`ipv6/conf/${name}/disable_ipv6`, '0'],
    [`ipv6/conf/${name}/forwarding`, '1'],
  ];
}

export interface RepairScene {
  readonly namespace: KernelNamespace;
  /** The namespace that the sockets of VXLAN devices live in. */
  readonly host: KernelNamespace;
  readonly path: string;
  readonly model: RouterModel;
  /** Undefined for a network that ends at this node. */
  readonly vni: number | undefined;
  readonly config: OverlayConfig;
  readonly clock: Clock;
}

export async function repairSettings({ namespace }: RepairScene): Promise<readonly string[]> {
  return (await namespace.ensureSettings(ROUTER_SETTINGS)).map((name) => `setting net/${name}`);
}

function isAsWanted(link: LinkState, scene: RepairScene): boolean {
  const { model, vni } = scene;
  const { nodeIndex } = model;
  return (
    link.kind === 'vxlan' &&
    link.vxlan?.vni === vni &&
    link.vxlan?.port === model.underlay?.port &&
    link.vxlan?.local === model.underlay?.address &&
    link.mtu === model.mtu &&
    nodeIndex !== undefined &&
    link.linkLayerAddress === nodeLinkAddress(nodeIndex)
  );
}

/** The kernel takes a moment to tear down what had the number before: a network removed and made again at once. */
async function addVxlan(scene: RepairScene, vni: number): Promise<void> {
  const { host, model, path, config, clock } = scene;
  const { underlay, nodeIndex } = model;
  if (underlay === undefined || nodeIndex === undefined) return;
  const { address: local, port } = underlay;
  const device = { ...VXLAN, mtu: model.mtu, linkLayerAddress: nodeLinkAddress(nodeIndex) };
  const deadline = clock.monotonic() + config.vniWaitMs;
  for (;;) {
    try {
      await host.change([{ do: 'add-vxlan', device, vxlan: { vni, port, local }, into: path }]);
      return;
    } catch (error) {
      if (!isRefusal(error, 'EEXIST') || clock.monotonic() >= deadline) throw vniTaken(error, vni, port);
      await new Promise<void>((resolve) => void clock.setTimer(config.vniRetryMs, resolve));
    }
  }
}

function vniTaken(cause: unknown, vni: number, port: number): unknown {
  if (!isRefusal(cause, 'EEXIST')) return cause;
  return new SwarmError({
    code: 'precondition',
    reason: 'network-failed',
    message: `number ${vni} of VXLAN on UDP port ${port} is in use on this host by something else`,
    hint: 'find it with `ip -d link show type vxlan` in the namespaces of the host (`lsns -t net`), or use another port',
    cause,
  });
}

/** The device to the other nodes. */
export async function repairVxlan(scene: RepairScene, links: readonly LinkState[]): Promise<readonly string[]> {
  const { namespace, model, vni } = scene;
  const found = links.find((link) => link.name === VXLAN.name);
  const wanted = vni !== undefined && model.underlay !== undefined && model.nodeIndex !== undefined;
  if (wanted && found !== undefined && isAsWanted(found, scene)) {
    if (found.up) return [];
    await namespace.change([{ do: 'set-up', device: VXLAN }]);
    return [`device ${VXLAN.name}: was down`];
  }
  if (found !== undefined) await namespace.change([{ do: 'delete-link', name: VXLAN.name }]);
  if (wanted) {
    await addVxlan(scene, vni);
    await namespace.change([{ do: 'set-up', device: VXLAN }]);
  }
  return found === undefined && !wanted ? [] : [`device ${VXLAN.name}`];
}

export interface TaskDevices {
  /** Links of the model whose device is missing: their tasks have to be plugged in again. */
  readonly missing: readonly string[];
  /** Devices that belong to no task of the model. */
  readonly extra: readonly LinkState[];
  readonly repaired: readonly string[];
}

/** The router's ends of the cables of tasks. */
export async function repairTaskDevices(scene: RepairScene, links: readonly LinkState[]): Promise<TaskDevices> {
  const { namespace, model } = scene;
  const found = new Map(links.map((link) => [link.name, link]));
  const missing: string[] = [];
  const repaired: string[] = [];
  const wanted = new Set<string>();
  for (const link of model.links.values()) {
    const device = deviceInRouter(link);
    wanted.add(device.name);
    const state = found.get(device.name);
    if (state === undefined) missing.push(link.taskId);
    else if (!state.up) {
      await namespace.change([{ do: 'set-up', device }]);
      repaired.push(`cable of task ${link.taskId}: was down`);
    }
  }
  const isCable = (link: LinkState): boolean =>
    link.name.startsWith(TASK_DEVICE_LETTER) && /^\d+$/.test(link.name.slice(TASK_DEVICE_LETTER.length));
  return { missing, extra: links.filter((link) => isCable(link) && !wanted.has(link.name)), repaired };
}

/** Settings of devices: kept from `default` when they are made, so this finds only what somebody changed. */
export async function repairDeviceSettings(
  scene: RepairScene,
  links: readonly LinkState[],
): Promise<readonly string[]> {
  const settings = links.filter((link) => link.name !== LOOPBACK.name).flatMap((link) => deviceSettings(link.name));
  return (await scene.namespace.ensureSettings(settings)).map((name) => `setting net/${name}`);
}

/** Comparisons that are made before others get a turn: some milliseconds of work. */
const COMPARISONS_PER_TURN = 2000;

/** Differences between the two, as operations: what is missing or different first, then what is too much. */
export async function itemDifferences(
  wanted: Iterable<readonly [string, Item]>,
  found: readonly Item[],
): Promise<readonly Operation[]> {
  let done = 0;
  const there = new Map<string, Item>();
  for (const item of found) {
    there.set(keyOf(item), item);
    if (++done % COMPARISONS_PER_TURN === 0) await nextTurn();
  }
  const missing: Item[] = [];
  for (const [key, item] of wanted) {
    if (++done % COMPARISONS_PER_TURN === 0) await nextTurn();
    const state = there.get(key);
    there.delete(key);
    if (state === undefined || valueOf(state) !== valueOf(item)) missing.push(item);
  }
  return [
    ...inOrder(missing).map((item): Operation => ({ do: 'set', item })),
    ...inOrder([...there.values()])
      .toReversed()
      .map((item): Operation => ({ do: 'delete', item })),
  ];
}

/** Many of a kind are counted, a few are named. */
const NAMED_MAX = 5;

export function summary(words: readonly string[], rest: string): readonly string[] {
  return words.length <= NAMED_MAX ? words : [...words.slice(0, NAMED_MAX), `${words.length - NAMED_MAX} more ${rest}`];
}

/** Addresses, routes, neighbours and forwarding entries. Those of devices that are missing wait for their devices. */
export async function repairItems(
  { namespace, model }: RepairScene,
  missing: readonly string[],
): Promise<readonly string[]> {
  const absent = new Set(
    missing.flatMap((taskId) => {
      const link = model.links.get(taskId);
      return link === undefined ? [] : [deviceInRouter(link).name];
    }),
  );
  function* present(): Generator<readonly [string, Item]> {
    for (const entry of model.items.entries()) {
      const [, item] = entry;
      if (item.kind === 'rule' || !absent.has(item.device.name)) yield entry;
    }
  }
  const operations = await itemDifferences(present(), await namespace.items());
  if (operations.length === 0) return [];
  await namespace.change(operations);
  const words = operations.flatMap((operation) => {
    if (operation.do === 'set') return [wordsFor(operation.item)];
    return operation.do === 'delete' ? [`${wordsFor(operation.item)} too much`] : [];
  });
  return summary(words, 'routes and neighbours');
}

/** All the elements that are due in a set. */
function wantedElements(model: RouterModel): readonly (readonly [ElementSet, ReadonlyMap<string, string>])[] {
  return ([4, 6] as const).flatMap((family) => {
    const { vips, eps } = model.balancer.elements(family);
    const sets = SETS[family];
    return [
      // First: where a chain looks for a backend there is one, whatever transaction the rest is in.
      [sets.eps, eps],
      [sets.vips, vips],
      [sets.hairpin, model.hairpins(family)],
    ] as const;
  });
}

/** By service address, so that each service's new connections see all of its difference at once. */
function groupOf(groups: Map<string, ElementChange[]>, key: string): ElementChange[] {
  const name = key.split(' . ')[0] ?? '';
  const found = groups.get(name) ?? [];
  groups.set(name, found);
  return found;
}

/** Elements of maps and sets. Says what it repaired. */
export async function repairElements({ namespace, model }: RepairScene): Promise<readonly string[]> {
  const groups = new Map<string, ElementChange[]>();
  const words: string[] = [];
  for (const [set, wanted] of wantedElements(model)) {
    const found = await namespace.elements(set);
    let done = 0;
    for (const [key, value] of wanted) {
      if (++done % COMPARISONS_PER_TURN === 0) await nextTurn();
      const state = found.get(key);
      if (state === value) continue;
      const group = groupOf(groups, key);
      if (state !== undefined) group.push({ set, action: 'delete', key });
      group.push(set.value === undefined ? { set, action: 'add', key } : { set, action: 'add', key, value });
      words.push(`element ${key} of ${set.name}`);
    }
    for (const key of found.keys())
      if (!wanted.has(key)) {
        groupOf(groups, key).push({ set, action: 'delete', key });
        words.push(`element ${key} of ${set.name} too much`);
      }
  }
  await namespace.changeElements([...groups.values()]);
  return summary(words, 'elements');
}

/** Everything that is due in the maps, as nft text: for the transaction that puts a whole table in place of another. */
export function elementsText(model: RouterModel): string {
  const lines: string[] = [];
  for (const [set, wanted] of wantedElements(model)) {
    if (wanted.size === 0) continue;
    const elements = Array.from(wanted, ([key, value]) => {
      if (set.value === undefined) return key;
      return `${key} : ${set.value === 'goto' ? `goto ${value}` : value}`;
    });
    lines.push(`add element ${set.family} ${set.table} ${set.name} { ${elements.join(', ')} }`);
  }
  return `${lines.join('\n')}\n`;
}

/** The counts of these groups that have no chain yet. */
export function missingCounts(groups: readonly ElementGroup[], known: ReadonlySet<number>): ReadonlySet<number> {
  const missing = new Set<number>();
  for (const group of groups)
    for (const { set, action, value } of group) {
      const count = action === 'add' && set.value === 'goto' ? chainCount(value ?? '') : undefined;
      if (count !== undefined && !known.has(count)) missing.add(count);
    }
  return missing;
}
