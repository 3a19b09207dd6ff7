/**
 * Goal: messages reach the other manager in order, streams come back by themselves, and the log is told what it has to
 * know: that messages were lost, that a process is gone, that this member is not wanted. Method: real servers, real
 * certificates, and a proxy between them that misbehaves.
 */
import assert from 'node:assert/strict';
import { createRootAuthority } from '#certs/authority.ts';
import { NodeChannelCredentials } from '#certs/tls.ts';
import { SwarmError } from '#common/errors.ts';
import { ExchangeRequest, RaftMember, RaftMessageType, RaftService } from '#gen/swarm/v1/raft.ts';
import { createClient } from '#proto/grpc/client.ts';
import { GrpcTransport } from '#proto/grpc/grpc-transport.ts';
import { eventually } from '#test/support/eventually.ts';
import { CLUSTER_ID, testNode } from '../../../certs/fixtures.ts';
import { TestManager } from './managers.ts';
import { TcpProxy } from './tcp-proxy.ts';

const authority = createRootAuthority(Date.now());

describe('streams between managers', () => {
  const running: { stop(): Promise<void> }[] = [];

  async function manager(raftId: number, config = {}): Promise<TestManager> {
    const one = await new TestManager(authority, raftId, config).listen();
    running.push(one);
    return one;
  }

  async function proxyTo(target: TestManager): Promise<TcpProxy> {
    const proxy = await TcpProxy.start(Number(target.member.address.split(':')[1]));
    running.push({ stop: () => proxy.close() });
    return proxy;
  }

  async function pair(config = {}): Promise<[TestManager, TestManager]> {
    const [one, two] = await Promise.all([manager(1, config), manager(2, config)]);
    one.knows(two);
    two.knows(one);
    await Promise.all([one.connectedTo(2), two.connectedTo(1)]);
    return [one, two];
  }

  /** The first knows the second by the address of the proxy; nothing flows the other way. */
  async function throughProxy(config = {}): Promise<[TestManager, TestManager, TcpProxy]> {
    const [one, two] = await Promise.all([manager(1, config), manager(2, config)]);
    const proxy = await proxyTo(two);
    one.knows({ ...two.member, address: proxy.address });
    await one.connectedTo(2);
    return [one, two, proxy];
  }

  /** Sends heartbeats until one arrives: messages of a moment without a stream are lost. */
  async function arrives(from: TestManager, to: TestManager): Promise<void> {
    await from.connectedTo(to.raftId);
    const before = to.received.length;
    from.transport.send(from.messageTo(to.raftId, { type: 'MsgHeartbeat' }));
    await to.happenings.until('a heartbeat', () => to.received.length > before);
  }

  afterEach(async () => {
    await Promise.all(running.splice(0).map((one) => one.stop()));
  });

  it('carry every field of every type of message, both ways', async () => {
    const [one, two] = await pair();
    const fields = {
      term: 2 ** 40,
      logTerm: 7,
      index: 2 ** 45,
      commit: 9,
      reject: true,
      rejectHint: 11,
      context: new Uint8Array([1, 2, 3]),
    };
    const types = [
      'MsgAppResp',
      'MsgVote',
      'MsgVoteResp',
      'MsgPreVote',
      'MsgPreVoteResp',
      'MsgHeartbeat',
      'MsgHeartbeatResp',
      'MsgProp',
      'MsgTransferLeader',
      'MsgTimeoutNow',
      'MsgReadIndex',
      'MsgReadIndexResp',
    ] as const;
    const entry = { type: 'EntryConfChangeV2', term: 3, index: 6, data: new Uint8Array([9]) } as const;
    const append = two.messageTo(1, { type: 'MsgApp', index: 5, entries: [entry] });
    const sent = [...types.map((type) => two.messageTo(1, { ...fields, type })), append];
    for (const message of sent) two.transport.send(message);
    one.transport.send(one.appendTo(2, 0, 3, 100));
    await one.happenings.until('all messages', () => one.received.length === sent.length);
    await two.happenings.until('the entries', () => two.received.length === 1);
    const byType = (list: readonly { readonly type: string }[]) => list.toSorted((a, b) => (a.type < b.type ? -1 : 1));
    assert.deepEqual(byType(one.received), byType(sent));
    assert.deepEqual(two.received, [one.appendTo(2, 0, 3, 100)]);
    assert.deepEqual(one.hellos, [{ raftId: 2, to: 1, nodeId: two.member.nodeId }]);
  });

  it('keep the order, and send what one turn says at once', async () => {
    const [one, two] = await pair();
    const count = 5_000;
    for (let sent = 0; sent < count; ) {
      for (let turn = 0; turn < 100; turn++) one.transport.send(one.appendTo(2, sent++, 1, 50));
      await two.happenings.until('the turn', () => two.received.length === sent);
    }
    assert.deepEqual(
      two.received.map((message) => message.index),
      Array.from({ length: count }, (_, index) => index),
    );
    assert.deepEqual(new Set(two.batches), new Set([100]));
  });

  it('let a heartbeat overtake the entries that wait', async () => {
    const [one, two, proxy] = await throughProxy();
    proxy.bytesPerSecond = 10_000_000;
    for (let index = 0; index < 64; index++) one.transport.send(one.appendTo(2, index, 1, 64 * 1024));
    one.transport.send(one.messageTo(2, { type: 'MsgHeartbeat' }));
    // The queue holds 4 MiB by now, of which only the first request is on its way.
    await two.happenings.until('the heartbeat', () => two.received.some(({ type }) => type === 'MsgHeartbeat'));
    assert.ok(two.received.length <= 8, `${two.received.length} messages came first`);
    await two.happenings.until('the entries', () => two.received.length === 65);
  });

  it('keep what only tells the commit index for the entries that tell it too', async () => {
    const [one, two] = await pair({ commitNoticeDelayMs: 50 });
    const notice = one.messageTo(2, { type: 'MsgApp', index: 4, logTerm: 1, commit: 4 });
    one.transport.send({ ...notice, commit: 3 });
    one.transport.send(notice);
    one.transport.send({ ...one.appendTo(2, 4, 1, 10), commit: 4 });
    await two.happenings.until('the entries', () => two.received.length === 1);
    one.transport.send({ ...notice, commit: 5 });
    one.transport.send({ ...notice, commit: 6 });
    // Without entries it goes out by itself, the newest alone.
    await two.happenings.until('the notice', () => two.received.length === 2);
    assert.deepEqual(
      two.received.map(({ commit, entries }) => [commit, entries.length]),
      [
        [4, 1],
        [6, 0],
      ],
    );
  });

  it('measure the round trip', async () => {
    const [one] = await pair();
    const state = () => one.transport.peer(2);
    await eventually('an answer', () => state()?.roundTripMs !== undefined);
    assert.ok((state()?.roundTripMs ?? 0) > 0);
    assert.ok((state()?.lastHeardMs ?? 0) > performance.now() - 5_000);
    assert.equal(one.transport.peer(3), undefined);
  });

  it('are opened again after the other process was gone, which is told once', async () => {
    const [one, two] = await pair();
    await two.stop();
    await one.happenings.until('the loss', () => one.timesTold('gone 2') === 1);
    assert.deepEqual(one.told, ['unreachable 2', 'gone 2']);
    assert.equal(one.transport.peer(2)?.connected, false);
    assert.match(one.transport.peer(2)?.error?.message ?? '', /refused the connection/);
    const before = one.backoffs;
    await one.happenings.until('more attempts', () => one.backoffs > before + 2);
    assert.deepEqual(one.told, ['unreachable 2', 'gone 2']);
    await two.restart();
    two.knows(one);
    await arrives(one, two);
    await arrives(two, one);
    assert.deepEqual(one.told, ['unreachable 2', 'gone 2']);
    assert.equal(one.transport.peer(2)?.error, undefined);
    await two.stop();
    await one.happenings.until('the second loss', () => one.timesTold('gone 2') === 2);
  });

  it('tell nobody gone who never was there', async () => {
    const [one, two] = await Promise.all([manager(1), manager(2)]);
    await two.stop();
    one.knows(two);
    await one.happenings.until('some attempts', () => one.backoffs > 2);
    assert.deepEqual(one.told, []);
    await two.restart();
    await arrives(one, two);
  });

  it('tell nobody gone whose connection breaks while its process lives', async () => {
    const [one, two, proxy] = await throughProxy();
    proxy.cut();
    await one.happenings.until('the loss', () => one.timesTold('unreachable 2') === 1);
    await arrives(one, two);
    assert.deepEqual(one.told, ['unreachable 2']);
  });

  it('are cut and opened again when the other end falls silent', async () => {
    const [one, two, proxy] = await throughProxy({ pongTimeoutMs: 200, welcomeTimeoutMs: 200 });
    proxy.freeze();
    await one.happenings.until('the loss', () => one.timesTold('unreachable 2') === 1);
    assert.equal(one.transport.peer(2)?.connected, false);
    assert.match(one.transport.peer(2)?.error?.message ?? '', /does not answer/);
    proxy.thaw();
    await arrives(one, two);
    assert.deepEqual(one.told, ['unreachable 2']);
  });

  it('are not cut while a slow link carries large entries', async () => {
    const [one, two, proxy] = await throughProxy({ pongTimeoutMs: 100, slowLinkBytesPerSecond: 1_000_000 });
    proxy.bytesPerSecond = 3_000_000;
    one.transport.send(one.appendTo(2, 0, 1, 3_000_000));
    await two.happenings.until('the entries', () => two.received.length === 1);
    assert.deepEqual(one.told, []);
  });

  it('drop what a peer does not take, and tell so once', async () => {
    const [one, two, proxy] = await throughProxy({ queueMessages: 100 });
    proxy.freeze();
    // The first is on its way, and fills the window; the others wait.
    one.transport.send(one.appendTo(2, 0, 1, 1_000_000));
    await new Promise(setImmediate);
    for (let index = 1; index <= 150; index++) one.transport.send(one.appendTo(2, index, 1, 10));
    // These have room of their own.
    for (let count = 0; count < 50; count++) one.transport.send(one.messageTo(2, { type: 'MsgHeartbeat' }));
    assert.deepEqual(one.told, [], 'not from within send');
    await one.happenings.until('the overflow', () => one.told.length > 0);
    assert.deepEqual(one.told, ['unreachable 2']);
    assert.equal(one.warned.filter(({ message }) => /dropped/.test(message)).length, 1);
    assert.equal(two.received.length, 0);
  });

  it('drop what is said while there is no stream', async () => {
    const [one, two] = await pair();
    await two.stop();
    await one.happenings.until('the loss', () => one.timesTold('gone 2') === 1);
    for (let index = 0; index < 10_000; index++) one.transport.send(one.appendTo(2, index, 1, 10));
    assert.equal(one.timesTold('unreachable 2'), 1);
    await two.restart();
    await arrives(one, two);
    assert.ok(two.received.length < 10_000);
  });

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

  it('follow a peer to its new address, and let go of one that is none any more', async () => {
    const [one, two] = await pair();
    await two.stop();
    two.member = { ...two.member, address: '' };
    await two.restart();
    one.knows(two);
    await arrives(one, two);
    one.knows();
    assert.equal(one.transport.peer(2), undefined);
    one.transport.send(one.messageTo(2, { type: 'MsgHeartbeat' }));
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

  describe('with a peer that talks rubbish', () => {
    const speaker = RaftMember.create({ raftId: 1 });

    /** A stream of a manager's certificate that says what it is told to. */
    async function talk(two: TestManager, nodeId?: string) {
      const node = testNode(authority, 'manager');
      const transport = new GrpcTransport({
        target: { kind: 'address', name: two.member.address },
        credentials: new NodeChannelCredentials({
          kind: 'member',
          identity: () => node,
          expect: { role: 'manager', clusterId: CLUSTER_ID, nodeId },
        }),
      });
      running.push({ stop: () => Promise.resolve(transport.close()) });
      const raw = transport.open(RaftService.exchange.path, { timeoutMs: undefined });
      const say = (message: ExchangeRequest['message']): void => {
        raw.write(ExchangeRequest.encode({ message })).catch(() => {});
      };
      const hello = async (): Promise<void> => {
        say({ kind: 'hello', value: { from: { ...speaker, nodeId: node.identity.nodeId }, to: two.raftId } });
        await raw.messages.next();
      };
      return { raw, say, hello };
    }

    it('end what does not begin with a hello', async () => {
      const two = await manager(2);
      for (const first of [
        undefined,
        { kind: 'ping', value: 1 },
        { kind: 'hello', value: { from: undefined, to: 2 } },
      ]) {
        const { raw, say } = await talk(two);
        say(first as ExchangeRequest['message']);
        await assert.rejects(raw.messages.next(), { name: 'SwarmError', reason: 'bad-message' });
      }
      const { raw } = await talk(two);
      raw.end();
      await assert.rejects(raw.messages.next(), { name: 'SwarmError', reason: 'bad-message' });
    });

    it('end what says no hello in time', async () => {
      const two = await manager(2, { helloTimeoutMs: 50 });
      const { raw } = await talk(two);
      await assert.rejects(raw.messages.next(), { name: 'SwarmError', code: 'deadline' });
    });

    it('end what cannot be decoded', async () => {
      const two = await manager(2);
      const { raw, hello } = await talk(two);
      await hello();
      raw.write(new Uint8Array([0xff, 0xff, 0xff])).catch(() => {});
      await assert.rejects(raw.messages.next(), { name: 'SwarmError', reason: 'bad-message' });
    });

    it('drop what nobody may say, log it once, and go on', async () => {
      const two = await manager(2);
      const { raw, say, hello } = await talk(two);
      await hello();
      const plain = one(1);
      const wrong = [
        { ...plain, from: 3 },
        { ...plain, to: 3 },
        { ...plain, type: RaftMessageType.UNSPECIFIED },
        { ...plain, type: RaftMessageType.SNAP },
        {
          ...plain,
          type: RaftMessageType.APP,
          entries: [{ type: 1, term: 1, index: 5, data: new Uint8Array() }],
        } as const,
        {
          ...plain,
          type: RaftMessageType.APP,
          entries: [{ type: 0, term: 1, index: 1, data: new Uint8Array() }],
        } as const,
      ];
      say({ kind: 'messages', value: { messages: wrong } });
      say(undefined);
      say({ kind: 'hello', value: { from: speaker, to: 2 } });
      say({ kind: 'messages', value: { messages: [...wrong, plain] } });
      say({ kind: 'ping', value: 77 });
      assert.equal((await raw.messages.next()).done, false);
      assert.deepEqual(
        two.received.map(({ type, from }) => ({ type, from })),
        [{ type: 'MsgHeartbeat', from: 1 }],
      );
      assert.equal(two.warned.filter(({ message }) => /dropped/.test(message)).length, 1);
    });

    it('take the newer of two streams', async () => {
      const two = await manager(2);
      const first = await talk(two);
      await first.hello();
      const second = await talk(two);
      await second.hello();
      await assert.rejects(first.raw.messages.next(), { name: 'SwarmError', message: /has opened another stream/ });
      second.say({ kind: 'messages', value: { messages: [one(1)] } });
      await two.happenings.until('the message', () => two.received.length === 1);
    });

    function one(from: number) {
      return {
        type: RaftMessageType.HEARTBEAT,
        to: 2,
        from,
        term: 1,
        logTerm: 0,
        index: 0,
        entries: [],
        commit: 0,
        reject: false,
        rejectHint: 0,
        context: new Uint8Array(),
        snapshot: undefined,
      };
    }
  });

  it('are all ended by close, in silence', async () => {
    const [one, two] = await pair();
    await one.transport.close();
    await one.transport.close();
    assert.deepEqual(one.told, []);
    one.transport.send(one.messageTo(2, { type: 'MsgHeartbeat' }));
    one.knows(two);
    assert.equal(one.transport.peer(2), undefined);
    await two.happenings.until('the end', () => two.transport.peer(1)?.connected === false);
    assert.equal(two.timesTold('gone 1'), 0);
  });
});
