/** What a new cluster consists of. */
import assert from 'node:assert/strict';
import { parseCertificates } from '#certs/certificate.ts';
import { certifiedIdentity } from '#certs/identity.ts';
import { keysMatch } from '#certs/key.ts';
import { verifyChain } from '#certs/verify-chain.ts';
import { SwarmError } from '#common/errors.ts';
import { SeededRandom } from '#common/random.ts';
import { ClusterSpec, NodeAvailability, OrchestrationConfig } from '#gen/swarm/v1/specs.ts';
import { bootstrapCluster } from '#manager/ca/index.ts';
import { DAY_MS } from './authority-setup.ts';

describe('cluster bootstrap', () => {
  const options = {
    nowMs: Date.now(),
    random: new SeededRandom(3),
    hostname: 'first',
    availability: NodeAvailability.UNSPECIFIED,
    featureLevel: 3,
  } as const;

  it('has Swarm’s defaults, and a manager with a certificate of its own root', () => {
    const { cluster, node, identity } = bootstrapCluster(options);
    assert.equal(cluster.spec?.name, 'default');
    assert.equal(cluster.spec.orchestration?.taskHistoryLimit, 5);
    assert.equal(cluster.spec.dispatcher?.heartbeatPeriodMs, 1000);
    assert.equal(cluster.spec.ca?.nodeCertExpiryMs, 90 * DAY_MS);
    assert.equal(cluster.spec.log?.snapshotInterval, 10_000);
    assert.deepEqual(cluster.defaultAddressPools, ['10.0.0.0/8']);
    assert.equal(cluster.subnetSize, 24);
    assert.equal(cluster.dataPathPort, 4789);
    assert.equal(cluster.featureLevel, 3);
    assert.equal(node.spec?.availability, NodeAvailability.ACTIVE);
    const chain = parseCertificates(identity.certificatePem);
    const roots = parseCertificates(identity.rootPem);
    assert.equal(verifyChain(chain, roots, Date.now()), undefined);
    const [leaf] = chain;
    assert.ok(leaf);
    const found = certifiedIdentity(leaf);
    assert.deepEqual([found.nodeId, found.role, found.clusterId], [node.id, 'manager', cluster.id]);
    assert.ok(keysMatch(identity.keys.privateKey, leaf.publicKeyDer));
    const tokens = cluster.rootCa?.joinTokens;
    assert.notEqual(tokens?.worker, tokens?.manager);
  });

  it('takes what is given', () => {
    const spec = bootstrapCluster(options).cluster.spec;
    const { cluster } = bootstrapCluster({
      ...options,
      spec: ClusterSpec.create({
        ...spec,
        labels: { a: 'b' },
        orchestration: OrchestrationConfig.create({ taskHistoryLimit: -1 }),
        dispatcher: { heartbeatPeriodMs: undefined, replaceAfterMs: undefined },
        ca: { nodeCertExpiryMs: DAY_MS, externalCas: [] },
      }),
      defaultAddressPools: ['192.168.0.0/16'],
      subnetSize: 26,
      dataPathPort: 4790,
    });
    assert.deepEqual(cluster.spec?.labels, { a: 'b' });
    assert.equal(cluster.spec.orchestration?.taskHistoryLimit, -1);
    assert.equal(cluster.spec.dispatcher?.heartbeatPeriodMs, 1000);
    assert.equal(cluster.spec.ca?.nodeCertExpiryMs, DAY_MS);
    assert.deepEqual(cluster.defaultAddressPools, ['192.168.0.0/16']);
    assert.equal(cluster.subnetSize, 26);
    assert.equal(cluster.dataPathPort, 4790);
  });

  it('refuses certificates that run out at once, naming the limit', () => {
    const { cluster } = bootstrapCluster(options);
    const spec = cluster.spec && { ...cluster.spec, ca: { nodeCertExpiryMs: 1000, externalCas: [] } };
    assert.throws(
      () => bootstrapCluster({ ...options, spec }),
      (error: SwarmError) => {
        assert.equal(error.limit, 'MIN_CERT_EXPIRY_MS');
        return true;
      },
    );
  });
});
