/** Short ways to write the objects of the loops' tests. */
import {
  Cluster,
  Node,
  NodeDescription,
  NodeState,
  NodeStatus,
  Revision,
  Service,
  Task,
  TaskState,
  TaskStatus,
} from '#gen/swarm/v1/objects.ts';
import {
  ContainerSpec,
  type EndpointSpec,
  NodeRole,
  NodeSpec,
  Placement,
  Platform,
  PortConfig,
  PortProtocol,
  PublishMode,
  ReplicatedMode,
  ResourceRequirements,
  Resources,
  type RestartPolicy,
  ServiceSpec,
  TaskSpec,
  type UpdateConfig,
} from '#gen/swarm/v1/specs.ts';

export { create, remove, update } from '../store/changes.ts';

export const T0 = 1_700_000_000_000;
export const GIB = 1024 ** 3;

export interface NodeOptions {
  readonly labels?: Readonly<Record<string, string>>;
  readonly cpus?: number;
  readonly memoryBytes?: number;
  readonly state?: NodeState;
  readonly hostname?: string;
  readonly os?: string;
  readonly architecture?: string;
  readonly address?: string;
  readonly role?: NodeRole;
}

export function node(id: string, options: NodeOptions = {}): Node {
  return Node.create({
    id,
    role: options.role ?? NodeRole.WORKER,
    spec: NodeSpec.create({ labels: options.labels ?? {} }),
    status: NodeStatus.create({ state: options.state ?? NodeState.READY, address: options.address ?? '' }),
    description: NodeDescription.create({
      hostname: options.hostname ?? id,
      platform: Platform.create({ os: options.os ?? 'linux', architecture: options.architecture ?? 'x86_64' }),
      resources: Resources.create({
        cpuNanos: (options.cpus ?? 8) * 1e9,
        memoryBytes: options.memoryBytes ?? 16 * GIB,
      }),
    }),
  });
}

export interface SpecOptions {
  readonly name?: string;
  readonly image?: string;
  readonly replicas?: number;
  readonly global?: boolean;
  readonly constraints?: readonly string[];
  readonly spread?: readonly string[];
  readonly maxReplicas?: number;
  readonly placement?: Partial<Placement>;
  readonly cpus?: number;
  readonly memoryBytes?: number;
  readonly restart?: RestartPolicy;
  readonly update?: UpdateConfig;
  readonly rollback?: UpdateConfig;
  readonly endpoint?: EndpointSpec;
  readonly forceUpdate?: number;
  readonly task?: Partial<TaskSpec>;
}

export function spec(options: SpecOptions = {}): ServiceSpec {
  return ServiceSpec.create({
    name: options.name ?? 'web',
    task: TaskSpec.create({
      container: ContainerSpec.create({ image: options.image ?? 'image:1' }),
      resources: ResourceRequirements.create({
        reservations: Resources.create({
          cpuNanos: (options.cpus ?? 0) * 1e9,
          memoryBytes: options.memoryBytes ?? 0,
        }),
      }),
      placement: Placement.create({
        constraints: options.constraints ?? [],
        preferences: (options.spread ?? []).map((spread) => ({ spread })),
        maxReplicas: options.maxReplicas ?? 0,
        ...options.placement,
      }),
      restart: options.restart,
      forceUpdate: options.forceUpdate ?? 0,
      ...options.task,
    }),
    mode:
      options.global === true
        ? { kind: 'global', value: {} }
        : { kind: 'replicated', value: ReplicatedMode.create({ replicas: options.replicas ?? 1 }) },
    update: options.update,
    rollback: options.rollback,
    endpoint: options.endpoint,
  });
}

export function service(id: string, serviceSpec: ServiceSpec, revision = 1): Service {
  return Service.create({ id, spec: serviceSpec, revision });
}

export function revision(serviceId: string, number: number, serviceSpec: ServiceSpec): Revision {
  return Revision.create({ id: `${serviceId}-r${number}`, serviceId, number, spec: serviceSpec });
}

export function pendingTask(id: string, serviceId: string, fields: Partial<Task> = {}): Task {
  return Task.create({
    id,
    serviceId,
    revision: 1,
    slot: 1,
    desiredState: TaskState.RUNNING,
    status: TaskStatus.create({ state: TaskState.PENDING, timestampMs: T0 }),
    ...fields,
  });
}

export function inState(task: Task, state: TaskState, fields: Partial<TaskStatus> = {}): Task {
  return { ...task, status: TaskStatus.create({ ...task.status, state, ...fields }) };
}

export function hostPort(publishedPort: number, fields: Partial<PortConfig> = {}): PortConfig {
  return PortConfig.create({
    protocol: PortProtocol.TCP,
    targetPort: 80,
    publishedPort,
    publishMode: PublishMode.HOST,
    ...fields,
  });
}

export function cluster(fields: Partial<Cluster['spec']> = {}): Cluster {
  return Cluster.create({ id: 'cluster', spec: { ...Cluster.create().spec, ...fields } as Cluster['spec'] });
}
