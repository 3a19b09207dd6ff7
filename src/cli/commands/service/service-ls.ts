import type { ServiceListEntry } from '#gen/swarm/v1/control.ts';
import { type PortConfig, PublishMode } from '#gen/swarm/v1/specs.ts';
import { portsOf } from '../../../docker-shape/from-objects.ts';
import { PORT_PROTOCOLS } from '../../../docker-shape/from-specs.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { formatList, type ListView } from '../../format/list-format.ts';
import { publishedHost } from '../../format/port-text.ts';
import { displayImage, naturalOrder, shortId } from '../../format/texts.ts';
import { isJobService } from '../../progress/wait-for-job.ts';
import { groupFilters } from '../shared/filters.ts';
import { FILTER, LIST_FORMAT, OUTPUT, QUIET_IDS, wantsDocument } from '../shared/format-flags.ts';

const FILTERS = ['id', 'label', 'mode', 'name', 'runtime'] as const;

export const serviceLs: CommandImplementation = {
  flags: [FILTER, LIST_FORMAT, OUTPUT, QUIET_IDS],
  examples: [
    'swarm service ls',
    'swarm service ls --filter name=web --filter mode=global',
    "swarm service ls --format '{{.Name}}: {{.Replicas}}'",
  ],
  run: listServices,
};

async function listServices(invocation: Invocation): Promise<void> {
  await printServices(invocation, () => true);
}

/** Prints the services that the filters of the call and `isWanted` let through. */
export async function printServices(
  { context, flags }: Pick<Invocation, 'context' | 'flags'>,
  isWanted: (entry: ServiceListEntry) => boolean,
): Promise<void> {
  const filters = groupFilters(flags.list(FILTER), FILTERS);
  const api = await context.api();
  const entries: ServiceListEntry[] = [];
  const request = { names: filters.name, idPrefixes: filters.id, labels: filters.label, modes: filters.mode };
  for await (const page of api.control.listServices(request)) entries.push(...page.services);
  const kept = filters.runtime.every((runtime) => runtime === 'container') ? entries.filter(isWanted) : [];
  const sorted = kept.toSorted((a, b) => naturalOrder(nameOf(a), nameOf(b)));
  context.stdout.write(
    formatList(SERVICE_VIEW, sorted, {
      format: flags.value(LIST_FORMAT),
      quiet: flags.isSet(QUIET_IDS),
      asArray: wantsDocument(flags, LIST_FORMAT, QUIET_IDS),
    }),
  );
}

function nameOf({ service }: ServiceListEntry): string {
  return service?.spec?.name ?? '';
}

const SERVICE_VIEW: ListView<ServiceListEntry> = {
  typeName: '*service.serviceContext',
  table: '{{.ID}}\t{{.Name}}\t{{.Mode}}\t{{.Replicas}}\t{{.Image}}\t{{.Ports}}',
  quiet: '{{.ID}}',
  raw: 'id: {{.ID}}\nname: {{.Name}}\nmode: {{.Mode}}\nreplicas: {{.Replicas}}\nimage: {{.Image}}\nports: {{.Ports}}\n',
  quietRaw: 'id: {{.ID}}',
  columns: {
    ID: { header: 'ID', value: ({ service }) => shortId(service?.id ?? '') },
    Name: { header: 'NAME', value: nameOf },
    Mode: { header: 'MODE', value: ({ service }) => modeText(service) },
    Replicas: { header: 'REPLICAS', value: replicasText },
    Image: { header: 'IMAGE', value: ({ service }) => displayImage(service?.spec?.task?.container?.image ?? '') },
    Ports: { header: 'PORTS', value: ({ service }) => (service === undefined ? '' : ingressPorts(portsOf(service))) },
  },
};

export function replicasText({ service, counts }: ServiceListEntry): string {
  const text = `${counts?.running ?? 0}/${counts?.desired ?? 0}${healthText(counts)}`;
  const max = service?.spec?.task?.placement?.maxReplicas ?? 0;
  if (isJobService(service)) return `${text} (${counts?.completed ?? 0}/${counts?.total ?? 0} completed)`;
  return service?.spec?.mode?.kind === 'replicated' && max > 0 ? `${text} (max ${max} per node)` : text;
}

const MODES = { replicated: 'replicated', global: 'global', replicatedJob: 'replicated job', globalJob: 'global job' };

function modeText(service: ServiceListEntry['service']): string {
  const mode = service?.spec?.mode;
  return mode === undefined ? '' : MODES[mode.kind];
}

/** Nothing where all that runs is ready, as where nothing is checked. */
function healthText(counts: ServiceListEntry['counts']): string {
  if (counts === undefined) return '';
  const { running, notReady, crashLooping } = counts;
  const parts: string[] = [];
  if (notReady > 0) parts.push(`${running - notReady} ready`);
  if (crashLooping > 0) parts.push(`${crashLooping} in a crash loop`);
  return parts.length === 0 ? '' : ` (${parts.join(', ')})`;
}

/** Ports of the routing mesh, neighbouring ones as a range; ports of single nodes are shown with the tasks. */
function ingressPorts(published: readonly PortConfig[]): string {
  const ports = published.filter(
    // A port that is left to the swarm has none until it is given out.
    (port) => port.publishMode !== PublishMode.HOST && port.publishedPort > 0,
  );
  const sorted = ports.toSorted(
    (a, b) =>
      compareTexts(protocolOf(a), protocolOf(b)) ||
      compareTexts(a.hostIp, b.hostIp) ||
      a.publishedPort - b.publishedPort,
  );
  const ranges: PortRange[] = [];
  for (const port of sorted) {
    const range = ranges.at(-1);
    if (range !== undefined && continues(range, port)) range.last = port;
    else ranges.push({ first: port, last: port });
  }
  return ranges.map(rangeText).join(', ');
}

/** Not `localeCompare`, which takes 8 ms to load what it knows of languages. */
function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

interface PortRange {
  readonly first: PortConfig;
  last: PortConfig;
}

function protocolOf(port: PortConfig): string {
  return PORT_PROTOCOLS[port.protocol];
}

/** Neighbouring published ports that lead to neighbouring targets, or all of them to one. */
function continues({ first, last }: PortRange, port: PortConfig): boolean {
  const step = port.targetPort - last.targetPort;
  const toOneTarget = first.targetPort === last.targetPort;
  return (
    protocolOf(last) === protocolOf(port) &&
    last.hostIp === port.hostIp &&
    port.publishedPort - last.publishedPort <= 1 &&
    (step === 1 || (step === 0 && toOneTarget))
  );
}

function rangeText({ first, last }: PortRange): string {
  const span = (from: number, to: number): string => (from === to ? `${from}` : `${from}-${to}`);
  const published = span(first.publishedPort, last.publishedPort);
  return `${publishedHost(first)}:${published}->${span(first.targetPort, last.targetPort)}/${protocolOf(first)}`;
}
