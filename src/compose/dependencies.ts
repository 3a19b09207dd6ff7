/** `depends_on` and `links`: who waits for whom, and by which names services know each other. */
import { DependencyCondition, ServiceDependency } from '#gen/swarm/v1/specs.ts';
import type { Fields } from './fields.ts';
import { honoured } from './keys.ts';
import type { StackNames } from './names.ts';

const DEPENDENCY_KEYS = honoured('condition', 'restart', 'required');

const CONDITIONS = {
  service_started: DependencyCondition.STARTED,
  service_healthy: DependencyCondition.HEALTHY,
  service_completed_successfully: DependencyCondition.COMPLETED,
};

export type Services = ReadonlyMap<string, Fields>;

interface Need {
  /** As the file names it. */
  readonly service: string;
  readonly condition: DependencyCondition;
  readonly optional: boolean;
  readonly restart: boolean;
  readonly fields: Fields;
}

function needsOf(service: Fields): readonly Need[] {
  return service.members('depends_on', DEPENDENCY_KEYS).map(([name, fields]) => ({
    service: name,
    condition: fields.oneOf('condition', CONDITIONS) ?? DependencyCondition.STARTED,
    optional: fields.bool('required') === false,
    restart: fields.bool('restart') ?? false,
    fields,
  }));
}

export class Dependencies {
  readonly #needs: ReadonlyMap<string, readonly Need[]>;
  /** Services whose successful end others wait for. */
  readonly awaitedToEnd: ReadonlySet<string>;
  /** Names that others have for a service: the alias of their links. */
  readonly aliases: ReadonlyMap<string, readonly string[]>;

  constructor(services: Services) {
    this.#needs = new Map([...services].map(([name, fields]) => [name, needsOf(fields)]));
    this.awaitedToEnd = new Set(
      [...this.#needs.values()]
        .flat()
        .filter(({ condition }) => condition === DependencyCondition.COMPLETED)
        .map(({ service }) => service),
    );
    this.aliases = aliasesOf(services);
    this.#refuseUnknown(services);
    this.#refuseCycles();
  }

  of(name: string, services: Services, names: StackNames): readonly ServiceDependency[] {
    return (this.#needs.get(name) ?? [])
      .filter(({ service }) => services.has(service))
      .map(({ service, condition, optional, restart }) =>
        ServiceDependency.create({ service: names.scoped(service), condition, optional, restart }),
      );
  }

  /** Every service behind those that it depends on. */
  inOrder(): readonly string[] {
    const order: string[] = [];
    const seen = new Set<string>();
    const visit = (name: string): void => {
      if (seen.has(name)) return;
      seen.add(name);
      for (const { service } of this.#needs.get(name) ?? []) if (this.#needs.has(service)) visit(service);
      order.push(name);
    };
    for (const name of this.#needs.keys()) visit(name);
    return order;
  }

  #refuseUnknown(services: Services): void {
    for (const needs of this.#needs.values())
      for (const { service, optional, fields } of needs)
        if (!services.has(service) && !optional)
          fields.problems.error(
            fields.map.at,
            fields.path,
            `there is no service ${service} in the file`,
            'name one, or mark it required: false',
          );
  }

  #refuseCycles(): void {
    const done = new Set<string>();
    const open: string[] = [];
    const visit = (name: string): void => {
      if (done.has(name)) return;
      open.push(name);
      for (const { service, fields } of this.#needs.get(name) ?? []) {
        const from = open.indexOf(service);
        if (from < 0) visit(service);
        else {
          const cycle = [...open.slice(from), service].join(' -> ');
          fields.problems.error(
            fields.map.at,
            fields.path,
            `services wait for each other: ${cycle}`,
            'leave one of these out',
          );
        }
      }
      open.pop();
      done.add(name);
    };
    for (const name of this.#needs.keys()) visit(name);
  }
}

/** `db:database`: every service on a network of db's knows it as database, too. */
function aliasesOf(services: Services): ReadonlyMap<string, readonly string[]> {
  const aliases = new Map<string, string[]>();
  for (const fields of services.values())
    for (const link of fields.texts('links')) {
      const [target = '', alias] = link.split(':', 2);
      if (!services.has(target)) {
        fields.error(
          'links',
          `there is no service ${target} in the file`,
          'name one; services on one network know each other without links',
        );
        continue;
      }
      if (alias === undefined || alias === target) continue;
      aliases.set(target, [...(aliases.get(target) ?? []), alias]);
    }
  return aliases;
}
