import { formatDuration, NANOS_PER_MS } from '#common/duration.ts';
import { type JobRun, JobRunState } from '#gen/swarm/v1/objects.ts';
import { JOB_RUN_STATES, JOB_TRIGGERS } from '../../../docker-shape/from-jobs.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { formatList, type ListView } from '../../format/list-format.ts';
import { ago } from '../../format/texts.ts';
import { LIST_FORMAT, OUTPUT, wantsDocument } from '../shared/format-flags.ts';
import { findJob } from './find-job.ts';

export const jobHistory: CommandImplementation = {
  flags: [LIST_FORMAT, OUTPUT],
  examples: ['swarm job history backup', "swarm job history --format '{{.Run}} {{.State}} {{.Message}}' backup"],
  argumentKind: 'service',
  run: listRuns,
};

async function listRuns({ context, flags, arguments: [reference = ''] }: Invocation): Promise<void> {
  const { job } = await findJob(context, reference);
  context.stdout.write(
    formatList(runView(context.clock.now()), (job?.runs ?? []).toReversed(), {
      format: flags.value(LIST_FORMAT),
      quiet: false,
      asArray: wantsDocument(flags, LIST_FORMAT),
    }),
  );
}

function runView(nowMs: number): ListView<JobRun> {
  return {
    typeName: '*job.runContext',
    table: '{{.Run}}\t{{.Trigger}}\t{{.State}}\t{{.Completions}}\t{{.Started}}\t{{.Duration}}\t{{.Message}}',
    quiet: '{{.Run}}',
    raw: 'run: {{.Run}}\ntrigger: {{.Trigger}}\nstate: {{.State}}\ncompletions: {{.Completions}}\nstarted: {{.Started}}\nduration: {{.Duration}}\nmessage: {{.Message}}\n',
    quietRaw: 'run: {{.Run}}',
    columns: {
      Run: { header: 'RUN', value: ({ iteration }) => (iteration === 0 ? '-' : String(iteration)) },
      Trigger: { header: 'TRIGGER', value: ({ trigger }) => JOB_TRIGGERS[trigger] },
      State: { header: 'STATE', value: stateText },
      Completions: {
        header: 'COMPLETED',
        value: ({ revision, succeeded, total }) => (revision === 0 ? '' : `${succeeded}/${total}`),
      },
      Due: { header: 'DUE', value: ({ dueAtMs }) => (dueAtMs === 0 ? '' : new Date(dueAtMs).toISOString()) },
      Started: { header: 'STARTED', value: ({ startedAtMs }) => (startedAtMs === 0 ? '' : ago(startedAtMs, nowMs)) },
      Duration: { header: 'DURATION', value: (run) => durationText(run, nowMs) },
      Revision: { header: 'REVISION', value: ({ revision }) => String(revision) },
      Message: { header: 'MESSAGE', value: ({ message }) => message },
    },
  };
}

function stateText({ state, count }: JobRun): string {
  return state === JobRunState.SKIPPED && count > 1 ? `skipped ${count} times` : JOB_RUN_STATES[state];
}

function durationText({ revision, startedAtMs, endedAtMs }: JobRun, nowMs: number): string {
  if (revision === 0) return '';
  return formatDuration(Math.max(0, (endedAtMs || nowMs) - startedAtMs) * NANOS_PER_MS);
}
