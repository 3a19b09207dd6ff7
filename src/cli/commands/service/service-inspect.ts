import type { GetServiceResponse } from '#gen/swarm/v1/control.ts';
import { serviceShape } from '../../../docker-shape/from-objects.ts';
import { SERVICE } from '../../../docker-shape/swarm-types.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { isNotFound } from '../shared/each.ts';
import { INSPECT_FORMAT, OUTPUT, PRETTY, wantsDocument } from '../shared/format-flags.ts';
import { inspect } from '../shared/inspect.ts';
import { prettyService } from './pretty-service.ts';

export const serviceInspect: CommandImplementation = {
  flags: [INSPECT_FORMAT, OUTPUT, PRETTY],
  examples: [
    'swarm service inspect web',
    'swarm service inspect --pretty web',
    "swarm service inspect --format '{{.Spec.TaskTemplate.ContainerSpec.Image}}' web",
  ],
  argumentKind: 'service',
  run: inspectServices,
};

async function inspectServices({ context, flags, arguments: references }: Invocation): Promise<void> {
  wantsDocument(flags, INSPECT_FORMAT, PRETTY);
  const api = await context.api();
  await inspect<GetServiceResponse>({
    context,
    references,
    format: flags.value(INSPECT_FORMAT),
    isPretty: flags.isSet(PRETTY),
    find: async (reference) => api.control.getService({ reference }),
    toGo: ({ service }) => ({ type: SERVICE, data: service === undefined ? {} : serviceShape(service, undefined) }),
    pretty: ({ service }) => (service === undefined ? '' : prettyService(service, context.clock.now())),
    notFound: (reference, error) => (isNotFound(error) ? `Error: no such service: ${reference}` : undefined),
  });
}
