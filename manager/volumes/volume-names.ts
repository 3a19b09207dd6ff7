/** Which volumes the tasks of a service have, by name: the spec says it with placeholders that each task fills in. */
import { fillPlaceholders, type PlaceholderValues } from '#common/template/placeholders.ts';
import type { Node, Task } from '#gen/swarm/v1/objects.ts';
import { type Mount, MountType, type ServiceSpec, VolumeSticky } from '#gen/swarm/v1/specs.ts';

/** A volume with a name that a spec mounts. */
export interface NamedMount {
  /** May hold placeholders. */
  readonly source: string;
  readonly sticky: VolumeSticky;
}

/** What of a spec a name depends on. */
export type NamingSpec = Pick<ServiceSpec, 'name' | 'labels'>;

export function namedMounts(spec: ServiceSpec | undefined): readonly NamedMount[] {
  return (spec?.task?.container?.mounts ?? []).flatMap((mount) => namedMount(mount));
}

function namedMount({ type, source, volume }: Mount): readonly NamedMount[] {
  if (type !== MountType.VOLUME || source === '') return [];
  return [{ source, sticky: volume?.sticky ?? VolumeSticky.UNSPECIFIED }];
}

/** The name that the task has the volume by on the node; undefined where its placeholders make none. */
export function nameFor(source: string, spec: NamingSpec, task: Task, node: Node | undefined): string | undefined {
  if (!source.includes('{{')) return source;
  try {
    return fillPlaceholders(source, valuesOf(spec, task, node));
  } catch {
    return undefined; // the node says what is wrong with it
  }
}

/** As agents fill them in. */
function valuesOf({ name, labels }: NamingSpec, task: Task, node: Node | undefined): PlaceholderValues {
  const nodeId = node?.id ?? task.nodeId;
  const slot = task.slot > 0 ? String(task.slot) : nodeId;
  return {
    service: { id: task.serviceId, name, labels },
    node: {
      id: nodeId,
      hostname: node?.description?.hostname ?? '',
      os: 'linux',
      architecture: node?.description?.platform?.architecture ?? '',
    },
    task: { id: task.id, name: task.oneOff?.name ?? `${name}.${slot}.${task.id}`, slot },
  };
}
