/**
 * Which certificate of a node is the newer one is decided by their starts, so these always advance. Method: the first
 * manager of a real cluster renews at times that are set by hand.
 */
import assert from 'node:assert/strict';
import { parseCertificates } from '#certs/certificate.ts';
import { createCertificateRequest } from '#certs/certificate-request.ts';
import { CERTIFICATE_CONFIG } from '#certs/config.ts';
import { type CertifiedIdentity, certifiedIdentity } from '#certs/identity.ts';
import { generateKeyPair } from '#certs/key.ts';
import type { Clock } from '#common/clock.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { IssueNodeCertificateRequest } from '#gen/swarm/v1/ca.ts';
import { type Node, NodeCertificate } from '#gen/swarm/v1/objects.ts';
import { NodeAvailability } from '#gen/swarm/v1/specs.ts';
import { bootstrapCluster, CA_CONFIG, CertificateAuthority } from '#manager/ca/index.ts';
import { MemoryStore } from './memory-store.ts';

/** In the middle of a second: certificates count in whole ones. */
const START_MS = Date.UTC(2030, 0, 1) + 700;
/** When the renewals are: so much later than the root that its own start bounds nothing. */
const DAY_MS = 24 * 60 * 60 * 1000;

describe('certificates of one node', () => {
  let nowMs: number;
  let store: MemoryStore;
  let authority: CertificateAuthority;

  beforeEach(async () => {
    nowMs = START_MS;
    store = new MemoryStore();
    const { cluster, node } = bootstrapCluster({
      nowMs,
      random: new SeededRandom(7),
      hostname: 'first',
      availability: NodeAvailability.ACTIVE,
      featureLevel: 1,
    });
    await store.commit([
      { kind: 'create', table: 'cluster', object: cluster },
      { kind: 'create', table: 'node', object: node },
    ]);
    const options = { logger: silentLogger, config: CA_CONFIG, featureLevel: 1, managers: () => [] };
    const clock: Clock = { now: () => nowMs, monotonic: () => 0, setTimer: () => () => undefined };
    authority = new CertificateAuthority({ ...options, store, clock });
    nowMs += DAY_MS;
  });

  function stored(): Node {
    const [node] = store.nodes();
    assert.ok(node);
    return node;
  }

  function certified(): CertifiedIdentity {
    const [certificate] = parseCertificates(stored().certificate?.certificatePem ?? '');
    assert.ok(certificate);
    return certifiedIdentity(certificate);
  }

  async function renewed(): Promise<number> {
    const csrPem = Buffer.from(createCertificateRequest(generateKeyPair(), {}));
    const caller = { identity: certified(), address: '192.0.2.1' };
    await authority.issueNodeCertificate(IssueNodeCertificateRequest.create({ csrPem }), caller);
    return certified().notBeforeMs;
  }

  const backdatedMs = (): number => Math.floor((nowMs - CERTIFICATE_CONFIG.backdateMs) / 1000) * 1000;

  it('begin each a second later than the last while the clock stands still', async () => {
    const first = await renewed();
    assert.equal(first, backdatedMs());
    assert.equal(await renewed(), first + 1000);
    assert.equal(await renewed(), first + 2000);
  });

  it('begin later also after the clock was set back, and as ever once it has caught up', async () => {
    const first = await renewed();
    nowMs -= CERTIFICATE_CONFIG.backdateMs / 2;
    assert.equal(await renewed(), first + 1000);
    nowMs += DAY_MS;
    assert.equal(await renewed(), backdatedMs());
  });

  it('never begin after now, however far the clock was set back', async () => {
    const first = await renewed();
    nowMs = first + 1000 + 300;
    assert.equal(await renewed(), first + 1000, 'the last second that there is');
    assert.equal(await renewed(), first + 1000, 'none is left');
    nowMs = first - 10_000;
    assert.equal(await renewed(), first - 10_000);
  });

  it('do not wait for one in the store that nobody can read', async () => {
    const caller = { identity: certified(), address: '192.0.2.1' };
    const csrPem = Buffer.from(createCertificateRequest(generateKeyPair(), {}));
    for (const broken of ['', 'no certificate']) {
      const certificate = NodeCertificate.create({ certificatePem: Buffer.from(broken) });
      await store.commit([{ kind: 'update', table: 'node', object: { ...stored(), certificate } }]);
      await authority.issueNodeCertificate(IssueNodeCertificateRequest.create({ csrPem }), caller);
      assert.equal(certified().notBeforeMs, backdatedMs());
    }
  });
});
