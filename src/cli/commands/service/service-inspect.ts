import type { Network, Service } from '#gen/swarm/v1/objects.ts';
import { serviceShape } from '../../../docker-shape/from-objects.ts';
import { SERVICE } from '../../../docker-shape/swarm-types.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { networksById } from '../../known-networks.ts';
import { isNotFound } from '../shared/each.ts';
import { INSPECT_FORMAT, OUTPUT, PRETTY, wantsDocument } from '../shared/format-flags.ts';
import { inspect } from '../shared/inspect.ts';
import { withRuleNames } from './placement-flags.ts';
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

interface Found {
  readonly service: Service;
  /** Those of the swarm by id, where the service has some. */
  readonly networks: ReadonlyMap<string, Network>;
}

async function inspectServices({ context, flags, arguments: references }: Invocation): Promise<void> {
  wantsDocument(flags, INSPECT_FORMAT, PRETTY);
  const api = await context.api();
  let known: Promise<ReadonlyMap<string, Network>> | undefined;
  await inspect<Found>({
    context,
    references,
    format: flags.value(INSPECT_FORMAT),
    isPretty: flags.isSet(PRETTY),
    find: async (reference) => {
      const found = (await api.control.getService({ reference })).service as Service;
      const service = flags.isSet(PRETTY) ? await withRuleNames(api, found) : found;
      return { service, networks: hasNetworks(service) ? await (known ??= networksById(api)) : new Map() };
    },
    toGo: ({ service, networks }) => ({ type: SERVICE, data: serviceShape(service, undefined, networks) }),
    pretty: ({ service, networks }) => prettyService(service, networks, context.clock.now()),
    notFound: (reference, error) => (isNotFound(error) ? `Error: no such service: ${reference}` : undefined),
  });
}

function hasNetworks({ spec, endpoint }: Service): boolean {
  return (spec?.task?.networks.length ?? 0) > 0 || (endpoint?.addresses.length ?? 0) > 0;
}
