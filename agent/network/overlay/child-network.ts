/**
 * A macvlan or ipvlan network: each task gets a device on the network that a device of the host is on, and an address
 * there. The host has no part in what they send.
 */
import type { NetworkView } from '#agent/discovery/index.ts';
import { SwarmError } from '#common/errors.ts';
import { taskLinkAddress } from '#common/task-link-address.ts';
import type { NetworkTable } from '#gen/swarm/v1/networks.ts';
import { canonicalAddress, hostPrefix } from '../../kernel/ip-address.ts';
import { IPVLAN_MODES, type IpvlanMode, MACVLAN_MODES, type MacvlanMode } from '../../kernel/netlink-macvlan.ts';
import { MTU_OPTION, networkMtu, type Subnet, subnetOf, subnetsOf } from './addressing.ts';
import type { AttachableNetwork, NetworkSurvey, Repaired } from './attachable-network.ts';
import { isRefusal, type KernelNamespace, type NetworkKernel } from './kernel/network-kernel.ts';
import type { Item, Operation } from './kernel/operations.ts';
import { summary } from './repair-router.ts';
import { deviceInTask, type TaskLink } from './router-model.ts';
import { insideTask } from './survey-router.ts';
import { configureTask, repairTask } from './task-side.ts';

/** Routing tables inside tasks, by position: answers from an address leave by its own device. */
const TASK_TABLE_BASE = 100;
const RULE_PRIORITY = 1000;
const DEFAULT_ROUTE: Readonly<Record<4 | 6, string>> = { 4: 'default', 6: '::/0' };

const PARENT_OPTION = 'parent';
const MODE_OPTION: Readonly<Record<string, string>> = { macvlan: 'macvlan_mode', ipvlan: 'ipvlan_mode' };

function badOption(table: NetworkTable, option: string, message: string): SwarmError {
  return new SwarmError({
    code: 'invalid',
    reason: 'bad-field',
    field: option,
    message: `network ${table.name}: ${message}`,
  });
}

function modeOf<Mode extends string>(
  table: NetworkTable,
  modes: Readonly<Record<Mode, number>>,
  otherwise: Mode,
): Mode {
  const option = MODE_OPTION[table.driver] ?? '';
  const text = table.driverOptions[option] ?? otherwise;
  const known = (Object.keys(modes) as Mode[]).find((mode) => mode === text);
  if (known !== undefined) return known;
  throw badOption(table, option, `${option} is ${JSON.stringify(text)}, not one of ${Object.keys(modes).join(', ')}`);
}

export interface ChildNetworkOptions {
  readonly kernel: NetworkKernel;
  readonly host: KernelNamespace;
  readonly view: NetworkView;
}

export class ChildNetwork implements AttachableNetwork {
  readonly #options: ChildNetworkOptions;
  #table: NetworkTable;
  #subnets: readonly Subnet[] = [];
  readonly links = new Map<string, TaskLink>();

  constructor(options: ChildNetworkOptions) {
    this.#options = options;
    this.#table = options.view.table;
  }

  get name(): string {
    return `network ${this.#table.name}`;
  }

  async apply({ table }: NetworkView): Promise<void> {
    this.#subnets = subnetsOf(table);
    this.#table = table;
  }

  newLink(draft: Omit<TaskLink, 'number' | 'linkLayerAddress'>): TaskLink {
    for (const address of draft.addresses) subnetOf(this.#subnets, address, this.#table.name);
    const addresses = draft.addresses.map(canonicalAddress);
    return { ...draft, addresses, number: 0, linkLayerAddress: taskLinkAddress(addresses) };
  }

  abandon(): void {}

  adopt(link: TaskLink): void {
    this.links.set(link.taskId, link);
  }

  async plug(task: KernelNamespace, link: TaskLink): Promise<void> {
    const operation = this.#addition(link);
    try {
      await this.#options.host.change([operation]);
    } catch (cause) {
      if (!isRefusal(cause, 'ENOTSUP', 'EOPNOTSUPP')) throw cause;
      throw new SwarmError({
        code: 'precondition',
        reason: 'not-supported',
        message: `${this.name}: the kernel of this node has no ${this.#table.driver} devices`,
        hint: `load its module (modprobe ${this.#table.driver}), or constrain the service to nodes that have it`,
        cause,
      });
    }
    await configureTask(task, link, this.#items(link));
  }

  async connect(link: TaskLink): Promise<void> {
    this.links.set(link.taskId, link);
  }

  async disconnect(taskId: string): Promise<void> {
    const link = this.links.get(taskId);
    this.links.delete(taskId);
    if (link === undefined || !(await this.#options.kernel.exists(link.netnsPath))) return;
    // Nothing on this host leads to the task: what keeps it off the network is that its device is gone.
    await this.#inside(link, (task) => task.change([{ do: 'delete-link', name: deviceInTask(link).name }]));
  }

  prefixes(link: TaskLink): readonly string[] {
    return link.addresses.map((address) => `${address}/${subnetOf(this.#subnets, address, this.#table.name).length}`);
  }

  async repair(): Promise<Repaired> {
    const repaired: string[] = [];
    for (const link of [...this.links.values()]) {
      if (!(await this.#options.kernel.exists(link.netnsPath))) continue;
      const words = await this.#inside(link, async (task) => {
        const { name } = deviceInTask(link);
        if ((await task.links()).some((one) => one.name === name)) return repairTask(task, link, this.#items(link));
        await this.plug(task, link);
        return [`device ${name} of task ${link.taskId}`];
      });
      repaired.push(...words.map((what) => `${this.name}: ${what}`));
    }
    return repaired;
  }

  async survey(): Promise<NetworkSurvey> {
    const differences: string[] = [];
    for (const link of [...this.links.values()])
      differences.push(...(await insideTask(this.#options.kernel, link, this.#items(link))));
    return {
      differences: summary(differences, 'differences'),
      mtu: networkMtu(this.#table, undefined),
    };
  }

  ways(): undefined {
    return undefined;
  }

  async close(): Promise<void> {}

  async destroy(): Promise<void> {
    for (const taskId of [...this.links.keys()]) await this.disconnect(taskId);
  }

  async #inside<T>(link: TaskLink, work: (task: KernelNamespace) => Promise<T>): Promise<T> {
    const task = await this.#options.kernel.open(link.netnsPath);
    try {
      return await work(task);
    } finally {
      await task.close();
    }
  }

  #addition(link: TaskLink): Operation {
    const table = this.#table;
    const parent = table.driverOptions[PARENT_OPTION];
    if (parent === undefined || parent === '')
      throw badOption(table, PARENT_OPTION, `the driver ${table.driver} needs the option ${PARENT_OPTION}`);
    const { name, index } = deviceInTask(link);
    const mtu = table.driverOptions[MTU_OPTION] === undefined ? undefined : networkMtu(table, undefined);
    const device = { name, index, ...(mtu === undefined ? {} : { mtu }) };
    const into = link.netnsPath;
    if (table.driver === 'ipvlan')
      return { do: 'add-ipvlan', device, parent, mode: modeOf<IpvlanMode>(table, IPVLAN_MODES, 'l2'), into };
    return {
      do: 'add-macvlan',
      device: { ...device, linkLayerAddress: link.linkLayerAddress },
      parent,
      mode: modeOf<MacvlanMode>(table, MACVLAN_MODES, 'bridge'),
      into,
    };
  }

  /** Neighbours are asked for as on any LAN; what the task answers from its address leaves by the LAN's own gateway. */
  #items(link: TaskLink): readonly Item[] {
    const device = deviceInTask(link);
    const table = TASK_TABLE_BASE + link.position;
    return link.addresses.flatMap((address): readonly Item[] => {
      const { length, gateway, prefix, family } = subnetOf(this.#subnets, address, this.#table.name);
      const own: readonly Item[] = [
        { kind: 'address', device, prefix: `${address}/${length}` },
        { kind: 'route', destination: prefix, device, preferredSource: address },
      ];
      if (this.#table.internal) return own;
      return [
        ...own,
        { kind: 'route', destination: prefix, device, preferredSource: address, table },
        { kind: 'route', destination: DEFAULT_ROUTE[family], device, gateway, preferredSource: address, table },
        { kind: 'rule', priority: RULE_PRIORITY + link.position, source: hostPrefix(address), table },
      ];
    });
  }
}
