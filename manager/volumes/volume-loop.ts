/**
 * Keeps volumes in step with the rest of the swarm: volumes of nodes that were removed go, and a volume knows the slots
 * whose last task used it (its claims), so that they return to it. It writes `claims` and removes volumes; everything
 * else of a volume is for the API and the dispatcher.
 */
import { type Task, TaskState, type Volume } from '#gen/swarm/v1/objects.ts';
import type { ServiceSpec } from '#gen/swarm/v1/specs.ts';
import type { Change, ChangeGroup, Loop, Plan, StoreEvent, StoreView } from '#manager/store/index.ts';
import { slotKey, stickinessOf } from './volume-homes.ts';
import { namedMounts, nameFor } from './volume-names.ts';

export interface VolumeLoopConfig {
  /** Slots and volumes looked at in one slice. Each costs a few lookups: 500 stay below a millisecond or two. */
  readonly looksPerSlice: number;
  /** Slots that one volume remembers. A volume of more slots than this is a cache of all of them, not the home of each. */
  readonly claimsPerVolume: number;
}

export const VOLUME_LOOP_DEFAULTS: VolumeLoopConfig = { looksPerSlice: 500, claimsPerVolume: 1000 };

interface Slot {
  readonly serviceId: string;
  readonly slot: number;
}

export class VolumeLoop implements Loop {
  readonly name = 'volumes';
  readonly #config: VolumeLoopConfig;
  /** Revisions whose tasks have named volumes: tasks of others are not looked at. */
  readonly #stateful = new Set<string>();
  /** To be looked at. They leave when a look finds nothing to change. */
  readonly #slots = new Map<string, Slot>();
  readonly #volumes = new Set<string>();
  /** Nodes whose slots are to be looked at: one of their volumes is new. */
  readonly #nodes = new Set<string>();
  /** Volumes by the services that have claims, and by node. Invariant: no entry is empty. */
  readonly #byService = new Map<string, Set<string>>();
  readonly #byNode = new Map<string, Set<string>>();
  /** The same by the slots that have claims. */
  readonly #bySlot = new Map<string, Set<string>>();

  constructor(config: VolumeLoopConfig = VOLUME_LOOP_DEFAULTS) {
    this.#config = config;
  }

  restore(view: StoreView): void {
    for (const one of [this.#stateful, this.#slots, this.#volumes, this.#nodes, this.#byService, this.#byNode])
      one.clear();
    for (const revision of view.all('revision'))
      if (namedMounts(revision.spec).length > 0) this.#stateful.add(revisionKey(revision.serviceId, revision.number));
    for (const volume of view.all('volume')) this.#index(volume);
  }

  observe(event: StoreEvent): void {
    switch (event.table) {
      case 'revision':
        if (event.kind === 'remove') this.#stateful.delete(revisionKey(event.object.serviceId, event.object.number));
        else if (namedMounts(event.object.spec).length > 0)
          this.#stateful.add(revisionKey(event.object.serviceId, event.object.number));
        return;
      case 'task':
        if (event.kind !== 'remove') this.#taskChanged(event.object, event.old);
        return;
      case 'node':
        if (event.kind === 'remove') for (const id of this.#byNode.get(event.object.id) ?? []) this.#volumes.add(id);
        return;
      case 'service':
        if (event.kind === 'remove') for (const id of this.#byService.get(event.object.id) ?? []) this.#volumes.add(id);
        return;
      case 'volume':
        if (event.old !== undefined) this.#forget(event.old);
        if (event.kind !== 'remove') this.#index(event.object, event.old);
        return;
      default: // has no part in it
        return;
    }
  }

  plan(view: StoreView, _nowMs: number): Plan {
    const changes: ChangeGroup[] = [];
    let looks = this.#config.looksPerSlice;
    for (const id of this.#volumes) {
      if (looks-- <= 0) return { changes, wakeAtMs: undefined, more: true };
      const change = this.#lookAtVolume(view, id);
      if (change === undefined) this.#volumes.delete(id);
      else changes.push([change]);
    }
    for (const nodeId of this.#nodes) {
      for (const task of view.tasksOfNode(nodeId)) this.#note(task);
      this.#nodes.delete(nodeId);
    }
    // One of two slots that share a volume goes first: the other finds what that wrote.
    const touched = new Set<string>();
    for (const [key, slot] of this.#slots) {
      if (looks-- <= 0) return { changes, wakeAtMs: undefined, more: true };
      const group = this.#lookAtSlot(view, slot);
      if (group.length === 0) this.#slots.delete(key);
      else if (!group.some(({ object }) => touched.has(object.id))) {
        for (const { object } of group) touched.add(object.id);
        changes.push(group);
      }
    }
    return { changes, wakeAtMs: undefined };
  }

  #taskChanged(task: Task, old: Task | undefined): void {
    if (hasRun(task) && (old === undefined || !hasRun(old))) this.#note(task);
  }

  #note(task: Task): void {
    if (task.slot === 0 || !hasRun(task)) return;
    const key = slotKey(task.serviceId, task.slot);
    // Also a slot whose service mounts nothing any more: it has to be let go.
    if (!this.#stateful.has(revisionKey(task.serviceId, task.revision)) && !this.#bySlot.has(key)) return;
    this.#slots.set(key, { serviceId: task.serviceId, slot: task.slot });
  }

  #index(volume: Volume, old?: Volume): void {
    put(this.#byNode, volume.nodeId, volume.id);
    for (const { serviceId, slot } of volume.claims) {
      put(this.#byService, serviceId, volume.id);
      put(this.#bySlot, slotKey(serviceId, slot), volume.id);
    }
    if (old === undefined) {
      this.#volumes.add(volume.id);
      this.#nodes.add(volume.nodeId);
    }
  }

  #forget(volume: Volume): void {
    take(this.#byNode, volume.nodeId, volume.id);
    for (const { serviceId, slot } of volume.claims) {
      take(this.#byService, serviceId, volume.id);
      take(this.#bySlot, slotKey(serviceId, slot), volume.id);
    }
  }

  /** What is wrong with the volume by itself. */
  #lookAtVolume(view: StoreView, id: string): Change | undefined {
    const volume = view.get('volume', id);
    if (volume === undefined) return undefined;
    if (view.get('node', volume.nodeId) === undefined) return { kind: 'remove', table: 'volume', object: volume };
    const claims = volume.claims.filter(({ serviceId }) => view.get('service', serviceId) !== undefined);
    return claims.length === volume.claims.length ? undefined : update({ ...volume, claims });
  }

  /** The newest task of the slot that has run says where the slot's volumes are. */
  #lookAtSlot(view: StoreView, { serviceId, slot }: Slot): ChangeGroup {
    const service = view.get('service', serviceId);
    if (service?.spec?.mode?.kind !== 'replicated') return []; // jobs and others begin anew
    const task = newestThatRan(view.tasksOfSlot(serviceId, slot));
    const spec = task && view.revision(serviceId, task.revision)?.spec;
    if (task === undefined || spec === undefined) return [];
    const homes = new Map(volumesOf(view, task, spec).map((volume) => [volume.id, volume]));
    const changes: Change[] = [];
    for (const volume of homes.values())
      if (!isClaimed(volume, serviceId, slot) && volume.claims.length < this.#config.claimsPerVolume)
        changes.push(update({ ...volume, claims: [...volume.claims, { serviceId, slot }] }));
    for (const id of this.#bySlot.get(slotKey(serviceId, slot)) ?? []) {
      const volume = homes.has(id) ? undefined : view.get('volume', id);
      if (volume !== undefined && isClaimed(volume, serviceId, slot))
        changes.push(update({ ...volume, claims: volume.claims.filter((one) => !isOf(one, serviceId, slot)) }));
    }
    return changes;
  }
}

/** Volumes of the task's node that its slot returns to. */
function volumesOf(view: StoreView, task: Task, spec: ServiceSpec): readonly Volume[] {
  const node = view.get('node', task.nodeId);
  return namedMounts(spec).flatMap(({ source, sticky }) => {
    const name = nameFor(source, spec, task, node);
    const volume = name === undefined ? undefined : view.find('volume', 'nameOnNode', `${task.nodeId}/${name}`);
    return volume === undefined || stickinessOf(sticky, volume) === 'off' ? [] : [volume];
  });
}

function newestThatRan(tasks: Iterable<Task>): Task | undefined {
  let newest: Task | undefined;
  for (const task of tasks) {
    if (!hasRun(task)) continue;
    if (newest === undefined || compareAge(task, newest) > 0) newest = task;
  }
  return newest;
}

function compareAge(a: Task, b: Task): number {
  return a.createdAtMs - b.createdAtMs || (a.id < b.id ? -1 : 1);
}

/** Its process has run, so that it may have written. */
function hasRun({ status }: Task): boolean {
  return status !== undefined && (status.state === TaskState.RUNNING || status.runningAtMs > 0);
}

function isClaimed(volume: Volume, serviceId: string, slot: number): boolean {
  return volume.claims.some((one) => isOf(one, serviceId, slot));
}

function isOf(claim: Volume['claims'][number], serviceId: string, slot: number): boolean {
  return claim.serviceId === serviceId && claim.slot === slot;
}

function update(object: Volume): Change {
  return { kind: 'update', table: 'volume', object };
}

function revisionKey(serviceId: string, number: number): string {
  return `${serviceId}/${number}`;
}

function put(index: Map<string, Set<string>>, key: string, id: string): void {
  const ids = index.get(key) ?? new Set<string>();
  ids.add(id);
  index.set(key, ids);
}

function take(index: Map<string, Set<string>>, key: string, id: string): void {
  const ids = index.get(key);
  if (ids?.delete(id) === true && ids.size === 0) index.delete(key);
}
