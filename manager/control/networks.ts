/** What may happen to networks: every operation reads a view, decides, and asks for one transaction. */

import { invalidField, SwarmError } from '#common/errors.ts';
import { newId } from '#common/ids.ts';
import {
  formatPrefix,
  type IpPrefix,
  parseIp,
  parsePrefix,
  prefixCovers,
  prefixesOverlap,
  prefixHas,
} from '#common/ip.ts';
import { LIMITS } from '#common/limits.ts';
import type { Random } from '#common/random.ts';
import { type ListNetworksRequest, type UpdateNetworkRequest } from '#gen/swarm/v1/control.ts';
import { Network } from '#gen/swarm/v1/objects.ts';
import { type IpamSubnet, NetworkSpec } from '#gen/swarm/v1/specs.ts';
import { allowsOverlap, declaredVni, driverOf, isIngress } from '#manager/allocator/index.ts';
import type { StoreView } from '#manager/store/index.ts';
import type { Decision } from './decision.ts';
import { requireNetworks } from './feature-gates.ts';
import { allLabels, anyContained, anyOf, anyPrefix } from './filters.ts';
import { isUsed, refuseInUse, type TaskUse } from './network-users.ts';
import { findNetwork, networkNamed } from './references.ts';
import { validatedNetwork } from './validate-network.ts';

export interface NetworkDecision extends Decision<Network> {
  readonly warnings: readonly string[];
}

export function createNetwork(view: StoreView, declared: NetworkSpec, random: Random): NetworkDecision {
  requireNetworks(view, 'network');
  const spec = validatedNetwork(declared);
  const named = networkNamed(view, spec.name);
  if (named !== undefined)
    throw new SwarmError({
      code: 'exists',
      reason: 'duplicate-name',
      field: 'name',
      message: `network with name ${spec.name} already exists`,
      hint: `choose another name, or remove it: swarm network rm ${spec.name}`,
    });
  if (view.count('network') >= LIMITS.NETWORKS_PER_CLUSTER)
    throw new SwarmError({
      code: 'exhausted',
      reason: 'too-many',
      limit: 'NETWORKS_PER_CLUSTER',
      message: `the swarm has ${LIMITS.NETWORKS_PER_CLUSTER} networks, the limit (NETWORKS_PER_CLUSTER)`,
      hint: 'remove networks that are not needed: `swarm network prune`',
    });
  const network = Network.create({ id: newId(random), spec });
  refuseSecondIngress(view, network);
  refuseTakenVni(view, network);
  refuseOverlap(view, network);
  const changes = [{ kind: 'create', table: 'network', object: network } as const];
  return { result: network, changes, warnings: hiddenNodes(view, spec) };
}

/** Labels may change, subnets may be added or grow. */
export function updateNetwork(view: StoreView, request: UpdateNetworkRequest): NetworkDecision {
  requireNetworks(view, 'network');
  const current = view.get('network', request.id);
  if (current?.spec === undefined)
    throw new SwarmError({
      code: 'not-found',
      reason: 'unknown-object',
      message: `network ${request.id} not found`,
      hint: 'see `swarm network ls`',
    });
  if (current.version !== request.version)
    throw new SwarmError({
      code: 'conflict',
      reason: 'out-of-sequence',
      message: `update out of sequence: the network is at version ${current.version}, the request was made from ${request.version}`,
      hint: 'read it again and repeat the change',
    });
  if (request.spec === undefined) throw invalidField('spec', 'the request has no spec', 'send the whole spec');
  const spec = validatedNetwork(request.spec);
  refuseUnchangeable(current.spec, spec);
  refuseShrinking(current, spec);
  const network = { ...current, spec };
  refuseOverlap(view, network);
  const changes = [{ kind: 'update', table: 'network', object: network } as const];
  return { result: network, changes, warnings: hiddenNodes(view, spec) };
}

/** `taskUse` was found a moment ago: going through all tasks takes too long for a decision. */
export function removeNetwork(view: StoreView, reference: string, taskUse: TaskUse): Decision<Network> {
  const network = findNetwork(view, reference);
  refuseInUse(view, network, taskUse);
  return { result: network, changes: [{ kind: 'remove', table: 'network', object: network }] };
}

export function networksMatching(view: StoreView, request: ListNetworksRequest): readonly Network[] {
  checkWords('type', request.types, ['builtin', 'custom']);
  checkWords('scope', request.scopes, ['swarm', 'local', 'global']);
  // What every node has by itself is not stored.
  if (!anyOf(request.types, 'custom') || !anyOf(request.scopes, 'swarm')) return [];
  const found = [...view.all('network')].filter(
    (network) =>
      anyContained(request.names, network.spec?.name ?? '') &&
      anyPrefix(request.idPrefixes, network.id) &&
      allLabels(request.labels, network.spec?.labels ?? {}) &&
      anyOf(request.drivers, driverOf(network)),
  );
  return found;
}

/** Networks that nothing uses, or those that something does. The ingress network always has its use. */
export function isDangling(view: StoreView, network: Network, taskUse: TaskUse): boolean {
  return !isIngress(network) && !isUsed(view, network, taskUse);
}

function checkWords(field: string, words: readonly string[], known: readonly string[]): void {
  const unknown = words.find((word) => !known.includes(word));
  if (unknown !== undefined)
    throw invalidField(field, `${field}: ${JSON.stringify(unknown)} is not known`, `use ${known.join(' or ')}`);
}

function refuseSecondIngress(view: StoreView, network: Network): void {
  if (!isIngress(network)) return;
  const other = [...view.all('network')].find(isIngress);
  if (other === undefined) return;
  const name = other.spec?.name ?? other.id;
  throw new SwarmError({
    code: 'exists',
    reason: 'in-use',
    field: 'ingress',
    message: `ingress: the swarm has an ingress network already: ${name}`,
    hint: `remove it first: swarm network rm ${name}`,
  });
}

function refuseTakenVni(view: StoreView, network: Network): void {
  const wanted = declaredVni(network);
  if (wanted === undefined) return;
  for (const other of view.all('network'))
    if (other.vni === wanted || declaredVni(other) === wanted)
      throw invalidField(
        'opt',
        `opt: the identifier ${wanted} is that of network ${other.spec?.name ?? other.id}`,
        'choose another one, or leave the option out',
      );
}

/** With other networks: their routers keep them apart, but nobody could tell which of the two an address belongs to. */
function refuseOverlap(view: StoreView, network: Network): void {
  if (allowsOverlap(network)) return;
  const own = prefixesOf(network.spec?.ipam?.subnets ?? []);
  if (own.length === 0) return;
  for (const other of view.all('network')) {
    if (other.id === network.id || allowsOverlap(other)) continue;
    for (const theirs of prefixesOf([...other.subnets, ...(other.spec?.ipam?.subnets ?? [])])) {
      const mine = own.find((prefix) => prefixesOverlap(prefix, theirs));
      if (mine === undefined) continue;
      throw new SwarmError({
        code: 'invalid',
        reason: 'address-pool',
        field: 'subnet',
        message: `subnet: ${formatPrefix(mine)} overlaps ${formatPrefix(theirs)} of network ${other.spec?.name ?? other.id}`,
        hint: 'choose another subnet; for networks that no task joins both of: --ipam-opt overlap=allow',
      });
    }
  }
}

function prefixesOf(subnets: readonly IpamSubnet[]): readonly IpPrefix[] {
  return subnets.flatMap(({ subnet }) => parsePrefix(subnet)?.prefix ?? []);
}

function hiddenNodes(view: StoreView, spec: NetworkSpec): readonly string[] {
  const warnings: string[] = [];
  for (const prefix of prefixesOf(spec.ipam?.subnets ?? []))
    for (const node of view.all('node')) {
      const ip = parseIp(node.status?.address ?? '');
      if (ip === undefined || !prefixHas(prefix, ip)) continue;
      warnings.push(
        `subnet ${formatPrefix(prefix)} has the address of node ${node.description?.hostname || node.id}: tasks of the network cannot reach that node`,
      );
      break;
    }
  return warnings;
}

/** What is as it was: everything but labels and subnets. */
function refuseUnchangeable(before: NetworkSpec, after: NetworkSpec): void {
  const fields = {
    name: (spec: NetworkSpec) => spec.name,
    driver: (spec: NetworkSpec) => spec.driver || 'overlay',
    ipv6: (spec: NetworkSpec) => String(spec.ipv6),
    internal: (spec: NetworkSpec) => String(spec.internal),
    attachable: (spec: NetworkSpec) => String(spec.attachable),
    ingress: (spec: NetworkSpec) => String(spec.ingress),
    opt: (spec: NetworkSpec) => words(spec.driverOptions),
    'ipam-driver': (spec: NetworkSpec) => spec.ipam?.driver || 'default',
    'ipam-opt': (spec: NetworkSpec) => words(spec.ipam?.options ?? {}),
  };
  for (const [field, read] of Object.entries(fields))
    if (read(before) !== read(after))
      throw new SwarmError({
        code: 'unimplemented',
        reason: 'not-supported',
        field,
        message: `${field}: cannot be changed (${read(before) || 'none'} to ${read(after) || 'none'}); of a network only labels change, and subnets are added or grow`,
        hint: 'create another network, and move the services to it: swarm service update --network-add NEW --network-rm OLD SERVICE',
      });
}

function words(options: Readonly<Record<string, string>>): string {
  return Object.entries(options)
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(' ');
}

/** Tasks have addresses of every subnet that was declared: it stays, or another one around it takes its place. */
function refuseShrinking(current: Network, spec: NetworkSpec): void {
  const after = spec.ipam?.subnets ?? [];
  for (const before of current.spec?.ipam?.subnets ?? []) {
    const prefix = parsePrefix(before.subnet)?.prefix;
    if (prefix === undefined) continue;
    const grown = after.find(({ subnet }) => covers(subnet, prefix));
    if (grown === undefined)
      throw stays('subnet', before.subnet, 'keep it, or give a larger one that has it as a part');
    const given = current.subnets.find(({ subnet }) => covers(grown.subnet, parsePrefix(subnet)?.prefix)) ?? before;
    if (grown.gateway !== '' && given.gateway !== '' && grown.gateway !== given.gateway)
      throw stays('gateway', given.gateway, 'leave it as it is: running tasks send there');
    if (grown.ipRange !== '' && (before.ipRange === '' || !covers(grown.ipRange, parsePrefix(before.ipRange)?.prefix)))
      throw stays(
        'ip-range',
        before.ipRange || before.subnet,
        'keep it, give a larger one, or none for the whole subnet',
      );
    if (words(grown.auxAddresses) !== words(before.auxAddresses))
      throw stays('aux-address', words(before.auxAddresses) || 'none', 'leave them as they are');
  }
  const blank = (subnets: readonly IpamSubnet[]): number => subnets.filter(({ subnet }) => subnet === '').length;
  if (blank(after) < blank(current.spec?.ipam?.subnets ?? []))
    throw stays('subnet', 'a subnet of the default pools', 'keep its entry, which names none');
}

function covers(outer: string, inner: IpPrefix | undefined): boolean {
  const prefix = parsePrefix(outer)?.prefix;
  return prefix !== undefined && inner !== undefined && prefixCovers(prefix, inner);
}

function stays(field: string, value: string, hint: string): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'in-use',
    field,
    message: `${field}: ${value} cannot be taken from the network or changed: tasks may have addresses of it`,
    hint,
  });
}
