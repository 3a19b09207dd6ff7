/** The services that a service waits for: looked up, and refused where they would wait for each other. */
import { invalidField, SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import { isDependencyCondition, type ServiceDependency, type ServiceSpec } from '#gen/swarm/v1/specs.ts';
import type { StoreView } from '#manager/store/index.ts';
import { findService } from './references.ts';

const FIELD = 'depends-on';

/**
 * The spec with the ids of the services that it depends on, which may be given by name. One that is optional and not
 * there stays as it was given.
 * @throws SwarmError for the first rule that is broken; `serviceId` is the service that is updated, or empty
 */
export function resolvedDependencies(view: StoreView, spec: ServiceSpec, serviceId: string): ServiceSpec {
  if (spec.dependsOn.length === 0) return spec;
  if (spec.dependsOn.length > LIMITS.DEPENDENCIES_PER_SERVICE)
    throw new SwarmError({
      code: 'invalid',
      reason: 'too-many',
      field: FIELD,
      limit: 'DEPENDENCIES_PER_SERVICE',
      message: `${FIELD}: ${spec.dependsOn.length} services, the limit is ${LIMITS.DEPENDENCIES_PER_SERVICE} (DEPENDENCIES_PER_SERVICE)`,
      hint: 'wait for those that come last',
    });
  const dependsOn = spec.dependsOn.map((dependency) => resolved(view, dependency, spec, serviceId));
  const seen = new Set<string>();
  for (const { service } of dependsOn) {
    if (seen.has(service))
      throw invalidField(FIELD, `${FIELD}: ${nameOf(view, service)} is named twice`, 'name it once');
    seen.add(service);
  }
  if (serviceId !== '') refuseCycle(view, serviceId, spec, dependsOn);
  return { ...spec, dependsOn };
}

function resolved(
  view: StoreView,
  dependency: ServiceDependency,
  spec: ServiceSpec,
  serviceId: string,
): ServiceDependency {
  const { service: reference, condition, optional } = dependency;
  if (reference === '') throw invalidField(FIELD, `${FIELD}: no service was named`, 'give its name or id');
  if (!isDependencyCondition(condition))
    throw invalidField(FIELD, `${FIELD}: ${reference}: the condition is not known`, 'use one of this release');
  if (reference.toLowerCase() === spec.name.toLowerCase() || (serviceId !== '' && reference === serviceId))
    throw invalidField(FIELD, `${FIELD}: ${spec.name} would wait for itself`, 'leave it out');
  try {
    return { ...dependency, service: findService(view, reference).id };
  } catch (thrown) {
    const error = SwarmError.from(thrown);
    if (optional && error.code === 'not-found') return dependency;
    if (error.code === 'not-found')
      throw new SwarmError({
        code: 'not-found',
        reason: 'unknown-object',
        field: FIELD,
        message: `${FIELD}: service ${reference} not found`,
        hint: 'create it first, or mark it as optional',
      });
    throw thrown;
  }
}

/** A service that is new is nobody's dependency, so only updates can close a circle. */
function refuseCycle(
  view: StoreView,
  serviceId: string,
  spec: ServiceSpec,
  dependsOn: readonly ServiceDependency[],
): void {
  const seen = new Set<string>();
  const path: string[] = [];
  const leadsBack = (id: string): boolean => {
    if (id === serviceId) return true;
    if (seen.has(id)) return false;
    seen.add(id);
    path.push(nameOf(view, id));
    for (const { service } of view.get('service', id)?.spec?.dependsOn ?? []) if (leadsBack(service)) return true;
    path.pop();
    return false;
  };
  for (const { service } of dependsOn) {
    if (!leadsBack(service)) continue;
    throw invalidField(
      FIELD,
      `${FIELD}: services would wait for each other: ${[spec.name, ...path, spec.name].join(' -> ')}`,
      'leave one of these out',
    );
  }
}

function nameOf(view: StoreView, id: string): string {
  return view.get('service', id)?.spec?.name ?? id;
}
