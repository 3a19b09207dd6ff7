import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine } from '../../context.ts';
import { boolFlag, listFlag, valueFlag } from '../../flags.ts';
import { filter } from '../../values/key-values.ts';
import { unsigned } from '../../values/scalars.ts';
import { confirm } from '../shared/confirm.ts';
import { groupFilters } from '../shared/filters.ts';
import { CONFIGS, type PayloadKind, SECRETS } from './payload-kind.ts';

const FILTER = listFlag({
  name: 'filter',
  type: 'filter',
  usage: 'Provide filter values (e.g. "label=<key>=<value>")',
  parse: filter,
});
const FORCE = boolFlag({ name: 'force', short: 'f', usage: 'Do not prompt for confirmation' });
const KEEP_VERSIONS = valueFlag({
  name: 'keep-versions',
  type: 'uint',
  usage: 'Remove old versions too that nothing refers to, but for this many of the newest',
  parse: unsigned,
});

const FILTERS = ['label'] as const;

/** Docker has no such commands. */
function pruneCommand(kind: PayloadKind, examples: readonly string[]): CommandImplementation {
  return {
    flags: [FILTER, FORCE, KEEP_VERSIONS],
    examples,
    run: async ({ context, flags }: Invocation): Promise<void> => {
      const { label: labels } = groupFilters(flags.list(FILTER), FILTERS);
      const keepVersions = flags.value(KEEP_VERSIONS);
      const question = `WARNING! This will remove all ${kind.word}s that no service and no kept revision of one refers to.\nAre you sure you want to continue?`;
      if (!flags.isSet(FORCE) && !(await confirm(context, question))) return;
      const { removed, removedVersions } = await kind.prune(await context.api(), { labels, keepVersions });
      if (removed.length > 0) printLine(context, [`Deleted ${kind.title}s:`, ...removed, ''].join('\n'));
      if (removedVersions > 0)
        printLine(context, `Deleted ${removedVersions} old version${removedVersions > 1 ? 's' : ''}`);
    },
  };
}

export const secretPrune = pruneCommand(SECRETS, [
  'swarm secret prune',
  'swarm secret prune --force --keep-versions 1 --filter label=team=web',
]);

export const configPrune = pruneCommand(CONFIGS, [
  'swarm config prune --force',
  'swarm config prune --keep-versions 3',
]);
