import { visibleText } from '#common/readable-text.ts';
import { type Service, type Task, TaskState, UpdatePauseReason, UpdateState } from '#gen/swarm/v1/objects.ts';
import { PAUSE_REASONS, UPDATE_STATES } from '../../../docker-shape/from-objects.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine } from '../../context.ts';
import { alignTabs } from '../../format/tab-table.ts';
import { ago } from '../../format/texts.ts';
import { revisionsAlike } from '../../progress/revisions-alike.ts';
import { OUTPUT, wantsDocument } from '../shared/format-flags.ts';

export const rolloutStatus: CommandImplementation = {
  flags: [OUTPUT],
  examples: ['swarm service rollout status web', 'swarm service rollout status --output json web'],
  argumentKind: 'service',
  run: showStatus,
};

/** How far the update is, by the revision of the tasks that are meant to run: one that makes the same tasks is as good. */
interface Progress {
  readonly updated: number;
  readonly healthy: number;
  readonly wanted: number;
}

async function showStatus({ context, flags, arguments: [reference = ''] }: Invocation): Promise<void> {
  const api = await context.api();
  const { service } = await api.control.getService({ reference });
  if (service === undefined) throw new CliError(`the daemon did not say what ${reference} is`);
  const tasks: Task[] = [];
  for await (const page of api.control.listTasks({ serviceIds: [service.id] }))
    for (const { task } of page.tasks) if (task !== undefined) tasks.push(task);
  const progress = progressOf(await revisionsAlike(api, service), tasks);
  if (wantsDocument(flags)) printLine(context, JSON.stringify(documentOf(service, progress), null, 2));
  else context.stdout.write(visibleText(textOf(service, progress, context.clock.now())));
}

function progressOf(alike: ReadonlySet<number>, tasks: readonly Task[]): Progress {
  const wanted = tasks.filter(({ desiredState }) => desiredState <= TaskState.RUNNING);
  return {
    wanted: wanted.length,
    updated: wanted.filter(({ revision }) => alike.has(revision)).length,
    healthy: wanted.filter(({ status }) => status?.state === TaskState.RUNNING && status.health?.ready !== false)
      .length,
  };
}

/** "updating", "paused (canary)", or "none" where nothing was ever updated. */
function stateOf({ updateStatus: status, revision }: Service): string {
  if (status === undefined || status.revision !== revision) return revision === 1 ? 'none' : 'about to begin';
  if (status.state === UpdateState.UNSPECIFIED) return 'none';
  const reason = status.pauseReason === UpdatePauseReason.UNSPECIFIED ? '' : ` (${PAUSE_REASONS[status.pauseReason]})`;
  return `${UPDATE_STATES[status.state]}${reason}`;
}

function textOf(service: Service, { updated, healthy, wanted }: Progress, nowMs: number): string {
  const status = service.updateStatus;
  const lines = [
    `Service:\t${service.spec?.name ?? service.id}`,
    `Revision:\t${service.revision}`,
    `Update:\t${stateOf(service)}`,
  ];
  if (status !== undefined) {
    if (status.startedAtMs > 0) lines.push(`Started:\t${ago(status.startedAtMs, nowMs)}`);
    if (status.completedAtMs > 0) lines.push(`Completed:\t${ago(status.completedAtMs, nowMs)}`);
    if (status.message !== '') lines.push(`Message:\t${status.message}`);
    if (status.failedTask !== '') lines.push(`Failed task:\t${status.failedTask}`);
  }
  lines.push(`Tasks:\t${updated} of ${wanted} at revision ${service.revision}, ${healthy} healthy`);
  const log = status?.failedTaskLog ?? [];
  const table = alignTabs(`${lines.join('\n')}\n`);
  return log.length === 0 ? table : `${table}Its last lines:\n${log.map((line) => `  ${line}\n`).join('')}`;
}

function documentOf(service: Service, progress: Progress): Readonly<Record<string, unknown>> {
  const status = service.updateStatus;
  const time = (ms: number | undefined): string | undefined => (ms ? new Date(ms).toISOString() : undefined);
  return {
    Service: service.spec?.name,
    ServiceID: service.id,
    Revision: service.revision,
    Update: stateOf(service),
    StartedAt: time(status?.startedAtMs),
    CompletedAt: time(status?.completedAtMs),
    Message: status?.message,
    FailedTask: status?.failedTask || undefined,
    FailedTaskLog: status?.failedTaskLog,
    Tasks: { Wanted: progress.wanted, AtRevision: progress.updated, Healthy: progress.healthy },
  };
}
