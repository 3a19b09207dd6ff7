/**
 * A thousand nodes whose leader is killed: three managers as daemons of their own with their logs on the disk, and nodes
 * with the real sessions of agents, each with a task. How long until the last of them has a session with the next leader,
 * how long the managers' loops are held up meanwhile, how many heartbeats they see; and whether any task was replaced.
 *
 * Managers and nodes share this machine: a thousand handshakes are made at both ends.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { ContainerSpec, ServiceSpec, TaskSpec } from '#gen/swarm/v1/specs.ts';
import { eventually } from '#test/support/eventually.ts';
import { Fleet } from './fleet/fleet.ts';
import { type ManagerProcess, type Managers, startManagers } from './placement/managers.ts';

const NODES = Number(process.env['BENCH_NODES'] ?? 1000);
const HEARTBEAT_MS = 1000;
const SETTLED_MS_MAX = 10_000;
const TURN_MS_MAX = 100;
const HEARTBEATS_MAX = 2000;
const PATIENCE_MS = 240_000;
const REST_MS = 5000;
const PROCESSES = 2;

function verdict(what: string, goal: string, met: boolean): void {
  console.log(`${what} (goal: ${goal}): ${met ? 'met' : 'MISSED'}`);
  if (!met) process.exitCode = 1;
}

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

async function declare({ client }: ManagerProcess): Promise<void> {
  const task = TaskSpec.create({ container: ContainerSpec.create({ image: 'bench' }) });
  const spec = ServiceSpec.create({ name: 'bench', mode: { kind: 'global', value: {} }, task });
  await client.control.createService({ spec, queryRegistry: false });
}

async function reportTurns(what: string, managers: readonly ManagerProcess[]): Promise<void> {
  const turns = await Promise.all(managers.map((manager) => manager.longestTurn()));
  const [busy, held] = [
    Math.max(...turns.map((turn) => turn.processorMs)),
    Math.max(...turns.map((turn) => turn.wallMs)),
  ];
  verdict(
    `${what}: the longest turn of a manager's loop took ${busy.toFixed(0)} ms of a processor, ${held.toFixed(0)} ms by the clock`,
    `${TURN_MS_MAX} ms of a processor`,
    busy <= TURN_MS_MAX,
  );
}

/** Kills the leader, and looks at what becomes of the nodes. */
async function failOver(managers: Managers, fleet: Fleet): Promise<void> {
  const others = managers.all.filter((manager) => manager !== managers.leader);
  const before = await fleet.state();
  await Promise.all(others.map((manager) => manager.longestTurn()));
  const killedMs = Date.now();
  await managers.leader.kill();
  const { sessions } = await fleet.settled(PATIENCE_MS, [managers.address]);
  const delays = sessions.map(({ atMs }) => atMs - killedMs);
  const [half, most, last] = [0.5, 0.99, 1].map((share) => percentile(delays, share));
  verdict(
    `${NODES} nodes have sessions with the next leader after p50 ${half} p99 ${most} longest ${last} ms; load ${loadavg()[0]?.toFixed(1)}`,
    `${SETTLED_MS_MAX} ms`,
    (last ?? Infinity) <= SETTLED_MS_MAX,
  );
  await pause(REST_MS);
  await reportTurns('reconnecting', others);
  const after = await fleet.state();
  const known = new Set(before.tasks);
  const replaced = after.tasks.filter((id) => !known.has(id)).length + (before.tasks.length - after.tasks.length);
  verdict(`tasks replaced: ${replaced} of ${before.tasks.length}`, 'none', replaced === 0);
}

async function countHeartbeats(fleet: Fleet): Promise<void> {
  await fleet.state();
  const beganMs = Date.now();
  await pause(REST_MS);
  const { heartbeats } = await fleet.state();
  const perSecond = (heartbeats * 1000) / (Date.now() - beganMs);
  verdict(`heartbeats: ${perSecond.toFixed(0)} a second`, `${HEARTBEATS_MAX} at most`, perSecond <= HEARTBEATS_MAX);
}

async function main(folder: string): Promise<void> {
  const managers = await startManagers(folder, NODES, HEARTBEAT_MS);
  const { clusterId, addresses, agents } = managers;
  const fleet = new Fleet({ clusterId, managers: addresses, agents }, PROCESSES);
  try {
    await fleet.start(PATIENCE_MS);
    console.log(`${NODES} nodes have their sessions`);
    await declare(managers.leader);
    const allRun = async (): Promise<boolean> => (await fleet.state()).tasks.length === NODES;
    await eventually('a task on each node', allRun, { timeoutMs: PATIENCE_MS, everyMs: 500 });
    await pause(REST_MS);
    await Promise.all(managers.all.map((manager) => manager.longestTurn()));
    await countHeartbeats(fleet);
    await reportTurns('at rest', managers.all);
    await failOver(managers, fleet);
  } finally {
    await fleet.stop();
    for (const manager of managers.all) await manager.close();
  }
}

const folder = await mkdtemp(join(tmpdir(), 'sfo-'));
try {
  await main(folder);
} finally {
  await rm(folder, { recursive: true, force: true });
}
