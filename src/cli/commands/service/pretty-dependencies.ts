/** What a service waits for, on the page of `service inspect --pretty` and beside its tasks. */
import type { Service } from '#gen/swarm/v1/objects.ts';
import { DEPENDENCY_CONDITIONS } from '../../../docker-shape/from-dependencies.ts';

export function prettyDependencies({ spec, waitsFor }: Service): readonly string[] {
  const lines = (spec?.dependsOn ?? []).map(
    ({ service, condition, optional }) =>
      ` ${service}:\t${DEPENDENCY_CONDITIONS[condition]}${optional ? ' (if it is there)' : ''}`,
  );
  return [
    ...(lines.length > 0 ? ['Depends On:', ...lines] : []),
    ...(waitsFor === '' ? [] : [`Waits For:\t${waitsFor}`]),
  ];
}

/** Why there are no tasks, or none of the newest revision; undefined when nothing is waited for. */
export function waitingText(service: Service): string | undefined {
  return service.waitsFor === ''
    ? undefined
    : `service ${service.spec?.name ?? service.id} waits for ${service.waitsFor}`;
}
