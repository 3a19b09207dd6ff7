import type { Revision, Service } from '#gen/swarm/v1/objects.ts';
import { RevisionOutcome } from '#gen/swarm/v1/objects.ts';
import type { SwarmApi } from '../../api.ts';
import { CliError } from '../../cli-errors.ts';

export const REVISION_OUTCOMES: Readonly<Record<RevisionOutcome, string>> = {
  [RevisionOutcome.UNSPECIFIED]: 'unknown',
  [RevisionOutcome.UNKNOWN]: 'unknown',
  [RevisionOutcome.HEALTHY]: 'healthy',
  [RevisionOutcome.FAILED]: 'failed',
  [RevisionOutcome.ABORTED]: 'aborted',
};

/** The service and the revisions of it that are kept, the oldest first. */
export async function revisionsOf(
  api: SwarmApi,
  reference: string,
): Promise<{ readonly service: Service; readonly revisions: readonly Revision[] }> {
  const { service } = await api.control.getService({ reference });
  if (service === undefined) throw new CliError(`the daemon did not say what ${reference} is`);
  const revisions: Revision[] = [];
  for await (const page of api.control.listRevisions({ serviceId: service.id })) revisions.push(...page.revisions);
  return { service, revisions: revisions.toSorted((a, b) => a.number - b.number) };
}
