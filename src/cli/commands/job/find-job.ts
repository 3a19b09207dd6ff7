import type { Service } from '#gen/swarm/v1/objects.ts';
import { CliError } from '../../cli-errors.ts';
import type { CliContext } from '../../context.ts';
import { isJobService } from '../../progress/wait-for-job.ts';

/** @throws CliError for a service that is no job */
export async function findJob(context: CliContext, reference: string): Promise<Service> {
  const api = await context.api();
  const { service } = await api.control.getService({ reference });
  if (service === undefined || !isJobService(service))
    throw new CliError(`service ${reference} is no job`, { hint: 'see `swarm job ls`, or `swarm service --help`' });
  return service;
}
