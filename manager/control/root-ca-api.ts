/** The root of the cluster, and its replacement, in the declarative API. */
import { invalidField, SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import type { Cluster, RootCa } from '#gen/swarm/v1/objects.ts';
import type * as api from '#gen/swarm/v1/rootca.ts';
import {
  externalsOfRotation,
  isManager,
  type PreparedRoot,
  rotationProgress,
  supersededBy,
  type WantedRoot,
  withRotation,
} from '#manager/ca/index.ts';
import type { StoreView } from '#manager/store/index.ts';
import { checkCertificateLifetime } from './certificate-lifetime.ts';
import { requireIdentity } from './feature-gates.ts';
import { redactCluster } from './redact.ts';
import { findNode } from './references.ts';
import type { ControlCaller, WriteQueue } from './write-queue.ts';

/** Makes or checks a new root, and has the present one sign it: see `prepareRoot`. */
export type RootPreparer = (wanted: WantedRoot, cluster: Cluster) => Promise<PreparedRoot>;

export interface RootCaApiOptions {
  readonly writes: WriteQueue;
  readonly view: () => StoreView;
  readonly now: () => number;
  readonly selfNodeId: () => string;
  /** Absent where there is no certificate authority. */
  readonly prepare: RootPreparer | undefined;
}

/** Rotations that replace each other before one of them is done. */
const SUPERSEDED_MAX = 16;

export class RootCaApi {
  readonly #options: RootCaApiOptions;

  constructor(options: RootCaApiOptions) {
    this.#options = options;
  }

  async get(_caller: ControlCaller): Promise<api.GetRootCaResponse> {
    const view = this.#options.view();
    return Promise.resolve({ rootCa: shownRoot(view), progress: rotationProgress(view) });
  }

  /** @throws SwarmError that names the flag and the rule; nothing has changed then */
  async rotate(caller: ControlCaller, request: api.RotateRootCaRequest): Promise<api.RotateRootCaResponse> {
    const { prepare, view, writes, now } = this.#options;
    const cluster = clusterOf(view());
    requireIdentity(view(), 'rotate');
    checkCertificateLifetime('cert-expiry', request.nodeCertExpiryMs);
    this.#leftBehind(view(), request.leaveBehind);
    if (prepare === undefined)
      throw new SwarmError({
        code: 'unavailable',
        reason: 'no-certificate',
        message: 'this manager has no certificate authority',
      });
    const prepared = await prepare(request, cluster);
    await writes.write(caller, (newest) => {
      const present = clusterOf(newest);
      const begun = withRotation(present, checkedRoot(present, prepared), prepared, {
        nowMs: now(),
        leftBehind: this.#leftBehind(newest, request.leaveBehind),
      });
      const object = withCaSpec(begun, prepared, request.nodeCertExpiryMs);
      return { result: undefined, changes: [{ kind: 'update', table: 'cluster', object }] };
    });
    return { rootCa: shownRoot(view()) };
  }

  async leaveBehind(
    caller: ControlCaller,
    request: api.LeaveNodesBehindRequest,
  ): Promise<api.LeaveNodesBehindResponse> {
    const { writes, view } = this.#options;
    await writes.write(caller, (newest) => {
      const cluster = clusterOf(newest);
      const { rootCa } = cluster;
      const rotation = rootCa?.rotation;
      if (rootCa === undefined || rotation === undefined)
        throw new SwarmError({
          code: 'precondition',
          reason: 'no-update',
          field: 'leave-behind',
          message: 'no rotation of the root is under way, so nobody can be left behind',
          hint: 'begin one: `swarm ca --rotate`; a node that is gone is removed with `swarm node rm`',
        });
      const ids = this.#leftBehind(newest, request.references);
      const leftBehind = [...new Set([...rotation.leftBehind, ...ids])];
      const object = { ...cluster, rootCa: { ...rootCa, rotation: { ...rotation, leftBehind } } };
      return { result: undefined, changes: [{ kind: 'update', table: 'cluster', object }] };
    });
    return { progress: rotationProgress(view()) };
  }

  /** Ids of the nodes. @throws SwarmError for one that is not there, and for a manager */
  #leftBehind(view: StoreView, references: readonly string[]): readonly string[] {
    if (references.length > LIMITS.NODES_PER_CLUSTER)
      throw invalidField('leave-behind', 'leave-behind: names more nodes than a swarm can have', 'name fewer');
    const ids = references.map((reference) => {
      const node = findNode(view, reference, this.#options.selfNodeId());
      if (!isManager(node)) return node.id;
      throw new SwarmError({
        code: 'precondition',
        reason: 'wrong-role',
        field: 'leave-behind',
        message: `node ${reference} is a manager, and the others could not reach it any more: it counts for the quorum`,
        hint: `demote it first: \`swarm node demote ${reference}\`, or remove it`,
      });
    });
    return [...new Set(ids)];
  }
}

function clusterOf(view: StoreView): Cluster {
  const cluster = view.cluster();
  if (cluster !== undefined) return cluster;
  throw new SwarmError({ code: 'not-found', reason: 'unknown-object', message: 'there is no cluster' });
}

/** Without keys and tokens. */
function shownRoot(view: StoreView): RootCa | undefined {
  const cluster = view.cluster();
  return cluster === undefined ? undefined : redactCluster(cluster, false).rootCa;
}

/** The root that the rotation begins with. @throws SwarmError when the new root is of no use to it */
function checkedRoot({ rootCa }: Cluster, prepared: PreparedRoot): RootCa {
  if (rootCa === undefined || rootCa.digest !== prepared.presentDigest)
    throw new SwarmError({
      code: 'conflict',
      reason: 'out-of-sequence',
      message: 'the root of the swarm was replaced in the meantime',
      hint: 'look at it (`swarm ca`), then repeat the command',
    });
  if (rootCa.rotation === undefined && prepared.digest === rootCa.digest)
    throw invalidField(
      'ca-cert',
      'ca-cert: is the root that the swarm has already',
      'give another one, or none for a new one; `swarm update --external-ca` changes who signs for it',
    );
  if (supersededBy(rootCa, prepared).length > SUPERSEDED_MAX)
    throw new SwarmError({
      code: 'precondition',
      reason: 'too-many',
      message: `${SUPERSEDED_MAX} rotations were replaced by others before one was done`,
      hint: 'let the one that is under way come to its end: `swarm ca` says what it waits for',
    });
  return rootCa;
}

function withCaSpec(cluster: Cluster, prepared: PreparedRoot, expiryMs: number | undefined): Cluster {
  const { spec } = cluster;
  if (spec === undefined) return cluster;
  const externalCas = externalsOfRotation(cluster, prepared);
  const nodeCertExpiryMs = expiryMs ?? spec.ca?.nodeCertExpiryMs;
  return { ...cluster, spec: { ...spec, ca: { ...spec.ca, nodeCertExpiryMs, externalCas: [...externalCas] } } };
}
