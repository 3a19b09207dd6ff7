/** The first objects of a new cluster, and the identity of its first manager. */
import { randomBytes } from 'node:crypto';
import { type Authority, certificateDigest, createRootAuthority, issueNodeCertificate } from '#certs/authority.ts';
import { certificatesPem } from '#certs/certificate.ts';
import { CERTIFICATE_CONFIG } from '#certs/config.ts';
import { createJoinToken } from '#certs/join-token.ts';
import { generateKeyPair, type KeyPair, publicKeyDer } from '#certs/key.ts';
import { privateKeyPem } from '#certs/key-file.ts';
import { SwarmError } from '#common/errors.ts';
import { newId } from '#common/ids.ts';
import { LIMITS } from '#common/limits.ts';
import type { Random } from '#common/random.ts';
import {
  Cluster,
  IssuanceState,
  JoinTokens,
  Node,
  NodeCertificate,
  NodeDescription,
  NodeState,
  NodeStatus,
  RootCa,
} from '#gen/swarm/v1/objects.ts';
import {
  CaConfig,
  ClusterSpec,
  DispatcherConfig,
  LogConfig,
  NodeAvailability,
  NodeRole,
  NodeSpec,
  OrchestrationConfig,
} from '#gen/swarm/v1/specs.ts';
import { DATA_KEY_BYTES } from '#manager/log/index.ts';
import { ClusterAuthority } from './cluster-authority.ts';
import { nodeIdOfKey } from './node-id.ts';

export interface BootstrapOptions {
  readonly nowMs: number;
  readonly random: Random;
  readonly hostname: string;
  readonly availability: NodeAvailability;
  /** What every manager of this release understands. */
  readonly featureLevel: number;
  /** What is unset gets its default. */
  readonly spec?: ClusterSpec | undefined;
  /** CIDR blocks that networks take their subnets from; empty means the default. */
  readonly defaultAddressPools?: readonly string[] | undefined;
  /** Prefix length of one subnet; 0 means the default. */
  readonly subnetSize?: number | undefined;
  /** UDP port of the overlay networks; 0 means the default. */
  readonly dataPathPort?: number | undefined;
}

export interface ClusterBootstrap extends FirstManager {
  /** To be created in one transaction with the node, before anything else is. */
  readonly cluster: Cluster;
}

/** A manager that no other one has let in. */
export interface FirstManager {
  readonly node: Node;
  /** To be installed on this host once the node is in the log. */
  readonly identity: {
    readonly keys: KeyPair;
    readonly certificatePem: string;
    readonly rootPem: string;
  };
}

/** Swarm's, but for the heartbeat: 5 s there. */
export const CLUSTER_DEFAULTS = {
  name: 'default',
  taskHistoryLimit: 5,
  heartbeatPeriodMs: 1000,
  nodeCertExpiryMs: CERTIFICATE_CONFIG.nodeLifetimeMs,
  snapshotInterval: 10_000,
  defaultAddressPools: ['10.0.0.0/8'],
  subnetSize: 24,
  dataPathPort: 4789,
} as const;

export function bootstrapCluster(options: BootstrapOptions): ClusterBootstrap {
  const { nowMs } = options;
  const spec = completeSpec(options.spec ?? ClusterSpec.create());
  const clusterId = newId(options.random);
  const authority = createRootAuthority(nowMs);
  const manager = firstManager(authority, { ...options, clusterId, spec });
  const digest = certificateDigest(authority.certificate);
  const cluster = Cluster.create({
    id: clusterId,
    spec,
    rootCa: RootCa.create({
      certificatePem: Buffer.from(manager.identity.rootPem),
      keyPem: Buffer.from(privateKeyPem(authority.privateKey)),
      digest,
      joinTokens: JoinTokens.create({ worker: createJoinToken(digest), manager: createJoinToken(digest) }),
    }),
    featureLevel: options.featureLevel,
    defaultAddressPools: options.defaultAddressPools?.length
      ? options.defaultAddressPools
      : CLUSTER_DEFAULTS.defaultAddressPools,
    subnetSize: options.subnetSize || CLUSTER_DEFAULTS.subnetSize,
    dataPathPort: options.dataPathPort || CLUSTER_DEFAULTS.dataPathPort,
    snapshotKey: new Uint8Array(randomBytes(DATA_KEY_BYTES)),
  });
  return { cluster, ...manager };
}

/**
 * A new manager for a cluster that is taken over from a saved snapshot: with a key and an id of its own, certified by
 * the cluster's root.
 */
export function managerOfRestored(
  cluster: Cluster,
  options: Pick<BootstrapOptions, 'nowMs' | 'hostname' | 'availability'>,
): FirstManager {
  const authority = new ClusterAuthority().of(cluster);
  return firstManager(authority, { ...options, clusterId: cluster.id, spec: cluster.spec });
}

interface FirstManagerOptions extends Pick<BootstrapOptions, 'nowMs' | 'hostname' | 'availability'> {
  readonly clusterId: string;
  readonly spec: ClusterSpec | undefined;
}

function firstManager(authority: Authority, options: FirstManagerOptions): FirstManager {
  const { clusterId, spec, nowMs, hostname, availability } = options;
  const keys = generateKeyPair();
  const keyDer = publicKeyDer(keys.publicKey);
  const nodeId = nodeIdOfKey(keyDer);
  const certificatePem = issueNodeCertificate(authority, {
    identity: { nodeId, role: 'manager', clusterId },
    publicKeyDer: keyDer,
    nowMs,
    lifetimeMs: nodeLifetimeMs(spec),
  });
  const node = newNode({
    id: nodeId,
    role: NodeRole.MANAGER,
    availability,
    hostname,
    csrPem: new Uint8Array(),
    certificatePem,
    nowMs,
  });
  return { node, identity: { keys, certificatePem, rootPem: certificatesPem([authority.certificate]) } };
}

/** The spec with a value for everything that was left out. Throws `bad-field` for a value that breaks a rule. */
function completeSpec(spec: ClusterSpec): ClusterSpec {
  const complete = ClusterSpec.create({
    ...spec,
    name: spec.name || CLUSTER_DEFAULTS.name,
    orchestration: OrchestrationConfig.create({
      taskHistoryLimit: CLUSTER_DEFAULTS.taskHistoryLimit,
      ...defined(spec.orchestration),
    }),
    dispatcher: DispatcherConfig.create({
      heartbeatPeriodMs: CLUSTER_DEFAULTS.heartbeatPeriodMs,
      ...defined(spec.dispatcher),
    }),
    ca: CaConfig.create({ nodeCertExpiryMs: CLUSTER_DEFAULTS.nodeCertExpiryMs, ...defined(spec.ca) }),
    log: LogConfig.create({ snapshotInterval: CLUSTER_DEFAULTS.snapshotInterval, ...defined(spec.log) }),
  });
  if (nodeLifetimeMs(complete) < LIMITS.MIN_CERT_EXPIRY_MS)
    throw new SwarmError({
      code: 'invalid',
      reason: 'bad-field',
      field: '--cert-expiry',
      limit: 'MIN_CERT_EXPIRY_MS',
      message: '--cert-expiry: node certificates must hold for an hour or more',
      hint: 'give a longer time, such as --cert-expiry 2160h',
    });
  return complete;
}

/** Without the fields that are undefined, so that spreading it over defaults keeps those. */
function defined<T extends object>(value: T | undefined): Partial<T> {
  const entries = Object.entries(value ?? {}).filter(([, field]) => field !== undefined);
  return Object.fromEntries(entries) as Partial<T>;
}

/** How long certificates hold that are issued now. */
export function nodeLifetimeMs(spec: ClusterSpec | undefined): number {
  return spec?.ca?.nodeCertExpiryMs ?? CLUSTER_DEFAULTS.nodeCertExpiryMs;
}

export interface NewNode {
  readonly id: string;
  readonly role: NodeRole;
  readonly availability: NodeAvailability;
  readonly hostname: string;
  readonly csrPem: Uint8Array;
  readonly certificatePem: string;
  readonly nowMs: number;
}

/** A node that has its certificate and was not heard of yet. */
export function newNode(init: NewNode): Node {
  return Node.create({
    id: init.id,
    spec: NodeSpec.create({ desiredRole: init.role, availability: init.availability || NodeAvailability.ACTIVE }),
    role: init.role,
    status: NodeStatus.create({
      state: NodeState.UNKNOWN,
      message: 'has not connected yet',
      sinceMs: init.nowMs,
    }),
    description: NodeDescription.create({ hostname: init.hostname }),
    certificate: NodeCertificate.create({
      role: init.role,
      state: IssuanceState.ISSUED,
      csrPem: init.csrPem,
      certificatePem: Buffer.from(init.certificatePem),
    }),
  });
}
