import { decimalSize } from '#common/size.ts';
import type { ImageRemoval } from '#gen/swarm/v1/images.ts';
import { imageId } from '../../../docker-shape/from-images.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine } from '../../context.ts';
import { boolFlag, listFlag } from '../../flags.ts';
import { filter } from '../../values/key-values.ts';
import { confirm } from '../shared/confirm.ts';
import { groupFilters } from '../shared/filters.ts';
import { untilMs } from '../shared/until.ts';
import { PRUNE_TIMEOUT_MS } from './timeouts.ts';

const ALL = boolFlag({ name: 'all', short: 'a', usage: 'Remove all unused images, not just dangling ones' });
const FORCE = boolFlag({ name: 'force', short: 'f', usage: 'Do not prompt for confirmation' });
const FILTER = listFlag({
  name: 'filter',
  type: 'filter',
  usage: 'Provide filter values (e.g. "until=<timestamp>")',
  parse: filter,
});

const FILTERS = ['until', 'label', 'label!'] as const;

const WARNING_DANGLING = 'WARNING! This will remove all dangling images.';
const WARNING_ALL = 'WARNING! This will remove all images without at least one container associated to them.';

export const imagePrune: CommandImplementation = {
  flags: [ALL, FILTER, FORCE],
  examples: ['swarm image prune', 'swarm image prune --all --force --filter until=240h'],
  run: pruneImages,
};

async function pruneImages({ context, flags }: Invocation): Promise<void> {
  const all = flags.isSet(ALL);
  const filters = groupFilters(flags.list(FILTER), FILTERS);
  const createdBeforeMs = untilMs(filters.until, context.clock.now()) ?? 0;
  if (!flags.isSet(FORCE)) {
    const question = `${all ? WARNING_ALL : WARNING_DANGLING}\nAre you sure you want to continue?`;
    if (!(await confirm(context, question))) return;
  }
  const api = await context.api();
  const request = { all, createdBeforeMs, labels: filters.label, withoutLabels: filters['label!'] };
  const { removal } = await api.images.pruneImages(request, { timeoutMs: PRUNE_TIMEOUT_MS });
  for (const line of removalLines(removal)) printLine(context, line);
}

function removalLines(removal: ImageRemoval | undefined): readonly string[] {
  const untagged = (removal?.untagged ?? []).map((name) => `untagged: ${name}`);
  const deleted = (removal?.deleted ?? []).map((id) => `deleted: ${imageId(id)}`);
  const head = untagged.length + deleted.length === 0 ? [] : ['Deleted Images:', ...untagged, ...deleted, ''];
  return [...head, `Total reclaimed space: ${decimalSize(removal?.reclaimedBytes ?? 0)}`];
}
