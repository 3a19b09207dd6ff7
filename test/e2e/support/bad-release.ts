/** A release of the servers of `rolling-load.ts` that is no good, watched until it has been rolled back. */
import { TaskState, UpdateState, type UpdateStatus } from '#gen/swarm/v1/objects.ts';
import type { Cluster } from './cluster.ts';
import { SERVICE } from './rolling-load.ts';

/** Three deadlines of progress, on a busy machine. */
const LONGEST_MS = 180_000;
const RULES = [
  ...['--update-order', 'start-first', '--update-parallelism', '1', '--update-failure-action', 'rollback'],
  ...['--update-monitor', '4s', '--update-progress-deadline', '20s', '--rollback-monitor', '1s'],
];

export interface BadRelease {
  /** Tasks that were healthy at a time, at least. */
  readonly fewestHealthy: number;
  readonly status: UpdateStatus;
}

/** Updates the servers with the flags, and returns once the update is over. */
export async function releaseBadly(cluster: Cluster, flags: readonly string[]): Promise<BadRelease> {
  let fewestHealthy = Number.POSITIVE_INFINITY;
  await cluster.must(['service', 'update', '-d', ...RULES, ...flags, SERVICE]);
  const status = await cluster.until(
    async () => {
      fewestHealthy = Math.min(fewestHealthy, await countHealthy(cluster));
      const { service } = await cluster.client().control.getService({ reference: SERVICE });
      return service?.updateStatus;
    },
    (found) => found?.state === UpdateState.ROLLBACK_COMPLETED || found?.state === UpdateState.COMPLETED,
    'the update to end',
    LONGEST_MS,
  );
  if (status === undefined) throw new Error('there was no update');
  return { fewestHealthy, status };
}

/** Slots with a task that runs and is ready. */
async function countHealthy(cluster: Cluster): Promise<number> {
  const healthy = (await cluster.running(SERVICE)).filter(
    ({ status }) => status?.state === TaskState.RUNNING && status.health?.ready !== false,
  );
  return new Set(healthy.map(({ slot }) => slot)).size;
}
