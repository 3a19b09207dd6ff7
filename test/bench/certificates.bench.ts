/**
 * A thousand nodes whose certificates are all renewed within a window: three managers as daemons of their own with their
 * logs on the disk, real signatures, requests and TLS; nodes with the real renewer, sessions and connections. Each renewal
 * is a handshake for the request, and another for the session, which moves to a connection of the new certificate.
 *
 * The window is ten minutes where it counts. By default it is one minute here, so ten times the load, and quicker to run;
 * BENCH_WINDOW_S=600 for the real one.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { NodeState } from '#gen/swarm/v1/objects.ts';
import { eventually } from '#test/support/eventually.ts';
import { Fleet } from './fleet/fleet.ts';
import { type ManagerProcess, type Managers, startManagers } from './placement/managers.ts';

const NODES = Number(process.env['BENCH_NODES'] ?? 1000);
const WINDOW_MS = Number(process.env['BENCH_WINDOW_S'] ?? 60) * 1000;
const HEARTBEAT_MS = 1000;
const TURN_MS_MAX = 100;
const PATIENCE_MS = 240_000;
/** The sessions of the last ones move within this. */
const MOVE_MS = 30_000;
const REST_MS = 5000;
const PROCESSES = 2;

function verdict(what: string, goal: string, met: boolean): void {
  console.log(`${what} (goal: ${goal}): ${met ? 'met' : 'MISSED'}`);
  if (!met) process.exitCode = 1;
}

async function longestTurn(managers: readonly ManagerProcess[]): Promise<{ busy: number; held: number }> {
  const turns = await Promise.all(managers.map((manager) => manager.longestTurn()));
  const busy = Math.max(...turns.map(({ processorMs }) => processorMs));
  return { busy, held: Math.max(...turns.map(({ wallMs }) => wallMs)) };
}

/** Workers that were not ready all the time, as the leader has seen them. */
async function missed({ leader }: Managers, sinceMs: number): Promise<number> {
  let count = 0;
  for await (const { nodes } of leader.client.control.listNodes({}))
    for (const { managerStatus, status } of nodes)
      if (managerStatus === undefined && (status?.state !== NodeState.READY || status.sinceMs >= sinceMs)) count++;
  return count;
}

async function main(folder: string): Promise<void> {
  const managers = await startManagers(folder, NODES, HEARTBEAT_MS);
  const { clusterId, addresses, agents } = managers;
  const fleet = new Fleet({ clusterId, managers: addresses, agents }, PROCESSES);
  try {
    await fleet.start(PATIENCE_MS);
    await pause(REST_MS);
    console.log(`${NODES} nodes have their sessions`);
    await longestTurn(managers.all);
    await fleet.state();
    const beganMs = Date.now();
    fleet.renew(WINDOW_MS);
    const allRenewed = async (): Promise<boolean> => (await fleet.state()).renewed === NODES;
    await eventually('another certificate for each node', allRenewed, {
      timeoutMs: WINDOW_MS + PATIENCE_MS,
      everyMs: 1000,
    });
    const tookMs = Date.now() - beganMs;
    await pause(MOVE_MS + REST_MS);
    const { busy, held } = await longestTurn(managers.all);
    const { renewalsFailed, sessions } = await fleet.state();
    verdict(
      `${NODES} certificates were renewed in ${(tookMs / 1000).toFixed(1)} s; load ${loadavg()[0]?.toFixed(1)}`,
      `a window of ${WINDOW_MS / 1000} s, and 5 s`,
      tookMs <= WINDOW_MS + REST_MS,
    );
    verdict(`attempts that failed: ${renewalsFailed}`, 'none', renewalsFailed === 0);
    const moved = sessions.filter(({ atMs }) => atMs >= beganMs).length;
    verdict(`sessions that moved to a new connection: ${moved}`, `${NODES}`, moved === NODES);
    const notReady = await missed(managers, beganMs);
    verdict(`nodes that were missed in between: ${notReady}`, 'none', notReady === 0);
    verdict(
      `the longest turn of a manager's loop took ${busy.toFixed(0)} ms of a processor, ${held.toFixed(0)} ms by the clock`,
      `${TURN_MS_MAX} ms of a processor`,
      busy <= TURN_MS_MAX,
    );
  } finally {
    await fleet.stop();
    for (const manager of managers.all) await manager.close();
  }
}

const folder = await mkdtemp(join(tmpdir(), 'sce-'));
try {
  await main(folder);
} finally {
  await rm(folder, { recursive: true, force: true });
}
