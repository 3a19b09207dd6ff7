/** Who uses volumes, or will: tasks that are on their node, and slots that return to them. */
import { type Service, type Task, TaskState, type Volume } from '#gen/swarm/v1/objects.ts';
import type { StoreView } from '#manager/store/index.ts';
import { type NamedMount, type NamingSpec, namedMounts, nameFor } from './volume-names.ts';

export interface VolumeUse {
  /** Tasks that have it mounted or will have. */
  readonly tasks: readonly Task[];
  /** Services that refer to it, or have a slot that returns to it. */
  readonly services: readonly Service[];
}

interface RevisionMounts {
  readonly spec: NamingSpec;
  readonly mounts: readonly NamedMount[];
}

const NOBODY: VolumeUse = { tasks: [], services: [] };

/** Volumes of one node by their users: for a list of them, each task is looked at once. */
export class VolumeUsers {
  readonly #view: StoreView;
  /** Tasks by volume name, by node. */
  readonly #tasks = new Map<string, ReadonlyMap<string, readonly Task[]>>();
  /** Most tasks have none: they are to cost next to nothing. */
  readonly #revisions = new Map<string, RevisionMounts>();

  constructor(view: StoreView) {
    this.#view = view;
  }

  of(volume: Volume): VolumeUse {
    const name = volume.spec?.name;
    if (name === undefined) return NOBODY;
    const tasks = this.#tasksOn(volume.nodeId).get(name) ?? [];
    const services = new Map<string, Service>();
    for (const serviceId of [...tasks.map((task) => task.serviceId), ...volume.claims.map((one) => one.serviceId)]) {
      const service = this.#view.get('service', serviceId);
      if (service !== undefined) services.set(serviceId, service);
    }
    return { tasks, services: [...services.values()] };
  }

  /** Slots that return to it: their services are there. */
  claims(volume: Volume): Volume['claims'] {
    return volume.claims.filter(({ serviceId }) => this.#view.get('service', serviceId) !== undefined);
  }

  isUsed(volume: Volume): boolean {
    return this.of(volume).tasks.length > 0 || this.claims(volume).length > 0;
  }

  #tasksOn(nodeId: string): ReadonlyMap<string, readonly Task[]> {
    const known = this.#tasks.get(nodeId);
    if (known !== undefined) return known;
    const byName = new Map<string, Task[]>();
    const node = this.#view.get('node', nodeId);
    for (const task of this.#view.tasksOfNode(nodeId)) {
      const { spec, mounts } = this.#mountsOf(task);
      if (mounts.length === 0 || !mayHold(task)) continue;
      const names = new Set(mounts.map(({ source }) => nameFor(source, spec, task, node)));
      for (const name of names) if (name !== undefined) byName.set(name, [...(byName.get(name) ?? []), task]);
    }
    this.#tasks.set(nodeId, byName);
    return byName;
  }

  #mountsOf({ serviceId, revision }: Task): RevisionMounts {
    const key = `${serviceId}/${revision}`;
    const known = this.#revisions.get(key);
    if (known !== undefined) return known;
    const spec = this.#view.revision(serviceId, revision)?.spec;
    const mounts = { spec: { name: spec?.name ?? '' }, mounts: namedMounts(spec) };
    this.#revisions.set(key, mounts);
    return mounts;
  }
}

/** Has not ended: its container may be there, or come. */
function mayHold(task: Task): boolean {
  const state = task.status?.state ?? TaskState.NEW;
  return state >= TaskState.ASSIGNED && state <= TaskState.RUNNING;
}
