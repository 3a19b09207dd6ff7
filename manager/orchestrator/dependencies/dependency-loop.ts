/**
 * Opens the gate of services that wait for others: the API closes it (`waitsFor`) when a service that depends on others
 * is declared or gets a new revision, and the loops that bring tasks in and begin updates keep behind it. Also gives a
 * service new tasks when one that it depends on, and wants to be restarted with, has been updated.
 */
import { newId } from '#common/ids.ts';
import type { Random } from '#common/random.ts';
import { type Service, UpdateState } from '#gen/swarm/v1/objects.ts';
import type { ChangeGroup, Loop, Plan, StoreEvent, StoreView } from '#manager/store/index.ts';
import type { OrchestratorConfig } from '../config.ts';
import { reviseService } from '../revise-service.ts';
import { isWanted, sameForTasks } from '../task-facts.ts';
import { updateContext } from '../update/update-context.ts';
import { waitsFor } from './dependency-gate.ts';

export class DependencyLoop implements Loop {
  readonly name = 'dependencies';
  readonly #config: OrchestratorConfig;
  readonly #random: Random;
  /** Services that depend on others. */
  readonly #dependents = new Map<string, Service>();
  /** Ids of dependents by what they depend on. */
  readonly #byDependency = new Map<string, Set<string>>();
  /** Dependents to be looked at. They leave when a look finds nothing to change. */
  readonly #due = new Set<string>();

  constructor(config: OrchestratorConfig, random: Random) {
    this.#config = config;
    this.#random = random;
  }

  restore(view: StoreView): void {
    this.#dependents.clear();
    this.#byDependency.clear();
    this.#due.clear();
    for (const service of view.all('service')) this.#set(service);
  }

  observe(event: StoreEvent): void {
    if (event.table === 'task') this.#touch(event.object.serviceId);
    else if (event.table === 'service') {
      if (event.kind === 'remove') this.#forget(event.object.id);
      else this.#set(event.object);
      this.#touch(event.object.id);
    } else if (event.table === 'node') {
      // Tasks on nodes that are lost do not count.
      if (event.kind !== 'update' || !sameForTasks(event.old, event.object))
        for (const id of this.#dependents.keys()) this.#due.add(id);
    }
  }

  plan(view: StoreView, nowMs: number): Plan {
    const changes: ChangeGroup[] = [];
    for (const id of this.#due) {
      if (changes.length >= this.#config.groupsPerSlice) return { changes, wakeAtMs: undefined, more: true };
      const group = this.#look(view, view.get('service', id), nowMs);
      if (group.length > 0) changes.push(group);
      else this.#due.delete(id);
    }
    return { changes, wakeAtMs: undefined };
  }

  #set(service: Service): void {
    const before = this.#dependents.get(service.id);
    if (before?.spec !== service.spec) {
      this.#forget(service.id);
      const { dependsOn = [] } = service.spec ?? {};
      if (dependsOn.length === 0) {
        // One that waits though it depends on nothing any more does so no longer.
        if (service.waitsFor !== '') this.#due.add(service.id);
        return;
      }
      for (const { service: id } of dependsOn) {
        const dependents = this.#byDependency.get(id);
        if (dependents === undefined) this.#byDependency.set(id, new Set([service.id]));
        else dependents.add(service.id);
      }
    } else if (before === undefined) return;
    this.#dependents.set(service.id, service);
    this.#due.add(service.id);
  }

  #forget(id: string): void {
    const before = this.#dependents.get(id);
    this.#dependents.delete(id);
    this.#due.delete(id);
    for (const { service } of before?.spec?.dependsOn ?? []) {
      const dependents = this.#byDependency.get(service);
      dependents?.delete(id);
      if (dependents?.size === 0) this.#byDependency.delete(service);
    }
  }

  #touch(id: string): void {
    for (const dependent of this.#byDependency.get(id) ?? []) this.#due.add(dependent);
  }

  #look(view: StoreView, service: Service | undefined, nowMs: number): ChangeGroup {
    if (service?.spec === undefined || service.pendingDelete) return [];
    if (service.waitsFor !== '') {
      const reason = waitsFor(view, service);
      if (reason === service.waitsFor) return [];
      return [{ kind: 'update', table: 'service', object: { ...service, waitsFor: reason } }];
    }
    return this.#restart(view, service, nowMs);
  }

  /** The same again, with new tasks, when some of them are from before the update of what they depend on. */
  #restart(view: StoreView, service: Service, nowMs: number): ChangeGroup {
    const { spec } = service;
    if (spec?.task === undefined || updateContext(service).phase !== 'idle') return [];
    const updated = spec.dependsOn.filter(({ restart }) => restart).map(({ service: id }) => view.get('service', id));
    let sinceMs = 0;
    let name = '';
    for (const dependency of updated) {
      const status = dependency?.updateStatus;
      if (status === undefined || dependency === undefined || !hasEnded(status.state)) continue;
      if (status.completedAtMs <= sinceMs || status.completedAtMs > nowMs) continue;
      sinceMs = status.completedAtMs;
      name = dependency.spec?.name ?? dependency.id;
    }
    if (sinceMs === 0 || !hasTaskFromBefore(view, service, sinceMs)) return [];
    const next = { ...spec, task: { ...spec.task, forceUpdate: spec.task.forceUpdate + 1 } };
    const createdBy = `update of ${name}`;
    return reviseService(view, service, { id: newId(this.#random), spec: next, createdBy }).changes;
  }
}

function hasEnded(state: UpdateState): boolean {
  return state === UpdateState.COMPLETED || state === UpdateState.ROLLBACK_COMPLETED;
}

function hasTaskFromBefore(view: StoreView, service: Service, ms: number): boolean {
  for (const task of view.tasksOfService(service.id)) if (isWanted(task) && task.createdAtMs < ms) return true;
  return false;
}
