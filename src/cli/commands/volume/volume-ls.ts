import { invalidField } from '#common/errors.ts';
import { VolumeState } from '#gen/swarm/v1/objects.ts';
import type { VolumeView } from '#gen/swarm/v1/volumes.ts';
import { VOLUME_STATES, volumeDriver, volumeName, volumeScope } from '../../../docker-shape/from-volumes.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { boolFlag, listFlag, refusedFlag } from '../../flags.ts';
import { formatList, type ListView } from '../../format/list-format.ts';
import { naturalOrder } from '../../format/texts.ts';
import { filter } from '../../values/key-values.ts';
import { groupFilters } from '../shared/filters.ts';
import { LIST_FORMAT, OUTPUT, wantsDocument } from '../shared/format-flags.ts';
import { CSI } from './volume-create.ts';

const FILTER = listFlag({
  name: 'filter',
  short: 'f',
  type: 'filter',
  usage: 'Provide filter values (e.g. "dangling=true")',
  parse: filter,
});
const QUIET = boolFlag({ name: 'quiet', short: 'q', usage: 'Only display volume names' });
const FILTERS = ['dangling', 'driver', 'label', 'name', 'node'] as const;

export const volumeLs: CommandImplementation = {
  flags: [refusedFlag('cluster', false, CSI), FILTER, LIST_FORMAT, OUTPUT, QUIET],
  examples: [
    'swarm volume ls',
    'swarm volume ls --filter dangling=true --filter node=worker-1',
    "swarm volume ls --format '{{.Name}} on {{.Node}}: {{.State}}'",
  ],
  run: listVolumes,
};

async function listVolumes({ context, flags }: Invocation): Promise<void> {
  const filters = groupFilters(flags.list(FILTER), FILTERS);
  const request = {
    names: filters.name,
    labels: filters.label,
    drivers: filters.driver,
    nodes: filters.node,
    dangling: danglingOf(filters.dangling),
  };
  const api = await context.api();
  const found: VolumeView[] = [];
  for await (const page of api.volumes.listVolumes(request)) found.push(...page.volumes);
  const sorted = found.toSorted(
    (a, b) => naturalOrder(volumeName(a), volumeName(b)) || naturalOrder(a.nodeHostname, b.nodeHostname),
  );
  context.stdout.write(
    formatList(VOLUME_VIEW, sorted, {
      format: flags.value(LIST_FORMAT),
      quiet: flags.isSet(QUIET),
      asArray: wantsDocument(flags, LIST_FORMAT, QUIET),
    }),
  );
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

/** What Docker says of volumes that are not its cluster's, and of what it does not measure in a list. */
const NOT_KNOWN = 'N/A';

const VOLUME_VIEW: ListView<VolumeView> = {
  typeName: '*formatter.volumeContext',
  table: '{{.Driver}}\t{{.Name}}\t{{.Node}}',
  quiet: '{{.Name}}',
  raw: 'name: {{.Name}}\ndriver: {{.Driver}}\n',
  quietRaw: 'name: {{.Name}}',
  methods: {
    Label: ({ volume }, name) =>
      Object.hasOwn(volume?.spec?.labels ?? {}, name) ? (volume?.spec?.labels[name] ?? '') : '',
  },
  columns: {
    Name: { header: 'VOLUME NAME', value: volumeName },
    Driver: { header: 'DRIVER', value: volumeDriver },
    Scope: { header: 'SCOPE', value: volumeScope },
    Mountpoint: { header: 'MOUNTPOINT', value: ({ volume }) => volume?.mountpoint ?? '' },
    Labels: { header: 'LABELS', value: ({ volume }) => labelsText(volume?.spec?.labels ?? {}) },
    Links: { header: 'LINKS', value: () => NOT_KNOWN },
    Size: { header: 'SIZE', value: () => NOT_KNOWN },
    Group: { header: 'GROUP', value: () => NOT_KNOWN },
    Availability: { header: 'AVAILABILITY', value: () => NOT_KNOWN },
    Status: { header: 'STATUS', value: ({ volume }) => volume?.message || NOT_KNOWN },
    Node: { header: 'NODE', value: ({ nodeHostname }) => nodeHostname },
    State: { header: 'STATE', value: ({ volume }) => VOLUME_STATES[volume?.state ?? VolumeState.UNSPECIFIED] },
    Services: { header: 'SERVICES', value: ({ services }) => services.join(', ') },
  },
};

function labelsText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .toSorted()
    .join(',');
}
