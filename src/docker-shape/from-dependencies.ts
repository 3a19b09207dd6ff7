/** What a service waits for, in the JSON of `service inspect`. Docker has no such fields. */
import { BOOL, list, STRING, type StructData, struct } from '#common/template/go-types.ts';
import { DependencyCondition, type ServiceDependency } from '#gen/swarm/v1/specs.ts';

/** In the words of compose files. */
export const DEPENDENCY_CONDITIONS: Readonly<Record<DependencyCondition, string>> = {
  [DependencyCondition.UNSPECIFIED]: 'service_started',
  [DependencyCondition.STARTED]: 'service_started',
  [DependencyCondition.HEALTHY]: 'service_healthy',
  [DependencyCondition.COMPLETED]: 'service_completed_successfully',
};

export const DEPENDENCIES = list(
  struct('swarm.ServiceDependency', {
    '+Service?': STRING,
    '+Condition?': STRING,
    '+Optional?': BOOL,
    '+Restart?': BOOL,
  }),
);

export function dependenciesShape(dependencies: readonly ServiceDependency[]): readonly StructData[] | undefined {
  if (dependencies.length === 0) return undefined;
  return dependencies.map(({ service, condition, optional, restart }) => ({
    Service: service,
    Condition: DEPENDENCY_CONDITIONS[condition],
    Optional: optional,
    Restart: restart,
  }));
}
