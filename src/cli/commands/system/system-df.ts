import { decimalSize } from '#common/size.ts';
import { type DiskUsageEntry, DiskUsageKind } from '#gen/swarm/v1/images.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { refusedFlag } from '../../flags.ts';
import { formatList, type ListView } from '../../format/list-format.ts';
import { LIST_FORMAT, OUTPUT, wantsDocument } from '../shared/format-flags.ts';

/** The sizes of all files of the build cache are added up. */
const TIMEOUT_MS = 5 * 60_000;

const VERBOSE = refusedFlag(
  'verbose',
  false,
  { because: 'sizes are known of kinds, not of single objects', hint: 'use `swarm image ls` for the images' },
  'v',
);

export const systemDf: CommandImplementation = {
  flags: [LIST_FORMAT, OUTPUT, VERBOSE],
  examples: ['swarm system df', "swarm system df --format '{{.Type}}: {{.Reclaimable}}'"],
  run: showDiskUsage,
};

async function showDiskUsage({ context, flags }: Invocation): Promise<void> {
  const api = await context.api();
  const { entries } = await api.images.getDiskUsage({}, { timeoutMs: TIMEOUT_MS });
  const sorted = entries.toSorted((a, b) => a.kind - b.kind);
  const options = { format: flags.value(LIST_FORMAT), quiet: false, asArray: wantsDocument(flags, LIST_FORMAT) };
  context.stdout.write(formatList(USAGE_VIEW, sorted, options));
}

const KINDS: Readonly<Record<DiskUsageKind, string>> = {
  [DiskUsageKind.UNSPECIFIED]: '',
  [DiskUsageKind.IMAGES]: 'Images',
  [DiskUsageKind.CONTAINERS]: 'Containers',
  [DiskUsageKind.VOLUMES]: 'Local Volumes',
  [DiskUsageKind.BUILD_CACHE]: 'Build Cache',
};

const USAGE_VIEW: ListView<DiskUsageEntry> = {
  typeName: '*formatter.diskUsageContext',
  table: '{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}',
  quiet: '{{.Type}}',
  raw: 'type: {{.Type}}\ntotal: {{.TotalCount}}\nactive: {{.Active}}\nsize: {{.Size}}\nreclaimable: {{.Reclaimable}}\n',
  quietRaw: 'type: {{.Type}}',
  columns: {
    Type: { header: 'TYPE', value: ({ kind }) => KINDS[kind] },
    TotalCount: { header: 'TOTAL', value: ({ total }) => String(total) },
    Active: { header: 'ACTIVE', value: ({ active }) => String(active) },
    Size: { header: 'SIZE', value: ({ sizeBytes }) => decimalSize(sizeBytes) },
    Reclaimable: { header: 'RECLAIMABLE', value: reclaimable },
  },
};

function reclaimable({ kind, sizeBytes, reclaimableBytes }: DiskUsageEntry): string {
  const text = decimalSize(reclaimableBytes);
  if (kind === DiskUsageKind.BUILD_CACHE || sizeBytes <= 0) return text;
  return `${text} (${Math.trunc((reclaimableBytes * 100) / sizeBytes)}%)`;
}
