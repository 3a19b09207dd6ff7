/**
 * Where slots return to. A claim says that the last task of a slot which ran had the volume; a slot whose volume is on a
 * node goes to that node again.
 */
import type { Node, Task, Volume } from '#gen/swarm/v1/objects.ts';
import { VolumeSticky } from '#gen/swarm/v1/specs.ts';
import { type NamedMount, type NamingSpec, nameFor } from './volume-names.ts';

/** Where a task is to go for its data. */
export interface Home {
  readonly nodeId: string;
  readonly volume: string;
  /** It waits for that node; otherwise it goes elsewhere when that node cannot take it. */
  readonly required: boolean;
}

export type Stickiness = 'required' | 'preferred' | 'off';

/** What the mount says, or what is right for a volume of that kind. */
export function stickinessOf(sticky: VolumeSticky, volume: Volume): Stickiness {
  switch (sticky) {
    case VolumeSticky.REQUIRED:
      return 'required';
    case VolumeSticky.PREFERRED:
      return 'preferred';
    case VolumeSticky.OFF:
      return 'off';
    case VolumeSticky.UNSPECIFIED:
      return volume.scope === 'global' ? 'off' : 'required';
  }
}

export class VolumeHomes {
  readonly #volumes = new Map<string, Volume>();
  /** Ids of claimed volumes by slot. Invariant: no entry is empty, and each volume has a claim of the slot. */
  readonly #bySlot = new Map<string, Set<string>>();

  clear(): void {
    this.#volumes.clear();
    this.#bySlot.clear();
  }

  /** Gives the slots for which something may have changed. */
  set(volume: Volume): ReadonlySet<string> {
    const affected = new Set([
      ...this.#forget(volume.id),
      ...volume.claims.map(({ serviceId, slot }) => slotKey(serviceId, slot)),
    ]);
    if (volume.claims.length === 0) return affected;
    this.#volumes.set(volume.id, volume);
    for (const { serviceId, slot } of volume.claims) {
      const key = slotKey(serviceId, slot);
      const ids = this.#bySlot.get(key) ?? new Set<string>();
      ids.add(volume.id);
      this.#bySlot.set(key, ids);
    }
    return affected;
  }

  remove(volumeId: string): ReadonlySet<string> {
    return this.#forget(volumeId);
  }

  /** Undefined: anywhere. Of several, one that is required counts first. */
  homeOf(
    task: Task,
    mounts: readonly NamedMount[],
    spec: NamingSpec,
    nodeOf: (id: string) => Node | undefined,
  ): Home | undefined {
    if (task.slot === 0 || mounts.length === 0) return undefined;
    let preferred: Home | undefined;
    for (const id of [...(this.#bySlot.get(slotKey(task.serviceId, task.slot)) ?? [])].sort()) {
      const volume = this.#volumes.get(id);
      const name = volume?.spec?.name;
      if (volume === undefined || name === undefined || volume.pendingDelete) continue;
      for (const { source, sticky } of mounts) {
        // A name that depends on the node is the one that it had there.
        if (nameFor(source, spec, { ...task, nodeId: volume.nodeId }, nodeOf(volume.nodeId)) !== name) continue;
        const stickiness = stickinessOf(sticky, volume);
        if (stickiness === 'required') return { nodeId: volume.nodeId, volume: name, required: true };
        if (stickiness === 'preferred') preferred ??= { nodeId: volume.nodeId, volume: name, required: false };
      }
    }
    return preferred;
  }

  #forget(volumeId: string): ReadonlySet<string> {
    const affected = new Set<string>();
    for (const { serviceId, slot } of this.#volumes.get(volumeId)?.claims ?? []) {
      const key = slotKey(serviceId, slot);
      affected.add(key);
      const ids = this.#bySlot.get(key);
      ids?.delete(volumeId);
      if (ids?.size === 0) this.#bySlot.delete(key);
    }
    this.#volumes.delete(volumeId);
    return affected;
  }
}

export function slotKey(serviceId: string, slot: number): string {
  return `${serviceId}/${slot}`;
}
