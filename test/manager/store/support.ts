import type { SwarmError } from '#common/errors.ts';
import {
  Cluster,
  Network,
  Node,
  NodeDescription,
  Revision,
  Service,
  Task,
  TaskState,
  TaskStatus,
} from '#gen/swarm/v1/objects.ts';
import { NetworkSpec, ServiceSpec } from '#gen/swarm/v1/specs.ts';
import {
  type Change,
  type ChangeGroup,
  type Prepared,
  StoreState,
  TransactionBuilder,
  type TransactionInit,
} from '#manager/store/index.ts';

export { create, remove, update } from './changes.ts';

export function task(id: string, init: Partial<Task> = {}): Task {
  return Task.create({ id, serviceId: 's1', slot: 1, desiredState: TaskState.RUNNING, ...init });
}

export function service(id: string, name = id, init: Partial<Service> = {}): Service {
  return Service.create({ id, spec: ServiceSpec.create({ name }), ...init });
}

export function network(id: string, name = id): Network {
  return Network.create({ id, spec: NetworkSpec.create({ name }) });
}

export function node(id: string, hostname = id): Node {
  return Node.create({ id, description: NodeDescription.create({ hostname }) });
}

export function revision(id: string, serviceId: string, number: number): Revision {
  return Revision.create({ id, serviceId, number });
}

export function cluster(id: string): Cluster {
  return Cluster.create({ id });
}

export function status(state: TaskState): TaskStatus {
  return TaskStatus.create({ state });
}

let lastId = 0;

export function init(timeMs = 1000, author = ''): TransactionInit {
  return { id: ++lastId, timeMs, author };
}

/** Builds a transaction of one group; the error when it is refused. */
export function build(state: StoreState, group: ChangeGroup, how = init()): Prepared | SwarmError {
  const builder = new TransactionBuilder(state, how);
  const added = builder.add(group);
  if (added.kind === 'added') return builder.finish();
  if (added.kind === 'refused') return added.error;
  throw new Error('one group always fits or is refused');
}

/** The state after the group; throws when it is refused. */
export function after(state: StoreState, ...group: readonly Change[]): StoreState {
  const prepared = build(state, group);
  if (prepared instanceof Error) throw prepared;
  return prepared.next;
}

export const EMPTY = StoreState.empty();
