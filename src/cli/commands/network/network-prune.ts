import { SwarmError } from '#common/errors.ts';
import type { Network } from '#gen/swarm/v1/objects.ts';
import { networkName } from '../../../docker-shape/from-networks.ts';
import type { SwarmApi } from '../../api.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine } from '../../context.ts';
import { boolFlag, listFlag } from '../../flags.ts';
import { naturalOrder } from '../../format/texts.ts';
import { filter, keyValue } from '../../values/key-values.ts';
import { confirm } from '../shared/confirm.ts';
import { collectFailures, isNotFound } from '../shared/each.ts';
import { groupFilters } from '../shared/filters.ts';
import { untilMs } from '../shared/until.ts';

const FILTER = listFlag({
  name: 'filter',
  type: 'filter',
  usage: 'Provide filter values (e.g. "until=<timestamp>")',
  parse: filter,
});
const FORCE = boolFlag({ name: 'force', short: 'f', usage: 'Do not prompt for confirmation' });

const FILTERS = ['until', 'label', 'label!'] as const;

const QUESTION =
  'WARNING! This will remove all custom networks not used by at least one container.\nAre you sure you want to continue?';

export const networkPrune: CommandImplementation = {
  flags: [FILTER, FORCE],
  examples: ['swarm network prune', 'swarm network prune --force --filter until=24h --filter label=temporary'],
  run: pruneNetworks,
};

async function pruneNetworks({ context, flags }: Invocation): Promise<void> {
  const filters = groupFilters(flags.list(FILTER), FILTERS);
  const createdBeforeMs = untilMs(filters.until, context.clock.now());
  if (!flags.isSet(FORCE) && !(await confirm(context, QUESTION))) return;
  const api = await context.api();
  const unused = (await unusedNetworks(api, filters.label)).filter(
    (network) =>
      (createdBeforeMs === undefined || network.createdAtMs < createdBeforeMs) &&
      !filters['label!'].some((label) => hasLabel(network, label)),
  );
  const failures = collectFailures();
  const removed: string[] = [];
  for (const network of unused)
    await failures.attempt(async () => {
      if (await removeUnused(api, network)) removed.push(networkName(network));
    });
  if (removed.length > 0) printLine(context, ['Deleted Networks:', ...removed, ''].join('\n'));
  failures.report();
}

async function unusedNetworks(api: SwarmApi, labels: readonly string[]): Promise<readonly Network[]> {
  const networks: Network[] = [];
  for await (const page of api.control.listNetworks({ labels, dangling: true })) networks.push(...page.networks);
  return networks.toSorted((a, b) => naturalOrder(networkName(a), networkName(b)));
}

function hasLabel({ spec }: Network, text: string): boolean {
  const { key, value } = keyValue(text);
  const labels = spec?.labels ?? {};
  return Object.hasOwn(labels, key) && (value === undefined || labels[key] === value);
}

/** False for a network that a service has joined, or that somebody has removed, since it was listed. */
async function removeUnused(api: SwarmApi, { id }: Network): Promise<boolean> {
  try {
    await api.control.removeNetwork({ reference: id });
    return true;
  } catch (thrown) {
    if (isNotFound(thrown) || (thrown instanceof SwarmError && thrown.reason === 'in-use')) return false;
    throw thrown;
  }
}
