/** A state of 100,000 tasks through the log: how long a snapshot takes, what it does to everything else, and the start. */
import { join } from 'node:path';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { newId } from '#common/ids.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { ContainerStatus, NetworkAttachment, Task, TaskState, TaskStatus } from '#gen/swarm/v1/objects.ts';
import type { LogObserver } from '#manager/log/index.ts';
import { type PeerTransport, RaftLog } from '#manager/raft/index.ts';
import { ReplicatedStore } from '#manager/replicated-store/index.ts';
import type { Change } from '#manager/store/index.ts';

const TASKS = 100_000;
const CHANGES = 200;
const SAVE_MS_MAX = 1_500;
const STALL_MS_MAX = 50;
const RESTORE_MS_MAX = 5_000;

const random = new SeededRandom(7);

/** A cluster of one has nobody to talk to. */
const nobody: PeerTransport = {
  start() {},
  setPeers() {},
  send() {},
  sendSnapshot: () => Promise.reject(new Error('there is nobody')),
  peer: () => undefined,
  close: () => Promise.resolve(),
};

interface Member {
  readonly log: RaftLog;
  readonly store: ReplicatedStore;
}

async function start(
  directory: string,
  nodeId: string,
  kind: 'found' | 'resume',
  observer: LogObserver,
): Promise<Member> {
  const log = new RaftLog({
    directory,
    keys: { current: new Uint8Array(32).fill(1) },
    logger: silentLogger,
    // As large as it gets before the benchmark asks for a snapshot.
    config: { snapshotEntries: Number.MAX_SAFE_INTEGER, snapshotBytes: Number.MAX_SAFE_INTEGER },
    observer,
    transport: nobody,
    nodeId,
    address: () => '127.0.0.1:2377',
    featureLevel: 1,
    origin: { kind },
    onRemoved: (error) => {
      throw error;
    },
  });
  const store = new ReplicatedStore({ log, logger: silentLogger });
  await store.start();
  return { log, store };
}

function* tasks(): Generator<Change> {
  const services = Array.from({ length: 500 }, () => newId(random));
  const nodes = Array.from({ length: 1_000 }, () => newId(random));
  for (let index = 0; index < TASKS; index++) {
    const container = ContainerStatus.create({ containerId: newId(random), pid: 1_000 + index, startedAtMs: 1.7e12 });
    const status = { state: TaskState.RUNNING, timestampMs: 1.7e12 + index, message: 'started', container };
    const object = Task.create({
      id: newId(random),
      serviceId: services[index % services.length] ?? '',
      revision: 1,
      slot: 1 + Math.floor(index / services.length),
      nodeId: nodes[index % nodes.length] ?? '',
      desiredState: TaskState.RUNNING,
      status: TaskStatus.create(status),
      networks: [NetworkAttachment.create({ network: services[0] ?? '', addresses: [`10.0.0.${index & 255}/24`] })],
    });
    yield { kind: 'create', table: 'task', object };
  }
}

async function fill(store: ReplicatedStore): Promise<void> {
  let group: Change[] = [];
  for (const change of tasks()) {
    group.push(change);
    if (group.length < CHANGES) continue;
    await store.commit(group);
    group = [];
  }
}

/** Prints the figures; false when one of them misses its goal. */
export async function benchSnapshots(directory: string): Promise<boolean> {
  const path = join(directory, 'snapshots');
  const nodeId = newId(random);
  let written = (_durationMs: number, _bytes: number): void => {};
  const observer: LogObserver = {
    flushed() {},
    recovered() {},
    snapshotWritten: (durationMs, bytes) => written(durationMs, bytes),
  };
  const before = await start(path, nodeId, 'found', observer);
  await fill(before.store);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const saved = new Promise<{ readonly ms: number; readonly bytes: number }>((resolve) => {
    written = (ms, bytes) => resolve({ ms, bytes });
  });
  globalThis.gc?.();
  delay.enable();
  before.log.tuneSnapshots({ snapshotEntries: 1 });
  const save = await saved;
  delay.disable();
  await before.store.close();
  const beganMs = performance.now();
  const after = await start(path, nodeId, 'resume', observer);
  const restoreMs = performance.now() - beganMs;
  const found = after.store.view().count('task');
  await after.store.close();
  if (found !== TASKS) throw new Error(`${found} of ${TASKS} tasks were restored`);
  const stallMs = delay.max / 1e6;
  const megabytes = (save.bytes / 1e6).toFixed(1);
  console.log(`snapshot of ${TASKS} tasks: ${save.ms.toFixed(0)} ms (goal ${SAVE_MS_MAX}), ${megabytes} MB`);
  console.log(`longest stall of the event loop meanwhile: ${stallMs.toFixed(1)} ms (goal ${STALL_MS_MAX})`);
  console.log(`start from it: ${restoreMs.toFixed(0)} ms (goal ${RESTORE_MS_MAX})`);
  return save.ms <= SAVE_MS_MAX && stallMs <= STALL_MS_MAX && restoreMs <= RESTORE_MS_MAX;
}
