/** Peers with a manager's certificate that talk rubbish. */
import assert from 'node:assert/strict';
import { NodeChannelCredentials } from '#certs/tls.ts';
import { ExchangeRequest, RaftMember, RaftMessageType, RaftService } from '#gen/swarm/v1/raft.ts';
import { GrpcTransport } from '#proto/grpc/grpc-transport.ts';
import { CLUSTER_ID, testNode } from '../../../certs/fixtures.ts';
import { TestManager } from './managers.ts';
import { testStreams } from './streams.ts';

describe('streams between managers with a peer that talks rubbish', () => {
  const { authority, running, manager } = testStreams();

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
    for (const first of [undefined, { kind: 'ping', value: 1 }, { kind: 'hello', value: { from: undefined, to: 2 } }]) {
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
