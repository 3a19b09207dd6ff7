import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine, printWarning } from '../../context.ts';
import type { FlagValues } from '../../flags.ts';
import { valueFlag } from '../../flags.ts';
import { waitForService } from '../../progress/wait-for-service.ts';
import { unsigned } from '../../values/scalars.ts';
import { DETACH, QUIET } from './service-flags.ts';

/** Not Docker's, which keeps one former spec. */
const TO = valueFlag({
  name: 'to',
  type: 'uint',
  usage: 'Number of the revision to return to (default: the last one before that did not fail)',
  parse: unsigned,
});

export const serviceRollback: CommandImplementation = {
  flags: [DETACH, QUIET, TO],
  examples: ['swarm service rollback web', 'swarm service history web', 'swarm service rollback --to 3 web'],
  argumentKind: 'service',
  run: rollBack,
};

async function rollBack({ context, flags, arguments: [reference = ''] }: Invocation): Promise<void> {
  const to = flags.value(TO);
  if (to === 0)
    throw new CliError('revisions are numbered from 1', { hint: `see \`swarm service history ${reference}\`` });
  await rollBackService({ context, flags }, reference, to ?? 0);
}

/** `revision` 0: the last one before the present. Also what `service update --rollback` does. */
export async function rollBackService(
  { context, flags }: Pick<Invocation, 'context'> & { readonly flags: FlagValues },
  reference: string,
  revision: number,
): Promise<void> {
  const api = await context.api();
  const { service, warnings } = await api.rollouts.rollbackService({ reference, revision });
  for (const warning of warnings) printWarning(context, warning);
  printLine(context, reference);
  if (service === undefined || flags.isSet(DETACH)) return;
  await waitForService({
    context,
    serviceId: service.id,
    reference,
    knownStatus: undefined,
    isQuiet: flags.isSet(QUIET),
    expectsRollback: true,
  });
}
