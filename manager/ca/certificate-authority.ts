/**
 * The CA service of a manager. A new node comes without a certificate and shows a join token; a member comes with its
 * certificate and gets another one. Everything in the issued certificate comes from the store: the request gives the
 * key and nothing else.
 */
import { parseCertificates } from '#certs/certificate.ts';
import { type CertificateRequest, parseCertificateRequest } from '#certs/certificate-request.ts';
import type { CertifiedIdentity } from '#certs/identity.ts';
import type { TlsIdentity } from '#certs/tls-client.ts';
import { readAuthor, writeAuthor } from '#common/author.ts';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { HOST_NAME_LENGTH_MAX, isHostName } from '#common/host-name.ts';
import { isId } from '#common/ids.ts';
import { LIMITS } from '#common/limits.ts';
import type { Logger } from '#common/log.ts';
import { TokenBucket, TokenBuckets } from '#common/token-bucket.ts';
import {
  type GetNodeCertificateStatusRequest,
  GetNodeCertificateStatusResponse,
  GetRootCertificateResponse,
  type IssueNodeCertificateRequest,
  IssueNodeCertificateResponse,
} from '#gen/swarm/v1/ca.ts';
import { type Cluster, IssuanceState, type ManagerPeer, type Node, NodeCertificate } from '#gen/swarm/v1/objects.ts';
import { removalChanges } from '#manager/membership/index.ts';
import type { Change } from '#manager/store/index.ts';
import type { CaStore } from './ca-store.ts';
import { newNode } from './cluster-bootstrap.ts';
import type { CaConfig } from './config.ts';
import { EXTERNAL_CONFIG } from './external/config.ts';
import { ExternalAuthority } from './external/external-authority.ts';
import { IssuanceWaiters } from './issuance-waiters.ts';
import { Issuing } from './issuing.ts';
import { roleOfToken } from './join-token-check.ts';
import { isCertified, isCurrent, withCertificateTimes } from './node-certificates.ts';
import { nodeIdOfKey } from './node-id.ts';
import { type Former, formerRefusal, namesakeWarnings, provenFormer, readmissionChanges } from './readmission.ts';
import { NODE_ROLES, roleName } from './roles.ts';
import { ClusterSigner } from './signer.ts';
import { trustedRootsPem } from './trusted-roots.ts';

export interface CertificateAuthorityOptions {
  readonly store: CaStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly config: CaConfig;
  readonly featureLevel: number;
  /** Managers that a new node may turn to. */
  readonly managers: () => readonly ManagerPeer[];
  /** What this manager shows to authorities outside of the swarm; without it, it shows nothing. */
  readonly identity?: (() => TlsIdentity) | undefined;
  /** Whether the log has a member of the node. */
  readonly isMember: (nodeId: string) => boolean;
}

/** Who calls. */
export interface CaCaller {
  /** From the caller's certificate, which TLS has verified; undefined for one without. */
  readonly identity: CertifiedIdentity | undefined;
  /** Address that the caller connects from, without its port. */
  readonly address: string;
  /** Who that is, for the record (`common/author.ts`); by default the swarm itself. */
  readonly author?: string;
}

export class CertificateAuthority {
  readonly #options: CertificateAuthorityOptions;
  /** Asks authorities outside of the swarm, for everything that needs one. */
  readonly external: ExternalAuthority;
  readonly #issuing: Issuing;
  readonly #issues: TokenBucket;
  readonly #refusals: TokenBuckets;
  readonly #waiters: IssuanceWaiters;
  #inFlight = 0;

  constructor(options: CertificateAuthorityOptions) {
    const { config, clock, store } = options;
    this.#options = options;
    this.external = new ExternalAuthority({
      identity: () => options.identity?.(),
      clock,
      logger: options.logger,
      config: EXTERNAL_CONFIG,
    });
    this.#issuing = new Issuing({
      store,
      cluster: () => this.#cluster(),
      signer: new ClusterSigner(this.external),
      clock,
      logger: options.logger,
      retries: config.conflictRetries,
    });
    this.#issues = new TokenBucket(config.issuesPerSecond, config.issuesBurst, clock.monotonic());
    this.#refusals = new TokenBuckets(
      config.refusalsLoggedPerSecond,
      config.refusalsLoggedBurst,
      config.addressesTracked,
    );
    this.#waiters = new IssuanceWaiters(store, clock, config.statusWaiters);
  }

  getRootCertificate(): GetRootCertificateResponse {
    const { rootCa } = this.#cluster();
    return GetRootCertificateResponse.create({
      certificatePem: rootCa?.certificatePem ?? new Uint8Array(),
      timeMs: this.#options.clock.now(),
      featureLevel: this.#options.featureLevel,
    });
  }

  async issueNodeCertificate(
    request: IssueNodeCertificateRequest,
    caller: CaCaller,
  ): Promise<IssueNodeCertificateResponse> {
    const { config } = this.#options;
    if (this.#inFlight >= config.issuesInFlight) throw tooBusy('too many nodes are being admitted at once');
    this.#inFlight += 1;
    try {
      const { identity } = caller;
      if (identity === undefined) return await this.#admit(request, caller);
      if (request.token !== '')
        throw new SwarmError({
          code: 'invalid',
          reason: 'bad-field',
          field: 'token',
          message: `node ${identity.nodeId} is a member already and cannot use a join token`,
          hint: 'let the node leave first: `swarm leave`',
        });
      return await this.#renew(request, identity, caller.author);
    } finally {
      this.#inFlight -= 1;
    }
  }

  /** Waits for the outcome, at most until `timeoutMs` have passed; PENDING then, and the caller asks again. */
  async getNodeCertificateStatus(
    request: GetNodeCertificateStatusRequest,
    timeoutMs: number,
  ): Promise<GetNodeCertificateStatusResponse> {
    const waitMs = Math.min(timeoutMs, this.#options.config.statusWaitMs);
    const certificate = await this.#waiters.outcome(request.nodeId, waitMs);
    return GetNodeCertificateStatusResponse.create({
      state: certificate.state,
      certificatePem: certificate.certificatePem,
      error: certificate.error,
      managerAddresses: this.#options.managers().map((manager) => manager.address),
      trustedRootsPem: Buffer.from(trustedRootsPem(rootOf(this.#cluster()))),
    });
  }

  async #admit(
    request: IssueNodeCertificateRequest,
    { address, author }: CaCaller,
  ): Promise<IssueNodeCertificateResponse> {
    const { clock, logger } = this.#options;
    try {
      const role = NODE_ROLES[roleOfToken(rootOf(this.#cluster()), request.token)];
      if (!this.#issues.take(clock.monotonic())) throw tooBusy('too many nodes are joining at once');
      checkHostname(request.hostname);
      const csr = parseCertificateRequest(request.csrPem);
      let nodeId = nodeIdOfKey(csr.publicKeyDer);
      checkName(csr, nodeId, 'a joining node');
      await this.#committing(
        async () => {
          const admission = await this.#admission(request, csr, role);
          nodeId = admission.nodeId;
          return admission.changes;
        },
        tokenAuthor(author, role),
      );
      logger.info('admitted a node', { nodeId, role: roleName(role), hostname: request.hostname, address });
      const warnings = namesakeWarnings(this.#options.store.view(), nodeId, request.hostname);
      return IssueNodeCertificateResponse.create({ nodeId, role, warnings });
    } catch (error) {
      const refused = SwarmError.from(error);
      if (this.#refusals.take(address, clock.monotonic()))
        logger.warn('refused a node that wanted to join', { address, reason: refused.reason, error: refused.message });
      throw refused;
    }
  }

  /** The write that makes the node a member; empty when it is one already and has a certificate that it can use. */
  async #admission(
    request: IssueNodeCertificateRequest,
    csr: CertificateRequest,
    role: Node['role'],
  ): Promise<Admission> {
    const { store, clock } = this.#options;
    const cluster = this.#cluster();
    const former = provenFormer(request, cluster, store.view());
    if (former?.replace === false) return this.#readmission(request, csr, role, former);
    const nodeId = nodeIdOfKey(csr.publicKeyDer);
    checkNotRemoved(cluster, nodeId);
    const existing = store.view().get('node', nodeId);
    if (existing !== undefined) {
      if (existing.role === role) return { nodeId, changes: await this.#repeated(request, csr, existing) };
      throw new SwarmError({
        code: 'denied',
        reason: 'wrong-role',
        message: `node ${nodeId} is a ${roleName(existing.role)} already`,
        hint: `use a ${roleName(existing.role)} token, or change the role with \`swarm node promote\` or \`demote\``,
      });
    }
    this.#checkRoom();
    const node = await this.#certifiedNode(request, csr, nodeId, role);
    const changes: Change[] = [{ kind: 'create', table: 'node', object: node }];
    const entry = former === undefined ? undefined : this.#formerEntry(former);
    if (entry !== undefined) changes.push(...removalChanges(store.view(), entry, clock.now()));
    return { nodeId, changes };
  }

  /**
   * A host asks again, its last answer having been lost. The certificate that was meant for it may be of no use by now: it
   * has run out, or the root was replaced. What is for another key than the one of the request stays as it is.
   */
  async #repeated(
    request: IssueNodeCertificateRequest,
    csr: CertificateRequest,
    node: Node,
  ): Promise<readonly Change[]> {
    const cluster = this.#cluster();
    if (!isCertified(node, csr) || isCurrent(node, cluster, this.#options.clock.now())) return [];
    return [await this.#renewal(request, csr, node, cluster)];
  }

  /** The host is again the node that it was. */
  async #readmission(
    request: IssueNodeCertificateRequest,
    csr: CertificateRequest,
    role: Node['role'],
    former: Former,
  ): Promise<Admission> {
    const { store, clock } = this.#options;
    const { nodeId } = former;
    const present = store.view().get('node', nodeId);
    const isDone = present?.role === role && isCertified(present, csr);
    if (isDone && isCurrent(present, this.#cluster(), clock.now())) return { nodeId, changes: [] };
    const entry = this.#formerEntry(former);
    if (entry === undefined) this.#checkRoom();
    const fresh = await this.#certifiedNode(request, csr, nodeId, role, former);
    const changes = readmissionChanges(store.view(), this.#cluster(), entry, fresh, request, clock.now());
    return { nodeId, changes };
  }

  /** @throws SwarmError `in-use` where the former node is there, or a member of the log */
  #formerEntry(former: Former): Node | undefined {
    const entry = this.#options.store.view().get('node', former.nodeId);
    const refusal = formerRefusal(former, entry, this.#options.isMember);
    if (refusal !== undefined) throw refusal;
    return entry;
  }

  #checkRoom(): void {
    if (this.#options.store.view().count('node') < LIMITS.NODES_PER_CLUSTER) return;
    throw new SwarmError({
      code: 'exhausted',
      reason: 'too-many',
      limit: 'NODES_PER_CLUSTER',
      message: `the cluster has ${LIMITS.NODES_PER_CLUSTER} nodes, as many as it may have`,
      hint: 'remove nodes that are gone: `swarm node rm`',
    });
  }

  async #certifiedNode(
    request: IssueNodeCertificateRequest,
    csr: CertificateRequest,
    id: string,
    role: Node['role'],
    former?: Former,
  ): Promise<Node> {
    const cluster = this.#cluster();
    const { availability, hostname, csrPem } = request;
    const certificatePem = await this.#issuing.sign({
      nodeId: id,
      role,
      csrPem,
      publicKeyDer: csr.publicKeyDer,
      replacesNotBeforeMs: former?.notBeforeMs,
    });
    const nowMs = this.#options.clock.now();
    const node = newNode({ id, role, availability, hostname, csrPem, certificatePem, nowMs });
    return withCertificateTimes(node, undefined, cluster, former !== undefined);
  }

  async #renew(
    request: IssueNodeCertificateRequest,
    identity: CertifiedIdentity,
    author: string | undefined,
  ): Promise<IssueNodeCertificateResponse> {
    const { clock, logger, store } = this.#options;
    const { nodeId } = identity;
    if (!this.#issues.take(clock.monotonic())) throw tooBusy('too many nodes ask for certificates at once');
    const csr = parseCertificateRequest(request.csrPem);
    checkName(csr, nodeId, `node ${nodeId}`);
    let role = NODE_ROLES[identity.role];
    await this.#committing(async () => {
      const cluster = this.#cluster();
      checkNotRemoved(cluster, nodeId);
      const node = store.view().get('node', nodeId);
      if (node === undefined || cluster.id !== identity.clusterId) throw removed(nodeId);
      if (identity.notBeforeMs < node.certificatesFromMs) throw removed(nodeId);
      role = node.role;
      return [await this.#renewal(request, csr, node, cluster)];
    }, author);
    logger.info('renewed the certificate of a node', { nodeId, role: roleName(role) });
    return IssueNodeCertificateResponse.create({ nodeId, role });
  }

  /** Another certificate for a node that is there. */
  async #renewal(
    { csrPem }: IssueNodeCertificateRequest,
    { publicKeyDer }: CertificateRequest,
    node: Node,
    cluster: Cluster,
  ): Promise<Change> {
    const order = { csrPem, publicKeyDer, replacesNotBeforeMs: startOf(node.certificate) };
    const certificatePem = Buffer.from(await this.#issuing.signAgain(node, order));
    const state = IssuanceState.ISSUED;
    const certificate = NodeCertificate.create({ role: node.role, state, csrPem, certificatePem });
    const object = withCertificateTimes({ ...node, certificate }, node, cluster, false);
    return { kind: 'update', table: 'node', object };
  }

  /** Decides on the newest view and commits, again after another write was faster. */
  async #committing(decide: () => Promise<readonly Change[]>, author = ''): Promise<void> {
    const { config, store } = this.#options;
    for (let attempt = 0; ; attempt++) {
      const changes = await decide();
      if (changes.length === 0) return;
      try {
        await store.commit(changes, { author });
        return;
      } catch (error) {
        const conflict = error instanceof SwarmError && (error.code === 'conflict' || error.code === 'exists');
        if (!conflict || attempt >= config.conflictRetries) throw error;
      }
    }
  }

  #cluster(): Cluster {
    const cluster = this.#options.store.view().cluster();
    if (cluster === undefined)
      throw new SwarmError({
        code: 'unavailable',
        reason: 'not-in-swarm',
        message: 'this manager is still starting',
        hint: 'try again in a moment',
      });
    return cluster;
  }
}

/** Who the joining host is, and the write that makes it so. */
interface Admission {
  readonly nodeId: string;
  readonly changes: readonly Change[];
}

/** Whoever had the token of that role. */
function tokenAuthor(author: string | undefined, role: Node['role']): string | undefined {
  const who = readAuthor(author ?? '');
  return who?.kind === 'token' ? writeAuthor({ ...who, name: roleName(role) }) : author;
}

function rootOf(cluster: Cluster): NonNullable<Cluster['rootCa']> {
  if (cluster.rootCa !== undefined) return cluster.rootCa;
  throw new SwarmError({ code: 'data-loss', reason: 'corrupt-state', message: 'the cluster has no root certificate' });
}

/** When the certificate begins; undefined where there is none, or none that can be read: it must not stop a renewal. */
function startOf(certificate: NodeCertificate | undefined): number | undefined {
  try {
    return parseCertificates(certificate?.certificatePem ?? '')[0]?.notBeforeMs;
  } catch {
    return undefined;
  }
}

/** A request may name its node, and then it must be the right one. */
function checkName(csr: CertificateRequest, nodeId: string, who: string): void {
  const { commonName } = csr.subject;
  if (commonName === undefined || commonName === nodeId) return;
  throw new SwarmError({
    code: 'denied',
    reason: 'bad-certificate',
    message: `${who} cannot have a certificate for ${isId(commonName) ? `node ${commonName}` : 'another name'}`,
    hint: 'leave the name of the certificate request empty: the cluster chooses it',
  });
}

function checkNotRemoved(cluster: Cluster, nodeId: string): void {
  if (cluster.removedNodes.some((entry) => entry.nodeId === nodeId)) throw removed(nodeId);
}

function removed(nodeId: string): SwarmError {
  return new SwarmError({
    code: 'denied',
    reason: 'node-removed',
    message: `node ${nodeId} was removed from the cluster`,
    hint: 'run `swarm leave --force` on it, then join again with a token',
  });
}

function checkHostname(hostname: string): void {
  if (isHostName(hostname)) return;
  throw new SwarmError({
    code: 'invalid',
    reason: 'bad-field',
    field: 'hostname',
    message: `hostname: must be at most ${HOST_NAME_LENGTH_MAX} printable ASCII characters without blanks`,
    hint: 'set the host name of the joining machine: `hostnamectl set-hostname`',
  });
}

function tooBusy(message: string): SwarmError {
  return new SwarmError({ code: 'exhausted', reason: 'too-many', message, hint: 'try again in a few seconds' });
}
