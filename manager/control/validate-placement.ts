/** The rules for where the tasks of a service may be. */
import { invalidField, SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import {
  type Affinity,
  type GenericResource,
  isPlacementStrategy,
  type Placement,
  type TaskSpec,
} from '#gen/swarm/v1/specs.ts';
import { parseConstraints } from '#manager/scheduler/index.ts';

const PRIORITY_MAX = 1000;
const WEIGHT_MAX = 100;
const LABEL = /^(node|engine)\.labels\.[^\s]+$/;
const GENERIC_KIND = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;

/** @throws SwarmError for the first rule that the spec breaks. */
export function validatePlacement(task: TaskSpec): void {
  validateGeneric(task);
  const placement = task.placement;
  if (placement === undefined) return;
  atMost('constraints', placement.constraints.length, 'CONSTRAINTS_PER_SERVICE', 'label the nodes instead');
  const parsed = parseConstraints('constraints', placement.constraints);
  if (parsed instanceof SwarmError) throw parsed;
  validatePreferences(placement);
  validateAffinities(placement.affinities);
  if (!isPlacementStrategy(placement.strategy))
    throw invalidField(
      'placement-strategy',
      `placement-strategy: ${String(placement.strategy)} is not known`,
      'use spread or binpack',
    );
  const { priority } = placement;
  if (priority < -PRIORITY_MAX || priority > PRIORITY_MAX)
    throw invalidField(
      'priority',
      `priority: ${priority} is not between -${PRIORITY_MAX} and ${PRIORITY_MAX}`,
      'use 0 for what is neither more nor less important than others',
    );
}

function atMost(
  field: string,
  count: number,
  limit: 'CONSTRAINTS_PER_SERVICE' | 'PREFERENCES_PER_SERVICE' | 'AFFINITIES_PER_SERVICE' | 'GENERIC_PER_SERVICE',
  hint: string,
): void {
  if (count <= LIMITS[limit]) return;
  const message = `${field}: ${count}, the limit is ${LIMITS[limit]} (${limit})`;
  throw new SwarmError({ code: 'invalid', reason: 'too-many', field, limit, message, hint });
}

function validatePreferences({ preferences }: Placement): void {
  atMost('preferences', preferences.length, 'PREFERENCES_PER_SERVICE', 'use fewer');
  for (const { spread } of preferences)
    if (!LABEL.test(spread))
      throw invalidField(
        'placement-pref',
        `placement-pref: ${JSON.stringify(spread)} names no label`,
        'use spread=node.labels.NAME or spread=engine.labels.NAME',
      );
}

function validateAffinities(affinities: readonly Affinity[]): void {
  atMost('affinity', affinities.length, 'AFFINITIES_PER_SERVICE', 'use constraints on labels of nodes');
  for (const { service, anti, topology, weight } of affinities) {
    const field = anti ? 'anti-affinity' : 'affinity';
    if (service === '') throw invalidField(field, `${field}: no service was named`, 'give its name or id');
    if (topology !== '' && !LABEL.test(topology))
      throw invalidField(
        field,
        `${field} ${service}: topology ${JSON.stringify(topology)} names no label`,
        'use topology=node.labels.NAME or topology=engine.labels.NAME, or leave it out for the node itself',
      );
    if (weight > WEIGHT_MAX)
      throw invalidField(
        field,
        `${field} ${service}: weight ${weight} is not between 1 and ${WEIGHT_MAX}`,
        'leave it out for a rule that has to hold',
      );
  }
}

/** Of services whose references are ids: two rules about the same cannot both be meant. */
export function refuseContradictions(affinities: readonly Affinity[], nameOf: (serviceId: string) => string): void {
  const seen = new Map<string, Affinity>();
  for (const affinity of affinities) {
    const key = `${affinity.service} ${affinity.topology}`;
    const other = seen.get(key);
    const field = affinity.anti ? 'anti-affinity' : 'affinity';
    const what = `${field}: service ${nameOf(affinity.service)}`;
    if (other !== undefined && other.anti === affinity.anti)
      throw invalidField(field, `${what} is named twice for the same topology`, 'name it once');
    if (other !== undefined && other.weight === 0 && affinity.weight === 0)
      throw invalidField(field, `${what} cannot be near and apart at once`, 'leave one of the two out');
    seen.set(key, affinity);
  }
}

function validateGeneric({ resources }: TaskSpec): void {
  const field = 'generic-resource';
  if ((resources?.limits?.generic.length ?? 0) > 0)
    throw invalidField(field, `${field}: generic resources are reserved, not limited`, 'name them as reservations');
  const reserved = resources?.reservations?.generic ?? [];
  atMost(field, reserved.length, 'GENERIC_PER_SERVICE', 'ask for fewer kinds');
  const seen = new Set<string>();
  for (const resource of reserved) {
    validateGenericNeed(field, resource);
    if (seen.has(resource.kind))
      throw invalidField(field, `${field}: ${resource.kind} is asked for twice`, 'give the sum once');
    seen.add(resource.kind);
  }
}

function validateGenericNeed(field: string, { kind, value }: GenericResource): void {
  if (!GENERIC_KIND.test(kind))
    throw invalidField(
      field,
      `${field}: kind ${JSON.stringify(kind.slice(0, 100))} is not a name`,
      'use letters, digits, -, _ and ., at most 63',
    );
  if (value?.kind === 'name')
    throw invalidField(
      field,
      `${field}: ${kind}=${value.value}: nodes name their resources, services ask for a number of them`,
      `write ${kind}=1, and choose the node by a constraint`,
    );
  if (value === undefined || value.value < 1 || value.value > LIMITS.GENERIC_AMOUNT)
    throw invalidField(
      field,
      `${field}: ${kind}=${value?.value ?? ''} is not a number between 1 and ${LIMITS.GENERIC_AMOUNT}`,
      `write ${kind}=1, or leave it out`,
    );
}
