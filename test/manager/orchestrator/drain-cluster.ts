/** A swarm whose nodes are drained in pace, for tests of that. */
import { type Node, type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { DrainSpec, NodeAvailability, NodeSpec, type ServiceSpec } from '#gen/swarm/v1/specs.ts';
import { IDENTITY_LEVEL } from '#manager/scheduler/index.ts';
import { LoopCluster, type LoopClusterOptions } from '#test/manager/loops/loop-cluster.ts';
import {
  cluster as clusterObject,
  node,
  revision,
  type SpecOptions,
  service,
  spec,
} from '#test/manager/loops/objects.ts';

export class DrainCluster extends LoopCluster {
  constructor(nodes: number, options: LoopClusterOptions = {}) {
    super(options);
    this.create('cluster', { ...clusterObject(), featureLevel: IDENTITY_LEVEL });
    for (let number = 1; number <= nodes; number++) this.create('node', node(`n${number}`));
  }

  declare(name: string, options: SpecOptions): void {
    const declared = spec({ name, ...options });
    this.create('service', service(name, declared));
    this.create('revision', revision(name, 1, declared));
  }

  declareJob(name: string, mode: ServiceSpec['mode']): void {
    const declared = { ...spec({ name }), mode };
    this.create('service', service(name, declared));
    this.create('revision', revision(name, 1, declared));
  }

  drain(id: string, parallelism?: number): void {
    const drain = parallelism === undefined ? undefined : DrainSpec.create({ parallelism });
    this.#setSpec(id, { availability: NodeAvailability.DRAIN, drain });
  }

  pause(id: string): void {
    this.#setSpec(id, { availability: NodeAvailability.PAUSE, drain: undefined });
  }

  activate(id: string): void {
    this.#setSpec(id, { availability: NodeAvailability.ACTIVE, drain: undefined });
  }

  node(id: string): Node {
    const found = this.store.get('node', id);
    if (found === undefined) throw new Error(`no node ${id}`);
    return found;
  }

  /** Tasks that run on the node, as its agent knows. */
  on(id: string): number {
    return this.containers.get(id)?.size ?? 0;
  }

  /** Told to leave the node and still there. */
  leaving(id: string): readonly Task[] {
    return [...this.store.tasksOfNode(id)].filter(
      ({ evictReason, status }) => evictReason !== '' && (status?.state ?? 0) <= TaskState.RUNNING,
    );
  }

  /** Slots of the service in which a task runs and is ready. */
  healthySlots(serviceId: string): number {
    const healthy = this.running(serviceId).filter(({ status }) => status?.health?.ready ?? true);
    return new Set(healthy.map(({ slot }) => slot)).size;
  }

  #setSpec(id: string, fields: Partial<NodeSpec>): void {
    this.edit('node', id, { spec: NodeSpec.create({ ...this.node(id).spec, ...fields }) });
  }
}
