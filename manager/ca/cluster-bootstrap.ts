/** The first objects of a new cluster, and the identity of its first manager. */
import { randomBytes } from 'node:crypto';
import { type Authority, certificateDigest, createRootAuthority, issueNodeCertificate } from '#certs/authority.ts';
import { type Certificate, certificatesPem } from '#certs/certificate.ts';
import { createCertificateRequest } from '#certs/certificate-request.ts';
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
import { nodeIdOfKey } from './node-id.ts';
import type { NodeSigner, SigningOrder } from './node-signer.ts';
import { trustedRootsPem } from './trusted-roots.ts';

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
  /** The root that somebody brought along; a new one is made otherwise. */
  readonly root?: Authority | undefined;
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

/** A new cluster whose managers sign for themselves: with the root that is given, or a new one. */
export function bootstrapCluster(options: BootstrapOptions): ClusterBootstrap {
  const authority = options.root ?? createRootAuthority(options.nowMs);
  const founding = foundingOf(options);
  const keyPem = Buffer.from(privateKeyPem(authority.privateKey));
  const manager = newManager(founding.clusterId, options);
  const certificatePem = issueNodeCertificate(authority, orderOf(manager, founding.spec));
  return bootstrapped(options, founding, { certificate: authority.certificate, keyPem }, manager, certificatePem);
}

/** A new cluster whose root has its key outside of it: `sign` asks there for the first manager's certificate. */
export async function bootstrapWithExternal(
  options: BootstrapOptions,
  root: Certificate,
  sign: (order: SigningOrder) => Promise<string>,
): Promise<ClusterBootstrap> {
  const founding = foundingOf(options);
  const manager = newManager(founding.clusterId, options);
  const certificatePem = await sign(orderOf(manager, founding.spec));
  return bootstrapped(options, founding, { certificate: root, keyPem: new Uint8Array() }, manager, certificatePem);
}

interface Founding {
  readonly clusterId: string;
  readonly spec: ClusterSpec;
}

function foundingOf(options: BootstrapOptions): Founding {
  return { spec: completeSpec(options.spec ?? ClusterSpec.create()), clusterId: newId(options.random) };
}

function bootstrapped(
  options: BootstrapOptions,
  { clusterId, spec }: Founding,
  root: { readonly certificate: Certificate; readonly keyPem: Uint8Array },
  manager: NewManager,
  certificatePem: string,
): ClusterBootstrap {
  const digest = certificateDigest(root.certificate);
  const rootPem = certificatesPem([root.certificate]);
  const cluster = Cluster.create({
    id: clusterId,
    spec,
    rootCa: RootCa.create({
      certificatePem: Buffer.from(rootPem),
      keyPem: root.keyPem,
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
  return { cluster, ...firstManager(manager, certificatePem, rootPem) };
}

/**
 * A new manager for a cluster that is taken over from a saved snapshot: with a key and an id of its own, certified by
 * whoever signs there, which may be an authority outside of the swarm.
 */
export async function managerOfRestoredBy(
  signer: NodeSigner,
  cluster: Cluster,
  host: ManagerHost,
): Promise<FirstManager> {
  const { rootCa, spec } = cluster;
  if (rootCa === undefined)
    throw new SwarmError({
      code: 'data-loss',
      reason: 'corrupt-state',
      message: 'the cluster has no root certificate',
    });
  const manager = newManager(cluster.id, host);
  const certificatePem = await signer.sign(cluster, orderOf(manager, spec));
  return firstManager(manager, certificatePem, trustedRootsPem(rootCa));
}

type ManagerHost = Pick<BootstrapOptions, 'nowMs' | 'hostname' | 'availability'>;

interface NewManager {
  readonly host: ManagerHost;
  readonly keys: KeyPair;
  readonly publicKeyDer: Buffer;
  readonly identity: SigningOrder['identity'];
}

function newManager(clusterId: string, host: ManagerHost): NewManager {
  const keys = generateKeyPair();
  const keyDer = publicKeyDer(keys.publicKey);
  return { host, keys, publicKeyDer: keyDer, identity: { nodeId: nodeIdOfKey(keyDer), role: 'manager', clusterId } };
}

function orderOf({ host, identity, publicKeyDer: keyDer, keys }: NewManager, spec?: ClusterSpec): SigningOrder {
  const csrPem = Buffer.from(createCertificateRequest(keys));
  return { identity, publicKeyDer: keyDer, csrPem, nowMs: host.nowMs, lifetimeMs: nodeLifetimeMs(spec) };
}

function firstManager({ host, keys, identity }: NewManager, certificatePem: string, rootPem: string): FirstManager {
  const { nowMs, hostname, availability } = host;
  const node = newNode({
    id: identity.nodeId,
    role: NodeRole.MANAGER,
    availability,
    hostname,
    csrPem: new Uint8Array(),
    certificatePem,
    nowMs,
  });
  return { node, identity: { keys, certificatePem, rootPem } };
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
