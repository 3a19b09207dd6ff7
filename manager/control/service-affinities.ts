/** The services that a service is to be near, or apart from: looked up. */
import { SwarmError } from '#common/errors.ts';
import type { Affinity, ServiceSpec } from '#gen/swarm/v1/specs.ts';
import type { StoreView } from '#manager/store/index.ts';
import { findService } from './references.ts';
import { refuseContradictions } from './validate-placement.ts';

/**
 * The spec with the ids of the services that its rules name, which may be given by name. The service itself may be one
 * of them: `serviceId` is the one that it has or gets. A service that is gone since it was named stays named.
 * @throws SwarmError for the first rule that is broken
 */
export function resolvedAffinities(
  view: StoreView,
  spec: ServiceSpec,
  serviceId: string,
  before?: ServiceSpec,
): ServiceSpec {
  const placement = spec.task?.placement;
  if (spec.task === undefined || placement === undefined || placement.affinities.length === 0) return spec;
  const known = new Set(before?.task?.placement?.affinities.map(({ service }) => service));
  const idOf = ({ service, anti }: Affinity): string => {
    if (service === serviceId || service.toLowerCase() === spec.name.toLowerCase()) return serviceId;
    try {
      return findService(view, service).id;
    } catch (thrown) {
      if (known.has(service)) return service;
      const error = SwarmError.from(thrown);
      const field = anti ? 'anti-affinity' : 'affinity';
      if (error.code !== 'not-found') throw thrown;
      throw new SwarmError({
        code: 'not-found',
        reason: 'unknown-object',
        field,
        message: `${field}: service ${service} not found`,
        hint: 'create it first; see `swarm service ls`',
      });
    }
  };
  const affinities = placement.affinities.map((affinity) => ({ ...affinity, service: idOf(affinity) }));
  refuseContradictions(affinities, (id) =>
    id === serviceId ? spec.name : (view.get('service', id)?.spec?.name ?? id),
  );
  return { ...spec, task: { ...spec.task, placement: { ...placement, affinities } } };
}
