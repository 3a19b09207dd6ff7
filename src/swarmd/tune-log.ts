import type { Cluster } from '#gen/swarm/v1/objects.ts';
import { CLEANUP_CONFIG, voterStableMs } from '#manager/membership/index.ts';
import type { RaftLog } from '#manager/raft/index.ts';

/** Has the log follow what the cluster's spec says about it. */
export function tuneLog(log: Pick<RaftLog, 'tuneSnapshots' | 'tuneMembers'>, cluster: Cluster | undefined): void {
  if (cluster === undefined) return;
  log.tuneMembers({ learnerStableMs: voterStableMs(cluster, CLEANUP_CONFIG) });
  const spec = cluster.spec?.log;
  if (spec === undefined) return;
  const { snapshotInterval = 0, snapshotsKept = 0 } = spec;
  log.tuneSnapshots({ snapshotsKept, ...(snapshotInterval > 0 ? { snapshotEntries: snapshotInterval } : {}) });
}
