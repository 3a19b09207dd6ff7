/** Who uses a network, and what is left of it. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { SwarmError } from '#common/errors.ts';
import { type Ip, parseIp, prefixHas } from '#common/ip.ts';
import { NetworkUsage, NetworkUser, SubnetUsage } from '#gen/swarm/v1/control.ts';
import type { Network, Service, Task } from '#gen/swarm/v1/objects.ts';
import { attachmentsOf, capacityOf, isIngress, isLive, publishesByIngress, rangeOf } from '#manager/allocator/index.ts';
import type { StoreView } from '#manager/store/index.ts';
import { taskName } from './tasks.ts';

/** Live tasks by the networks that they are on, as one view had them. */
export type TaskUse = ReadonlyMap<string, readonly Task[]>;

/** Tasks looked at in one turn of the event loop. */
const TASKS_PER_TURN = 2000;

/** Goes over all tasks, giving way to others in between: the view does not change. */
export async function findTaskUse(view: StoreView, networkIds: ReadonlySet<string>): Promise<TaskUse> {
  const use = new Map<string, Task[]>();
  let looks = 0;
  for (const task of view.all('task')) {
    if (++looks % TASKS_PER_TURN === 0) await nextTurn();
    if (task.networks.length === 0 || !isLive(task)) continue;
    for (const { network } of task.networks) {
      if (!networkIds.has(network)) continue;
      const tasks = use.get(network);
      if (tasks === undefined) use.set(network, [task]);
      else tasks.push(task);
    }
  }
  return use;
}

/** Services whose tasks are to be on the network. */
export function servicesOn(view: StoreView, network: Network): readonly Service[] {
  const ingress = isIngress(network);
  return [...view.all('service')].filter(({ spec }) =>
    ingress ? publishesByIngress(spec) : attachmentsOf(spec).some((one) => one.network === network.id),
  );
}

/** Names of containers of `swarm run` that are on the network, or about to be. */
function containersOn(view: StoreView, network: Network): readonly string[] {
  const names: string[] = [];
  for (const { spec, number } of view.revisionsOfService('')) {
    if (spec === undefined || !attachmentsOf(spec).some((one) => one.network === network.id)) continue;
    const task = view.oneOffByName(spec.name);
    if (task?.revision === number && isLive(task)) names.push(spec.name);
  }
  return names;
}

export function isUsed(view: StoreView, network: Network, taskUse: TaskUse): boolean {
  if ((taskUse.get(network.id)?.length ?? 0) > 0) return true;
  return servicesOn(view, network).length > 0 || containersOn(view, network).length > 0;
}

/** Names in a refusal; the rest is counted. */
const NAMED_MAX = 5;

export function refuseInUse(view: StoreView, network: Network, taskUse: TaskUse): void {
  const name = network.spec?.name ?? network.id;
  const services = servicesOn(view, network).map((service) => service.spec?.name ?? service.id);
  const containers = containersOn(view, network);
  const tasks = (taskUse.get(network.id) ?? [])
    .filter(({ id }) => {
      const now = view.get('task', id);
      return now !== undefined && now.oneOff === undefined && isLive(now);
    })
    .map((task) => taskName(view, task));
  const inUse = (who: string, hint: string): SwarmError =>
    new SwarmError({
      code: 'precondition',
      reason: 'in-use',
      message: `network ${name} is in use by ${who}`,
      hint,
    });
  const takeAway = isIngress(network) ? '--publish-rm' : `--network-rm ${name}`;
  if (services.length > 0)
    throw inUse(
      `service ${list(services)}`,
      `remove the service, or take the network from it: swarm service update ${takeAway} SERVICE`,
    );
  const [container] = containers;
  if (container !== undefined)
    throw inUse(`container ${list(containers)}`, `end it first: swarm task rm --force ${container}`);
  if (tasks.length > 0)
    throw inUse(`task ${list(tasks)}`, 'wait until it has ended: `swarm node ps` shows where it is');
}

function list(names: readonly string[]): string {
  const shown = names.toSorted().slice(0, NAMED_MAX).join(', ');
  return names.length > NAMED_MAX ? `${shown} and ${names.length - NAMED_MAX} more` : shown;
}

export function usageOf(view: StoreView, network: Network, taskUse: TaskUse): NetworkUsage {
  const tasks = taskUse.get(network.id) ?? [];
  const users: NetworkUser[] = [];
  for (const service of view.all('service'))
    for (const { network: id, addresses } of service.endpoint?.addresses ?? [])
      if (id === network.id)
        users.push(NetworkUser.create({ serviceId: service.id, serviceName: service.spec?.name ?? '', addresses }));
  for (const task of tasks) users.push(userOf(view, network, task));
  const used = users.flatMap(({ addresses }) => addresses).map(parseIp);
  return NetworkUsage.create({
    subnets: network.subnets.map((subnet) => {
      const range = rangeOf(subnet);
      const counts = (ip: Ip | undefined): boolean =>
        ip !== undefined && range !== undefined && prefixHas(range.subnet, ip);
      const total = range === undefined ? 0 : capacityOf(range);
      return SubnetUsage.create({ subnet: subnet.subnet, total, used: used.filter(counts).length });
    }),
    users,
    nodeIds: [...new Set(tasks.map(({ nodeId }) => nodeId))].filter((id) => id !== '').sort(),
  });
}

function userOf(view: StoreView, network: Network, task: Task): NetworkUser {
  return NetworkUser.create({
    serviceId: task.serviceId,
    serviceName: view.get('service', task.serviceId)?.spec?.name ?? '',
    containerName: task.oneOff?.name ?? '',
    taskId: task.id,
    slot: task.slot,
    nodeId: task.nodeId,
    addresses: task.networks.find((one) => one.network === network.id)?.addresses ?? [],
  });
}
