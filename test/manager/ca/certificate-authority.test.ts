/**
 * Who gets which certificate. Method: a real cluster bootstrap in a store of two tables, real keys and requests; the
 * clock is moved by hand.
 */
import assert from 'node:assert/strict';
import { certificateDigest } from '#certs/authority.ts';
import { parseCertificates } from '#certs/certificate.ts';
import { createCertificateRequest } from '#certs/certificate-request.ts';
import { type CertifiedIdentity, certifiedIdentity } from '#certs/identity.ts';
import { createJoinToken } from '#certs/join-token.ts';
import { generateKeyPair, type KeyPair, keysMatch } from '#certs/key.ts';
import { verifyChain } from '#certs/verify-chain.ts';
import { ManualClock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import { type LogFields, type Logger, silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { GetNodeCertificateStatusRequest, IssueNodeCertificateRequest } from '#gen/swarm/v1/ca.ts';
import { type Cluster, IssuanceState, NodeCertificate, RemovedNode } from '#gen/swarm/v1/objects.ts';
import { ClusterSpec, NodeAvailability, NodeRole, OrchestrationConfig } from '#gen/swarm/v1/specs.ts';
import { bootstrapCluster, CA_CONFIG, type CaCaller, type CaConfig, CertificateAuthority } from '#manager/ca/index.ts';
import { rejects } from '#test/certs/rejects.ts';
import { MemoryStore } from './memory-store.ts';

const NOBODY: CaCaller = { identity: undefined, address: '192.0.2.1' };
const DAY_MS = 24 * 60 * 60 * 1000;

class Setup {
  readonly clock = new ManualClock(Date.UTC(2030, 0, 1));
  readonly store = new MemoryStore();
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

function csrOf(keys: KeyPair, commonName?: string): Uint8Array {
  return Buffer.from(createCertificateRequest(keys, { commonName }));
}

describe('certificate authority', () => {
  let setup: Setup;
  let keys: KeyPair;
  beforeEach(async () => {
    setup = await new Setup().init();
    keys = generateKeyPair();
  });

  it('hands out the root whose digest is in the tokens, and the time', () => {
    const answer = setup.authority.getRootCertificate();
    const [root] = parseCertificates(answer.certificatePem);
    assert.ok(root);
    assert.equal(certificateDigest(root), setup.cluster.rootCa?.digest);
    assert.equal(answer.timeMs, setup.clock.now());
  });

  for (const [name, role] of [
    ['worker', NodeRole.WORKER],
    ['manager', NodeRole.MANAGER],
  ] as const)
    it(`admits a ${name} by the ${name} token`, async () => {
      const answer = await setup.issue({
        token: setup.token(name),
        csrPem: csrOf(keys),
        hostname: 'web-1',
        availability: NodeAvailability.DRAIN,
      });
      assert.equal(answer.role, role);
      const node = setup.store.view().get('node', answer.nodeId);
      assert.equal(node?.role, role);
      assert.equal(node.spec?.desiredRole, role);
      assert.equal(node.spec.availability, NodeAvailability.DRAIN);
      assert.equal(node.description?.hostname, 'web-1');
      const identity = await setup.certified(answer.nodeId);
      assert.deepEqual(
        { nodeId: identity.nodeId, role: identity.role, clusterId: identity.clusterId },
        { nodeId: answer.nodeId, role: name, clusterId: setup.cluster.id },
      );
      assert.equal(identity.notAfterMs, setup.clock.now() + 90 * DAY_MS);
    });

  it('certifies the key of the request and nothing else of it', async () => {
    const wish = { organizationalUnit: 'swarm-manager', organization: 'elsewhere' };
    const csrPem = Buffer.from(createCertificateRequest(keys, wish));
    const { nodeId } = await setup.issue({ token: setup.token('worker'), csrPem });
    assert.equal((await setup.certified(nodeId)).role, 'worker');
    const node = setup.store.view().get('node', nodeId);
    const [certificate] = parseCertificates(node?.certificate?.certificatePem ?? '');
    assert.ok(certificate && keysMatch(keys.privateKey, certificate.publicKeyDer));
    assert.ok(!certificate.dnsNames.includes('swarm-manager'));
  });

  it('gives the same node again to a joiner whose answer was lost, and makes no ghost', async () => {
    const first = await setup.join(setup.token('worker'), keys);
    const before = setup.store.view().get('node', first.nodeId);
    const again = await setup.issue({ token: setup.token('worker'), csrPem: csrOf(keys), hostname: 'other' });
    assert.equal(again.nodeId, first.nodeId);
    assert.equal(setup.store.view().get('node', first.nodeId), before);
    assert.equal(setup.store.nodes().length, 2);
    assert.notEqual((await setup.join(setup.token('worker'), generateKeyPair())).nodeId, first.nodeId);
  });

  it('gives one node to a joiner that asks twice at once', async () => {
    const answers = await Promise.all([1, 2, 3].map(() => setup.join(setup.token('worker'), keys)));
    assert.equal(new Set(answers.map((answer) => answer.nodeId)).size, 1);
    assert.equal(setup.store.nodes().length, 2);
  });

  it('does not make a worker a manager by a replay with the other token', async () => {
    await setup.join(setup.token('worker'), keys);
    await assert.rejects(setup.join(setup.token('manager'), keys), rejects('wrong-role', /is a worker already/));
  });

  it('refuses tokens that are malformed, of another cluster, wrong, or rotated, by different words', async () => {
    const digest = setup.cluster.rootCa?.digest ?? '';
    await assert.rejects(setup.join('hello', keys), rejects('bad-token', /malformed/));
    await assert.rejects(setup.join('', keys), rejects('bad-token', /is empty/));
    await assert.rejects(
      setup.join(createJoinToken('ab'.repeat(32)), keys),
      rejects('wrong-cluster', /another cluster/),
    );
    await assert.rejects(
      setup.join(createJoinToken(digest), keys),
      rejects('bad-token', /not valid: it may have been rotated/),
    );
    const old = setup.token('worker');
    await setup.change((cluster) => ({
      ...cluster,
      rootCa: cluster.rootCa && {
        ...cluster.rootCa,
        joinTokens: { worker: createJoinToken(digest), manager: setup.token('manager') },
      },
    }));
    await assert.rejects(setup.join(old, keys), rejects('bad-token', /may have been rotated/));
    await setup.join(setup.token('worker'), keys);
    assert.equal(setup.store.nodes().length, 2);
  });

  it('never takes an empty token for one that the cluster lacks', async () => {
    await setup.change((cluster) => ({
      ...cluster,
      rootCa: cluster.rootCa && { ...cluster.rootCa, joinTokens: undefined },
    }));
    await assert.rejects(setup.join('', keys), rejects('bad-token', /is empty/));
  });

  it('refuses rubbish for a request, and one for another node', async () => {
    const token = setup.token('worker');
    const cases: readonly [csr: Uint8Array | string, message: RegExp][] = [
      ['', /is empty/],
      ['rubbish', /is not PEM/],
      ['x'.repeat(LIMITS.CSR_BYTES + 1), /larger than/],
      [csrOf(keys, 'z'.repeat(25)), /cannot have a certificate for node z{25}/],
      [csrOf(keys, 'swarm-ca'), /cannot have a certificate for another name/],
    ];
    for (const [csrPem, message] of cases)
      await assert.rejects(setup.issue({ token, csrPem: Buffer.from(csrPem) }), (error: SwarmError) => {
        assert.match(error.message, message);
        return true;
      });
    await assert.rejects(
      setup.issue({ token, csrPem: csrOf(keys), hostname: 'a b' }),
      rejects('bad-field', /hostname/),
    );
    await assert.rejects(
      setup.issue({ token, csrPem: csrOf(keys), hostname: 'a'.repeat(300) }),
      rejects('bad-field', /253/),
    );
    assert.equal(setup.store.nodes().length, 1);
  });

  it('refuses a node that was removed, by token and by certificate', async () => {
    const { nodeId } = await setup.join(setup.token('worker'), keys);
    const identity = await setup.certified(nodeId);
    const node = setup.store.view().get('node', nodeId);
    assert.ok(node);
    await setup.store.commit([{ kind: 'remove', table: 'node', object: node }]);
    const renewal = { csrPem: csrOf(generateKeyPair()) };
    const caller = { identity, address: '192.0.2.1' };
    await assert.rejects(setup.issue(renewal, caller), rejects('node-removed', /was removed/));
    await setup.change((cluster) => ({
      ...cluster,
      removedNodes: [RemovedNode.create({ nodeId, expiresAtMs: setup.clock.now() + DAY_MS })],
    }));
    await assert.rejects(setup.issue(renewal, caller), rejects('node-removed', /was removed/));
    await assert.rejects(setup.join(setup.token('worker'), keys), rejects('node-removed', /was removed/));
  });

  it('renews by certificate: same node, new key, role from the node object', async () => {
    const { nodeId } = await setup.join(setup.token('worker'), keys);
    const identity = await setup.certified(nodeId);
    const caller = { identity, address: '192.0.2.1' };
    setup.clock.advance(60 * DAY_MS);
    const renewed = generateKeyPair();
    assert.equal((await setup.issue({ csrPem: csrOf(renewed, nodeId) }, caller)).nodeId, nodeId);
    const second = await setup.certified(nodeId);
    assert.equal(second.role, 'worker');
    assert.equal(second.notAfterMs, setup.clock.now() + 90 * DAY_MS);
    assert.notEqual(second.serial, identity.serial);

    const node = setup.store.view().get('node', nodeId);
    assert.ok(node);
    await setup.store.commit([{ kind: 'update', table: 'node', object: { ...node, role: NodeRole.MANAGER } }]);
    assert.equal((await setup.issue({ csrPem: csrOf(generateKeyPair()) }, caller)).role, NodeRole.MANAGER);
    assert.equal((await setup.certified(nodeId)).role, 'manager');
    // A demoted manager still shows its old certificate; the node object decides.
    const manager = { identity: await setup.certified(nodeId), address: '192.0.2.1' };
    const promoted = setup.store.view().get('node', nodeId);
    assert.ok(promoted);
    await setup.store.commit([{ kind: 'update', table: 'node', object: { ...promoted, role: NodeRole.WORKER } }]);
    assert.equal((await setup.issue({ csrPem: csrOf(generateKeyPair()) }, manager)).role, NodeRole.WORKER);
  });

  it('renews nobody else', async () => {
    const { nodeId } = await setup.join(setup.token('worker'), keys);
    const other = await setup.join(setup.token('worker'), generateKeyPair());
    const identity = await setup.certified(nodeId);
    const caller = { identity, address: '192.0.2.1' };
    await assert.rejects(
      setup.issue({ csrPem: csrOf(generateKeyPair(), other.nodeId) }, caller),
      rejects('bad-certificate', /cannot have a certificate for node/),
    );
    await assert.rejects(
      setup.issue({ csrPem: csrOf(generateKeyPair()), token: setup.token('manager') }, caller),
      rejects('bad-field', /is a member already and cannot use a join token/),
    );
    const foreign = { identity: { ...identity, clusterId: 'f'.repeat(25) }, address: '192.0.2.1' };
    await assert.rejects(setup.issue({ csrPem: csrOf(generateKeyPair()) }, foreign), rejects('node-removed', /./));
  });

  it('tries again when the node changes in between', async () => {
    const { nodeId } = await setup.join(setup.token('worker'), keys);
    const identity = await setup.certified(nodeId);
    setup.store.beforeCommit = async () => {
      const node = setup.store.view().get('node', nodeId);
      assert.ok(node);
      const spec = node.spec && { ...node.spec, labels: { zone: 'a' } };
      await setup.store.commit([{ kind: 'update', table: 'node', object: { ...node, spec } }]);
    };
    await setup.issue({ csrPem: csrOf(generateKeyPair()) }, { identity, address: '192.0.2.1' });
    const node = setup.store.view().get('node', nodeId);
    assert.deepEqual(node?.spec?.labels, { zone: 'a' });
    assert.notEqual((await setup.certified(nodeId)).serial, identity.serial);
  });

  it('limits the rate, and the number of nodes', async () => {
    const slow = await new Setup({ issuesPerSecond: 1, issuesBurst: 2 }).init();
    await slow.join(slow.token('worker'), generateKeyPair());
    await slow.join(slow.token('worker'), generateKeyPair());
    await assert.rejects(slow.join(slow.token('worker'), keys), rejects('too-many', /joining at once/));
    slow.clock.advance(1000);
    await slow.join(slow.token('worker'), keys);

    const narrow = await new Setup({ issuesInFlight: 1 }).init();
    const first = narrow.join(narrow.token('worker'), generateKeyPair());
    await assert.rejects(narrow.join(narrow.token('worker'), keys), rejects('too-many', /admitted at once/));
    await first;
    await narrow.join(narrow.token('worker'), keys);

    const view = setup.store.view.bind(setup.store);
    setup.store.view = () => ({ ...view(), count: () => LIMITS.NODES_PER_CLUSTER });
    await assert.rejects(setup.join(setup.token('worker'), keys), (error: SwarmError) => {
      assert.equal(error.limit, 'NODES_PER_CLUSTER');
      return true;
    });
  });

  it('logs who is admitted and who is refused, a bounded number of times, and never a token', async () => {
    const token = createJoinToken(setup.cluster.rootCa?.digest ?? '');
    for (let i = 0; i < 30; i++) await assert.rejects(setup.join(token, keys));
    await setup.join(setup.token('worker'), keys);
    const refusals = setup.lines.filter((line) => line.message.startsWith('refused'));
    assert.equal(refusals.length, CA_CONFIG.refusalsLoggedBurst);
    assert.equal(setup.lines.at(-1)?.message, 'admitted a node');
    const text = JSON.stringify(setup.lines);
    assert.ok(!text.includes('SWMTKN') && !text.includes(token.slice(-25)));
  });

  it('waits for an issuance that is under way, until its outcome or the deadline', async () => {
    const { nodeId } = await setup.join(setup.token('worker'), keys);
    const setState = async (state: IssuanceState, error = ''): Promise<void> => {
      const node = setup.store.view().get('node', nodeId);
      assert.ok(node);
      const certificate = NodeCertificate.create({ ...node.certificate, state, error });
      await setup.store.commit([{ kind: 'update', table: 'node', object: { ...node, certificate } }]);
    };
    const request = GetNodeCertificateStatusRequest.create({ nodeId });
    await setState(IssuanceState.PENDING);

    const failing = setup.authority.getNodeCertificateStatus(request, 60_000);
    await setState(IssuanceState.PENDING, 'still at it');
    assert.equal(setup.store.listeners, 1);
    await setState(IssuanceState.FAILED, 'the external CA refused');
    const failed = await failing;
    assert.equal(failed.state, IssuanceState.FAILED);
    assert.equal(failed.error, 'the external CA refused');
    assert.deepEqual(failed.managerAddresses, ['192.0.2.9:2377']);

    await setState(IssuanceState.PENDING);
    const waiting = setup.authority.getNodeCertificateStatus(request, 60_000);
    setup.clock.advance(CA_CONFIG.statusWaitMs);
    assert.equal((await waiting).state, IssuanceState.PENDING);
    assert.equal(setup.store.listeners, 0);
    assert.equal(setup.clock.nextDue(), undefined);
  });

  it('says so when nothing is known of a node, or too many wait', async () => {
    const request = GetNodeCertificateStatusRequest.create({ nodeId: 'x'.repeat(1000) });
    await assert.rejects(
      setup.authority.getNodeCertificateStatus(request, 10),
      rejects('unknown-object', /x{25} that/),
    );
    const empty = new Setup();
    assert.throws(() => empty.authority.getRootCertificate(), rejects('not-in-swarm', /still starting/));
    await assert.rejects(empty.join('x', keys), rejects('not-in-swarm', /still starting/));
  });

  it('cannot issue without the root key, and does not pretend', async () => {
    await setup.change((cluster) => ({
      ...cluster,
      rootCa: cluster.rootCa && { ...cluster.rootCa, keyPem: new Uint8Array() },
    }));
    await assert.rejects(setup.join(setup.token('worker'), keys), rejects('no-certificate', /holds no root key/));
    assert.equal(setup.store.nodes().length, 1);
  });
});

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
        dispatcher: { heartbeatPeriodMs: undefined },
        ca: { nodeCertExpiryMs: DAY_MS },
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
    const spec = cluster.spec && { ...cluster.spec, ca: { nodeCertExpiryMs: 1000 } };
    assert.throws(
      () => bootstrapCluster({ ...options, spec }),
      (error: SwarmError) => {
        assert.equal(error.limit, 'MIN_CERT_EXPIRY_MS');
        return true;
      },
    );
  });
});
