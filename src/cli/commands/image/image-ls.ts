import { decimalSize } from '#common/size.ts';
import type { Image, ListImagesRequest } from '#gen/swarm/v1/images.ts';
import { imageId } from '../../../docker-shape/from-images.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printWarning } from '../../context.ts';
import { boolFlag, refusedFlag } from '../../flags.ts';
import { formatList, type ListView } from '../../format/list-format.ts';
import { ago, shortId } from '../../format/texts.ts';
import { groupFilters } from '../shared/filters.ts';
import { FILTER, LIST_FORMAT, OUTPUT, wantsDocument } from '../shared/format-flags.ts';
import { untilMs } from '../shared/until.ts';
import { goTime } from './go-time.ts';
import { type ImageRow, imageRows } from './image-rows.ts';

const ALL = boolFlag({ name: 'all', short: 'a', usage: 'Show all images (default hides intermediate images)' });
const DIGESTS = boolFlag({ name: 'digests', usage: 'Show digests' });
const NO_TRUNC = boolFlag({ name: 'no-trunc', usage: "Don't truncate output" });
const QUIET = boolFlag({ name: 'quiet', short: 'q', usage: 'Only show image IDs' });
const TREE = refusedFlag('tree', false, {
  because: 'images here are of one platform',
  hint: 'leave it out; `swarm image inspect` shows an image in detail',
});

const FILTERS = ['before', 'dangling', 'label', 'reference', 'since', 'until'] as const;

/** Words after `swarm images` that were meant as commands. */
const SIBLINGS = ['build', 'inspect', 'list', 'load', 'ls', 'prune', 'pull', 'rm', 'tag'];

export const imageLs: CommandImplementation = {
  flags: [ALL, DIGESTS, FILTER, LIST_FORMAT, NO_TRUNC, OUTPUT, QUIET, TREE],
  examples: [
    'swarm image ls',
    "swarm image ls 'localhost:5000/*'",
    'swarm image ls --filter dangling=true --quiet',
    "swarm image ls --format '{{.Repository}}:{{.Tag}} {{.Size}}'",
  ],
  argumentKind: 'image',
  run: listImages,
};

async function listImages(invocation: Invocation): Promise<void> {
  const {
    context,
    flags,
    arguments: [reference],
  } = invocation;
  const filters = groupFilters(flags.list(FILTER), FILTERS);
  const patterns = [...(reference === undefined ? [] : [reference]), ...filters.reference];
  const format = flags.value(LIST_FORMAT);
  const showsDigests = flags.isSet(DIGESTS);
  const options = { showsDigests, needsDigests: showsDigests || (format ?? '').includes('.Digest'), patterns };
  const nowMs = context.clock.now();
  const createdBeforeMs = untilMs(filters.until, nowMs);
  // A pattern that cannot be used is told of before the daemon is asked.
  imageRows([], options);
  const images: Image[] = [];
  const api = await context.api();
  for await (const page of api.images.listImages(requestOf(invocation, filters, patterns))) images.push(...page.images);
  const old = images.filter((image) => createdBeforeMs === undefined || image.createdAtMs < createdBeforeMs);
  const rows = imageRows(old, options);
  const view = imageView({ showsDigests, truncates: !flags.isSet(NO_TRUNC), nowMs });
  context.stdout.write(
    formatList(view, rows, { format, quiet: flags.isSet(QUIET), asArray: wantsDocument(flags, LIST_FORMAT, QUIET) }),
  );
  if (rows.length === 0 && invocation.path.endsWith(' images') && SIBLINGS.includes(reference ?? ''))
    printWarning(context, `\nNo images found matching "${reference}": did you mean "swarm image ${reference}"?`);
}

type Filters = Readonly<Record<(typeof FILTERS)[number], readonly string[]>>;

function requestOf({ flags }: Invocation, filters: Filters, patterns: readonly string[]): Partial<ListImagesRequest> {
  const dangling = filters.dangling.map(danglingValue).at(-1);
  return {
    all: flags.isSet(ALL),
    referencePatterns: patterns,
    labels: filters.label,
    ...(dangling === undefined ? {} : { dangling }),
    before: only('before', filters.before),
    since: only('since', filters.since),
  };
}

function danglingValue(text: string): boolean {
  if (['true', '1'].includes(text)) return true;
  if (['false', '0'].includes(text)) return false;
  throw new CliError(`invalid filter 'dangling=${text}'`, { hint: 'use dangling=true or dangling=false' });
}

function only(name: string, values: readonly string[]): string {
  if (values.length > 1)
    throw new CliError(`more than one filter '${name}'`, { hint: 'name the image that decides, and no other' });
  return values[0] ?? '';
}

interface ViewOptions {
  readonly showsDigests: boolean;
  readonly truncates: boolean;
  readonly nowMs: number;
}

function imageView({ showsDigests, truncates, nowMs }: ViewOptions): ListView<ImageRow> {
  const digest = (text: string): string => (showsDigests ? text : '');
  const quiet = '{{.ID}}';
  return {
    typeName: '*formatter.imageContext',
    table: `{{.Repository}}\t{{.Tag}}\t${digest('{{.Digest}}\t')}{{.ID}}\t{{.CreatedSince}}\t{{.Size}}`,
    quiet,
    raw: `repository: {{.Repository}}\ntag: {{.Tag}}\n${digest('digest: {{.Digest}}\n')}image_id: {{.ID}}\ncreated_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n`,
    quietRaw: `image_id: ${quiet}`,
    columns: {
      Repository: { header: 'REPOSITORY', value: ({ repository }) => repository },
      Tag: { header: 'TAG', value: ({ tag }) => tag },
      Digest: { header: 'DIGEST', value: (row) => row.digest },
      ID: { header: 'IMAGE ID', value: ({ image }) => (truncates ? shortId(image.id) : imageId(image.id)) },
      CreatedSince: { header: 'CREATED', value: ({ image }) => ago(image.createdAtMs, nowMs) },
      CreatedAt: { header: 'CREATED AT', value: ({ image }) => goTime(image.createdAtMs) },
      Size: { header: 'SIZE', value: ({ image }) => decimalSize(image.sizeBytes, 3) },
      VirtualSize: { header: 'SIZE', value: ({ image }) => decimalSize(image.sizeBytes) },
      // Docker has numbers for these in `system df --verbose` only.
      Containers: { header: 'CONTAINERS', value: () => 'N/A' },
      SharedSize: { header: 'SHARED SIZE', value: () => 'N/A' },
      UniqueSize: { header: 'UNIQUE SIZE', value: () => 'N/A' },
    },
  };
}
