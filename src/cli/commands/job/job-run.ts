import { randomUUID } from 'node:crypto';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine } from '../../context.ts';
import { stringFlag } from '../../flags.ts';
import { waitForJob } from '../../progress/wait-for-job.ts';
import { DETACH, QUIET } from '../service/service-flags.ts';

const REQUEST_ID = stringFlag({
  name: 'request-id',
  usage: 'Name of this request: asked for again under it, the job does not run a second time',
});

export const jobRun: CommandImplementation = {
  flags: [DETACH, QUIET, REQUEST_ID],
  examples: ['swarm job run backup', 'swarm job run --detach --request-id release-42 migrate'],
  argumentKind: 'service',
  run: runNow,
};

async function runNow({ context, flags, arguments: [reference = ''] }: Invocation): Promise<void> {
  const api = await context.api();
  const requestId = flags.value(REQUEST_ID) ?? randomUUID();
  const { service, iteration } = await api.jobs.runJob({ reference, requestId });
  if (service === undefined) throw new CliError('the daemon did not say what it runs');
  printLine(context, `${reference} run ${iteration}`);
  if (flags.isSet(DETACH)) return;
  await waitForJob({ context, serviceId: service.id, reference, iteration, isQuiet: flags.isSet(QUIET) });
}
