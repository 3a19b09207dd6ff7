import { invalidField } from '#common/errors.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine } from '../../context.ts';
import { boolFlag, listFlag } from '../../flags.ts';
import { naturalOrder } from '../../format/texts.ts';
import { filter } from '../../values/key-values.ts';
import { confirm } from '../shared/confirm.ts';
import { collectFailures } from '../shared/each.ts';
import { groupFilters } from '../shared/filters.ts';
import { FORCE, NODE } from './volume-flags.ts';
import { ALL_NODES, waitUntilGone } from './volume-nodes.ts';

const ALL = boolFlag({ name: 'all', short: 'a', usage: 'Remove all unused volumes, not just anonymous ones' });
const FILTER = listFlag({
  name: 'filter',
  type: 'filter',
  usage: 'Provide filter values (e.g. "label=<label>")',
  parse: filter,
});
const FILTERS = ['all', 'label', 'label!', 'node'] as const;

const ANONYMOUS_QUESTION =
  'WARNING! This will remove anonymous local volumes not used by at least one container.\nAre you sure you want to continue?';
const ALL_QUESTION =
  'WARNING! This will remove all local volumes not used by at least one container.\nAre you sure you want to continue?';

/** The daemon begins the removal of so many at once that more rounds than these are none that anybody meant. */
const ROUNDS_MAX = 1000;

export const volumePrune: CommandImplementation = {
  flags: [ALL, FILTER, FORCE, NODE],
  examples: [
    'swarm volume prune',
    'swarm volume prune --all --force --filter label=temporary',
    'swarm volume prune --all --node worker-1',
  ],
  run: pruneVolumes,
};

async function pruneVolumes({ context, flags }: Invocation): Promise<void> {
  const filters = groupFilters(flags.list(FILTER), FILTERS);
  const all = flags.isSet(ALL) || filters.all.some(isTrue);
  if (!flags.isSet(FORCE) && !(await confirm(context, all ? ALL_QUESTION : ANONYMOUS_QUESTION))) return;
  const nodes = [...flags.list(NODE), ...filters.node].filter((node) => node !== ALL_NODES);
  const request = { all, labels: filters.label, withoutLabels: filters['label!'], nodes };
  const api = await context.api();
  const failures = collectFailures();
  const removed: string[] = [];
  const tried = new Set<string>();
  for (let round = 0; ; round++) {
    const { volumes } = await api.volumes.pruneVolumes(request);
    // What a node could not remove is there again, and is not tried for ever.
    const fresh = volumes.filter(({ id }) => !tried.has(id));
    if (fresh.length === 0) break;
    if (round === ROUNDS_MAX) throw new CliError('volumes come as fast as they are removed');
    for (const { id, spec } of fresh) {
      tried.add(id);
      await failures.attempt(async () => {
        await waitUntilGone(context, id);
        removed.push(spec?.name ?? id);
      });
    }
  }
  if (removed.length > 0) printLine(context, ['Deleted Volumes:', ...removed.toSorted(naturalOrder), ''].join('\n'));
  failures.report();
}

function isTrue(text: string): boolean {
  if (text === 'true' || text === '1') return true;
  if (text === 'false' || text === '0') return false;
  throw invalidField('filter', `invalid filter 'all=${text}'`, 'use true or false');
}
