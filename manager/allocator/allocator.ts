/**
 * Gives out what the cluster as a whole has: numbers of nodes, identifiers and subnets of networks, published ports and
 * addresses of services, addresses of tasks. A task that has what it needs goes on to the scheduler: NEW becomes PENDING.
 * All that was given out is in the store, so that a new leader starts from there; what waits says for what.
 */
import type { Network, Node, Service, Task } from '#gen/swarm/v1/objects.ts';
import type { ServiceSpec } from '#gen/swarm/v1/specs.ts';
import type { ChangeGroup, Loop, Plan, StoreEvent, StoreView } from '#manager/store/index.ts';
import { familiesOf, isIngress } from './attachments.ts';
import { claimsOfNetwork, claimsOfNode, claimsOfService, claimsOfTask, holdsTheSame } from './claims.ts';
import { type AllocatorConfig, NETWORKS_LEVEL } from './config.ts';
import { planEndpoint } from './endpoint-plan.ts';
import { Ledger } from './ledger.ts';
import { planNetwork } from './network-plan.ts';
import { addressesScarce, noAddressLeft } from './problems.ts';
import { Proposals } from './proposals.ts';
import { sameEndpoint, sameSubnets } from './same-objects.ts';
import { planTask, type TaskDesk, type Want } from './task-plan.ts';
import { TaskQueue } from './task-queue.ts';
import { isHeldBack, isNew, pending, waiting } from './task-statuses.ts';
import { Waiters } from './waiters.ts';
import { byAge, WorkQueue } from './work-queue.ts';

/** How services name what they wait for: an address of a network. */
const FULL = 'full ';

/** What one plan is made on, and what it gives. */
interface Desk {
  readonly view: StoreView;
  readonly nowMs: number;
  readonly changes: ChangeGroup[];
  looks: number;
  networks: number;
}

export class Allocator implements Loop {
  readonly name = 'allocator';
  readonly #config: AllocatorConfig;
  #ledger = new Ledger();
  #proposals = new Proposals(this.#ledger);
  readonly #nodes = new WorkQueue<Node>();
  readonly #networks = new WorkQueue<Network>((a, b) => Number(isIngress(b)) - Number(isIngress(a)) || byAge(a, b));
  readonly #services = new WorkQueue<Service>();
  readonly #tasks = new TaskQueue();
  /** Services that miss something, by what: "full ID", "network ID", "port". */
  readonly #serviceWaits = new Waiters();
  /** Networks that could not be set up, with why. */
  readonly #setupProblems = new Map<string, string>();
  /** Networks that were set up or changed since the last plan. */
  readonly #readyNetworks = new Set<string>();
  /** The network that published ports come in by: at most one, but for moments. */
  readonly #ingressIds = new Set<string>();

  constructor(config: AllocatorConfig) {
    this.#config = config;
  }

  /** No object holds anything or waits for something: so it is when the store is empty. */
  get isIdle(): boolean {
    return this.#ledger.isEmpty && this.#tasks.isEmpty && this.#setupProblems.size === 0;
  }

  restore(view: StoreView): void {
    this.#ledger = new Ledger();
    this.#proposals = new Proposals(this.#ledger);
    this.#nodes.clear();
    this.#networks.clear();
    this.#services.clear();
    this.#tasks.clear();
    this.#serviceWaits.clear();
    this.#setupProblems.clear();
    this.#readyNetworks.clear();
    this.#ingressIds.clear();
    for (const node of view.all('node')) this.#setNode(node, undefined);
    for (const network of view.all('network')) this.#setNetwork(network, undefined);
    for (const service of view.all('service')) this.#setService(service, undefined);
    for (const task of view.all('task')) this.#setTask(task, undefined);
  }

  observe(event: StoreEvent): void {
    switch (event.table) {
      case 'cluster':
        // Pools may have been added.
        this.#ledger.blockFreed = true;
        break;
      case 'node':
        if (event.kind === 'remove') this.#removeNode(event.object);
        else this.#setNode(event.object, event.old);
        break;
      case 'network':
        if (event.kind === 'remove') this.#removeNetwork(event.object);
        else this.#setNetwork(event.object, event.old);
        break;
      case 'service':
        if (event.kind === 'remove') this.#removeService(event.object);
        else this.#setService(event.object, event.old);
        break;
      case 'revision':
        if (event.kind === 'create') this.#tasks.wake('revision', event.object.serviceId);
        break;
      case 'task':
        if (event.kind === 'remove') this.#removeTask(event.object);
        else this.#setTask(event.object, event.old);
        break;
      default: // nothing else has addresses
        break;
    }
  }

  plan(view: StoreView, nowMs: number): Plan {
    const { looksPerSlice, networksPerSlice } = this.#config;
    const desk: Desk = { view, nowMs, changes: [], looks: looksPerSlice, networks: networksPerSlice };
    this.#tasks.begin(nowMs);
    if ((view.cluster()?.featureLevel ?? 0) < NETWORKS_LEVEL) {
      this.#passTasks(desk);
      return { changes: desk.changes, wakeAtMs: this.#tasks.heldUntilMs, more: !this.#tasks.isIdle };
    }
    this.#wakeUp(view);
    this.#planNodes(desk);
    this.#planNetworks(desk);
    this.#planServices(desk);
    this.#planTasks(desk);
    const more = !(this.#nodes.isEmpty && this.#networks.isEmpty && this.#services.isEmpty && this.#tasks.isIdle);
    if (!more) this.#tellProblems(desk);
    return { changes: desk.changes, wakeAtMs: this.#tasks.heldUntilMs, more };
  }

  // What is heard of the store

  #setNode(node: Node, old: Node | undefined): void {
    this.#proposals.settle(`node/${node.id}`, old === undefined ? [] : claimsOfNode(old), claimsOfNode(node));
    if (node.index === 0) this.#nodes.add(node);
    else this.#nodes.remove(node.id);
    if (old?.status?.state !== node.status?.state) this.#tasks.wakeFixed();
  }

  #removeNode(node: Node): void {
    this.#proposals.settle(`node/${node.id}`, claimsOfNode(node), []);
    this.#nodes.remove(node.id);
    this.#tasks.wakeFixed();
  }

  #setNetwork(network: Network, old: Network | undefined): void {
    const { id } = network;
    this.#proposals.settle(`network/${id}`, old === undefined ? [] : claimsOfNetwork(old), claimsOfNetwork(network));
    this.#networks.add(network);
    if (isIngress(network)) this.#ingressIds.add(id);
    if (old !== undefined && old.problem === network.problem && sameSubnets(old, network)) return;
    this.#ledger.setSubnets(id, network.subnets);
    this.#wakeNetwork(id);
  }

  #removeNetwork(network: Network): void {
    const { id } = network;
    this.#proposals.settle(`network/${id}`, claimsOfNetwork(network), []);
    this.#networks.remove(id);
    this.#setupProblems.delete(id);
    this.#ingressIds.delete(id);
    this.#ledger.removeNetwork(id);
    this.#wakeNetwork(id);
  }

  /** Whatever anybody waited for there may be different now. */
  #wakeNetwork(id: string): void {
    this.#tasks.wake('ingress', '');
    this.#tasks.wake('network', id);
    this.#readyNetworks.add(id);
    this.#ledger.freedAddresses.set(id, Number.POSITIVE_INFINITY);
  }

  #setService(service: Service, old: Service | undefined): void {
    const { id } = service;
    this.#proposals.settle(`service/${id}`, old === undefined ? [] : claimsOfService(old), claimsOfService(service));
    this.#services.add(service);
  }

  #removeService(service: Service): void {
    this.#proposals.settle(`service/${service.id}`, claimsOfService(service), []);
    this.#services.remove(service.id);
    this.#serviceWaits.forget(service.id);
  }

  #setTask(task: Task, old: Task | undefined): void {
    const key = `task/${task.id}`;
    if (old === undefined || this.#proposals.has(key) || !holdsTheSame(old, task))
      this.#proposals.settle(key, old === undefined ? [] : claimsOfTask(old), claimsOfTask(task));
    if (isNew(task)) this.#tasks.set(task);
    else this.#tasks.delete(task.id);
    // Told to stop: if its node is lost, a fixed address may move on.
    if (old !== undefined && old.desiredState !== task.desiredState)
      for (const { network } of task.networks) this.#tasks.wake('fixed', network);
  }

  #removeTask(task: Task): void {
    this.#proposals.settle(`task/${task.id}`, claimsOfTask(task), []);
    this.#tasks.delete(task.id);
  }

  // What is decided

  /** Looks again at those for whom something has become free. */
  #wakeUp(view: StoreView): void {
    const ledger = this.#ledger;
    for (const [networkId, addresses] of ledger.freedAddresses) {
      this.#tasks.offer(networkId, addresses);
      this.#tasks.wake('fixed', networkId);
      this.#wakeServices(view, this.#serviceWaits.take(`${FULL}${networkId}`));
    }
    ledger.freedAddresses.clear();
    for (const id of this.#readyNetworks) this.#wakeServices(view, this.#serviceWaits.take(`network ${id}`));
    this.#readyNetworks.clear();
    this.#wakeServices(view, ledger.withdrawnServices);
    ledger.withdrawnServices.clear();
    if (ledger.portFreed) this.#wakeServices(view, this.#serviceWaits.take('port'));
    ledger.portFreed = false;
    if (ledger.blockFreed)
      for (const id of this.#setupProblems.keys()) {
        const network = view.get('network', id);
        if (network !== undefined) this.#networks.add(network);
      }
    ledger.blockFreed = false;
    this.#nodes.takeUpAgain();
    this.#networks.takeUpAgain();
    this.#services.takeUpAgain();
  }

  #wakeServices(view: StoreView, ids: Iterable<string>): void {
    for (const id of ids) {
      const service = view.get('service', id);
      if (service !== undefined) this.#services.add(service);
    }
  }

  /** Whether the slice has room for one more look and what it may give. */
  #goesOn(desk: Desk): boolean {
    return desk.looks-- > 0 && desk.changes.length < this.#config.groupsPerSlice;
  }

  #planNodes(desk: Desk): void {
    while (!this.#nodes.isEmpty && this.#goesOn(desk)) {
      const node = this.#nodes.pop();
      if (node === undefined) return;
      // There are more numbers than nodes; should there be none, a later plan finds one.
      this.#nodes.changing(node);
      const key = `node/${node.id}`;
      const index = this.#proposals.object<Node>(key)?.index ?? this.#ledger.indexes.lowestFree();
      if (index === undefined) continue;
      const next = { ...node, index };
      this.#proposals.propose(key, next, claimsOfNode(node), claimsOfNode(next));
      desk.changes.push([{ kind: 'update', table: 'node', object: next }]);
    }
  }

  #planNetworks(desk: Desk): void {
    const { blocks, vnis } = this.#ledger;
    const networkDesk = {
      blocks,
      vnis,
      cluster: desk.view.cluster(),
      network: (id: string) => desk.view.get('network', id),
    };
    while (!this.#networks.isEmpty && desk.networks > 0 && this.#goesOn(desk)) {
      const network = this.#networks.pop();
      if (network === undefined) return;
      const key = `network/${network.id}`;
      const have = this.#proposals.object<Network>(key) ?? network;
      const { vni, subnets, problem } = planNetwork(network, have, networkDesk);
      if (problem === '') this.#setupProblems.delete(network.id);
      else this.#setupProblems.set(network.id, problem);
      this.#ledger.changedUsage.add(network.id);
      if (problem !== '') desk.networks--;
      if (vni === network.vni && sameSubnets({ subnets }, network)) continue;
      desk.networks--;
      const next = { ...network, vni, subnets, problem };
      this.#proposals.propose(key, next, claimsOfNetwork(network), claimsOfNetwork(next));
      this.#networks.changing(network);
      desk.changes.push([{ kind: 'update', table: 'network', object: next }]);
    }
  }

  #planServices(desk: Desk): void {
    const { view } = desk;
    const endpointDesk = {
      ledger: this.#ledger,
      network: (id: string) => view.get('network', id),
      service: (id: string) => view.get('service', id),
    };
    while (!this.#services.isEmpty && this.#goesOn(desk)) {
      const service = this.#services.pop();
      if (service === undefined) return;
      if (service.pendingDelete) {
        this.#serviceWaits.forget(service.id);
        continue;
      }
      const key = `service/${service.id}`;
      const have = (this.#proposals.object<Service>(key) ?? service).endpoint;
      const { endpoint, fullNetworks, unreadyNetworks, waitsForPort } = planEndpoint(service, have, endpointDesk);
      const waits = [...fullNetworks.map((id) => `${FULL}${id}`), ...unreadyNetworks.map((id) => `network ${id}`)];
      this.#serviceWaits.wait(service.id, waitsForPort ? [...waits, 'port'] : waits);
      for (const id of fullNetworks) this.#ledger.changedUsage.add(id);
      if (sameEndpoint(endpoint, service.endpoint)) continue;
      const next = { ...service, endpoint };
      this.#proposals.propose(key, next, claimsOfService(service), claimsOfService(next));
      this.#services.changing(service);
      desk.changes.push([{ kind: 'update', table: 'service', object: next }]);
    }
  }

  #planTasks(desk: Desk): void {
    const { view } = desk;
    const [ingressId] = this.#ingressIds;
    const taskDesk: TaskDesk = {
      ledger: this.#ledger,
      ingress: ingressId === undefined ? undefined : view.get('network', ingressId),
      network: (id) => view.get('network', id),
      service: (id) => view.get('service', id),
      task: (id) => view.get('task', id),
      node: (id) => view.get('node', id),
    };
    while (!this.#tasks.isIdle && this.#goesOn(desk)) {
      const task = this.#tasks.next();
      if (task === undefined) return;
      if (isHeldBack(task, desk.nowMs)) {
        this.#tasks.hold(task);
        continue;
      }
      const spec = view.revision(task.serviceId, task.revision)?.spec;
      if (spec === undefined) this.#tasks.waitForRevision(task);
      else this.#planTask(task, spec, desk, taskDesk);
    }
  }

  #planTask(task: Task, spec: ServiceSpec, desk: Desk, taskDesk: TaskDesk): void {
    const have = this.#proposals.object<Task>(`task/${task.id}`)?.networks ?? [];
    const plan = planTask(task, spec, have, taskDesk);
    if (plan.kind === 'wait') this.#wait(task, plan.wants, desk);
    else this.#pass({ ...task, networks: plan.networks }, task, plan.losers, desk);
  }

  #pass(next: Task, task: Task, losers: readonly Task[], desk: Desk): void {
    const passed = pending(next, desk.nowMs);
    this.#proposals.propose(`task/${task.id}`, passed, claimsOfTask(task), claimsOfTask(passed));
    this.#tasks.changing(task);
    desk.changes.push([...losers, passed].map((object) => ({ kind: 'update', table: 'task', object })));
  }

  /** A reason that still holds is not written anew, though there may be others by now. */
  #wait(task: Task, wants: readonly Want[], desk: Desk): void {
    const before = task.status?.error ?? '';
    const want = wants.find(({ problem }) => problem !== '' && problem === before) ?? wants[0];
    if (want === undefined) return;
    this.#tasks.wait(task, want);
    if (want.kind === 'full') this.#ledger.changedUsage.add(want.network);
    if (want.problem === '' || want.problem === before) return;
    desk.changes.push([{ kind: 'update', table: 'task', object: waiting(task, want.problem, desk.nowMs) }]);
  }

  /** The cluster is below the level of networks: nobody can ask for anything. */
  #passTasks(desk: Desk): void {
    while (!this.#tasks.isIdle && this.#goesOn(desk)) {
      const task = this.#tasks.next();
      if (task === undefined) return;
      if (isHeldBack(task, desk.nowMs)) this.#tasks.hold(task);
      else this.#pass(task, task, [], desk);
    }
  }

  /** Networks whose addresses fewer wait for may be well again. */
  #noteRelief(): void {
    const { changedUsage } = this.#ledger;
    for (const id of this.#tasks.relieved) changedUsage.add(id);
    this.#tasks.relieved.clear();
    for (const key of this.#serviceWaits.relieved) if (key.startsWith(FULL)) changedUsage.add(key.slice(FULL.length));
    this.#serviceWaits.relieved.clear();
  }

  /** Only when everybody was looked at is it known who waits for addresses of a network. */
  #tellProblems(desk: Desk): void {
    this.#noteRelief();
    const { changedUsage } = this.#ledger;
    for (const id of changedUsage) {
      if (desk.changes.length >= this.#config.groupsPerSlice) return;
      const network = desk.view.get('network', id);
      if (network === undefined) {
        changedUsage.delete(id);
        continue;
      }
      if (this.#networks.isChanging(id)) continue;
      const problem = this.#problemOf(network);
      if (problem === network.problem) changedUsage.delete(id);
      else desk.changes.push([{ kind: 'update', table: 'network', object: { ...network, problem } }]);
    }
  }

  #problemOf(network: Network): string {
    const name = network.spec?.name ?? network.id;
    const setup = this.#setupProblems.get(network.id);
    if (setup !== undefined) return setup;
    const book = this.#ledger.book(network.id);
    const usages = familiesOf(network).map((family) => ({ family, ...book.usage(family) }));
    const fullest = usages.find(({ used, total }) => used >= total) ?? usages[0];
    const isFull = this.#tasks.isFull(network.id) || this.#serviceWaits.has(`${FULL}${network.id}`);
    if (isFull && fullest !== undefined) return noAddressLeft(fullest.family, fullest, name);
    const { scarceAbove, scarceBelow } = this.#config;
    const share = network.problem === '' ? scarceAbove : scarceBelow;
    const isScarce = usages.some(({ used, total }) => used > 0 && used >= total * share);
    return isScarce ? addressesScarce(name, Math.round(scarceBelow * 100)) : '';
  }
}
