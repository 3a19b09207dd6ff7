/**
 * End to end: three managers with their logs on the disk and 1,000 simulated agents, each with a session of its own by
 * gRPC and mutual TLS. One service of 30,000 tasks is declared, and all of them run: how many a second, how long each
 * waited for its node (from its creation to the decision, and to its arrival there), the first, the middle and the last
 * third apart; and what a task costs a manager in memory, once it is at rest.
 *
 * Managers and agents share this machine: figures are what its processors are good for together.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { ContainerSpec, ServiceSpec, TaskSpec } from '#gen/swarm/v1/specs.ts';
import { eventually } from '#test/support/eventually.ts';
import type { AgentsAnswer, AgentsOrder, Placement } from './discovery/agents-process.ts';
import { type Managers, startManagers } from './placement/managers.ts';

const AGENTS = Number(process.env['BENCH_AGENTS'] ?? 1000);
const TASKS = Number(process.env['BENCH_TASKS'] ?? 30_000);
const WARM_UP_TASKS = 2000;
const PER_SECOND_MIN = 1500;
const P50_MS_MAX = 100;
const P99_MS_MAX = 400;
const BYTES_PER_TASK_MAX = 3 * 1024;
const PATIENCE = { timeoutMs: 240_000, everyMs: 500 };
/** Until what the last tasks left behind has been written and collected. */
const REST_MS = 3000;

class Agents {
  readonly #child: ChildProcess = fork(join(import.meta.dirname, 'discovery/agents-process.ts'));
  readonly placements: Placement[] = [];
  #welcomed = 0;
  lost: string | undefined;

  async start(order: AgentsOrder): Promise<void> {
    this.#child.on('message', (answer: AgentsAnswer) => {
      if (answer.kind === 'welcomed') this.#welcomed++;
      else if (answer.kind === 'placed') this.placements.push(...answer.placements);
      else this.lost ??= answer.why;
    });
    this.#child.send(order);
    const isDone = (): boolean => this.lost !== undefined || this.#welcomed === order.agents.length;
    await eventually('all sessions', isDone, PATIENCE);
    if (this.lost !== undefined) throw new Error(`a session was lost: ${this.lost}`);
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.disconnect();
    await ended;
  }
}

async function create({ leader }: Managers, name: string, replicas: number): Promise<void> {
  const task = TaskSpec.create({ container: ContainerSpec.create({ image: 'bench' }) });
  const spec = ServiceSpec.create({ name, mode: { kind: 'replicated', value: { replicas } }, task });
  const began = performance.now();
  await leader.client.control.createService({ spec, queryRegistry: false });
  // A read that comes too late on a busy machine is asked again.
  const isRunning = async (): Promise<boolean> =>
    leader.client.control.getService({ reference: name }).then(
      ({ counts }) => (counts?.running ?? 0) >= replicas,
      () => false,
    );
  await eventually('all tasks to run', isRunning, PATIENCE);
  const seconds = (performance.now() - began) / 1000;
  if (name !== 'bench') return;
  const perSecond = replicas / seconds;
  verdict(`${replicas} tasks on ${AGENTS} agents run after ${seconds.toFixed(1)} s: ${perSecond.toFixed(0)} a second`, {
    goal: `${PER_SECOND_MIN} or more`,
    missed: perSecond < PER_SECOND_MIN,
  });
}

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

function verdict(what: string, { goal, missed }: { readonly goal: string; readonly missed: boolean }): void {
  console.log(`${what} (goal: ${goal})${missed ? '  MISSED' : ''}`);
  if (missed) process.exitCode = 1;
}

/** In the order of creation, so that a third that is slower than the one before shows. */
function reportDelays(placements: readonly Placement[]): void {
  const order = placements.toSorted((a, b) => a.createdMs - b.createdMs);
  const third = Math.ceil(order.length / 3);
  for (const [place, name] of ['first', 'middle', 'last'].entries()) {
    const part = order.slice(place * third, (place + 1) * third);
    const decided = part.map(({ createdMs, assignedMs }) => assignedMs - createdMs);
    const arrived = part.map(({ createdMs, arrivedMs }) => arrivedMs - createdMs);
    const [p50, p99] = [percentile(decided, 0.5), percentile(decided, 0.99)];
    verdict(
      `${name} third: decided after p50 ${p50} p99 ${p99} ms; at the agent after p50 ${percentile(arrived, 0.5)} p99 ${percentile(arrived, 0.99)} ms`,
      { goal: `decided p50 ${P50_MS_MAX}, p99 ${P99_MS_MAX}`, missed: p50 > P50_MS_MAX || p99 > P99_MS_MAX },
    );
  }
}

async function heldBytes({ all }: Managers): Promise<readonly number[]> {
  const held: number[] = [];
  for (const manager of all) held.push((await manager.memory()).heldBytes);
  return held;
}

async function main(folder: string): Promise<void> {
  const managers = await startManagers(folder, AGENTS);
  const agents = new Agents();
  try {
    const { address, clusterId } = managers;
    await agents.start({ manager: address, clusterId, agents: managers.agents, tellsPlacements: true });
    console.log(`${AGENTS} agents have their sessions`);
    await create(managers, 'warm-up', WARM_UP_TASKS);
    await pause(REST_MS);
    agents.placements.length = 0;
    const before = await heldBytes(managers);
    const processor = managers.all.map((manager) => manager.processorMs());
    await create(managers, 'bench', TASKS);
    const used = managers.all.map((manager, place) => manager.processorMs() - (processor[place] ?? 0));
    await pause(REST_MS);
    reportDelays(agents.placements);
    const after = await heldBytes(managers);
    const perTask = after.map((bytes, place) => (bytes - (before[place] ?? 0)) / TASKS);
    const most = Math.max(...perTask);
    verdict(`memory per task: ${perTask.map((bytes) => `${(bytes / 1024).toFixed(2)} KB`).join(', ')}`, {
      goal: `${BYTES_PER_TASK_MAX / 1024} KB`,
      missed: most > BYTES_PER_TASK_MAX,
    });
    console.log(
      `processor per task: ${used.map((ms) => `${((ms * 1000) / TASKS).toFixed(0)} us`).join(', ')}; load ${loadavg()[0]?.toFixed(1)}`,
    );
    if (agents.lost !== undefined) throw new Error(`a session was lost: ${agents.lost}`);
  } finally {
    await agents.stop();
    for (const manager of managers.all) await manager.close();
  }
}

const folder = await mkdtemp(join(tmpdir(), 'spb-'));
try {
  await main(folder);
} finally {
  await rm(folder, { recursive: true, force: true });
}
