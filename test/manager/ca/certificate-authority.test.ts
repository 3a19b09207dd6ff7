/** Limits, waiting for what is under way, and what an authority says that cannot do its work. */
import assert from 'node:assert/strict';
import { generateKeyPair, type KeyPair } from '#certs/key.ts';
import { SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import { GetNodeCertificateStatusRequest } from '#gen/swarm/v1/ca.ts';
import { IssuanceState, NodeCertificate } from '#gen/swarm/v1/objects.ts';
import { CA_CONFIG } from '#manager/ca/index.ts';
import { rejects } from '#test/certs/rejects.ts';
import { Setup } from './authority-setup.ts';

describe('certificate authority', () => {
  let setup: Setup;
  let keys: KeyPair;
  beforeEach(async () => {
    setup = await new Setup().init();
    keys = generateKeyPair();
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
