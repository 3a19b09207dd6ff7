/** Which volumes the tasks of a service have, by name: the spec says it with placeholders that each task fills in. */
import type { Node, Task } from '#gen/swarm/v1/objects.ts';
import { type Mount, MountType, type ServiceSpec, VolumeSticky } from '#gen/swarm/v1/specs.ts';

/** A volume with a name that a spec mounts. */
export interface NamedMount {
  /** May hold placeholders. */
  readonly source: string;
  readonly sticky: VolumeSticky;
}

/** What of a spec a name depends on. */
export type NamingSpec = Pick<ServiceSpec, 'name'>;

export function namedMounts(spec: ServiceSpec | undefined): readonly NamedMount[] {
  return (spec?.task?.container?.mounts ?? []).flatMap((mount) => namedMount(mount));
}

function namedMount({ type, source, volume }: Mount): readonly NamedMount[] {
  if (type !== MountType.VOLUME || source === '') return [];
  return [{ source, sticky: volume?.sticky ?? VolumeSticky.UNSPECIFIED }];
}

/** Placeholders that name one thing. Agents fill in whole templates; what needs more than these is known to them alone. */
const PLACEHOLDER = /\{\{-?\s*(\.[A-Za-z.]+)\s*-?\}\}/g;

/** The name that the task has the volume by on the node; undefined where only the node knows. */
export function nameFor(source: string, spec: NamingSpec, task: Task, node: Node | undefined): string | undefined {
  if (!source.includes('{{')) return source;
  let isKnown = true;
  const name = source.replace(PLACEHOLDER, (_whole, path: string) => {
    const value = valueOf(path, spec, task, node);
    isKnown &&= value !== undefined;
    return value ?? '';
  });
  return isKnown && !name.includes('{{') ? name : undefined;
}

/** As agents fill them in. */
function valueOf(path: string, { name }: NamingSpec, task: Task, node: Node | undefined): string | undefined {
  const nodeId = node?.id ?? task.nodeId;
  const slot = task.slot > 0 ? String(task.slot) : nodeId;
  switch (path) {
    case '.Service.ID':
      return task.serviceId;
    case '.Service.Name':
      return name;
    case '.Node.ID':
      return nodeId;
    case '.Node.Hostname':
      return node?.description?.hostname;
    case '.Task.ID':
      return task.id;
    case '.Task.Name':
      return task.oneOff?.name ?? `${name}.${slot}.${task.id}`;
    case '.Task.Slot':
      return slot;
    default:
      return undefined;
  }
}
