/** One network on this node: a namespace that is a router between the tasks here and, by VXLAN, the other nodes. */

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { NetworkView } from '#agent/discovery/index.ts';
import type { CancelTimer, Clock } from '#common/clock.ts';
import { assert, SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { taskLinkAddress } from '#common/task-link-address.ts';
import { canonicalAddress } from '../../kernel/ip-address.ts';
import type { NetworkEvent, NetworkWatch } from '../../kernel/netlink-events.ts';
import { ROUTER_LINK_ADDRESS, subnetOf } from './addressing.ts';
import type { AttachableNetwork, NetworkSurvey, NetworkWays, Repaired } from './attachable-network.ts';
import type { OverlayConfig } from './config.ts';
import { DEVICE_NUMBER_MAX, DeviceNumbers } from './device-numbers.ts';
import type { KernelNamespace, NetworkKernel } from './kernel/network-kernel.ts';
import { LOOPBACK, type Operation } from './kernel/operations.ts';
import { SETS } from './load-balancer.ts';
import { LoadedTable } from './loaded-table.ts';
import type { TouchedItems, Underlay } from './network-view.ts';
import {
  type RepairScene,
  repairDeviceSettings,
  repairElements,
  repairItems,
  repairSettings,
  repairTaskDevices,
  repairVxlan,
} from './repair-router.ts';
import { tellsOfLoss } from './router-events.ts';
import { deviceInRouter, deviceInTask, type RouterDelta, RouterModel, type TaskLink, VXLAN } from './router-model.ts';
import { type Listing, routerTableText, TASK_DEVICE_LETTER } from './router-table.ts';
import { routerDifferences } from './survey-router.ts';
import { configureTask, repairTask, taskItems } from './task-side.ts';
import { waysOf } from './ways.ts';

export interface RouterOptions {
  readonly kernel: NetworkKernel;
  readonly host: KernelNamespace;
  /** Of the namespace's file. */
  readonly path: string;
  readonly view: NetworkView;
  readonly nodeId: string;
  readonly config: OverlayConfig;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How the tables list when they are loaded from this text: learnt in a namespace of its own. */
  readonly learnListing: (tableText: string) => Promise<Listing>;
  /** What was repaired after the kernel told of a change that was not ours. */
  readonly onRepaired: (repaired: Repaired) => void;
}

export class Router implements AttachableNetwork {
  readonly #options: RouterOptions;
  readonly #model: RouterModel;
  #view: NetworkView;
  #namespace: KernelNamespace | undefined;
  #watch: NetworkWatch | undefined;
  /** Work takes turns. */
  #lane: Promise<unknown> = Promise.resolve();
  #closed = false;
  #cancelRepair: CancelTimer | undefined;
  /** Whether all that was told since the last look is of devices that are still there. */
  #onlyDevices = true;
  readonly #table: LoadedTable;
  readonly #numbers = new DeviceNumbers();
  /** Devices that belong to nobody, and when they were first seen (monotonic milliseconds). */
  #lingering: ReadonlyMap<string, number> = new Map();

  constructor(options: RouterOptions) {
    this.#options = options;
    this.#view = options.view;
    this.#model = new RouterModel(options.nodeId);
    this.#table = new LoadedTable(options.learnListing);
  }

  get name(): string {
    return `network ${this.#view.table.name}`;
  }

  get links(): ReadonlyMap<string, TaskLink> {
    return this.#model.links;
  }

  apply(view: NetworkView, underlay: Underlay | undefined, touched?: TouchedItems): Promise<void> {
    return this.#inTurn(async () => {
      const adopted = this.#namespace === undefined && (await this.#adoptNamespace());
      const delta = await this.#update(view, underlay, touched);
      this.#view = view;
      if (!adopted && !delta.anew && this.#namespace !== undefined) return this.#commit(delta);
      const repaired = await this.#repairAll(adopted);
      if (adopted) this.#options.onRepaired(repaired);
      await this.#open().forgetFlows(delta.flows);
    });
  }

  newLink(draft: Omit<TaskLink, 'number' | 'linkLayerAddress'>): TaskLink {
    for (const address of draft.addresses) subnetOf(this.#model.subnets, address, this.#view.table.name);
    return {
      ...draft,
      addresses: draft.addresses.map(canonicalAddress),
      number: this.#takeNumber(),
      linkLayerAddress: taskLinkAddress(draft.addresses),
    };
  }

  abandon(link: TaskLink): void {
    this.#numbers.settle(link.number);
  }

  adopt(link: TaskLink): void {
    this.#numbers.adopt(link.number);
    this.#model.attach(link);
  }

  async plug(task: KernelNamespace, link: TaskLink): Promise<void> {
    const { mtu } = this.#model;
    const near = { ...deviceInTask(link), mtu, linkLayerAddress: link.linkLayerAddress };
    const far = { ...deviceInRouter(link), mtu, linkLayerAddress: ROUTER_LINK_ADDRESS };
    await task.change([{ do: 'add-veth', near, far, into: this.#options.path }]);
    await configureTask(task, link, this.#taskItems(link));
  }

  connect(link: TaskLink): Promise<void> {
    return this.#inTurn(() => this.#connect(link));
  }

  disconnect(taskId: string): Promise<void> {
    return this.#inTurn(async () => {
      const link = this.#model.links.get(taskId);
      if (link === undefined) return;
      await this.#commit(this.#model.detach(taskId));
    });
  }

  prefixes(link: TaskLink): readonly string[] {
    return link.addresses.map((address) => {
      const { length } = subnetOf(this.#model.subnets, address, this.#view.table.name);
      return `${address}/${length}`;
    });
  }

  repair(): Promise<Repaired> {
    return this.#inTurn(() => this.#repairAll());
  }

  survey(): Promise<NetworkSurvey> {
    const { kernel, path } = this.#options;
    return this.#inTurn(async () => {
      const { mtu } = this.#model;
      if (this.#namespace === undefined || !(await kernel.exists(path))) return { differences: ['namespace'], mtu };
      const whole = await this.#table.learnWhole(routerTableText({ subnets: this.#model.subnets }));
      const taskItemsOf = (link: TaskLink): ReturnType<typeof taskItems> => this.#taskItems(link);
      const differences = await routerDifferences({ scene: this.#scene(), kernel, whole, taskItems: taskItemsOf });
      return { differences, mtu };
    });
  }

  ways(): NetworkWays | undefined {
    const { underlay, nodeIndex, mtu } = this.#model;
    if (underlay === undefined || nodeIndex === undefined) return undefined;
    const { path: netnsPath, nodeId } = this.#options;
    return waysOf({ netnsPath, linkIndex: VXLAN.index, nodeIndex }, { view: this.#view, nodeId, underlay, mtu });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelRepair?.();
    await this.#lane.catch(() => undefined);
    await this.#closeNamespace();
  }

  async destroy(): Promise<void> {
    await this.close();
    await this.#options.kernel.remove(this.#options.path);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closed)
      return Promise.reject(
        new SwarmError({ code: 'unavailable', reason: 'shutting-down', message: `${this.name} is being closed` }),
      );
    const done = this.#lane.then(work);
    this.#lane = done.catch(() => undefined);
    return done;
  }

  async #update(view: NetworkView, underlay: Underlay | undefined, touched?: TouchedItems): Promise<RouterDelta> {
    const steps = this.#model.updateInSteps(view, underlay, touched);
    for (;;) {
      const step = steps.next();
      if (step.done === true) return step.value;
      await nextTurn();
    }
  }

  #open(): KernelNamespace {
    assert(this.#namespace !== undefined, 'a router is used after its first apply');
    return this.#namespace;
  }

  #takeNumber(): number {
    const number = this.#numbers.take();
    if (number !== undefined) return number;
    throw new SwarmError({
      code: 'exhausted',
      reason: 'too-many',
      message: `${this.name} has ${DEVICE_NUMBER_MAX} tasks on this node`,
    });
  }

  #taskItems(link: TaskLink): ReturnType<typeof taskItems> {
    return taskItems(link, this.#model.subnets, this.#view.table.name);
  }

  async #connect(link: TaskLink): Promise<void> {
    const delta = this.#model.attach(link);
    this.#numbers.settle(link.number);
    await this.#commit(delta, [{ do: 'set-up', device: deviceInRouter(link) }]);
  }

  /** Does it; what fails half-way is compared and put right at once. Throws when that does not work either. */
  async #commit(delta: RouterDelta, first: readonly Operation[] = []): Promise<void> {
    try {
      await this.#commitOnce(delta, first);
    } catch (error) {
      this.#options.logger.warn('a change of a network was not as expected: comparing all of it', {
        network: this.#view.table.name,
        error: SwarmError.from(error).message,
      });
      await this.#repairAll();
      await this.#open().forgetFlows(delta.flows);
    }
  }

  /** What leads to a task comes before what chooses it, and goes after it. */
  async #commitOnce(delta: RouterDelta, first: readonly Operation[]): Promise<void> {
    const namespace = this.#open();
    const additions = [...first, ...delta.set.map((item): Operation => ({ do: 'set', item }))];
    if (additions.length > 0) await namespace.change(additions);
    if (delta.groups.length > 0) {
      await this.#table.ensureChains(namespace, delta.groups, this.name);
      await namespace.changeElements(delta.groups);
    }
    if (delta.delete.length > 0) await namespace.change(delta.delete.map((item) => ({ do: 'delete', item })));
    if (delta.flows.length > 0) await namespace.forgetFlows(delta.flows);
  }

  /** Opens the namespace of an earlier run, and takes over which backend has which slot. */
  async #adoptNamespace(): Promise<boolean> {
    const { kernel, path } = this.#options;
    if (!(await kernel.exists(path))) return false;
    this.#setNamespace(await kernel.open(path));
    for (const family of [4, 6] as const) {
      try {
        this.#model.balancer.adopt(await this.#open().elements(SETS[family].eps));
      } catch (error) {
        // A crash came before the tables did: there is nothing to take over.
        this.#options.logger.debug('a network has no table yet', { error: SwarmError.from(error).message });
      }
    }
    return true;
  }

  #setNamespace(namespace: KernelNamespace): void {
    this.#namespace = namespace;
    this.#watch = namespace.watch((events) => this.#onEvents(events));
  }

  async #closeNamespace(): Promise<void> {
    this.#watch?.close();
    this.#watch = undefined;
    const namespace = this.#namespace;
    this.#namespace = undefined;
    await namespace?.close();
  }

  /** Makes the namespace if need be; says whether it is new, and everything in it gone. */
  async #ensureNamespace(): Promise<boolean> {
    const { kernel, path } = this.#options;
    const exists = await kernel.exists(path);
    if (exists && this.#namespace !== undefined) return false;
    await this.#closeNamespace();
    if (!exists) await kernel.remove(path);
    this.#setNamespace(exists ? await kernel.open(path) : await kernel.create(path));
    this.#table.forget();
    return !exists;
  }

  #scene(): RepairScene {
    const { host, path, config, clock } = this.#options;
    const { vni, driver } = this.#view.table;
    const namespace = this.#open();
    const isOverlay = driver === '' || driver === 'overlay';
    return { namespace, host, path, model: this.#model, vni: isOverlay ? vni : undefined, config, clock };
  }

  /** `atOnce`: devices that belong to nobody need no time to go by themselves. */
  async #repairAll(atOnce = false): Promise<Repaired> {
    const repaired: string[] = [];
    if (await this.#ensureNamespace()) repaired.push('namespace');
    const scene = this.#scene();
    const { namespace } = scene;
    repaired.push(...(await repairSettings(scene)));
    const before = await namespace.links();
    if (before.find((link) => link.name === LOOPBACK.name)?.up !== true) {
      await namespace.change([{ do: 'set-up', device: LOOPBACK }]);
      repaired.push('device lo: was down');
    }
    repaired.push(...(await repairVxlan(scene, before)));
    // Before tasks are plugged in, so that nothing is forwarded without its checks.
    repaired.push(...(await this.#table.repair(scene, this.name)));
    const devices = await repairTaskDevices(scene, before);
    repaired.push(...devices.repaired);
    const missing: string[] = [];
    for (const taskId of devices.missing) {
      const words = await this.#replug(taskId);
      if (words === undefined) missing.push(taskId);
      else repaired.push(words);
    }
    repaired.push(...(await repairItems(scene, missing)));
    repaired.push(...(await repairElements(scene)));
    repaired.push(...(await repairDeviceSettings(scene, await namespace.links())));
    repaired.push(
      ...(await this.#removeLingering(
        devices.extra.map((link) => link.name),
        atOnce,
      )),
    );
    repaired.push(...(await this.#repairInsideTasks(missing)));
    return repaired.map((what) => `${this.name}: ${what}`);
  }

  /** Joins a task to the router again after its cable was lost; undefined when the task's namespace is gone. */
  async #replug(taskId: string): Promise<string | undefined> {
    const { kernel } = this.#options;
    const link = this.#model.links.get(taskId);
    if (link === undefined || !(await kernel.exists(link.netnsPath))) return undefined;
    const task = await kernel.open(link.netnsPath);
    try {
      await task.change([{ do: 'delete-link', name: deviceInTask(link).name }]);
      await this.plug(task, link);
    } finally {
      await task.close();
    }
    await this.#open().change([{ do: 'set-up', device: deviceInRouter(link) }]);
    return `cable of task ${taskId}`;
  }

  async #repairInsideTasks(missing: readonly string[]): Promise<readonly string[]> {
    const { kernel } = this.#options;
    const repaired: string[] = [];
    for (const link of this.#model.links.values()) {
      if (missing.includes(link.taskId) || !(await kernel.exists(link.netnsPath))) continue;
      const task = await kernel.open(link.netnsPath);
      try {
        repaired.push(...(await repairTask(task, link, this.#taskItems(link))));
      } finally {
        await task.close();
      }
    }
    return repaired;
  }

  /** A namespace that was just removed takes a moment to go; one that somebody else keeps alive does not go at all. */
  async #removeLingering(names: readonly string[], atOnce: boolean): Promise<readonly string[]> {
    const { clock, config } = this.#options;
    const now = clock.monotonic();
    const since = new Map(names.map((name) => [name, this.#lingering.get(name) ?? now]));
    const overdue = names.filter((name) => atOnce || now - (since.get(name) ?? now) >= config.lingerMs);
    for (const name of overdue) since.delete(name);
    this.#lingering = since;
    const links = Array.from(this.#model.links.values(), ({ number }) => number);
    const there = names.map((name) => Number(name.slice(TASK_DEVICE_LETTER.length)));
    this.#numbers.seen([...links, ...there]);
    if (overdue.length === 0) return [];
    await this.#open().change(overdue.map((name) => ({ do: 'delete-link', name })));
    return overdue.map((name) => `device ${name} of a task that is gone`);
  }

  #onEvents(events: readonly NetworkEvent[]): void {
    const relevant = this.#closed ? [] : events.filter((event) => tellsOfLoss(event, this.#model));
    if (relevant.length === 0) return;
    this.#onlyDevices &&= relevant.every((event) => event.kind === 'link' && !event.gone);
    if (this.#cancelRepair !== undefined) return;
    const { clock, config, logger } = this.#options;
    this.#cancelRepair = clock.setTimer(config.eventDelayMs, () => {
      this.#cancelRepair = undefined;
      this.#repairAfterEvents().then(
        (repaired) => {
          if (repaired.length > 0) this.#options.onRepaired(repaired);
        },
        (error: unknown) => {
          if (!this.#closed)
            logger.warn('a network could not be repaired', {
              network: this.#view.table.name,
              error: SwarmError.from(error).message,
            });
        },
      );
    });
  }

  #repairAfterEvents(): Promise<Repaired> {
    return this.#inTurn(async () => {
      const onlyDevices = this.#onlyDevices;
      this.#onlyDevices = true;
      // A new cable is told of before it comes up: by now it has.
      if (onlyDevices && (await this.#devicesAreUp())) return [];
      return this.#repairAll();
    });
  }

  async #devicesAreUp(): Promise<boolean> {
    if (this.#namespace === undefined) return false;
    const up = new Set((await this.#namespace.links()).filter((link) => link.up).map((link) => link.name));
    const vxlan = this.#model.underlay === undefined || this.#model.nodeIndex === undefined || up.has(VXLAN.name);
    return (
      vxlan &&
      up.has(LOOPBACK.name) &&
      [...this.#model.links.values()].every((link) => up.has(deviceInRouter(link).name))
    );
  }
}
