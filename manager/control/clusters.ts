/** What may happen to the cluster object. */
import { formatDuration, NANOS_PER_MS } from '#common/duration.ts';
import { invalidField, SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import type { UpdateClusterRequest } from '#gen/swarm/v1/control.ts';
import type { Cluster } from '#gen/swarm/v1/objects.ts';
import type { ClusterSpec, LogConfig } from '#gen/swarm/v1/specs.ts';
import { settleExternalCas } from '#manager/ca/index.ts';
import type { StoreView } from '#manager/store/index.ts';
import { checkCertificateLifetime } from './certificate-lifetime.ts';
import { checkHeartbeatPeriod } from './disconnect-periods.ts';
import { checkClusterFeatures } from './feature-gates.ts';
import { validateLabels } from './validate-labels.ts';
import { validateNodeConfig } from './validate-nodes.ts';

/** Makes a join token with a new secret for the cluster's root. */
export type JoinTokenMaker = (rootDigest: string) => string;

export function updateClusterSpec(view: StoreView, request: UpdateClusterRequest, nowMs: number): Cluster {
  const current = view.cluster();
  if (current === undefined)
    throw new SwarmError({ code: 'not-found', reason: 'unknown-object', message: 'there is no cluster' });
  if (current.version !== request.version)
    throw new SwarmError({
      code: 'conflict',
      reason: 'out-of-sequence',
      message: `update out of sequence: the cluster is at version ${current.version}, the request was made from ${request.version}`,
      hint: 'read it again and repeat the change',
    });
  if (request.spec === undefined) return current;
  validateClusterSpec(request.spec);
  checkHeartbeatPeriod(view, request.spec.dispatcher?.heartbeatPeriodMs);
  checkClusterFeatures(current.featureLevel, request.spec);
  return { ...current, spec: settleExternalCas(current, request.spec, nowMs) };
}

/** @throws SwarmError for the first rule that the spec breaks. */
export function validateClusterSpec(spec: ClusterSpec): void {
  validateLabels('labels', spec.labels);
  checkCertificateLifetime('cert-expiry', spec.ca?.nodeCertExpiryMs);
  const heartbeatMs = spec.dispatcher?.heartbeatPeriodMs;
  if (heartbeatMs !== undefined && (heartbeatMs < 100 || heartbeatMs > 600_000))
    throw invalidField(
      'dispatcher-heartbeat',
      `dispatcher-heartbeat: ${inWords(heartbeatMs)} is out of range`,
      'use 100ms to 10m',
    );
  const replaceAfterMs = spec.dispatcher?.replaceAfterMs;
  if (replaceAfterMs !== undefined && (replaceAfterMs < 0 || replaceAfterMs > LIMITS.MAX_GRACE_MS))
    throw invalidField(
      'replace-after',
      `replace-after: ${inWords(replaceAfterMs)} is out of range`,
      `use up to ${LIMITS.MAX_GRACE_MS / 3_600_000}h, or 0s for as soon as a node is down`,
    );
  if (spec.log?.snapshotInterval === 0)
    throw invalidField('snapshot-interval', 'snapshot-interval: 0 would never end', 'use 1 or more');
  if (spec.log !== undefined) validateSaves(spec.log);
  if (spec.nodes !== undefined) validateNodeConfig(spec.nodes);
}

/** As the flags take it: 36h0m0s. */
function inWords(ms: number): string {
  return formatDuration(ms * NANOS_PER_MS);
}

function validateSaves({ snapshotsKept = 0, saveIntervalMs = 0, savesKept = 1 }: LogConfig): void {
  if (snapshotsKept > LIMITS.SNAPSHOTS_KEPT)
    throw invalidField(
      'max-snapshots',
      `max-snapshots: ${snapshotsKept} is above ${LIMITS.SNAPSHOTS_KEPT}`,
      'keep fewer',
    );
  if (saveIntervalMs !== 0 && saveIntervalMs < LIMITS.MIN_SAVE_INTERVAL_MS)
    throw invalidField(
      'snapshot-save-interval',
      `snapshot-save-interval: ${inWords(saveIntervalMs)} is too short`,
      `use ${LIMITS.MIN_SAVE_INTERVAL_MS / 1000}s or more, or 0s for never`,
    );
  if (savesKept < 1 || savesKept > LIMITS.SAVES_KEPT)
    throw invalidField(
      'snapshot-save-keep',
      `snapshot-save-keep: ${savesKept} is out of range`,
      `use 1 to ${LIMITS.SAVES_KEPT}; --snapshot-save-interval 0s ends the saving`,
    );
}

export function rotateTokens(cluster: Cluster, request: UpdateClusterRequest, makeToken: JoinTokenMaker): Cluster {
  const { rootCa } = cluster;
  if (rootCa === undefined || (!request.rotateWorkerToken && !request.rotateManagerToken)) return cluster;
  const joinTokens = {
    worker: request.rotateWorkerToken ? makeToken(rootCa.digest) : (rootCa.joinTokens?.worker ?? ''),
    manager: request.rotateManagerToken ? makeToken(rootCa.digest) : (rootCa.joinTokens?.manager ?? ''),
  };
  return { ...cluster, rootCa: { ...rootCa, joinTokens } };
}
