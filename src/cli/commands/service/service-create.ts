import type { CreateServiceResponse } from '#gen/swarm/v1/control.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine, printWarning } from '../../context.ts';
import { imageWithTag } from '../../image-argument.ts';
import { waitForService } from '../../progress/wait-for-service.ts';
import { registryAuthOf } from '../../registry-auth.ts';
import { readEnvironment } from '../shared/environment.ts';
import { withFreeName } from '../shared/free-name.ts';
import { whenNothingLeaves } from '../shared/when-nothing-leaves.ts';
import { CREATE_FLAGS, ENV, ENV_FILE, NAME, NETWORK } from './create-flags.ts';
import { createSpec } from './create-spec.ts';
import { resolveAttachments } from './network-attachments.ts';
import { DETACH, NO_RESOLVE_IMAGE, QUIET, WITH_REGISTRY_AUTH } from './service-flags.ts';

export const serviceCreate: CommandImplementation = {
  flags: CREATE_FLAGS,
  examples: [
    'swarm service create --name web --replicas 3 --network back --publish 8080:80 nginx:1.27',
    'swarm service create --name db --network name=back,alias=postgres --publish mode=host,host-ip=10.0.0.1,published=5432,target=5432 app/db',
    'swarm service create --name agent --mode global --mount type=bind,source=/var/log,target=/logs,readonly app/agent',
    'swarm service create --name import --mode replicated-job --replicas 20 --max-concurrent 4 app/import',
    "swarm service create --name backup --mode replicated-job --schedule '0 3 * * *' app/backup",
  ],
  argumentKind: 'image',
  run: createService,
};

async function createService({ context, flags, arguments: [imageText = '', ...args] }: Invocation): Promise<void> {
  const image = imageWithTag(imageText);
  const env = await readEnvironment(context, flags.list(ENV_FILE), flags.list(ENV));
  const registryAuth = flags.isSet(WITH_REGISTRY_AUTH) ? await registryAuthOf(image, context) : '';
  const api = await context.api();
  const networks = await resolveAttachments(api, flags.list(NETWORK));
  const create = async (name: string): Promise<CreateServiceResponse> =>
    api.control.createService({
      spec: createSpec({ flags, image, args, env, name, networks, registryAuth }),
      queryRegistry: !flags.isSet(NO_RESOLVE_IMAGE),
    });
  const name = flags.value(NAME);
  const { service, warnings } = await whenNothingLeaves(context, flags.isSet(QUIET), () =>
    name === undefined ? withFreeName(create) : create(name),
  );
  for (const warning of warnings) printWarning(context, warning);
  if (service === undefined) throw new CliError('the daemon did not say what it created');
  printLine(context, service.id);
  if (flags.isSet(DETACH)) return;
  await waitForService({
    context,
    serviceId: service.id,
    reference: service.id,
    knownStatus: undefined,
    isQuiet: flags.isSet(QUIET),
  });
}
