/**
 * node test/manager/golden/record.ts
 *
 * Keeps what this release writes to disk as test data, under test/golden/storage/VERSION: the logs of two managers
 * of four, one of which came late, and a saved snapshot. Run it when a release is made, never to make a failing test pass after one.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '#common/system/clock.ts';
import {
  Cluster,
  ContainerStatus,
  EngineDescription,
  JoinTokens,
  Node,
  NodeDescription,
  NodeState,
  NodeStatus,
  RemovedNode,
  Revision,
  RootCa,
  Service,
  Task,
  TaskState,
  TaskStatus,
} from '#gen/swarm/v1/objects.ts';
import { SnapshotDescription } from '#gen/swarm/v1/snapshot.ts';
import {
  ClusterSpec,
  ContainerSpec,
  LogConfig,
  Mount,
  MountType,
  NodeRole,
  NodeSpec,
  Placement,
  ServiceSpec,
  TaskSpec,
} from '#gen/swarm/v1/specs.ts';
import { sealSnapshot } from '#manager/backup/index.ts';
import { until } from '#test/manager/raft/support/members.ts';
import { MemoryNetwork } from '#test/manager/raft/support/memory-network.ts';
import { type Manager, objectsOf, startManager, writeGolden } from './storage.ts';

const WAIT = { timeoutMs: 10_000 };
const DATA_KEY = new Uint8Array(32).map((_, at) => 3 * at + 1);
const SNAPSHOT_KEY = new Uint8Array(32).map((_, at) => 7 * at + 2);
const NAMES = ['alpha', 'beta', 'gamma'];

function objects() {
  const cluster = Cluster.create({
    id: 'c0goldennnnnnnnnnnnnnnnnn',
    featureLevel: 2,
    spec: ClusterSpec.create({ name: 'golden', log: LogConfig.create({ saveIntervalMs: 3_600_000, savesKept: 3 }) }),
    rootCa: RootCa.create({
      certificatePem: Buffer.from('certificate'),
      keyPem: Buffer.from('key'),
      digest: 'ab'.repeat(32),
      joinTokens: JoinTokens.create({ worker: 'SWMTKN-1-w', manager: 'SWMTKN-1-m' }),
    }),
    defaultAddressPools: ['10.0.0.0/8'],
    subnetSize: 24,
    dataPathPort: 4789,
    removedNodes: [RemovedNode.create({ nodeId: 'gone', expiresAtMs: 5 })],
    snapshotKey: SNAPSHOT_KEY,
  });
  const nodes = [...NAMES, 'worker'].map((name) => {
    const role = name === 'worker' ? NodeRole.WORKER : NodeRole.MANAGER;
    return Node.create({
      id: name.padEnd(25, '0'),
      role,
      spec: NodeSpec.create({ desiredRole: role, labels: { zone: name } }),
      status: NodeStatus.create({ state: NodeState.READY, address: '10.0.0.1', sinceMs: 17 }),
      description: NodeDescription.create({
        hostname: name,
        engine: EngineDescription.create({ version: '0.1.0', labels: { disk: 'ssd' } }),
        featureLevel: 2,
      }),
    });
  });
  const spec = ServiceSpec.create({
    name: 'web',
    labels: { a: 'b' },
    mode: { kind: 'replicated', value: { replicas: 2 } },
    task: TaskSpec.create({
      container: ContainerSpec.create({
        image: 'localhost/web:1',
        env: ['A=1'],
        mounts: [Mount.create({ type: MountType.VOLUME, source: 'v', target: '/data' })],
      }),
      placement: Placement.create({ constraints: ['node.role==worker'] }),
    }),
  });
  const service = Service.create({ id: 's0webwwwwwwwwwwwwwwwwwwww', revision: 1, spec });
  const revision = Revision.create({ id: 'r0webwwwwwwwwwwwwwwwwwwww', serviceId: service.id, number: 1, spec });
  const tasks = [1, 2].map((slot) =>
    Task.create({
      id: `t${slot}webwwwwwwwwwwwwwwwwwwww`,
      serviceId: service.id,
      revision: 1,
      slot,
      nodeId: nodes.at(-1)?.id ?? '',
      desiredState: TaskState.RUNNING,
      status: TaskStatus.create({
        state: TaskState.RUNNING,
        container: ContainerStatus.create({ containerId: 'f'.repeat(64), pid: 4, startedAtMs: 6 }),
      }),
    }),
  );
  return { cluster, nodes, service, revision, tasks };
}

const network = new MemoryNetwork();
const managers: Manager[] = [];

async function start(nodeId: string): Promise<Manager> {
  const [first] = managers;
  const address = `${nodeId}:2377`;
  const manager = startManager({
    network,
    nodeId: nodeId.padEnd(25, '0'),
    address,
    dataKey: DATA_KEY,
    seed: 100 * (managers.length + 1),
    origin: first === undefined ? { kind: 'found' } : { kind: 'join', join: () => admit(first, nodeId, address) },
  });
  await manager.started;
  managers.push(manager);
  const isVoter = (): boolean => manager.log.members().some(({ self, voter }) => self && voter);
  await until(isVoter, `${nodeId} is a voter`);
  return manager;
}

async function admit({ log }: Manager, nodeId: string, address: string) {
  const { raftId } = await log.addMember({ nodeId: nodeId.padEnd(25, '0'), address, featureLevel: 2 }, WAIT);
  return { raftId, members: log.members() };
}

const { cluster, nodes, service, revision, tasks } = objects();
const alpha = await start('alpha');
await alpha.store.commit([
  { kind: 'create', table: 'cluster', object: cluster },
  ...nodes.map((object) => ({ kind: 'create', table: 'node', object }) as const),
]);
const beta = await start('beta');
await start('gamma');
await alpha.store.commit([
  { kind: 'create', table: 'service', object: service },
  { kind: 'create', table: 'revision', object: revision },
  ...tasks.map((object) => ({ kind: 'create', table: 'task', object }) as const),
]);
const bump = (): Promise<void> =>
  alpha.store.update((transaction) => {
    const read = transaction.view.get('service', service.id);
    assert.ok(read?.spec !== undefined);
    const labels = { ...read.spec.labels, count: String(Number(read.spec.labels['count'] ?? 0) + 1) };
    transaction.update('service', { ...read, spec: { ...read.spec, labels } });
  });
for (let count = 0; count < 90; count++) await bump();
// Members change behind the newest snapshot too: one comes and goes.
const { raftId } = await alpha.log.addMember({ nodeId: 'omega', address: 'omega:2377', featureLevel: 2 }, WAIT);
await bump();
await alpha.log.removeMember(raftId, WAIT);
for (let count = 0; count < 5; count++) await bump();

const { view, chunks } = alpha.store.saved();
const description = SnapshotDescription.create({
  clusterId: cluster.id,
  clusterName: 'golden',
  createdAtMs: Date.UTC(2026, 0, 2, 3, 4, 5),
  release: '0.1.0',
  featureLevel: 2,
  version: view.version,
  nodeId: alpha.log.self()?.nodeId ?? '',
  logIndex: alpha.log.status().appliedIndex,
});
const pieces: Uint8Array[] = [];
const members = alpha.log
  .members()
  .map(({ raftId: id, nodeId, address, featureLevel }) => ({ raftId: id, nodeId, address, featureLevel }));
for await (const piece of sealSnapshot({ description, members, chunks }, SNAPSHOT_KEY, {
  clock: systemClock,
  sliceMs: 5,
}))
  pieces.push(piece);

await bump();
// One that came late: its log begins with a snapshot from the leader.
const delta = await start('delta');
await bump();
const kept = [beta, delta];
for (const { store } of kept)
  await until(() => store.view().version === alpha.store.view().version, 'they have everything');
const logs = kept.map(({ log }, at) => ({
  name: ['follower', 'joined'][at] ?? '',
  nodeId: log.self()?.nodeId ?? '',
  address: log.self()?.address ?? '',
}));
const voters = alpha.log.members().filter(({ voter }) => voter);
const expected = {
  dataKey: Buffer.from(DATA_KEY).toString('hex'),
  snapshotKey: Buffer.from(SNAPSHOT_KEY).toString('hex'),
  logs,
  voters: voters.map(({ nodeId }) => nodeId).sort(),
  savedMembers: members.map(({ nodeId }) => nodeId).sort(),
  version: beta.store.view().version,
  objects: objectsOf(beta.store.view()),
  savedVersion: view.version,
};
// Without an orderly end, as after a power cut: everything acknowledged is there, and perhaps more.
const files = new Map(kept.map(({ disk }, at) => [logs[at]?.name ?? '', new Map(disk.files())]));
await Promise.all(managers.map((one) => one.store.close()));

const packageFile = join(import.meta.dirname, '../../../package.json');
const { version } = JSON.parse(await readFile(packageFile, 'utf8')) as { readonly version: string };
await writeGolden(version, { expected, logs: files, snapshot: Buffer.concat(pieces) });
console.log(`kept the logs of ${logs.length} managers and a saved snapshot of ${version}`);
