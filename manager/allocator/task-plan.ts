/** The addresses that a task gets, or why it has to wait for them. */
import { type IpFamily, parseIp } from '#common/ip.ts';
import {
  type Network,
  NetworkAttachment,
  type Node,
  NodeState,
  type Service,
  type Task,
  TaskState,
} from '#gen/swarm/v1/objects.ts';
import type { ServiceSpec } from '#gen/swarm/v1/specs.ts';
import { type Attachment, attachmentsOf, familiesOf, publishesByIngress } from './attachments.ts';
import { isLive } from './claims.ts';
import { fixedHolder, isFixedHolder } from './holders.ts';
import type { Ledger } from './ledger.ts';
import { addressHeld, addressOutside, NO_INGRESS, networkGone, noAddressLeft, ofNetwork } from './problems.ts';
import { subnetsHave } from './subnets.ts';

export interface TaskDesk {
  readonly ledger: Ledger;
  readonly ingress: Network | undefined;
  network(id: string): Network | undefined;
  service(id: string): Service | undefined;
  task(id: string): Task | undefined;
  node(id: string): Node | undefined;
}

/** What a task waits for. */
export interface Want {
  readonly kind: 'full' | 'fixed' | 'network' | 'ingress';
  /** Id of the network; empty for ingress. */
  readonly network: string;
  /** For the user; empty while it is a matter of moments. */
  readonly problem: string;
}

export type TaskPlan =
  | {
      readonly kind: 'go';
      readonly networks: readonly NetworkAttachment[];
      /** Tasks that lose an address to this one: nobody can tell them, and they are not to come back. */
      readonly losers: readonly Task[];
    }
  | { readonly kind: 'wait'; readonly wants: readonly Want[] };

/** `have` is what the task has been promised. */
export function planTask(task: Task, spec: ServiceSpec, have: readonly NetworkAttachment[], desk: TaskDesk): TaskPlan {
  const planner = new TaskPlanner(task, have, desk);
  for (const attachment of attachmentsOf(spec)) planner.attach(attachment);
  if (publishesByIngress(spec)) planner.attachIngress();
  const { wants, networks, losers } = planner;
  return wants.length > 0 ? { kind: 'wait', wants } : { kind: 'go', networks, losers: [...losers.values()] };
}

class TaskPlanner {
  readonly wants: Want[] = [];
  readonly networks: NetworkAttachment[] = [];
  /** By id, as they will be. */
  readonly losers = new Map<string, Task>();
  readonly #task: Task;
  readonly #have: readonly NetworkAttachment[];
  readonly #desk: TaskDesk;

  constructor(task: Task, have: readonly NetworkAttachment[], desk: TaskDesk) {
    this.#task = task;
    this.#have = have;
    this.#desk = desk;
  }

  attachIngress(): void {
    const { ingress } = this.#desk;
    if (ingress === undefined) this.wants.push({ kind: 'ingress', network: '', problem: NO_INGRESS });
    else this.attach({ network: ingress.id, addresses: [] });
  }

  attach({ network: id, addresses: fixed, aliases = [] }: Attachment): void {
    const network = this.#desk.network(id);
    const book = this.#desk.ledger.book(id);
    if (network === undefined || !book.covers(familiesOf(network))) {
      const problem = network === undefined ? networkGone(id) : network.problem;
      const told = network === undefined || problem === '' ? problem : ofNetwork(nameOf(network), problem);
      this.wants.push({ kind: 'network', network: id, problem: told });
      return;
    }
    const addresses: string[] = [];
    for (const family of familiesOf(network)) {
      const named = fixed.find((address) => parseIp(address)?.family === family);
      const address = named === undefined ? this.#anyAddress(network, family) : this.#fixedAddress(network, named);
      if (address === undefined) return;
      addresses.push(address);
    }
    // The names of a service are with the service.
    const names = this.#task.oneOff === undefined ? [] : aliases;
    this.networks.push(NetworkAttachment.create({ network: id, addresses, aliases: names }));
  }

  #anyAddress(network: Network, family: IpFamily): string | undefined {
    const book = this.#desk.ledger.book(network.id);
    const promised = this.#have.find((one) => one.network === network.id)?.addresses ?? [];
    const kept = promised.find((address) => {
      const ip = parseIp(address);
      const mine = book.isOnly(address, this.#task.id);
      return ip?.family === family && mine && subnetsHave(network.subnets, ip);
    });
    const address = kept ?? book.find(family, `${this.#task.id}/${network.id}`);
    if (address !== undefined) return address;
    const name = nameOf(network);
    this.#want('full', network, ofNetwork(name, noAddressLeft(family, book.usage(family), name)));
    return undefined;
  }

  #fixedAddress(network: Network, address: string): string | undefined {
    const ip = parseIp(address);
    const name = nameOf(network);
    if (ip === undefined || !subnetsHave(network.subnets, ip)) {
      this.#want('fixed', network, addressOutside(name, address));
      return undefined;
    }
    const own = new Set([this.#task.id]);
    if (this.#task.serviceId !== '') own.add(fixedHolder(this.#task.serviceId));
    const others = [...this.#desk.ledger.book(network.id).holdersOf(address)].sort();
    const inTheWay = others.filter((holder) => !own.has(holder) && !this.#takesFrom(holder, network.id));
    for (const holder of inTheWay) this.#want('fixed', network, addressHeld(name, address, this.#describe(holder)));
    return inTheWay.length === 0 ? address : undefined;
  }

  /**
   * An earlier task of the service that is to stop, on a node that cannot say when it has: its address moves on. It loses
   * it in the same transaction, so that nobody is led to the old place any more.
   */
  #takesFrom(holder: string, networkId: string): boolean {
    const before = this.losers.get(holder) ?? this.#desk.task(holder);
    if (before === undefined || before.serviceId !== this.#task.serviceId || !isLive(before)) return false;
    if (before.oneOff !== undefined) return false; // nothing takes its place
    if (before.desiredState <= TaskState.COMPLETE || !isLost(this.#desk.node(before.nodeId))) return false;
    const networks = before.networks.filter(({ network }) => network !== networkId);
    this.losers.set(holder, { ...before, networks });
    return true;
  }

  #describe(holder: string): string {
    if (holder === 'reserved') return 'the network itself';
    const serviceId = isFixedHolder(holder) ? holder.slice(fixedHolder('').length) : holder;
    const service = this.#desk.service(serviceId);
    const container = this.#desk.task(holder)?.oneOff;
    if (container !== undefined) return `container ${container.name}`;
    return service === undefined ? `task ${holder}` : `service ${service.spec?.name ?? serviceId}`;
  }

  #want(kind: Want['kind'], network: Network, problem: string): void {
    this.wants.push({ kind, network: network.id, problem });
  }
}

function nameOf(network: Network): string {
  return network.spec?.name ?? network.id;
}

function isLost(node: Node | undefined): boolean {
  const state = node?.status?.state;
  return node === undefined || state === NodeState.DOWN || state === NodeState.DISCONNECTED;
}
