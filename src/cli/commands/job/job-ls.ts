import type { ServiceListEntry } from '#gen/swarm/v1/control.ts';
import { Service } from '#gen/swarm/v1/objects.ts';
import { nextRunOf } from '../../../docker-shape/from-jobs.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { formatList, type ListView } from '../../format/list-format.ts';
import { displayImage, naturalOrder, shortId } from '../../format/texts.ts';
import { groupFilters } from '../shared/filters.ts';
import { FILTER, LIST_FORMAT, OUTPUT, QUIET_IDS, wantsDocument } from '../shared/format-flags.ts';
import { fromNow, runText, scheduleText, shownRun } from './job-texts.ts';

const FILTERS = ['id', 'label', 'name'] as const;

export const jobLs: CommandImplementation = {
  flags: [FILTER, LIST_FORMAT, OUTPUT, QUIET_IDS],
  examples: ['swarm job ls', "swarm job ls --format '{{.Name}}: {{.LastRun}}, next {{.NextRun}}'"],
  run: listJobs,
};

async function listJobs({ context, flags }: Invocation): Promise<void> {
  const filters = groupFilters(flags.list(FILTER), FILTERS);
  const api = await context.api();
  const entries: ServiceListEntry[] = [];
  const modes = ['replicated-job', 'global-job'];
  const request = { names: filters.name, idPrefixes: filters.id, labels: filters.label, modes };
  for await (const page of api.control.listServices(request)) entries.push(...page.services);
  context.stdout.write(
    formatList(
      jobView(context.clock.now()),
      entries.toSorted((a, b) => naturalOrder(nameOf(a), nameOf(b))),
      {
        format: flags.value(LIST_FORMAT),
        quiet: flags.isSet(QUIET_IDS),
        asArray: wantsDocument(flags, LIST_FORMAT, QUIET_IDS),
      },
    ),
  );
}

function serviceOf({ service }: ServiceListEntry): Service {
  return service ?? Service.create();
}

function nameOf(entry: ServiceListEntry): string {
  return serviceOf(entry).spec?.name ?? '';
}

function jobView(nowMs: number): ListView<ServiceListEntry> {
  return {
    typeName: '*job.jobContext',
    table: '{{.ID}}\t{{.Name}}\t{{.Mode}}\t{{.Completions}}\t{{.LastRun}}\t{{.Schedule}}\t{{.NextRun}}\t{{.Image}}',
    quiet: '{{.ID}}',
    raw: 'id: {{.ID}}\nname: {{.Name}}\nmode: {{.Mode}}\ncompletions: {{.Completions}}\nlast_run: {{.LastRun}}\nschedule: {{.Schedule}}\nnext_run: {{.NextRun}}\nimage: {{.Image}}\n',
    quietRaw: 'id: {{.ID}}',
    columns: {
      ID: { header: 'ID', value: (entry) => shortId(serviceOf(entry).id) },
      Name: { header: 'NAME', value: nameOf },
      Mode: {
        header: 'MODE',
        value: (entry) => (serviceOf(entry).spec?.mode?.kind === 'globalJob' ? 'global' : 'replicated'),
      },
      Completions: { header: 'COMPLETED', value: ({ counts }) => `${counts?.completed ?? 0}/${counts?.total ?? 0}` },
      Run: { header: 'RUN', value: (entry) => String(shownRun(serviceOf(entry))?.iteration ?? 0) },
      LastRun: { header: 'LAST RUN', value: (entry) => runText(shownRun(serviceOf(entry)), nowMs) },
      Schedule: { header: 'SCHEDULE', value: (entry) => scheduleText(serviceOf(entry)) },
      NextRun: { header: 'NEXT RUN', value: (entry) => nextText(serviceOf(entry), nowMs) },
      Skipped: { header: 'SKIPPED', value: (entry) => String(serviceOf(entry).job?.skipped ?? 0) },
      Image: { header: 'IMAGE', value: (entry) => displayImage(serviceOf(entry).spec?.task?.container?.image ?? '') },
    },
  };
}

function nextText(service: Service, nowMs: number): string {
  if (service.spec?.job?.schedule?.suspended === true) return 'suspended';
  const nextMs = nextRunOf(service, nowMs);
  return nextMs === undefined ? '' : fromNow(nextMs, nowMs);
}
