import { invalidField } from '#common/errors.ts';
import { BOOL } from '#common/template/go-types.ts';
import { type Node, NodeState } from '#gen/swarm/v1/objects.ts';
import { NodeAvailability, NodeRole } from '#gen/swarm/v1/specs.ts';
import { NODE_AVAILABILITIES, NODE_STATES } from '../../../docker-shape/from-objects.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { formatList, type ListView } from '../../format/list-format.ts';
import { ago, capitalised, naturalOrder } from '../../format/texts.ts';
import { groupFilters } from '../shared/filters.ts';
import { FILTER, LIST_FORMAT, OUTPUT, QUIET_IDS, wantsDocument } from '../shared/format-flags.ts';
import { AVAILABILITIES } from './availabilities.ts';

const FILTERS = ['availability', 'id', 'label', 'membership', 'name', 'node.label', 'role'] as const;

export const nodeLs: CommandImplementation = {
  flags: [FILTER, LIST_FORMAT, OUTPUT, QUIET_IDS],
  examples: [
    'swarm node ls',
    'swarm node ls --filter role=worker',
    "swarm node ls --format '{{.Hostname}} {{.Status}}'",
  ],
  run: listNodes,
};

async function listNodes({ context, flags }: Invocation): Promise<void> {
  const filters = groupFilters(flags.list(FILTER), FILTERS);
  const roles = filters.role.map(roleOf);
  const availabilities = filters.availability.map(availabilityOf);
  for (const membership of filters.membership) checkMembership(membership);
  const api = await context.api();
  const request = {
    names: filters.name,
    idPrefixes: filters.id,
    nodeLabels: filters['node.label'],
    engineLabels: filters.label,
    roles,
  };
  const [nodes, self] = await Promise.all([
    collect(api.control.listNodes(request)),
    api.node.getInfo({}).then((info) => info.nodeId),
  ]);
  const accepted = filters.membership.every((membership) => membership === 'accepted') ? nodes : [];
  const shown = accepted.filter(
    ({ spec }) => availabilities.length === 0 || availabilities.includes(spec?.availability || NodeAvailability.ACTIVE),
  );
  const sorted = shown.toSorted((a, b) => naturalOrder(hostname(a), hostname(b)));
  context.stdout.write(
    formatList(nodeView(self, context.clock.now()), sorted, {
      format: flags.value(LIST_FORMAT),
      quiet: flags.isSet(QUIET_IDS),
      asArray: wantsDocument(flags, LIST_FORMAT, QUIET_IDS),
    }),
  );
}

function roleOf(text: string): NodeRole {
  if (text === 'manager') return NodeRole.MANAGER;
  if (text === 'worker') return NodeRole.WORKER;
  throw invalidField('filter', `invalid role filter '${text}'`, 'use manager or worker');
}

function availabilityOf(text: string): NodeAvailability {
  if (Object.hasOwn(AVAILABILITIES, text)) return AVAILABILITIES[text as keyof typeof AVAILABILITIES];
  throw invalidField('filter', `invalid availability filter '${text}'`, 'use active, pause or drain');
}

/** There are no nodes that wait to be let in: a token lets in, or nothing does. */
function checkMembership(text: string): void {
  if (text !== 'accepted' && text !== 'pending')
    throw invalidField('filter', `invalid membership filter '${text}'`, 'use accepted or pending');
}

async function collect(pages: AsyncIterable<{ readonly nodes: readonly Node[] }>): Promise<readonly Node[]> {
  const nodes: Node[] = [];
  for await (const page of pages) nodes.push(...page.nodes);
  return nodes;
}

function hostname({ description }: Node): string {
  return description?.hostname ?? '';
}

function managerStatus({ managerStatus: status }: Node): string {
  if (status === undefined) return '';
  if (status.leader) return 'Leader';
  // Docker's has none: a script that waits for Reachable waits for the vote.
  if (status.learner && status.reachable) return 'Learner';
  return status.reachable ? 'Reachable' : 'Unreachable';
}

/** A node that is lost was so since it was heard of last. */
function statusSince({ status }: Node, nowMs: number): string {
  const state = status?.state ?? NodeState.UNKNOWN;
  const text = capitalised(NODE_STATES[state]);
  if (state !== NodeState.DOWN && state !== NodeState.DISCONNECTED) return text;
  const sinceMs = status?.lastHeardMs || status?.sinceMs;
  return sinceMs === undefined || sinceMs === 0 ? text : `${text} (${ago(sinceMs, nowMs).toLowerCase()})`;
}

/** `self` is the node that answers; it is marked with a star. */
function nodeView(self: string, nowMs: number): ListView<Node> {
  return {
    typeName: '*node.nodeContext',
    table:
      '{{.ID}} {{if .Self}}*{{else}} {{ end }}\t{{.Hostname}}\t{{.StatusSince}}\t{{.Availability}}{{with .DrainLeft}} ({{.}} left){{end}}\t{{.ManagerStatus}}\t{{.EngineVersion}}',
    quiet: '{{.ID}}',
    raw: 'node_id: {{.ID}}\nhostname: {{.Hostname}}\nstatus: {{.Status}}\navailability: {{.Availability}}\nmanager_status: {{.ManagerStatus}}\n',
    quietRaw: 'node_id: {{.ID}}',
    columns: {
      ID: { header: 'ID', value: (node) => node.id },
      Self: { header: '', value: (node) => node.id === self, type: BOOL },
      Hostname: { header: 'HOSTNAME', value: hostname },
      Status: { header: 'STATUS', value: ({ status }) => capitalised(NODE_STATES[status?.state ?? NodeState.UNKNOWN]) },
      // Docker's column, and since when where that matters.
      StatusSince: { header: 'STATUS', value: (node) => statusSince(node, nowMs), isOwn: true },
      Availability: {
        header: 'AVAILABILITY',
        value: ({ spec }) => capitalised(NODE_AVAILABILITIES[spec?.availability ?? NodeAvailability.ACTIVE]),
      },
      // Not Docker's. Empty for a node that is not drained, or is empty.
      DrainLeft: {
        header: '',
        value: ({ drain }) => (drain === undefined || drain.left === 0 ? '' : String(drain.left)),
        isOwn: true,
      },
      ManagerStatus: { header: 'MANAGER STATUS', value: managerStatus },
      EngineVersion: { header: 'ENGINE VERSION', value: ({ description }) => description?.engine?.version ?? '' },
      TLSStatus: { header: 'TLS STATUS', value: () => 'Ready' },
    },
  };
}
