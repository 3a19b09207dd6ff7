/** The revisions of all services, and whether a task of one revision is as good as one of another. */
import { sameBytes } from '#common/same-bytes.ts';
import { type Node, type Revision, RevisionOutcome, type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { EndpointSpec, type ServiceSpec, TaskSpec } from '#gen/swarm/v1/specs.ts';
import { isIngressPort, publishesByIngress } from '#manager/allocator/index.ts';
import { type Constraint, compileConstraints, meetsConstraints, platformMatches } from '#manager/scheduler/index.ts';
import { stateOf } from './task-facts.ts';
import { returnPoint } from './update/kept-revisions.ts';

/** How two revisions differ in what a task is made of. */
type Difference = 'none' | 'placement' | 'task';

/** The revisions of one service, with what was computed from them; they are immutable but for their outcome. */
interface ServicePages {
  readonly revisions: Map<number, Revision>;
  readonly differences: Map<string, Difference>;
  readonly constraints: Map<number, readonly Constraint[]>;
}

export class RevisionBook {
  readonly #services = new Map<string, ServicePages>();

  clear(): void {
    this.#services.clear();
  }

  set(revision: Revision): void {
    let pages = this.#services.get(revision.serviceId);
    if (pages === undefined) {
      pages = { revisions: new Map(), differences: new Map(), constraints: new Map() };
      this.#services.set(revision.serviceId, pages);
    }
    pages.revisions.set(revision.number, revision);
  }

  remove(revision: Revision): void {
    const pages = this.#services.get(revision.serviceId);
    pages?.revisions.delete(revision.number);
    pages?.constraints.delete(revision.number);
    if (pages?.revisions.size === 0) this.#services.delete(revision.serviceId);
  }

  get(serviceId: string, number: number): Revision | undefined {
    return this.#services.get(serviceId)?.revisions.get(number);
  }

  /** All that are kept, the oldest first. */
  ofService(serviceId: string): readonly Revision[] {
    return [...(this.#services.get(serviceId)?.revisions.values() ?? [])].sort((a, b) => a.number - b.number);
  }

  /** The revision that the service would go back to from the given one. */
  returnPoint(serviceId: string, from: number): Revision | undefined {
    return returnPoint(this.ofService(serviceId), from);
  }

  /** Whether tasks like those of the revision have been found healthy before. */
  isKnownHealthy(serviceId: string, number: number): boolean {
    return this.ofService(serviceId).some(
      (revision) =>
        revision.outcome === RevisionOutcome.HEALTHY && this.#difference(serviceId, revision.number, number) !== 'task',
    );
  }

  taskSpec(serviceId: string, number: number): TaskSpec | undefined {
    return this.get(serviceId, number)?.spec?.task;
  }

  /**
   * Whether the task need not be replaced for the service to be at the revision: it is of that revision, or of one that
   * differs in nothing that a task is made of, and its node fits. A node may have changed while another revision, with
   * other constraints, was in force: so the fit is looked at even where placement is the same.
   */
  isUpToDate(task: Task, target: number, node: Node | undefined): boolean {
    if (task.revision === target) return true;
    const difference = this.#difference(task.serviceId, task.revision, target);
    if (difference === 'task') return false;
    if (stateOf(task) < TaskState.ASSIGNED) return difference === 'none';
    return node !== undefined && this.fits(task.serviceId, target, node);
  }

  /** Whether constraints and platforms of the revision allow the node. */
  fits(serviceId: string, number: number, node: Node): boolean {
    const pages = this.#services.get(serviceId);
    const placement = pages?.revisions.get(number)?.spec?.task?.placement;
    if (pages === undefined || placement === undefined) return true;
    let constraints = pages.constraints.get(number);
    if (constraints === undefined) {
      constraints = compileConstraints(placement.constraints);
      pages.constraints.set(number, constraints);
    }
    return meetsConstraints(constraints, node) && platformMatches(placement.platforms, node.description?.platform);
  }

  #difference(serviceId: string, from: number, to: number): Difference {
    const pages = this.#services.get(serviceId);
    const before = pages?.revisions.get(from)?.spec;
    const after = pages?.revisions.get(to)?.spec;
    if (pages === undefined || before === undefined || after === undefined) return 'task';
    const key = `${from}/${to}`;
    const known = pages.differences.get(key);
    if (known !== undefined) return known;
    const difference = compareSpecs(before, after);
    pages.differences.set(key, difference);
    return difference;
  }
}

/** Whether tasks of a service that goes from one to the other are replaced, wherever they are. */
export function replacesTasks(before: ServiceSpec, after: ServiceSpec): boolean {
  return compareSpecs(before, after) === 'task';
}

function compareSpecs(before: ServiceSpec, after: ServiceSpec): Difference {
  if (publishesByIngress(before) !== publishesByIngress(after)) return 'task';
  if (!sameBytes(taskEndpoint(before), taskEndpoint(after))) return 'task';
  if (!sameBytes(essence(before, false), essence(after, false))) return 'task';
  return sameBytes(essence(before, true), essence(after, true)) ? 'none' : 'placement';
}

/**
 * What a task has of its service's endpoint: its node's ports, and how it ends. Ports of the mesh and addresses of the
 * service are led to its tasks from outside, whatever they were when the task began.
 */
function taskEndpoint({ endpoint }: ServiceSpec): Uint8Array {
  const ports = endpoint?.ports.filter((port) => !isIngressPort(port)) ?? [];
  return EndpointSpec.encode(EndpointSpec.create({ ports, drainMs: endpoint?.drainMs }));
}

/** Credentials serve to fetch the image; a container is the same with new ones. */
function essence(spec: ServiceSpec, withPlacement: boolean): Uint8Array {
  const task = spec.task ?? TaskSpec.create();
  const container = task.container === undefined ? undefined : { ...task.container, registryAuth: '' };
  return TaskSpec.encode({ ...task, container, placement: withPlacement ? task.placement : undefined });
}
