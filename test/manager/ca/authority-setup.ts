/** A certificate authority with a store in memory, and a clock that is moved by hand. */
import assert from 'node:assert/strict';
import { parseCertificates } from '#certs/certificate.ts';
import { createCertificateRequest } from '#certs/certificate-request.ts';
import { type CertifiedIdentity, certifiedIdentity } from '#certs/identity.ts';
import type { KeyPair } from '#certs/key.ts';
import { verifyChain } from '#certs/verify-chain.ts';
import { ManualClock } from '#common/clock.ts';
import { type LogFields, type Logger, silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { GetNodeCertificateStatusRequest, IssueNodeCertificateRequest } from '#gen/swarm/v1/ca.ts';
import { type Cluster, IssuanceState } from '#gen/swarm/v1/objects.ts';
import { NodeAvailability } from '#gen/swarm/v1/specs.ts';
import { bootstrapCluster, CA_CONFIG, type CaCaller, type CaConfig, CertificateAuthority } from '#manager/ca/index.ts';
import { MemoryStore } from './memory-store.ts';

const NOBODY: CaCaller = { identity: undefined, address: '192.0.2.1' };
export const DAY_MS = 24 * 60 * 60 * 1000;

export class Setup {
  readonly clock = new ManualClock(Date.UTC(2030, 0, 1));
  readonly store = new MemoryStore();
  /** Of the log. */
  readonly members = new Set<string>();
  readonly lines: { message: string; fields: LogFields | undefined }[] = [];
  readonly authority: CertificateAuthority;

  constructor(config: Partial<CaConfig> = {}) {
    const line = (message: string, fields?: LogFields): void => void this.lines.push({ message, fields });
    const logger: Logger = { ...silentLogger, info: line, warn: line };
    this.authority = new CertificateAuthority({
      store: this.store,
      clock: this.clock,
      logger,
      config: { ...CA_CONFIG, ...config },
      featureLevel: 1,
      managers: () => [{ nodeId: 'm'.repeat(25), address: '192.0.2.9:2377' }],
      isMember: (nodeId) => this.members.has(nodeId),
    });
  }

  async init(): Promise<this> {
    const { cluster, node } = bootstrapCluster({
      nowMs: this.clock.now(),
      random: new SeededRandom(7),
      hostname: 'first',
      availability: NodeAvailability.ACTIVE,
      featureLevel: 1,
    });
    await this.store.commit([
      { kind: 'create', table: 'cluster', object: cluster },
      { kind: 'create', table: 'node', object: node },
    ]);
    return this;
  }

  get cluster(): Cluster {
    const cluster = this.store.view().cluster();
    assert.ok(cluster);
    return cluster;
  }

  token(role: 'worker' | 'manager'): string {
    return this.cluster.rootCa?.joinTokens?.[role] ?? '';
  }

  async change(edit: (cluster: Cluster) => Cluster): Promise<void> {
    await this.store.commit([{ kind: 'update', table: 'cluster', object: edit(this.cluster) }]);
  }

  issue(
    request: Partial<IssueNodeCertificateRequest>,
    caller = NOBODY,
  ): ReturnType<CertificateAuthority['issueNodeCertificate']> {
    return this.authority.issueNodeCertificate(IssueNodeCertificateRequest.create(request), caller);
  }

  join(token: string, keys: KeyPair): ReturnType<CertificateAuthority['issueNodeCertificate']> {
    return this.issue({ token, csrPem: csrOf(keys), hostname: 'host' });
  }

  /** The identity in the node's certificate, which must be valid now. */
  async certified(nodeId: string): Promise<CertifiedIdentity> {
    const status = await this.authority.getNodeCertificateStatus(GetNodeCertificateStatusRequest.create({ nodeId }), 0);
    assert.equal(status.state, IssuanceState.ISSUED);
    const [certificate] = parseCertificates(status.certificatePem);
    assert.ok(certificate);
    const roots = parseCertificates(this.authority.getRootCertificate().certificatePem);
    assert.equal(verifyChain([certificate], roots, this.clock.now()), undefined);
    return certifiedIdentity(certificate);
  }
}

export function csrOf(keys: KeyPair, commonName?: string): Uint8Array {
  return Buffer.from(createCertificateRequest(keys, { commonName }));
}
