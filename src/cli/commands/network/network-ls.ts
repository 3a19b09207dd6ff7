import { invalidField } from '#common/errors.ts';
import { printTime } from '#common/template/print-value.ts';
import type { Network } from '#gen/swarm/v1/objects.ts';
import { networkDriver, networkName, networkScope } from '../../../docker-shape/from-networks.ts';
import { PREDEFINED_NETWORKS } from '../../../docker-shape/predefined-networks.ts';
import type { SwarmApi } from '../../api.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { boolFlag, listFlag } from '../../flags.ts';
import { formatList, type ListView } from '../../format/list-format.ts';
import { naturalOrder, shortId } from '../../format/texts.ts';
import { filter } from '../../values/key-values.ts';
import { groupFilters } from '../shared/filters.ts';
import { LIST_FORMAT, OUTPUT, wantsDocument } from '../shared/format-flags.ts';

const FILTER = listFlag({
  name: 'filter',
  short: 'f',
  type: 'filter',
  usage: 'Provide filter values (e.g. "driver=bridge")',
  parse: filter,
});
const NO_TRUNC = boolFlag({ name: 'no-trunc', usage: 'Do not truncate the output' });
const QUIET = boolFlag({ name: 'quiet', short: 'q', usage: 'Only display network IDs' });

const FILTERS = ['dangling', 'driver', 'id', 'label', 'name', 'scope', 'type'] as const;

type Filters = Readonly<Record<(typeof FILTERS)[number], readonly string[]>>;

export const networkLs: CommandImplementation = {
  flags: [FILTER, LIST_FORMAT, NO_TRUNC, OUTPUT, QUIET],
  examples: [
    'swarm network ls',
    'swarm network ls --filter type=custom --no-trunc',
    "swarm network ls --filter driver=overlay --format '{{.Name}}: {{.Labels}}'",
  ],
  run: listNetworks,
};

async function listNetworks({ context, flags }: Invocation): Promise<void> {
  const filters = groupFilters(flags.list(FILTER), FILTERS);
  const dangling = danglingOf(filters.dangling);
  const networks = [
    ...(await declaredNetworks(await context.api(), filters, dangling)),
    ...PREDEFINED_NETWORKS.filter((network) => dangling !== true && matches(network, filters)),
  ];
  const sorted = networks.toSorted((a, b) => naturalOrder(networkName(a), networkName(b)));
  context.stdout.write(
    formatList(networkView(flags.isSet(NO_TRUNC)), sorted, {
      format: flags.value(LIST_FORMAT),
      quiet: flags.isSet(QUIET),
      asArray: wantsDocument(flags, LIST_FORMAT, QUIET),
    }),
  );
}

async function declaredNetworks(
  api: SwarmApi,
  filters: Filters,
  dangling: boolean | undefined,
): Promise<readonly Network[]> {
  const networks: Network[] = [];
  const request = {
    names: filters.name,
    idPrefixes: filters.id,
    labels: filters.label,
    drivers: filters.driver,
    types: filters.type,
    scopes: filters.scope,
    dangling,
  };
  for await (const page of api.control.listNetworks(request)) networks.push(...page.networks);
  return networks;
}

/** Go's words for true and false that Docker's filters take. */
function danglingOf(values: readonly string[]): boolean | undefined {
  const [text, ...more] = values;
  if (text === undefined) return undefined;
  const isTrue = text === 'true' || text === '1';
  if (more.length > 0 || (!isTrue && text !== 'false' && text !== '0'))
    throw invalidField('filter', `invalid filter 'dangling=${values.join()}'`, 'use true or false, once');
  return isTrue;
}

/** The daemon's rules, for the networks that it does not store. */
function matches(network: Network, filters: Filters): boolean {
  const anyOf = (values: readonly string[], test: (value: string) => boolean): boolean =>
    values.length === 0 || values.some(test);
  return (
    anyOf(filters.name, (name) => networkName(network).includes(name)) &&
    anyOf(filters.id, (prefix) => network.id.startsWith(prefix)) &&
    anyOf(filters.driver, (driver) => networkDriver(network) === driver) &&
    anyOf(filters.type, (type) => type === 'builtin') &&
    anyOf(filters.scope, (scope) => networkScope(network) === scope) &&
    filters.label.length === 0
  );
}

function networkView(isWhole: boolean): ListView<Network> {
  return {
    typeName: '*network.networkContext',
    table: '{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}',
    quiet: '{{.ID}}',
    raw: 'network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n',
    quietRaw: 'network_id: {{.ID}}',
    methods: { Label: ({ spec }, name) => (Object.hasOwn(spec?.labels ?? {}, name) ? (spec?.labels[name] ?? '') : '') },
    columns: {
      ID: { header: 'NETWORK ID', value: ({ id }) => (isWhole ? id : shortId(id)) },
      Name: { header: 'NAME', value: networkName },
      Driver: { header: 'DRIVER', value: networkDriver },
      Scope: { header: 'SCOPE', value: networkScope },
      IPv4: { header: 'IPV4', value: () => 'true' },
      IPv6: { header: 'IPV6', value: ({ spec }) => String(spec?.ipv6 === true) },
      Internal: { header: 'INTERNAL', value: ({ spec }) => String(spec?.internal === true) },
      Labels: { header: 'LABELS', value: ({ spec }) => labelsText(spec?.labels ?? {}) },
      CreatedAt: { header: 'CREATED AT', value: ({ createdAtMs }) => printTime(createdAtMs || undefined) },
    },
  };
}

function labelsText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .toSorted()
    .join(',');
}
