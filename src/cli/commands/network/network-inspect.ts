import type { NetworkUsage } from '#gen/swarm/v1/control.ts';
import type { Network, Node } from '#gen/swarm/v1/objects.ts';
import { type NetworkDetails, networkShape } from '../../../docker-shape/from-networks.ts';
import { NETWORK } from '../../../docker-shape/network-types.ts';
import { predefinedNetwork } from '../../../docker-shape/predefined-networks.ts';
import type { SwarmApi } from '../../api.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { boolFlag } from '../../flags.ts';
import { INSPECT_FORMAT, OUTPUT, PRETTY, wantsDocument } from '../shared/format-flags.ts';
import { inspect } from '../shared/inspect.ts';
import { prettyNetwork } from './pretty-network.ts';

const VERBOSE = boolFlag({ name: 'verbose', short: 'v', usage: 'Verbose output for diagnostics' });

export const networkInspect: CommandImplementation = {
  flags: [INSPECT_FORMAT, OUTPUT, PRETTY, VERBOSE],
  examples: [
    'swarm network inspect back',
    'swarm network inspect --pretty back',
    '# services and tasks on all nodes\nswarm network inspect --verbose back',
    "swarm network inspect --format '{{range .IPAM.Config}}{{.Subnet}} {{end}}' back",
  ],
  argumentKind: 'network',
  run: inspectNetworks,
};

interface Found {
  readonly network: Network;
  /** Undefined for networks that are not declared. */
  readonly details: NetworkDetails | undefined;
}

async function inspectNetworks({ context, flags, arguments: references }: Invocation): Promise<void> {
  wantsDocument(flags, INSPECT_FORMAT, PRETTY);
  const api = await context.api();
  await inspect<Found>({
    context,
    references,
    format: flags.value(INSPECT_FORMAT),
    isPretty: flags.isSet(PRETTY),
    hasJsonNames: true,
    find: async (reference) => find(api, reference, flags.isSet(VERBOSE)),
    toGo: ({ network, details }) => ({ type: NETWORK, data: networkShape(network, details) }),
    pretty: ({ network, details }) => prettyNetwork(network, details, context.clock.now()),
  });
}

async function find(api: SwarmApi, reference: string, isVerbose: boolean): Promise<Found> {
  const predefined = predefinedNetwork(reference);
  if (predefined !== undefined) return { network: predefined, details: undefined };
  const { network, usage } = await api.control.getNetwork({ reference });
  return { network: network as Network, details: await detailsOf(api, usage, isVerbose) };
}

/** Asks for nodes and containers only where the network has some. */
async function detailsOf(api: SwarmApi, usage: NetworkUsage | undefined, isVerbose: boolean): Promise<NetworkDetails> {
  const nodeIds = usage?.nodeIds ?? [];
  if (nodeIds.length === 0) return { usage, nodes: new Map(), selfNodeId: '', containerIds: new Map(), isVerbose };
  const [{ nodeId: selfNodeId }, nodes] = await Promise.all([api.node.getInfo({}), nodesById(api)]);
  const containerIds = nodeIds.includes(selfNodeId) ? await containersOf(api, selfNodeId) : new Map<string, string>();
  return { usage, nodes, selfNodeId, containerIds, isVerbose };
}

async function nodesById(api: SwarmApi): Promise<ReadonlyMap<string, Node>> {
  const nodes = new Map<string, Node>();
  for await (const page of api.control.listNodes({})) for (const node of page.nodes) nodes.set(node.id, node);
  return nodes;
}

async function containersOf(api: SwarmApi, nodeId: string): Promise<ReadonlyMap<string, string>> {
  const containers = new Map<string, string>();
  for await (const page of api.control.listTasks({ nodeIds: [nodeId] }))
    for (const { task } of page.tasks)
      if (task !== undefined) containers.set(task.id, task.status?.container?.containerId ?? '');
  return containers;
}
