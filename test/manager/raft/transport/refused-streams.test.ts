/** Who is no peer, is told so, and is not asked again before it helps; real servers and certificates. */
import assert from 'node:assert/strict';
import { NodeChannelCredentials } from '#certs/tls.ts';
import { SwarmError } from '#common/errors.ts';
import { RaftService } from '#gen/swarm/v1/raft.ts';
import { createClient } from '#proto/grpc/client.ts';
import { GrpcTransport } from '#proto/grpc/grpc-transport.ts';
import { eventually } from '#test/support/eventually.ts';
import { CLUSTER_ID, testNode } from '../../../certs/fixtures.ts';
import { testStreams } from './streams.ts';

describe('streams between managers that are refused', () => {
  const { authority, manager, pair, arrives } = testStreams();

  for (const reason of ['node-removed', 'wrong-member'] as const)
    it(`tell a member that is refused: ${reason}`, async () => {
      const [one, two] = await Promise.all([manager(1), manager(2)]);
      two.refusal = new SwarmError({ code: 'denied', reason, message: 'you are not one of us' });
      one.knows(two);
      await one.happenings.until('the refusal', () => one.told.length > 0);
      assert.deepEqual(one.told, [`refused 2 ${reason}`]);
      assert.equal(one.transport.peer(2)?.error?.message, 'you are not one of us');
      // The next attempt is far away, unless the other wants to talk.
      assert.equal(one.backoffs, 0);
      two.refusal = undefined;
      two.knows(one);
      await arrives(one, two);
      assert.equal(two.hellos.length, 2);
    });

  it('end when a member is removed, and tell it so', async () => {
    const [one, two] = await pair();
    two.refusal = new SwarmError({ code: 'denied', reason: 'node-removed', message: 'you were removed' });
    two.knows();
    await one.happenings.until('the refusal', () => one.told.includes('refused 2 node-removed'));
    assert.equal(two.transport.peer(1), undefined);
    assert.equal(two.timesTold('gone 1'), 0);
  });

  it('of a node that was demoted end when strangers are reviewed', async () => {
    const [one, two, three] = [...(await pair()), await manager(3)] as const;
    three.knows(two);
    two.knows(one, three);
    await Promise.all([three.connectedTo(2), two.connectedTo(3)]);
    // Three is merely new, one is not in the log either and has lost its place.
    two.strangers.set(3, undefined);
    two.strangers.set(1, undefined);
    two.transport.reviewStrangers();
    assert.deepEqual(two.told, [], 'so far both may be new');
    two.strangers.set(
      1,
      new SwarmError({ code: 'denied', reason: 'node-removed', message: 'node one is no manager any more' }),
    );
    const received = two.received.length;
    two.transport.reviewStrangers();
    assert.deepEqual(two.told, ['forget 1']);
    one.transport.send(one.messageTo(2, { type: 'MsgHeartbeat' }));
    await one.happenings.until('the refusal', () => one.told.includes('refused 2 node-removed'));
    assert.equal(two.received.length, received, 'what comes after is dropped');
    assert.equal(three.transport.peer(2)?.connected, true);
    await arrives(three, two);
  });

  it('notice that another member answers at the address', async () => {
    const [one, two] = await Promise.all([manager(1), manager(2)]);
    const welcome = two.member;
    two.hello = () => ({ ...welcome, raftId: 3 });
    one.knows(two);
    await one.happenings.until('the refusal', () => one.told.length > 0);
    assert.deepEqual(one.told, ['refused 2 wrong-member']);
  });

  it('are not opened to a node with another certificate', async () => {
    const [one, two] = await Promise.all([manager(1), manager(2)]);
    const other = testNode(authority, 'manager').identity.nodeId;
    one.knows({ ...two.member, nodeId: other });
    await eventually('the attempt', () => one.transport.peer(2)?.error !== undefined);
    assert.match(one.transport.peer(2)?.error?.message ?? '', new RegExp(`the peer is node ${two.member.nodeId}, not`));
    assert.deepEqual(two.hellos, []);
  });

  it('are refused to workers and to those without a certificate', async () => {
    const two = await manager(2);
    const worker = testNode(authority, 'worker');
    const expect = { role: 'manager', clusterId: CLUSTER_ID } as const;
    for (const [code, trust] of [
      ['denied', { kind: 'member', identity: () => worker, expect }],
      ['unauthenticated', { kind: 'pinned', rootsPem: worker.rootsPem, expect }],
    ] as const) {
      const transport = new GrpcTransport({
        target: { kind: 'address', name: two.member.address },
        credentials: new NodeChannelCredentials(trust),
      });
      try {
        const call = createClient(RaftService, transport).exchange([{ message: undefined }]);
        await assert.rejects(call.next(), { name: 'SwarmError', code });
        const sending = createClient(RaftService, transport).sendSnapshot([{ message: undefined }]);
        await assert.rejects(sending, { name: 'SwarmError', code });
      } finally {
        transport.close();
      }
    }
    assert.deepEqual(two.hellos, []);
  });
});
