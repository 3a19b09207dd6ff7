/**
 * How long it takes until every node knows. One manager as in the daemon, with its log on the disk, and simulated agents
 * in another process, each with a session of its own by gRPC and mutual TLS. A service publishes a port, so that every
 * node knows all of its tasks. Then
 *
 * - one endpoint changes at a time: from the commit to the last agent's acknowledgement;
 * - the service is updated task by task: how long a task is held until all have confirmed that it gets no connections.
 *
 * All agents share this machine with the manager, where a swarm has a processor for each: with what they use themselves
 * these are upper bounds.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { ContainerSpec, EndpointSpec, PortConfig, ServiceSpec, TaskSpec, UpdateConfig } from '#gen/swarm/v1/specs.ts';
import { eventually } from '#test/support/eventually.ts';
import type { AgentsAnswer, AgentsOrder } from './discovery/agents-process.ts';
import { BenchManager } from './discovery/bench-manager.ts';

interface Shape {
  readonly agents: number;
  /** Of the service, spread over the agents. */
  readonly tasks: number;
  readonly changes: number;
  /** From the commit to the last acknowledgement, p99. */
  readonly goalMs: number;
  readonly rolling: boolean;
}

const SHAPES: readonly Shape[] = [
  { agents: 50, tasks: 50, changes: 300, goalMs: 300, rolling: true },
  { agents: 1000, tasks: 100, changes: 100, goalMs: 1_000, rolling: false },
];
const CALLER = { author: 'bench' };
const PATIENCE = { timeoutMs: 300_000, everyMs: 100 };
/** Between two changes: heartbeats and what is left of the last one are not part of the next. */
const REST_MS = 20;
const PARALLELISM = 5;
const ROLLING_TIMEOUT_MS = 120_000;

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

/** That this process has used: says more than the clock where others use the machine. */
function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function spread(values: readonly number[]): string {
  const [half, most, longest] = [0.5, 0.99, 1].map((share) => percentile(values, share).toFixed(0));
  return `p50 ${half} p99 ${most} longest ${longest} ms`;
}

/** Who has confirmed which commit, as the manager hears it. */
class Confirmations {
  readonly #versions = new Map<string, number>();
  /** When each task's node said first that it stops. */
  readonly stoppedMs = new Map<string, number>();
  #wake: () => void = () => {};
  count = 0;

  /** Stands between the sessions and the dispatcher, and hands on all that it hears. */
  constructor({ dispatcher }: BenchManager['role']) {
    const receive = dispatcher.receive.bind(dispatcher);
    dispatcher.receive = (session, request) => {
      const { message } = request;
      if (message?.kind === 'appliedNetworks') {
        this.count++;
        this.#versions.set(session.nodeId, message.value.version);
        this.#wake();
      } else if (message?.kind === 'statuses')
        for (const { taskId, status } of message.value.updates)
          if ((status?.state ?? 0) > TaskState.RUNNING) this.stoppedMs.set(taskId, performance.now());
      receive(session, request);
    };
  }

  /** Resolves with the time at which the last of so many nodes has confirmed the commit. */
  async all(version: number, nodes: number): Promise<number> {
    for (;;) {
      let confirmed = 0;
      for (const seen of this.#versions.values()) if (seen >= version) confirmed++;
      if (confirmed >= nodes) return performance.now();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

class Agents {
  readonly #child: ChildProcess = fork(join(import.meta.dirname, 'discovery/agents-process.ts'));
  #welcomed = 0;
  lost: string | undefined;

  async start(order: AgentsOrder): Promise<void> {
    this.#child.on('message', (answer: AgentsAnswer) => {
      if (answer.kind === 'welcomed') this.#welcomed++;
      else if (answer.kind === 'lost') this.lost ??= answer.why;
    });
    this.#child.send(order);
    await eventually('all sessions', () => this.#welcomed === order.agents.length, PATIENCE);
  }

  async stop(): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.disconnect();
    await ended;
  }
}

async function declareService({ role }: BenchManager, tasks: number): Promise<void> {
  const task = TaskSpec.create({ container: ContainerSpec.create({ image: 'bench' }) });
  const endpoint = EndpointSpec.create({ ports: [PortConfig.create({ targetPort: 80, publishedPort: 8080 })] });
  const update = UpdateConfig.create({ parallelism: PARALLELISM, monitorMs: 0 });
  const mode = { kind: 'replicated', value: { replicas: tasks } } as const;
  const spec = ServiceSpec.create({ name: 'web', mode, task, update, endpoint });
  await role.control.createService(CALLER, { queryRegistry: false, spec });
}

function runningTasks({ role }: BenchManager): readonly Task[] {
  return [...role.store.view().all('task')].filter(
    ({ status, desiredState }) => status?.state === TaskState.RUNNING && desiredState === TaskState.RUNNING,
  );
}

/** One change after the other; milliseconds from each commit to the last acknowledgement. */
async function changeEndpoints(manager: BenchManager, confirmations: Confirmations, shape: Shape): Promise<number[]> {
  const { store } = manager.role;
  const taken: number[] = [];
  let committed = { version: 0, atMs: 0 };
  const unsubscribe = store.onCommit(({ version, events }) => {
    const isOurs = events.some(({ kind, table, object }) => {
      return kind === 'update' && table === 'task' && object.networks[0]?.aliases[0]?.startsWith('change-') === true;
    });
    if (isOurs) committed = { version, atMs: performance.now() };
  });
  const ids = runningTasks(manager).map(({ id }) => id);
  for (let change = 0; change < shape.changes; change++) {
    await store.decide((view) => {
      const task = view.get('task', ids[change % ids.length] ?? '');
      if (task === undefined) throw new Error('a task has gone');
      const networks = task.networks.map((one) => ({ ...one, aliases: [`change-${change}`] }));
      return [{ kind: 'update', table: 'task', object: { ...task, networks } }];
    });
    const { version, atMs } = committed;
    taken.push((await confirmations.all(version, shape.agents)) - atMs);
    await pause(REST_MS);
  }
  unsubscribe();
  return taken;
}

/** All tasks are replaced; milliseconds for which each was held until its agent could be told to stop it. */
async function roll(
  manager: BenchManager,
  confirmations: Confirmations,
): Promise<{ readonly heldMs: readonly number[]; readonly tookMs: number; readonly confirmations: number }> {
  const { store, control } = manager.role;
  const stopping = new Map<string, number>();
  const unsubscribe = store.onCommit(({ events }) => {
    for (const event of events)
      if (event.table === 'task' && event.kind === 'update' && event.object.desiredState > TaskState.RUNNING)
        if (event.old.desiredState <= TaskState.RUNNING) stopping.set(event.object.id, performance.now());
  });
  const before = new Set(runningTasks(manager).map(({ id }) => id));
  const { service } = await control.getService(CALLER, { reference: 'web' });
  if (service?.spec?.task === undefined) throw new Error('the service has gone');
  const began = performance.now();
  const confirmed = confirmations.count;
  const spec = { ...service.spec, task: { ...service.spec.task, forceUpdate: 1 } };
  await control.updateService(CALLER, { id: service.id, version: service.version, spec, queryRegistry: false });
  const isDone = (): boolean => {
    const now = runningTasks(manager);
    return now.length === before.size && now.every(({ id }) => !before.has(id));
  };
  await eventually('all tasks to be replaced', isDone, { timeoutMs: ROLLING_TIMEOUT_MS, everyMs: 20 });
  const tookMs = performance.now() - began;
  unsubscribe();
  const heldMs = [...stopping].map(([id, atMs]) => (confirmations.stoppedMs.get(id) ?? Infinity) - atMs);
  return { heldMs, tookMs, confirmations: confirmations.count - confirmed };
}

async function run(shape: Shape, directory: string): Promise<void> {
  const manager = await BenchManager.start(directory);
  const confirmations = new Confirmations(manager.role);
  const agents = new Agents();
  try {
    const { address, clusterId } = manager;
    await agents.start({ manager: address, clusterId, agents: await manager.addNodes(shape.agents) });
    await declareService(manager, shape.tasks);
    await eventually('all tasks', () => runningTasks(manager).length === shape.tasks, PATIENCE);
    await pause(1_000); // what comes with the start of so many tasks is acknowledged
    const usedBefore = processorMs();
    const taken = await changeEndpoints(manager, confirmations, shape);
    const usedMs = (processorMs() - usedBefore) / shape.changes;
    const missed = percentile(taken, 0.99) > shape.goalMs;
    console.log(
      `${shape.agents} agents, ${shape.changes} changes of an endpoint, to the last acknowledgement: ${spread(taken)} ` +
        `(goal: p99 ${shape.goalMs}); of the manager's processor ${usedMs.toFixed(1)} ms each${missed ? '  MISSED' : ''}`,
    );
    if (missed) process.exitCode = 1;
    if (shape.rolling) {
      const { heldMs, tookMs, confirmations: heard } = await roll(manager, confirmations);
      console.log(
        `${shape.agents} agents, ${heldMs.length} tasks replaced ${PARALLELISM} at a time in ${(tookMs / 1000).toFixed(1)} s: ` +
          `a task is told to stop after ${spread(heldMs)}; ${heard} acknowledgements`,
      );
    }
    if (agents.lost !== undefined) throw new Error(`a session was lost: ${agents.lost}`);
  } finally {
    await agents.stop();
    await manager.close();
  }
}

const directory = await mkdtemp(join(tmpdir(), 'sdb-'));
try {
  for (const shape of SHAPES) await run(shape, join(directory, String(shape.agents)));
} finally {
  await rm(directory, { recursive: true, force: true });
}
