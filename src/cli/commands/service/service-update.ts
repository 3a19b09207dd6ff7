import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine, printWarning } from '../../context.ts';
import type { AnyFlag } from '../../flags.ts';
import { imageWithTag } from '../../image-argument.ts';
import { isJobService } from '../../progress/wait-for-job.ts';
import { waitForService } from '../../progress/wait-for-service.ts';
import { registryAuthOf } from '../../registry-auth.ts';
import { changeService } from './change-service.ts';
import { changedAttachments } from './network-attachments.ts';
import { withNamedRules } from './placement-flags.ts';
import { DETACH, NO_RESOLVE_IMAGE, QUIET, WITH_REGISTRY_AUTH } from './service-flags.ts';
import { rollBackService } from './service-rollback.ts';
import { IMAGE, NETWORK_ADD, NETWORK_RM, ROLLBACK, UPDATE_FLAGS } from './update-flags.ts';
import { updateSpec } from './update-spec.ts';

export const serviceUpdate: CommandImplementation = {
  flags: UPDATE_FLAGS,
  examples: [
    'swarm service update --image nginx:1.28 web',
    'swarm service update --env-add LEVEL=debug --env-rm TRACE --limit-memory 512m web',
    'swarm service update --network-add front --network-rm back --publish-add 8443:443 web',
    'swarm service update --force web',
    "swarm service update --schedule '30 3 * * *' --schedule-timezone Europe/Berlin backup",
  ],
  argumentKind: 'service',
  run: updateService,
};

async function updateService({ context, flags, arguments: [reference = ''] }: Invocation): Promise<void> {
  if (flags.isSet(ROLLBACK)) return rollBackInstead({ context, flags }, reference);
  const api = await context.api();
  const named = flags.value(IMAGE);
  const image = named === undefined ? undefined : imageWithTag(named);
  const { before, answer } = await changeService(api, reference, async ({ spec }) => {
    const authFor = image ?? spec.task?.container?.image ?? '';
    const registryAuth = flags.isSet(WITH_REGISTRY_AUTH) ? await registryAuthOf(authFor, context) : '';
    const networks = await changedAttachments(api, spec.task?.networks ?? [], {
      added: flags.list(NETWORK_ADD),
      removed: flags.list(NETWORK_RM),
    });
    const resolved = await withNamedRules(api, flags, spec);
    return {
      spec: updateSpec(resolved, { flags, image, networks, registryAuth, variables: context.variables }),
      queryRegistry: image !== undefined && !flags.isSet(NO_RESOLVE_IMAGE),
    };
  });
  for (const warning of answer.warnings) printWarning(context, warning);
  printLine(context, reference);
  if (flags.isSet(DETACH)) return;
  // Nothing that a task is made of was changed, so that no run begins.
  if (isJobService(answer.service) && answer.service?.revision === before.revision) return;
  await waitForService({
    context,
    serviceId: before.id,
    reference,
    knownStatus: answer.service?.updateStatus,
    isQuiet: flags.isSet(QUIET),
  });
}

/** @throws CliError when other changes are asked for as well */
async function rollBackInstead(
  { context, flags }: Pick<Invocation, 'context' | 'flags'>,
  reference: string,
): Promise<void> {
  const alone: readonly AnyFlag[] = [ROLLBACK, DETACH, QUIET];
  const other = UPDATE_FLAGS.find((flag) => !alone.includes(flag) && flags.given(flag));
  if (other !== undefined)
    throw new CliError('other flags may not be combined with --rollback', {
      hint: `leave --${other.name} out, or roll back first and update then`,
    });
  await rollBackService({ context, flags }, reference, 0);
}
