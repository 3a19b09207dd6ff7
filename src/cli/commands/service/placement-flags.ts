/** Flags of where tasks may be, beside constraints and preferences: rules between services, priority, generic resources. */
import type { Service } from '#gen/swarm/v1/objects.ts';
import type { Affinity, GenericResource, Placement, ServiceSpec } from '#gen/swarm/v1/specs.ts';
import { PLACEMENT_STRATEGIES } from '../../../docker-shape/from-placement.ts';
import type { SwarmApi } from '../../api.ts';
import { CliError } from '../../cli-errors.ts';
import { type AnyFlag, boolFlag, type Flag, type FlagValues, listFlag, valueFlag } from '../../flags.ts';
import { affinity, antiAffinity, genericResource, gpus } from '../../values/placement-values.ts';
import { integer } from '../../values/scalars.ts';

interface RuleFlags {
  readonly set: Flag<Affinity>;
  readonly add: Flag<Affinity>;
  readonly remove: Flag<Affinity>;
}

function ruleFlags(name: string, what: string, parse: (text: string) => Affinity): RuleFlags {
  const type = 'rule';
  const form = 'SERVICE[,topology=LABEL][,weight=1-100]';
  return {
    set: listFlag({ name, type, usage: `Run ${what} tasks of a service: ${form}`, completions: 'service', parse }),
    add: listFlag({
      name: `${name}-add`,
      type,
      usage: `Add or update a rule to run ${what} tasks of a service: ${form}`,
      completions: 'service',
      parse,
    }),
    remove: listFlag({
      name: `${name}-rm`,
      type,
      usage: `Remove the rule to run ${what} tasks of a service: SERVICE[,topology=LABEL]`,
      completions: 'service',
      parse,
    }),
  };
}

const NEAR = ruleFlags('affinity', 'near', affinity);
const APART = ruleFlags('anti-affinity', 'away from', antiAffinity);

const PRIORITY = valueFlag({
  name: 'priority',
  type: 'int',
  usage: 'Tasks of a higher priority are placed first (-1000 to 1000)',
  parse: integer,
});
const PREEMPT = boolFlag({
  name: 'preempt',
  usage: 'Take the place of tasks of lower priority when there is no other',
});
const GPUS = valueFlag({ name: 'gpus', type: 'gpu-request', usage: 'GPUs that each task has for itself', parse: gpus });

const GENERIC_RESOURCE = listFlag({
  name: 'generic-resource',
  usage: 'User defined resources',
  parse: genericResource,
});
const GENERIC_RESOURCE_ADD = listFlag({
  name: 'generic-resource-add',
  usage: 'Add a Generic resource',
  parse: genericResource,
});
const GENERIC_RESOURCE_RM = listFlag({ name: 'generic-resource-rm', usage: 'Remove a Generic resource' });

export const PLACEMENT_CREATE_FLAGS: readonly AnyFlag[] = [
  NEAR.set,
  APART.set,
  PRIORITY,
  PREEMPT,
  GPUS,
  GENERIC_RESOURCE,
];

export const PLACEMENT_UPDATE_FLAGS: readonly AnyFlag[] = [
  NEAR.add,
  NEAR.remove,
  APART.add,
  APART.remove,
  PRIORITY,
  PREEMPT,
  GPUS,
  GENERIC_RESOURCE_ADD,
  GENERIC_RESOURCE_RM,
];

type Rules = Pick<Placement, 'affinities' | 'priority' | 'preempts'>;

/** For `service create`. Names of services become ids at the daemon. */
export function createdRules(flags: FlagValues): Rules {
  return {
    affinities: [...flags.list(NEAR.set), ...flags.list(APART.set)],
    priority: flags.value(PRIORITY) ?? 0,
    preempts: flags.isSet(PREEMPT),
  };
}

/** For `service update`: removes, then adds; a rule for the same service and label takes the place of the one before. */
export function changedRules(flags: FlagValues, before: Placement): Rules {
  const removed = [...flags.list(NEAR.remove), ...flags.list(APART.remove)];
  for (const rule of removed)
    if (!before.affinities.some((one) => sameRule(one, rule)))
      throw new CliError(
        `the service has no ${rule.anti ? 'anti-affinity' : 'affinity'} with service ${rule.service}${topologyText(rule)}`,
        { hint: '`swarm service inspect --pretty` shows the rules it has' },
      );
  const added = [...flags.list(NEAR.add), ...flags.list(APART.add)];
  const gone = [...removed, ...added];
  const kept = before.affinities.filter((one) => !gone.some((other) => sameRule(one, other)));
  return {
    affinities: [...kept, ...added],
    priority: flags.value(PRIORITY) ?? before.priority,
    preempts: flags.given(PREEMPT) ? flags.isSet(PREEMPT) : before.preempts,
  };
}

/** The spec whose rules have names, where flags change them: people know services by their names. */
export async function withNamedRules(api: SwarmApi, flags: FlagValues, spec: ServiceSpec): Promise<ServiceSpec> {
  const placement = spec.task?.placement;
  if (spec.task === undefined || placement === undefined) return spec;
  if (!flags.anyGiven(NEAR.add, NEAR.remove, APART.add, APART.remove)) return spec;
  return { ...spec, task: { ...spec.task, placement: await withNames(api, placement) } };
}

/** The service whose rules have names, for people to read. */
export async function withRuleNames(api: SwarmApi, service: Service): Promise<Service> {
  const task = service.spec?.task;
  if (service.spec === undefined || task?.placement === undefined) return service;
  const placement = await withNames(api, task.placement);
  return { ...service, spec: { ...service.spec, task: { ...task, placement } } };
}

async function withNames(api: SwarmApi, placement: Placement): Promise<Placement> {
  const affinities = await Promise.all(
    placement.affinities.map(async (rule) => ({ ...rule, service: await nameOf(api, rule.service) })),
  );
  return { ...placement, affinities };
}

async function nameOf(api: SwarmApi, id: string): Promise<string> {
  try {
    const { service } = await api.control.getService({ reference: id });
    return service?.spec?.name ?? id;
  } catch {
    return id; // gone since: it is known by its id alone
  }
}

function sameRule(a: Affinity, b: Affinity): boolean {
  return a.anti === b.anti && a.topology === b.topology && a.service.toLowerCase() === b.service.toLowerCase();
}

function topologyText({ topology }: Affinity): string {
  return topology === '' ? '' : ` and topology ${topology}`;
}

/**
 * For create, and for update, where, as with Docker, what is added replaces the former amount of its kind.
 * Throws a CliError for a kind to be removed that is not there.
 */
export function genericOf(flags: FlagValues, before: readonly GenericResource[]): readonly GenericResource[] {
  const added = [...flags.list(GENERIC_RESOURCE), ...flags.list(GENERIC_RESOURCE_ADD)];
  const removed = flags.list(GENERIC_RESOURCE_RM).map((text) => text.split('=')[0] ?? text);
  for (const kind of removed)
    if (!before.some((one) => one.kind === kind))
      throw new CliError(`could not find generic-resource \`${kind}\` to remove it`);
  const gone = new Set([...removed, ...added.map(({ kind }) => kind)]);
  return withGpus(flags, [...before.filter(({ kind }) => !gone.has(kind)), ...added]);
}

function withGpus(flags: FlagValues, generic: readonly GenericResource[]): readonly GenericResource[] {
  const wanted = flags.value(GPUS);
  if (wanted === undefined) return generic;
  const others = generic.filter(({ kind }) => kind !== wanted.kind);
  return wanted.value?.value === 0 ? others : [...others, wanted];
}

/** What `service inspect --pretty` says. */
export function prettyRules(placement: Placement): readonly string[] {
  const strategy = PLACEMENT_STRATEGIES[placement.strategy];
  const lines = strategy === '' ? [] : [` Strategy:\t${strategy}`];
  for (const { anti, service, topology, weight } of placement.affinities) {
    const details = [topology === '' ? '' : `topology=${topology}`, weight === 0 ? '' : `weight=${weight}`];
    lines.push(` ${anti ? 'Apart From' : 'Near'}:\t${[service, ...details.filter((part) => part !== '')].join(',')}`);
  }
  if (placement.priority !== 0) lines.push(` Priority:\t${placement.priority}`);
  if (placement.preempts) lines.push(' Preempts:\ttrue');
  return lines;
}
