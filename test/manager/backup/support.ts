import assert from 'node:assert/strict';
import { ManualClock } from '#common/clock.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { Cluster, Node, NodeState, NodeStatus, RootCa } from '#gen/swarm/v1/objects.ts';
import { RaftMember } from '#gen/swarm/v1/raft.ts';
import { SnapshotDescription } from '#gen/swarm/v1/snapshot.ts';
import { ClusterSpec, LogConfig, NodeRole, NodeSpec } from '#gen/swarm/v1/specs.ts';
import { openSnapshot, type SavedSnapshot, sealSnapshot } from '#manager/backup/index.ts';
import type { Log, LogPosition, LogStatus, ProposeOptions, StateMachine } from '#manager/log/index.ts';
import { ReplicatedStore } from '#manager/replicated-store/index.ts';
import { Editor, StoreState, saveSnapshot } from '#manager/store/index.ts';
import { MemoryLog } from '#test/fixtures/memory-log.ts';
import { service, task } from '#test/manager/store/support.ts';

export const KEY = new Uint8Array(32).map((_, at) => at + 1);
export const OTHER_KEY = new Uint8Array(32).fill(9);
export const CLUSTER_ID = 'c1clusterrrrrrrrrrrrrrrrr';
export const START_MS = Date.UTC(2026, 5, 6, 7, 8, 9);

export function clusterObject(log: Partial<LogConfig> = {}, more: Partial<Cluster> = {}): Cluster {
  return Cluster.create({
    id: CLUSTER_ID,
    featureLevel: 2,
    spec: ClusterSpec.create({ name: 'prod', log: LogConfig.create(log) }),
    rootCa: RootCa.create({ keyPem: new Uint8Array(Buffer.from('the key of the root')) }),
    snapshotKey: KEY,
    ...more,
  });
}

export function nodeObject(id: string, role: NodeRole, state: NodeState = NodeState.READY): Node {
  return Node.create({
    id,
    role,
    spec: NodeSpec.create({ desiredRole: role, labels: { zone: id } }),
    status: NodeStatus.create({ state, address: '10.0.0.1' }),
    createdAtMs: 5,
    version: 3,
  });
}

/** A state with a cluster, nodes, services and tasks, at version 77. */
export function sampleState(tasks = 40): StoreState {
  const editor = new Editor(StoreState.empty());
  editor.put('cluster', clusterObject());
  editor.put('node', nodeObject('m1', NodeRole.MANAGER));
  editor.put('node', nodeObject('m2', NodeRole.MANAGER, NodeState.DOWN));
  editor.put('node', nodeObject('w1', NodeRole.WORKER));
  editor.put('node', nodeObject('w2', NodeRole.WORKER, NodeState.DOWN));
  editor.put('service', service('s1'));
  for (let at = 0; at < tasks; at++)
    editor.put('task', task(`t${at}`, { serviceId: 's1', slot: at + 1, nodeId: 'w1' }));
  return editor.finish(77, 4242);
}

export const MEMBERS = [RaftMember.create({ raftId: 11, nodeId: 'm1', address: '10.0.0.1:2377', featureLevel: 2 })];

export const DESCRIPTION = SnapshotDescription.create({
  clusterId: CLUSTER_ID,
  clusterName: 'prod',
  createdAtMs: START_MS,
  release: '0.1.0',
  featureLevel: 2,
  version: 77,
  nodeId: 'm1',
  logIndex: 99,
});

export const PACE = { clock: new ManualClock(), sliceMs: 5 };

export async function sealed(state = sampleState(), key = KEY, chunkBytes = 512): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  const snapshot = { description: DESCRIPTION, members: MEMBERS, chunks: saveSnapshot(state, chunkBytes) };
  for await (const piece of sealSnapshot(snapshot, key, PACE)) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** The bytes as a stream of pieces of the size. */
export async function* streamOf(bytes: Uint8Array, pieceBytes = 1000): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < bytes.length; from += pieceBytes) yield bytes.subarray(from, from + pieceBytes);
}

export function opened(bytes: Uint8Array, key: Uint8Array = KEY, pieceBytes = 1000): Promise<SavedSnapshot> {
  return openSnapshot(streamOf(bytes, pieceBytes), key, 'the.file', PACE);
}

/** What the store serves its readers with: all of a state. */
export function stateOf(store: ReplicatedStore): StoreState {
  const view = store.view();
  assert.ok(view instanceof StoreState);
  return view;
}

/** Everything that a state holds, for comparing. */
export function contentOf(state: StoreState): unknown {
  const tables = ['cluster', 'node', 'service', 'revision', 'task'] as const;
  return [state.version, state.transactionId, ...tables.map((name) => [...state.all(name)])];
}

/** A log of one member in memory that commits at once. */
export class InstantLog extends MemoryLog implements Log {
  #machine: StateMachine | undefined;
  #index = 0;
  /** What reads and writes are refused with, when set. */
  failure: Error | undefined;

  constructor() {
    super({ state: 'leader', term: 1 });
  }

  async start(machine: StateMachine): Promise<void> {
    this.#machine = machine;
    await Promise.resolve();
  }

  async propose(data: Uint8Array, { ticket }: ProposeOptions): Promise<LogPosition> {
    await Promise.resolve();
    if (this.failure !== undefined) throw this.failure;
    const position = { index: ++this.#index, term: 1 };
    this.#machine?.apply({ ...position, data, ticket });
    return position;
  }

  async readBarrier(): Promise<number> {
    await Promise.resolve();
    if (this.failure !== undefined) throw this.failure;
    return this.#index;
  }

  protected override indexes(): Pick<LogStatus, 'committedIndex' | 'appliedIndex'> {
    return { committedIndex: this.#index, appliedIndex: this.#index };
  }
}

export async function instantStore(cluster: Cluster): Promise<{ store: ReplicatedStore; log: InstantLog }> {
  const log = new InstantLog();
  const store = new ReplicatedStore({ log, logger: silentLogger, random: new SeededRandom(5) });
  await store.start();
  await store.commit([
    { kind: 'create', table: 'cluster', object: cluster },
    { kind: 'create', table: 'node', object: { ...nodeObject('m1', NodeRole.MANAGER), version: 0 } },
    { kind: 'create', table: 'service', object: service('s1') },
  ]);
  return { store, log };
}
