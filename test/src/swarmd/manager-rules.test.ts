/** Small rules of several managers: addresses, features, who is let in, what is forced. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { issueNodeCertificate } from '#certs/authority.ts';
import { parseCertificates } from '#certs/certificate.ts';
import { certifiedIdentity } from '#certs/identity.ts';
import { readAuthor } from '#common/author.ts';
import { Cluster, Node, NodeCertificate, RemovedNode } from '#gen/swarm/v1/objects.ts';
import { ClusterSpec, LogConfig, NodeRole, NodeSpec } from '#gen/swarm/v1/specs.ts';
import { updateClusterSpec } from '#manager/control/clusters.ts';
import { Transaction, type WriteOptions } from '#manager/replicated-store/index.ts';
import type { StoreState, StoreView } from '#manager/store/index.ts';
import type { PeerIdentity } from '#proto/grpc/caller.ts';
import { hostOf, replacedAddresses } from '#src/swarmd/addresses.ts';
import { admitNode, type JudgingAccess, roleOfNode, strangerProblem } from '#src/swarmd/admit-node.ts';
import { demoteOthers } from '#src/swarmd/forced-cluster.ts';
import { forgetLog, hasLog } from '#src/swarmd/forget-log.ts';
import { reachableAddress } from '#src/swarmd/log-admission.ts';
import { pathsOf } from '#src/swarmd/paths.ts';
import { testAuthority, testNode } from '#test/certs/fixtures.ts';
import { rejects } from '#test/certs/rejects.ts';
import { after, create, EMPTY } from '#test/manager/store/support.ts';

const { MANAGER, WORKER } = NodeRole;

function node(id: string, role: NodeRole, desiredRole = role): Node {
  return Node.create({ id, role, spec: NodeSpec.create({ desiredRole }) });
}

describe('swarmd: addresses of a member', () => {
  it('are replaced by those of the command line, and the advertised port follows the one listened on', () => {
    const kept = { listen: '0.0.0.0:2377', advertise: '192.0.2.1:2377' };
    const replaced = (listen: string, advertise: string) => replacedAddresses(kept, { listen, advertise });
    assert.deepEqual(replaced('', '192.0.2.9'), { listen: '0.0.0.0:2377', advertise: '192.0.2.9:2377' });
    assert.deepEqual(replaced('', '192.0.2.9:99'), { listen: '0.0.0.0:2377', advertise: '192.0.2.9:99' });
    assert.deepEqual(replaced('127.0.0.1:4000', ''), { listen: '127.0.0.1:4000', advertise: '192.0.2.1:4000' });
    assert.deepEqual(replaced('lo', ''), { listen: '127.0.0.1:2377', advertise: '192.0.2.1:2377' });
    assert.deepEqual(
      replacedAddresses({ listen: '0.0.0.0:2377', advertise: '192.0.2.1:99' }, { listen: ':4000', advertise: '' }),
      { listen: '0.0.0.0:4000', advertise: '192.0.2.1:99' },
    );
    assert.equal(replacedAddresses({ listen: '', advertise: '' }, { listen: ':1', advertise: '' }).advertise, '');
    assert.throws(() => replaced('', 'nowhere0'), /nowhere0/);
  });

  it('host alone', () => {
    assert.equal(hostOf('192.0.2.1:2377'), '192.0.2.1');
    assert.equal(hostOf('[::1]:2377'), '::1');
    assert.equal(hostOf(''), '');
  });

  it('that mean "all of mine" are the one that the request comes from', () => {
    const peer = '192.0.2.7:40312';
    assert.deepEqual(reachableAddress('0.0.0.0:2400', peer), { host: '192.0.2.7', port: 2400 });
    assert.deepEqual(reachableAddress(':2400', peer), { host: '192.0.2.7', port: 2400 });
    assert.deepEqual(reachableAddress('[::]:2400', '[2001:db8::7]:40312'), { host: '2001:db8::7', port: 2400 });
    assert.deepEqual(reachableAddress('0.0.0.0:2400', '[::ffff:192.0.2.7]:1'), { host: '192.0.2.7', port: 2400 });
    assert.deepEqual(reachableAddress('192.0.2.9', peer), { host: '192.0.2.9', port: 2377 });
    assert.throws(() => reachableAddress('a b', peer), rejects('bad-field', /no address|not an address/));
    assert.throws(() => reachableAddress('0.0.0.0:1', ''), rejects('bad-field', /not known/));
  });
});

describe('swarmd: features', () => {
  const view = (featureLevel: number): StoreView =>
    ({ cluster: () => Cluster.create({ id: 'c', version: 3, featureLevel, spec: ClusterSpec.create() }) }) as StoreView;
  const request = (log: Partial<LogConfig>) => ({
    version: 3,
    spec: ClusterSpec.create({ log: LogConfig.create(log) }),
    rotateWorkerToken: false,
    rotateManagerToken: false,
  });

  it('of a release that not every manager runs cannot be declared yet', () => {
    for (const log of [{ snapshotsKept: 1 }, { saveIntervalMs: 3_600_000 }, { savesKept: 3 }]) {
      assert.throws(() => updateClusterSpec(view(1), request(log), 0), rejects('feature-level', /older release/));
      assert.deepEqual(updateClusterSpec(view(2), request(log), 0).spec?.log, LogConfig.create(log));
    }
    assert.equal(updateClusterSpec(view(1), request({ snapshotInterval: 7 }), 0).spec?.log?.snapshotInterval, 7);
  });
});

describe('swarmd: who may call', () => {
  const caller = (nodeId: string, role: 'manager' | 'worker'): PeerIdentity => ({
    nodeId,
    role,
    clusterId: 'c',
    serial: '1',
    notBeforeMs: 0,
    notAfterMs: 1,
    issuerKeyId: '',
  });
  const cluster = Cluster.create({ id: 'c', removedNodes: [RemovedNode.create({ nodeId: 'removed' })] });
  const knowing = (...nodes: readonly Node[]): StoreState =>
    after(EMPTY, create('cluster', cluster), ...nodes.map((one) => create('node', one)));
  const managerWith =
    (state: 'leader' | 'follower', known: StoreState): JudgingAccess =>
    () => ({ store: { view: () => known }, log: { leadership: () => ({ state }) } });
  const everybody = knowing(node('manager', MANAGER), node('demoted', WORKER));
  const manager = (state: 'leader' | 'follower') => managerWith(state, everybody);
  const starting: JudgingAccess = () => {
    throw new Error('not yet');
  };

  it('a removed node may not, anywhere; an unknown one is refused by the leader only', () => {
    for (const state of ['leader', 'follower'] as const) {
      assert.equal(admitNode(manager(state), caller('removed', 'worker'), '/a/b')?.reason, 'node-removed');
      assert.equal(admitNode(manager(state), caller('manager', 'manager'), '/a/b'), undefined);
    }
    assert.equal(admitNode(manager('leader'), caller('new', 'worker'), '/a/b')?.reason, 'node-removed');
    assert.equal(admitNode(manager('follower'), caller('new', 'worker'), '/a/b'), undefined);
    assert.equal(admitNode(starting, caller('removed', 'worker'), '/a/b'), undefined);
  });

  it('the log decides for itself about its streams', () => {
    const exchange = '/swarm.v1.RaftService/Exchange';
    assert.equal(admitNode(manager('leader'), caller('removed', 'manager'), exchange), undefined);
    assert.equal(roleOfNode(manager('leader'), caller('demoted', 'manager'), exchange), 'manager');
  });

  describe('who speaks for a member that the log does not name', () => {
    const authority = testAuthority();
    const nowMs = Date.now();
    const asWorker = testNode(authority, 'worker', { nowMs });
    const { nodeId } = asWorker.identity;
    const certificatePem = Buffer.from(asWorker.certificatePem);
    const [stored] = parseCertificates(certificatePem);
    const who = (changes: Partial<PeerIdentity>): PeerIdentity => ({ ...caller(nodeId, 'manager'), ...changes });
    const reasonAt = (role: NodeRole, asked: PeerIdentity, state: 'leader' | 'follower' = 'follower') => {
      const known = { ...node(nodeId, role), certificate: NodeCertificate.create({ certificatePem }) };
      return strangerProblem(managerWith(state, knowing(known)), asked)?.reason;
    };

    it('may not be a demoted manager with the certificate of before, nor one that did not renew it', () => {
      assert.ok(stored !== undefined);
      const { serial, notBeforeMs } = stored;
      assert.equal(reasonAt(WORKER, who({ notBeforeMs: notBeforeMs - 1_000 })), 'node-removed');
      assert.equal(reasonAt(WORKER, who({ notBeforeMs, serial })), 'node-removed');
      assert.equal(reasonAt(WORKER, who({ notBeforeMs, serial: '2' })), 'node-removed', 'another of the same second');
    });

    it('may be one that was promoted after what is known here, or is known to be a manager', () => {
      assert.ok(stored !== undefined);
      const { serial, notBeforeMs } = stored;
      assert.equal(reasonAt(WORKER, who({ notBeforeMs: notBeforeMs + 1_000 })), undefined);
      assert.equal(reasonAt(MANAGER, who({ notBeforeMs, serial })), undefined);
    });

    it('may be one that joined and was promoted within one second', () => {
      assert.ok(stored !== undefined);
      const { publicKeyDer, notBeforeMs: replacesNotBeforeMs } = stored;
      const identity = { ...asWorker.identity, role: 'manager' } as const;
      const order = { identity, publicKeyDer, nowMs, lifetimeMs: 3_600_000, replacesNotBeforeMs };
      const [promoted] = parseCertificates(issueNodeCertificate(authority, order));
      assert.ok(promoted !== undefined);
      assert.equal(reasonAt(WORKER, certifiedIdentity(promoted)), undefined);
    });

    it('may not be one that was removed, nor, where the state is complete, one that is unknown', () => {
      assert.equal(reasonAt(MANAGER, caller('removed', 'manager')), 'node-removed');
      assert.equal(reasonAt(MANAGER, caller('new', 'manager')), undefined);
      assert.equal(reasonAt(MANAGER, caller('new', 'manager'), 'leader'), 'node-removed');
      assert.equal(strangerProblem(starting, caller('removed', 'manager')), undefined);
    });
  });

  it('a demoted manager is a worker; nobody is more than its certificate says', () => {
    assert.equal(roleOfNode(manager('leader'), caller('demoted', 'manager'), '/a/b'), 'worker');
    assert.equal(roleOfNode(manager('follower'), caller('manager', 'manager'), '/a/b'), 'manager');
    assert.equal(roleOfNode(manager('leader'), caller('manager', 'worker'), '/a/b'), 'worker');
    assert.equal(roleOfNode(starting, caller('demoted', 'manager'), '/a/b'), 'manager');
  });
});

describe('swarmd: what is left behind', () => {
  let state = '';
  beforeEach(async () => {
    state = await mkdtemp(join(tmpdir(), 'starling-forget-'));
  });
  afterEach(() => rm(state, { recursive: true }));

  it('a log is forgotten with its key, by one rename, as often as one likes', async () => {
    const paths = pathsOf(state, state);
    assert.equal(await hasLog(paths.log), false);
    await forgetLog(paths);
    for (let round = 0; round < 2; round++) {
      await mkdir(paths.log);
      assert.equal(await hasLog(paths.log), false);
      await writeFile(join(paths.log, '0000000000000001.wal'), '');
      await writeFile(paths.dataKey, 'key');
      // What an interruption has left.
      await mkdir(`${paths.log}.gone`, { recursive: true });
      assert.equal(await hasLog(paths.log), true);
      await forgetLog(paths);
      assert.deepEqual(await readdir(state), []);
    }
  });

  it('the other managers of a forced swarm become workers, this one stays what it is', async () => {
    const before = [
      node('self', MANAGER, WORKER),
      node('other', MANAGER),
      node('joining', WORKER, MANAGER),
      node('leaving', MANAGER, WORKER),
      node('worker', WORKER),
    ];
    const state = after(EMPTY, ...before.map((one) => create('node', one)));
    const transaction = new Transaction(state);
    let by: string | undefined;
    const update = <T>(change: (given: Transaction) => T, { author }: WriteOptions = {}): Promise<T> => {
      by = author;
      return Promise.resolve(change(transaction));
    };
    await demoteOthers({ update, view: () => transaction.view }, 'self');
    assert.equal(readAuthor(by ?? '')?.kind, 'local', 'root of this node has asked for it');
    const written = transaction
      .changes()
      .map(({ table, object }) => [object.id, table === 'node' && [object.role, object.spec?.desiredRole]] as const);
    assert.deepEqual(
      new Map(written),
      new Map([
        ['self', [MANAGER, MANAGER]],
        ['other', [WORKER, WORKER]],
        ['joining', [WORKER, WORKER]],
        ['leaving', [WORKER, WORKER]],
      ]),
    );
  });
});
