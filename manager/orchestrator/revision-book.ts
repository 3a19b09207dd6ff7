/** The revisions of all services, and whether a task of one revision is as good as one of another. */
import { type Node, type Revision, type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { EndpointSpec, type ServiceSpec, TaskSpec } from '#gen/swarm/v1/specs.ts';
import { type Constraint, compileConstraints, meetsConstraints, platformMatches } from '#manager/scheduler/index.ts';
import { stateOf } from './task-facts.ts';

/** How two revisions differ in what a task is made of. */
type Difference = 'none' | 'placement' | 'task';

export class RevisionBook {
  readonly #services = new Map<string, Map<number, Revision>>();
  readonly #differences = new Map<string, Difference>();
  readonly #constraints = new Map<string, readonly Constraint[]>();

  clear(): void {
    this.#services.clear();
    this.#differences.clear();
    this.#constraints.clear();
  }

  set(revision: Revision): void {
    const revisions = this.#services.get(revision.serviceId);
    if (revisions === undefined) this.#services.set(revision.serviceId, new Map([[revision.number, revision]]));
    else revisions.set(revision.number, revision);
  }

  remove(revision: Revision): void {
    const revisions = this.#services.get(revision.serviceId);
    revisions?.delete(revision.number);
    if (revisions?.size === 0) this.#services.delete(revision.serviceId);
    // Numbers and specs are for ever, so what was computed stays true; only the memory is given back, once in a while.
    if (this.#differences.size > 10_000) this.#differences.clear();
    if (this.#constraints.size > 10_000) this.#constraints.clear();
  }

  get(serviceId: string, number: number): Revision | undefined {
    return this.#services.get(serviceId)?.get(number);
  }

  /** All that are kept, the oldest first. */
  ofService(serviceId: string): readonly Revision[] {
    return [...(this.#services.get(serviceId)?.values() ?? [])].sort((a, b) => a.number - b.number);
  }

  taskSpec(serviceId: string, number: number): TaskSpec | undefined {
    return this.get(serviceId, number)?.spec?.task;
  }

  /**
   * Whether the task need not be replaced for the service to be at the revision: it is of that revision, or of one that
   * differs in nothing that a task is made of, or only in placement while its node fits.
   */
  isUpToDate(task: Task, target: number, node: Node | undefined): boolean {
    if (task.revision === target) return true;
    switch (this.#difference(task.serviceId, task.revision, target)) {
      case 'none':
        return true;
      case 'task':
        return false;
      case 'placement':
        return stateOf(task) >= TaskState.ASSIGNED && node !== undefined && this.fits(task.serviceId, target, node);
    }
  }

  /** Whether constraints and platforms of the revision allow the node. */
  fits(serviceId: string, number: number, node: Node): boolean {
    const placement = this.taskSpec(serviceId, number)?.placement;
    if (placement === undefined) return true;
    const key = `${serviceId}/${number}`;
    let constraints = this.#constraints.get(key);
    if (constraints === undefined) {
      constraints = compileConstraints(placement.constraints);
      this.#constraints.set(key, constraints);
    }
    return meetsConstraints(constraints, node) && platformMatches(placement.platforms, node.description?.platform);
  }

  #difference(serviceId: string, from: number, to: number): Difference {
    const before = this.get(serviceId, from)?.spec;
    const after = this.get(serviceId, to)?.spec;
    if (before === undefined || after === undefined) return 'task';
    const key = `${serviceId}/${from}/${to}`;
    const known = this.#differences.get(key);
    if (known !== undefined) return known;
    const difference = compareSpecs(before, after);
    this.#differences.set(key, difference);
    return difference;
  }
}

function compareSpecs(before: ServiceSpec, after: ServiceSpec): Difference {
  if (!sameBytes(EndpointSpec.encode(endpointOf(before)), EndpointSpec.encode(endpointOf(after)))) return 'task';
  if (!sameBytes(essence(before, false), essence(after, false))) return 'task';
  return sameBytes(essence(before, true), essence(after, true)) ? 'none' : 'placement';
}

function endpointOf(spec: ServiceSpec): EndpointSpec {
  return spec.endpoint ?? EndpointSpec.create();
}

/** Credentials serve to fetch the image; a container is the same with new ones. */
function essence(spec: ServiceSpec, withPlacement: boolean): Uint8Array {
  const task = spec.task ?? TaskSpec.create();
  const container = task.container === undefined ? undefined : { ...task.container, registryAuth: '' };
  return TaskSpec.encode({ ...task, container, placement: withPlacement ? task.placement : undefined });
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
