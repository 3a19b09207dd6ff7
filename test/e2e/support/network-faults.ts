/** What happens to daemons and hosts while the networks of the lab go on. */
import { NodeState } from '#gen/swarm/v1/objects.ts';
import { eventually } from '#test/support/eventually.ts';
import { type Cluster, SOON_MS } from './cluster.ts';
import type { Managers } from './managers.ts';
import { networkLabSettled } from './network-lab.ts';

/** After this, nobody has anything of a host that lost its power in a table any more. */
export const FORGOTTEN_MS = 6_000;

/**
 * A node counts as down after five periods without a sign of life, and connections to it are given up. A daemon that is
 * killed is back long before; on a machine that is busy with other tests it may take ten times as long.
 */
export async function patientWithNodes(cluster: Cluster): Promise<void> {
  await cluster.must(['update', '--dispatcher-heartbeat', '10s']);
}

/** `kill -9` of the daemon of a host, which is then started again. Returns when everybody is there and well. */
export async function killDaemon(managers: Managers, host: string): Promise<void> {
  const { lab } = managers.cluster;
  await lab.killDaemon(host);
  await lab.start(host);
  await everybodyThere(managers);
}

/** Stops all managers, does what shall be done meanwhile, and starts them again when they were away for so long. */
export async function withoutManagers(managers: Managers, awayMs: number, work: () => Promise<void>): Promise<void> {
  const { lab } = managers.cluster;
  for (const host of managers.names) await lab.stopDaemon(host);
  const untilMs = performance.now() + awayMs;
  await work();
  await eventually('the managers to have been away for long', () => performance.now() >= untilMs, {
    timeoutMs: 2 * awayMs,
  });
  for (const host of managers.names) await lab.start(host);
  await everybodyThere(managers);
}

async function everybodyThere(managers: Managers): Promise<void> {
  await managers.formed();
  for (const { name } of managers.cluster.lab.hosts) await managers.cluster.nodeState(name, NodeState.READY);
}

/** A host that had lost its power comes back, and the services of the lab are whole again. */
export async function returns(cluster: Cluster, host: string): Promise<void> {
  await cluster.lab.start(host);
  await cluster.nodeState(host, NodeState.READY);
  await networkLabSettled(cluster, 3 * SOON_MS);
}
