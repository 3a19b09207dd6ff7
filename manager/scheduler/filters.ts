/** What can keep a task off a node. Each filter is able to say why it refused how many nodes. */

import { NETWORKS_LEVEL } from '#manager/allocator/index.ts';
import { isRepelled, ruleHolds } from './affinity.ts';
import type { AffinityRule } from './affinity-rule.ts';
import type { SchedulerConfig } from './config.ts';
import { meetsConstraints } from './constraint.ts';
import type { EngineNeed } from './engine-needs.ts';
import type { Neighbourhoods } from './neighbourhoods.ts';
import type { NetworkNeeds } from './network-needs.ts';
import type { NodeRecord } from './node-record.ts';
import type { PlacementRequest } from './placement-request.ts';
import { platformMatches } from './platform.ts';

export interface Filter {
  readonly name: string;
  /** Whether the request has anything that this filter could refuse; otherwise it is left out. */
  applies(request: PlacementRequest): boolean;
  fits(record: NodeRecord, request: PlacementRequest): boolean;
  /** Why, for a number of nodes. */
  explain(nodes: number, nameOf: (serviceId: string) => string): string;
}

function onNodes(nodes: number): string {
  return nodes === 1 ? 'on 1 node' : `on ${nodes} nodes`;
}

const readyFilter: Filter = {
  name: 'ready',
  applies: () => true,
  fits: (record) => record.isAvailable,
  explain: (nodes) =>
    nodes === 1 ? '1 node not available for new tasks' : `${nodes} nodes not available for new tasks`,
};

/** Disk pressure and whatever else an agent reports as a reason to spare its node. */
const conditionFilter: Filter = {
  name: 'condition',
  applies: () => true,
  fits: (record) => (record.node.description?.conditions.length ?? 0) === 0,
  explain: (nodes) => `node under pressure (such as disk pressure) ${onNodes(nodes)}`,
};

const resourceFilter: Filter = {
  name: 'resources',
  applies: (request) => request.cpuNanos > 0 || request.memoryBytes > 0,
  fits: (record, request) =>
    (request.cpuNanos === 0 || record.cpuTotal - record.cpuReserved >= request.cpuNanos) &&
    (request.memoryBytes === 0 || record.memoryTotal - record.memoryReserved >= request.memoryBytes),
  explain: (nodes) => `insufficient resources ${onNodes(nodes)}`,
};

const genericFilter = (request: PlacementRequest): Filter => ({
  name: 'generic',
  applies: () => request.generic.length > 0,
  fits: (record) => record.generic.fits(record.genericTotal, request.generic),
  explain: (nodes) =>
    `generic resources ${request.generic.map(({ kind, count }) => `${kind}=${count}`).join(', ')} not free ${onNodes(nodes)}`,
});

/** Room that is being made for a higher priority is not for others. */
const promiseFilter: Filter = {
  name: 'promise',
  applies: () => true,
  fits: (record, request) => record.promisedPriority <= request.priority,
  explain: (nodes) => `room kept for a task of higher priority ${onNodes(nodes)}`,
};

const ruleFilter = (rule: AffinityRule, neighbourhoods: Neighbourhoods): Filter => ({
  name: 'affinity',
  applies: () => rule.weight === 0,
  fits: (record, request) => ruleHolds(rule, record, request.serviceId, neighbourhoods),
  explain: (nodes, nameOf) => {
    const place = rule.topology === '' ? '' : ` (${rule.topology})`;
    const what = rule.anti ? 'has to be apart from' : 'has to be near';
    return `${what} service ${nameOf(rule.serviceId)}${place} ${onNodes(nodes)}`;
  },
});

const repelledFilter = (neighbourhoods: Neighbourhoods): Filter => ({
  name: 'repelled',
  applies: () => true,
  fits: (record, request) => !isRepelled(record, request.serviceId, neighbourhoods),
  explain: (nodes) => `kept away by the rules of services that are there ${onNodes(nodes)}`,
});

const constraintFilter: Filter = {
  name: 'constraint',
  applies: (request) => request.constraints.length > 0,
  fits: (record, request) => meetsConstraints(request.constraints, record.node),
  explain: (nodes) => `scheduling constraints not satisfied ${onNodes(nodes)}`,
};

const platformFilter: Filter = {
  name: 'platform',
  applies: (request) => request.platforms.length > 0,
  fits: (record, request) => platformMatches(request.platforms, record.node.description?.platform),
  explain: (nodes) => `unsupported platform ${onNodes(nodes)}`,
};

const hostPortFilter = (config: SchedulerConfig): Filter => ({
  name: 'host-port',
  applies: (request) => request.ports.length > 0,
  fits: (record, request) =>
    request.ports.every((port) =>
      port.publishedPort > 0
        ? record.ports.isFree(port)
        : // Exact enough: a port that is taken may lie outside the range.
          record.ports.size + request.ports.length <= config.openPortLast - config.openPortFirst + 1,
    ),
  explain: (nodes) => `host-mode port already in use ${onNodes(nodes)}`,
});

const maxReplicasFilter: Filter = {
  name: 'max-replicas',
  applies: (request) => request.maxReplicas > 0,
  fits: (record, request) => record.activeOf(request.serviceId) < request.maxReplicas,
  explain: (nodes) => `max replicas per node limit exceeded ${onNodes(nodes)}`,
};

/** An agent of an older release would run the task without its networks. */
const networkFilter = (needs: NetworkNeeds): Filter => ({
  name: 'network',
  applies: (request) => needs.needsNetworks(request),
  fits: (record) => (record.node.description?.featureLevel ?? 0) >= NETWORKS_LEVEL,
  explain: (nodes) => `networks not supported by the release ${onNodes(nodes)}`,
});

/** A node that cannot encrypt gets no task of an encrypted network: nothing of it is sent in the clear. */
const encryptionFilter = (needs: NetworkNeeds): Filter => ({
  name: 'encryption',
  applies: (request) => needs.needsEncryption(request),
  fits: ({ node }) => {
    const dataPath = node.description?.dataPath;
    return dataPath !== undefined && dataPath.encryptionProblem === '' && dataPath.wireguardKeys.length > 0;
  },
  explain: (nodes) => `network encryption not available ${onNodes(nodes)}`,
});

/** An agent of an older release would run the task without what its spec says. */
const agentFilter: Filter = {
  name: 'agent',
  applies: (request) => request.agentLevel > 0,
  fits: (record, request) => (record.node.description?.featureLevel ?? 0) >= request.agentLevel,
  explain: (nodes) => `spec not supported by the release ${onNodes(nodes)}`,
};

/** A runtime by name, or what only some kernels can do. */
const engineFilter = (need: EngineNeed): Filter => ({
  name: 'engine',
  applies: () => true,
  fits: ({ node }) => node.description?.engine !== undefined && need.fits(node.description.engine),
  explain: (nodes) => `no ${need.what} ${onNodes(nodes)}`,
});

/** Filters whose refusal ends when tasks leave the node. */
const FREED: ReadonlySet<string> = new Set(['resources', 'generic', 'host-port']);

/** Whether tasks that leave the node can make room as far as the filter is concerned. */
export function isFreed(filter: Filter): boolean {
  return FREED.has(filter.name);
}

/** Those that may refuse a node to the request, in the order in which they are asked: the first that does is counted. */
export function filtersFor(
  request: PlacementRequest,
  config: SchedulerConfig,
  needs: NetworkNeeds,
  neighbourhoods: Neighbourhoods,
): readonly Filter[] {
  const filters = [
    readyFilter,
    conditionFilter,
    resourceFilter,
    genericFilter(request),
    constraintFilter,
    platformFilter,
    hostPortFilter(config),
    maxReplicasFilter,
    networkFilter(needs),
    encryptionFilter(needs),
    agentFilter,
    ...request.engineNeeds.map(engineFilter),
    ...request.affinities.map((rule) => ruleFilter(rule, neighbourhoods)),
    repelledFilter(neighbourhoods),
    promiseFilter,
  ];
  return filters.filter((filter) => filter.applies(request));
}

/** Nodes that a filter refused. */
export interface Refusal {
  readonly filter: Filter;
  readonly nodes: number;
}

/** The reason for a task that no node can take: the filter that refused most comes first. */
export function explainRefusals(refusals: readonly Refusal[], nameOf: (serviceId: string) => string): string {
  const parts = refusals
    .filter(({ nodes }) => nodes > 0)
    .sort((a, b) => b.nodes - a.nodes)
    .map(({ filter, nodes }) => filter.explain(nodes, nameOf));
  return parts.length === 0 ? 'no suitable node' : `no suitable node (${parts.join('; ')})`;
}
