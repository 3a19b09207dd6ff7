/** Flags about the whole swarm, which `init` and `update` share. */
import { ClusterSpec, NetworkConfig } from '#gen/swarm/v1/specs.ts';
import { type AnyFlag, boolFlag, type FlagValues, valueFlag } from '../../flags.ts';
import { durationMs, integer, unsigned } from '../../values/scalars.ts';
import { PLACEMENT_STRATEGY } from '../service/service-flags.ts';
import { CLEANUP_FLAGS, nodeConfigOf } from './cleanup-flags.ts';
import { POLICY_FLAGS, policyOf } from './policy-flags.ts';
import { EXTERNAL_CA } from './root-flags.ts';

export const CERT_EXPIRY = valueFlag({
  name: 'cert-expiry',
  type: 'duration',
  usage: 'Validity period for node certificates (ns|us|ms|s|m|h)',
  shownDefault: '2160h0m0s',
  parse: durationMs,
});
const DISPATCHER_HEARTBEAT = valueFlag({
  name: 'dispatcher-heartbeat',
  type: 'duration',
  usage: 'Dispatcher heartbeat period (ns|us|ms|s|m|h)',
  shownDefault: '1s',
  parse: durationMs,
});
/** Not Docker's: it replaces the tasks of a node as soon as that is down. */
const REPLACE_AFTER = valueFlag({
  name: 'replace-after',
  type: 'duration',
  usage: 'How long a node that is down is waited for before its tasks are replaced (ns|us|ms|s|m|h)',
  shownDefault: '0s',
  parse: durationMs,
});
const SNAPSHOT_INTERVAL = valueFlag({
  name: 'snapshot-interval',
  type: 'uint',
  usage: 'Number of log entries between Raft snapshots',
  shownDefault: '10000',
  parse: unsigned,
});
const MAX_SNAPSHOTS = valueFlag({
  name: 'max-snapshots',
  type: 'uint',
  usage: 'Number of additional Raft snapshots to retain',
  parse: unsigned,
});
/** Not Docker's: it saves nothing by itself. */
const SNAPSHOT_SAVE_INTERVAL = valueFlag({
  name: 'snapshot-save-interval',
  type: 'duration',
  usage: 'Every manager saves a snapshot of the swarm this often, 0s for never (ns|us|ms|s|m|h)',
  parse: durationMs,
});
const SNAPSHOT_SAVE_KEEP = valueFlag({
  name: 'snapshot-save-keep',
  type: 'uint',
  usage: 'Number of saved snapshots that every manager keeps',
  shownDefault: '7',
  parse: unsigned,
});
const TASK_HISTORY_LIMIT = valueFlag({
  name: 'task-history-limit',
  type: 'int',
  usage: 'Task history retention limit',
  shownDefault: '5',
  parse: integer,
});
/** Not Docker's: it encrypts the networks that ask for it, one by one. */
const ENCRYPT_DATA_PATH = boolFlag({
  name: 'encrypt-data-path',
  usage: 'Encrypt every overlay network between nodes, whatever its own options say',
});
/** Not Docker's: it stops a task without knowing whether connections still come to it. */
const WITHDRAW_DEADLINE = valueFlag({
  name: 'withdraw-deadline',
  type: 'duration',
  usage:
    'How long a task that is to stop waits for nodes to confirm that no new connection reaches it (ns|us|ms|s|m|h)',
  shownDefault: '3s',
  parse: durationMs,
});
const STRATEGY = {
  ...PLACEMENT_STRATEGY,
  usage: 'Which of the fitting nodes to take for services that do not say ("spread", "binpack")',
  shownDefault: '"spread"',
};

export const AUTOLOCK = boolFlag({ name: 'autolock', usage: 'Change manager autolocking setting (true|false)' });

export const CLUSTER_FLAGS: readonly AnyFlag[] = [
  CERT_EXPIRY,
  DISPATCHER_HEARTBEAT,
  REPLACE_AFTER,
  MAX_SNAPSHOTS,
  SNAPSHOT_INTERVAL,
  SNAPSHOT_SAVE_INTERVAL,
  SNAPSHOT_SAVE_KEEP,
  TASK_HISTORY_LIMIT,
  ENCRYPT_DATA_PATH,
  WITHDRAW_DEADLINE,
  STRATEGY,
  ...CLEANUP_FLAGS,
  ...POLICY_FLAGS,
  AUTOLOCK,
  EXTERNAL_CA,
];

/** The spec with what the flags say. */
export function clusterSpecOf(flags: FlagValues, before: ClusterSpec | undefined): ClusterSpec {
  const spec = before ?? ClusterSpec.create({ name: 'default' });
  const strategy = flags.value(STRATEGY);
  return {
    ...spec,
    orchestration: {
      strategy: 0,
      ...spec.orchestration,
      ...(strategy === undefined ? {} : { strategy }),
      taskHistoryLimit: flags.value(TASK_HISTORY_LIMIT) ?? spec.orchestration?.taskHistoryLimit,
    },
    dispatcher: {
      ...spec.dispatcher,
      // 0 is what it is without.
      replaceAfterMs: (flags.value(REPLACE_AFTER) ?? spec.dispatcher?.replaceAfterMs) || undefined,
      heartbeatPeriodMs: flags.value(DISPATCHER_HEARTBEAT) ?? spec.dispatcher?.heartbeatPeriodMs,
    },
    ca: { externalCas: [], ...spec.ca, nodeCertExpiryMs: flags.value(CERT_EXPIRY) ?? spec.ca?.nodeCertExpiryMs },
    log: {
      ...spec.log,
      snapshotInterval: flags.value(SNAPSHOT_INTERVAL) ?? spec.log?.snapshotInterval,
      snapshotsKept: flags.value(MAX_SNAPSHOTS) ?? spec.log?.snapshotsKept,
      saveIntervalMs: flags.value(SNAPSHOT_SAVE_INTERVAL) ?? spec.log?.saveIntervalMs,
      savesKept: flags.value(SNAPSHOT_SAVE_KEEP) ?? spec.log?.savesKept,
    },
    ...encryptionOf(flags),
    ...networkConfigOf(flags, spec.network),
    ...nodeConfigOf(flags, spec.nodes),
    ...policyOf(flags, spec.policy),
  };
}

/** Nothing where it was not given: managers of older releases know no such setting. */
function encryptionOf(flags: FlagValues): Partial<Pick<ClusterSpec, 'encryption'>> {
  const autoLockManagers = flags.value(AUTOLOCK);
  return autoLockManagers === undefined ? {} : { encryption: { autoLockManagers } };
}

/** Nothing where nothing was ever asked for: managers of older releases know no such settings. */
function networkConfigOf(flags: FlagValues, before: NetworkConfig | undefined): Partial<Pick<ClusterSpec, 'network'>> {
  if (!flags.anyGiven(ENCRYPT_DATA_PATH, WITHDRAW_DEADLINE)) return {};
  const network = before ?? NetworkConfig.create();
  return {
    network: {
      encryptDataPath: flags.value(ENCRYPT_DATA_PATH) ?? network.encryptDataPath,
      withdrawDeadlineMs: flags.value(WITHDRAW_DEADLINE) ?? network.withdrawDeadlineMs,
    },
  };
}
