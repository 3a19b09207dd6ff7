/**
 * The store at 10,000 nodes and 100,000 tasks, and transactions through the real write-ahead log on this disk. Beside
 * the store stand SwarmKit's figures (its in-memory store, without Raft and without encoding; commit f082dd7 on a
 * machine of this size); beside the log, in alternating rounds, a bare loop that appends 256 bytes and calls fdatasync.
 */
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { newId } from '#common/ids.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import {
  ContainerStatus,
  NetworkAttachment,
  Node,
  NodeDescription,
  NodeStatus,
  Task,
  TaskState,
  TaskStatus,
} from '#gen/swarm/v1/objects.ts';
import { ReplicatedStore } from '#manager/replicated-store/index.ts';
import {
  applyTransaction,
  type Change,
  SnapshotRestorer,
  StoreState,
  saveSnapshot,
  TransactionBuilder,
} from '#manager/store/index.ts';
import { oneMemberLog } from '#test/manager/log/support.ts';

const NODES = 10_000;
const TASKS = 100_000;
const SERVICES = 500;
const CHANGES = 200;
const CHUNK_BYTES = 64 * 1024;
/** Of the median times of one write; a busy machine spoils means. */
const RATIO_ONE_WRITER_MAX = 2;

const random = new SeededRandom(2024);
let transactionId = 0;

function line(what: string, value: string, peer = ''): void {
  console.log(`${what.padEnd(46)}${value.padStart(16)}${peer === '' ? '' : `   SwarmKit ${peer}`}`);
}

/** Microseconds for each of `count` pieces of work, done once. */
function timed(count: number, work: () => void): number {
  const start = performance.now();
  work();
  return ((performance.now() - start) * 1000) / count;
}

function micros(value: number): string {
  return `${value.toFixed(2)} us`;
}

function heapBytes(): number {
  globalThis.gc?.();
  globalThis.gc?.();
  return process.memoryUsage().heapUsed + process.memoryUsage().external;
}

/** Commits the changes, so many to a transaction, and notes in `transactionsMs` how long each one took. */
const transactionsMs: number[] = [];
function commitAll(state: StoreState, changes: Iterable<Change>): StoreState {
  let current = state;
  let group: Change[] = [];
  const flush = (): void => {
    const start = performance.now();
    const builder = new TransactionBuilder(current, { id: ++transactionId, timeMs: 1000, author: '' });
    const added = builder.add(group);
    if (added.kind !== 'added') throw new Error(`a change was ${added.kind}`);
    current = builder.finish().next;
    transactionsMs.push(performance.now() - start);
    group = [];
  };
  for (const change of changes) {
    group.push(change);
    if (group.length === CHANGES) flush();
  }
  if (group.length > 0) flush();
  return current;
}

const nodeIds = Array.from({ length: NODES }, () => newId(random));
const serviceIds = Array.from({ length: SERVICES }, () => newId(random));
const taskIds = Array.from({ length: TASKS }, () => newId(random));

function* newNodes(): Generator<Change> {
  for (const [index, id] of nodeIds.entries()) {
    const description = NodeDescription.create({ hostname: `node-${index}` });
    const status = NodeStatus.create({ state: 3, address: `10.0.${index >> 8}.${index & 255}:2377` });
    yield { kind: 'create', table: 'node', object: Node.create({ id, description, status }) };
  }
}

function runningTask(id: string, index: number): Task {
  return Task.create({
    id,
    serviceId: serviceIds[index % SERVICES] ?? '',
    revision: 1,
    slot: 1 + Math.floor(index / SERVICES),
    nodeId: nodeIds[index % NODES] ?? '',
    desiredState: TaskState.RUNNING,
    status: TaskStatus.create({
      state: TaskState.RUNNING,
      timestampMs: 1_700_000_000_000 + index,
      message: 'started',
      container: ContainerStatus.create({
        containerId: newId(random),
        pid: 1000 + index,
        startedAtMs: 1_700_000_000_000,
      }),
    }),
    networks: [NetworkAttachment.create({ network: serviceIds[0] ?? '', addresses: [`10.0.0.${index & 255}/24`] })],
  });
}

function* newTasks(): Generator<Change> {
  for (const [index, id] of taskIds.entries()) yield { kind: 'create', table: 'task', object: runningTask(id, index) };
}

function* updates(state: StoreState, ids: readonly string[], time: number): Generator<Change> {
  for (const id of ids) {
    const task = state.get('task', id);
    if (task?.status === undefined) throw new Error('a task is missing');
    yield { kind: 'update', table: 'task', object: { ...task, status: { ...task.status, timestampMs: time } } };
  }
}

function exhaust(found: Iterable<unknown>): number {
  let count = 0;
  for (const _ of found) count++;
  return count;
}

function benchStore(): StoreState {
  console.log(`store: ${NODES} nodes, ${TASKS} tasks, ${CHANGES} changes a transaction, encoded and decoded`);
  let state = commitAll(StoreState.empty(), Array.from(newTasks()).slice(0, 5000)); // warm
  state = StoreState.empty();
  transactionsMs.length = 0;
  line('create a node', micros(timed(NODES, () => (state = commitAll(state, newNodes())))), '16.6 us');
  const made = Array.from(newTasks());
  const before = heapBytes();
  const createUs = timed(TASKS, () => (state = commitAll(state, made)));
  line('create a task', `${micros(createUs)} = ${Math.round(1e6 / createUs / 1000)} k/s`, '71 to 83 us = 12 to 14 k/s');
  line('heap for a task', `${Math.round((heapBytes() - before) / TASKS)} B`, '6,400 B');
  const some = taskIds.filter((_, index) => index % 5 === 0);
  const changed = Array.from(updates(state, some, 5));
  line('update a task', micros(timed(some.length, () => (state = commitAll(state, changed)))), '32 us (a node)');
  line(
    'a transaction of 200 changes, p50 and p99',
    `${percentile(transactionsMs, 0.5).toFixed(1)}, ${percentile(transactionsMs, 0.99).toFixed(1)} ms`,
  );
  const single = some.slice(0, 5000);
  line(
    'update a task, a transaction each',
    micros(
      timed(single.length, () => {
        for (const id of single) state = commitAll(state, updates(state, [id], 6));
      }),
    ),
  );
  benchReads(state);
  return state;
}

function benchReads(state: StoreState): void {
  const view = state;
  for (let round = 0; round < 3; round++) for (const id of nodeIds) view.get('node', id); // warm
  line(
    'get a node, a task',
    `${(timed(NODES, () => nodeIds.forEach((id) => view.get('node', id))) * 1000).toFixed(0)}, ${(timed(TASKS, () => taskIds.forEach((id) => view.get('task', id))) * 1000).toFixed(0)} ns`,
    '1,200 ns (a node)',
  );
  line(
    `go through all ${NODES} nodes`,
    `${(timed(1, () => exhaust(view.all('node'))) / 1000).toFixed(2)} ms`,
    '5.6 ms',
  );
  line(
    'tasks of a node (10), of a service (200)',
    `${timed(NODES, () => nodeIds.forEach((id) => exhaust(view.tasksOfNode(id)))).toFixed(1)}, ${timed(SERVICES, () => serviceIds.forEach((id) => exhaust(view.tasksOfService(id)))).toFixed(0)} us`,
  );
  line(
    'tasks of a slot',
    micros(
      timed(TASKS, () =>
        taskIds.forEach((_, index) =>
          exhaust(view.tasksOfSlot(serviceIds[index % SERVICES] ?? '', 1 + Math.floor(index / SERVICES))),
        ),
      ),
    ),
  );
  line(
    'find by 4 characters of the id',
    micros(timed(NODES, () => nodeIds.forEach((id) => view.byIdPrefix('task', id.slice(0, 4), 2)))),
  );
}

function benchSnapshot(state: StoreState): void {
  const savingMs: number[] = [];
  const chunks: Uint8Array[] = [];
  const saveMs = timed(1, () => {
    const saving = saveSnapshot(state, CHUNK_BYTES);
    for (;;) {
      const start = performance.now();
      const next = saving.next();
      savingMs.push(performance.now() - start);
      if (next.done === true) break;
      chunks.push(next.value);
    }
  });
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  line('snapshot: save', `${(saveMs / 1e6).toFixed(2)} s`, '1.55 s');
  line('snapshot: bytes, for a task', `${(bytes / 1e6).toFixed(1)} MB, ${Math.round(bytes / TASKS)} B`, '54 MB, 542 B');
  const restorer = new SnapshotRestorer();
  const restoringMs: number[] = [];
  const restoreMs = timed(1, () => {
    for (const chunk of chunks) {
      const start = performance.now();
      restorer.feed(chunk);
      restoringMs.push(performance.now() - start);
    }
    restorer.finish();
  });
  line('snapshot: restore', `${(restoreMs / 1e6).toFixed(2)} s`, '8.1 s');
  line(
    'snapshot: p99 of a chunk, save and restore',
    `${percentile(savingMs, 0.99).toFixed(1)}, ${percentile(restoringMs, 0.99).toFixed(1)} ms`,
  );
  const builder = new TransactionBuilder(state, { id: ++transactionId, timeMs: 1, author: '' });
  builder.add(Array.from(updates(state, taskIds.slice(0, CHANGES), 9)));
  const { data } = builder.finish();
  line(
    'apply 200 changes from the log',
    `${(timed(20, () => void Array.from({ length: 20 }, () => applyTransaction(state, data))) / 1000).toFixed(2)} ms`,
  );
}

interface Rate {
  readonly perSecond: number;
  readonly latenciesMs: readonly number[];
}

const ROUND_MS = 1500;
const ROUNDS = 3;

async function closedLoop(writers: number, work: (writer: number) => Promise<void>): Promise<Rate> {
  const latenciesMs: number[] = [];
  const start = performance.now();
  const lane = async (writer: number): Promise<void> => {
    while (performance.now() - start < ROUND_MS) {
      const began = performance.now();
      await work(writer);
      latenciesMs.push(performance.now() - began);
    }
  };
  await Promise.all(Array.from({ length: writers }, (_, writer) => lane(writer)));
  return { perSecond: (latenciesMs.length / (performance.now() - start)) * 1000, latenciesMs };
}

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

function report(what: string, rates: readonly Rate[], floor: readonly Rate[]): void {
  const perSecond = (of: readonly Rate[]): number => median(of.map((rate) => rate.perSecond));
  const ratio = (perSecond(rates) / perSecond(floor)).toFixed(2);
  line(what, `${Math.round(perSecond(rates))}/s${rates === floor ? '' : `, ${ratio} times the floor`}`);
  const all = rates.flatMap((rate) => rate.latenciesMs);
  console.log(`  p50 ${percentile(all, 0.5).toFixed(2)} ms, p99 ${percentile(all, 0.99).toFixed(2)} ms`);
}

async function benchLog(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'starling-bench-'));
  console.log(`\nlog: one small task written in each transaction, ${ROUNDS} rounds of ${ROUND_MS} ms`);
  const bare = await open(join(directory, 'bare'), 'w');
  const payload = Buffer.alloc(256, 1);
  const log = oneMemberLog('found', { directory: join(directory, 'log') });
  const store = new ReplicatedStore({ log, logger: silentLogger });
  await store.start();
  const own = Array.from({ length: 64 }, () => newId(random));
  await store.commit(own.map((id, index) => ({ kind: 'create', table: 'task', object: runningTask(id, index) })));
  const write = (writer: number): Promise<void> =>
    store.update((transaction) => {
      const task = transaction.view.get('task', own[writer] ?? '');
      if (task?.status === undefined) throw new Error('a task is missing');
      transaction.update('task', { ...task, status: { ...task.status, timestampMs: task.status.timestampMs + 1 } });
    });
  const rates: { floor: Rate[]; one: Rate[]; many: Rate[] } = { floor: [], one: [], many: [] };
  const delay = monitorEventLoopDelay({ resolution: 1 });
  for (let round = 0; round < ROUNDS; round++) {
    let offset = 0;
    rates.floor.push(
      await closedLoop(1, async () => {
        await bare.write(payload, 0, payload.length, offset);
        offset += payload.length;
        await bare.datasync();
      }),
    );
    rates.one.push(await closedLoop(1, write));
    delay.enable();
    rates.many.push(await closedLoop(64, write));
    delay.disable();
  }
  report('floor: append 256 bytes, fdatasync', rates.floor, rates.floor);
  report('1 writer', rates.one, rates.floor);
  report('64 writers', rates.many, rates.floor);
  line('event loop delay at 64 writers, p99', `${(delay.percentile(99) / 1e6).toFixed(1)} ms`);
  await store.close();
  await bare.close();
  await rm(directory, { recursive: true });
  const middle = (of: readonly Rate[]): number => median(of.flatMap((rate) => rate.latenciesMs));
  const ratio = middle(rates.one) / middle(rates.floor);
  line('one write by one writer', `${ratio.toFixed(2)} times the floor (at most ${RATIO_ONE_WRITER_MAX})`);
  if (ratio > RATIO_ONE_WRITER_MAX) process.exitCode = 1;
}

benchSnapshot(benchStore());
await benchLog();
