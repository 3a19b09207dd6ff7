/**
 * Goal: a snapshot arrives chunk by chunk as it was sent, however slow the way is, or both sides learn that it did not.
 * Method: as for the streams; the deadlines are shortened, and the slow way takes much longer than they are.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Message } from 'raft-ts';
import { createRootAuthority } from '#certs/authority.ts';
import { NodeChannelCredentials } from '#certs/tls.ts';
import { SwarmError } from '#common/errors.ts';
import { RaftService, type SendSnapshotRequest } from '#gen/swarm/v1/raft.ts';
import { toWire } from '#manager/raft/transport/message-codec.ts';
import { createClient } from '#proto/grpc/client.ts';
import { GrpcTransport } from '#proto/grpc/grpc-transport.ts';
import { eventually } from '#test/support/eventually.ts';
import { failure } from '#test/support/failure.ts';
import { CLUSTER_ID } from '../../../certs/fixtures.ts';
import { TestManager } from './managers.ts';
import { TcpProxy } from './tcp-proxy.ts';

const authority = createRootAuthority(Date.now());
const KIB = 1024;

describe('snapshots between managers', () => {
  const running: { stop(): Promise<void> }[] = [];

  async function throughProxy(config = {}): Promise<[TestManager, TestManager, TcpProxy]> {
    const one = await new TestManager(authority, 1, config).listen();
    const two = await new TestManager(authority, 2, config).listen();
    const proxy = await TcpProxy.start(Number(two.member.address.split(':')[1]));
    running.push(one, two, { stop: () => proxy.close() });
    one.knows({ ...two.member, address: proxy.address });
    two.knows(one);
    await Promise.all([one.connectedTo(2), two.connectedTo(1)]);
    return [one, two, proxy];
  }

  function snapshotMessage(from: TestManager, to = 2): Message {
    const confState = { voters: [1, 2, 3], learners: [4], votersOutgoing: [5], learnersNext: [6], autoLeave: true };
    return from.messageTo(to, {
      type: 'MsgSnap',
      term: 7,
      snapshot: { index: 1234, term: 6, confState, data: new Uint8Array() },
    });
  }

  /** Chunks of the given sizes, each of its own bytes; counts those that were taken. */
  function source(sizes: readonly number[]) {
    const chunks = sizes.map((size, index) => new Uint8Array(Buffer.alloc(size, `the bytes of chunk ${index}, `)));
    const taken = { count: 0, ended: false };
    async function* generate(): AsyncGenerator<Uint8Array> {
      try {
        for (const chunk of chunks) {
          taken.count++;
          yield chunk;
        }
      } finally {
        taken.ended = true;
      }
    }
    return { chunks, taken, stream: generate() };
  }

  const many = (count: number): number[] => Array.from({ length: count }, () => 64 * KIB);

  afterEach(async () => {
    await Promise.all(running.splice(0).map((one) => one.stop()));
  });

  it('arrive with their header and the same chunks, none split or joined', async () => {
    const [one, two] = await throughProxy();
    const sizes = [1, 0, 64 * KIB, 64 * KIB + 1, 64 * KIB - 1, 5_000_000, 0, 128 * KIB, 7, 7];
    const { chunks, stream } = source(sizes);
    const before = chunks.map((chunk) => chunk.slice());
    await one.transport.sendSnapshot(snapshotMessage(one), stream);
    const [received] = two.snapshots;
    assert.equal(received?.outcome, 'whole', 'answered after the handler has returned');
    assert.equal(received?.from, 1);
    assert.deepEqual(received?.message, snapshotMessage(one));
    assert.deepEqual(
      received?.chunks.map((chunk) => chunk.length),
      sizes,
    );
    assert.deepEqual(received?.chunks, before);
    assert.deepEqual(chunks, before, 'sending leaves its chunks as they were');
  });

  it('of 50 MB pass a slow way: every piece has its time, the whole has none', async () => {
    const [one, two, proxy] = await throughProxy({ snapshotPartTimeoutMs: 400, helloTimeoutMs: 400 });
    proxy.bytesPerSecond = 30_000_000;
    const sent = createHash('sha256');
    async function* chunks(): AsyncGenerator<Uint8Array> {
      for (let index = 0; index < 500; index++) {
        const chunk = new Uint8Array(100_000).fill(index % 256);
        sent.update(chunk);
        yield chunk;
      }
    }
    const beganMs = performance.now();
    await one.transport.sendSnapshot(snapshotMessage(one), chunks());
    assert.ok(performance.now() - beganMs > 1_200, 'three times the deadline');
    const received = createHash('sha256');
    for (const chunk of two.snapshots[0]?.chunks ?? []) received.update(chunk);
    assert.equal(two.snapshots[0]?.chunks.length, 500);
    assert.equal(received.digest('hex'), sent.digest('hex'));
    // The streams of messages were not in the way of it, nor it in theirs.
    assert.deepEqual([...one.told, ...two.told], []);
  });

  it('wait for a receiver that is slow, holding only a few pieces for it', async () => {
    const [one, two] = await throughProxy({ snapshotPartTimeoutMs: 500 });
    const goOn = Promise.withResolvers<void>();
    two.beforeChunk = (count) => (count === 1 ? goOn.promise : undefined);
    const stuck = source(many(500));
    // The piece that finds no room has its time: by then everything was taken that ever will be.
    const error = await failure(one.transport.sendSnapshot(snapshotMessage(one), stuck.stream));
    assert.equal(error.reason, 'timeout');
    const held = stuck.taken.count;
    assert.ok(held < 60, `${held} chunks of 64 KiB were taken for a reader that reads nothing`);
    goOn.resolve();

    const [three, four] = await throughProxy();
    const { stream, taken } = source(many(500));
    const isBehind = (): Promise<void> => eventually('the sender to be ahead', () => taken.count > held / 2);
    four.beforeChunk = (count) => (count === 1 ? isBehind() : undefined);
    await three.transport.sendSnapshot(snapshotMessage(three), stream);
    assert.equal(four.snapshots[0]?.chunks.length, 500);
  });

  it('that are cut in the middle fail on both sides', async () => {
    const [one, two, proxy] = await throughProxy();
    proxy.onBytes = () => {
      if (proxy.bytes > 2_000_000) proxy.cut();
    };
    const { stream, taken } = source(many(1_000));
    const error = await failure(one.transport.sendSnapshot(snapshotMessage(one), stream));
    assert.equal(error.code, 'unavailable');
    assert.ok(taken.ended, 'its source was let go');
    await two.happenings.until('the end', () => two.snapshots[0]?.outcome !== 'running');
    assert.ok(two.snapshots[0]?.outcome instanceof SwarmError);
  });

  it('that get stuck fail on both sides when a piece has had its time', async () => {
    const [one, two, proxy] = await throughProxy({ snapshotPartTimeoutMs: 200 });
    proxy.onBytes = () => {
      if (proxy.bytes > 2_000_000) proxy.freeze();
    };
    const { stream, taken } = source(many(1_000));
    const error = await failure(one.transport.sendSnapshot(snapshotMessage(one), stream));
    assert.equal(error.reason, 'timeout');
    assert.ok(taken.ended);
    await two.happenings.until('the end', () => two.snapshots[0]?.outcome !== 'running');
    assert.equal((two.snapshots[0]?.outcome as SwarmError | undefined)?.reason, 'timeout');
    // Another attempt is free to be made.
    proxy.onBytes = () => {};
    proxy.thaw();
    await one.transport.sendSnapshot(snapshotMessage(one), source([1, 2]).stream);
    assert.deepEqual(
      two.snapshots.map(({ outcome }) => outcome instanceof SwarmError),
      [true, false],
    );
  });

  it('that nobody answers fail in their time', async () => {
    const [one, two] = await throughProxy({ snapshotAnswerTimeoutMs: 100 });
    let goOn = (): void => {};
    const slow = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    two.beforeChunk = (count) => (count === 3 ? slow : undefined);
    const error = await failure(one.transport.sendSnapshot(snapshotMessage(one), source([1, 2, 3]).stream));
    assert.equal(error.reason, 'timeout');
    goOn();
  });

  it('whose source fails are no snapshots', async () => {
    const [one, two] = await throughProxy();
    async function* chunks(): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(10);
      await two.happenings.until('the first chunk', () => two.snapshots[0]?.chunks.length === 1);
      throw new SwarmError({ code: 'data-loss', reason: 'corrupt-state', message: 'the disk is broken' });
    }
    const error = await failure(one.transport.sendSnapshot(snapshotMessage(one), chunks()));
    assert.equal(error.message, 'the disk is broken');
    await two.happenings.until('the end', () => two.snapshots[0]?.outcome !== 'running');
    assert.ok(two.snapshots[0]?.outcome instanceof SwarmError);
  });

  it('that the receiver refuses say why, and their source is let go', async () => {
    const [one, two] = await throughProxy();
    two.beforeChunk = () => {
      throw new SwarmError({ code: 'exhausted', reason: 'disk-full', message: 'the disk of the other is full' });
    };
    const { stream, taken } = source(many(1_000));
    const error = await failure(one.transport.sendSnapshot(snapshotMessage(one), stream));
    assert.equal(error.reason, 'disk-full');
    assert.ok(taken.ended);
    assert.ok(taken.count < 1_000);
  });

  it('go out one at a time to a peer, and not to those who are none', async () => {
    const [one, two] = await throughProxy();
    let goOn = (): void => {};
    const slow = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    two.beforeChunk = () => slow;
    const first = one.transport.sendSnapshot(snapshotMessage(one), source([1]).stream);
    await two.happenings.until('the snapshot', () => two.snapshots.length === 1);
    assert.equal(
      (await failure(one.transport.sendSnapshot(snapshotMessage(one), source([1]).stream))).reason,
      'in-use',
    );
    goOn();
    await first;
    const nobody = await failure(one.transport.sendSnapshot(snapshotMessage(one, 9), source([1]).stream));
    assert.match(nobody.message, /member 9 is not one/);
    assert.equal(two.snapshots.length, 1);
  });

  it('end with the transport', async () => {
    const [one, two] = await throughProxy();
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) yield new Uint8Array(10_000);
    }
    const sending = failure(one.transport.sendSnapshot(snapshotMessage(one), endless()));
    await two.happenings.until('some chunks', () => (two.snapshots[0]?.chunks.length ?? 0) > 3);
    await two.transport.close();
    assert.ok(two.snapshots[0]?.outcome instanceof SwarmError);
    assert.equal((await sending).reason, 'shutting-down');
    await one.transport.close();
    assert.equal((await failure(one.transport.sendSnapshot(snapshotMessage(one), endless()))).reason, 'shutting-down');
  });

  describe('from a peer that talks rubbish', () => {
    type Request = SendSnapshotRequest['message'];
    const chunk = (size: number): Request => ({ kind: 'chunk', value: new Uint8Array(size) });
    const part = (size: number): Request => ({ kind: 'part', value: new Uint8Array(size) });
    const end = (value: number): Request => ({ kind: 'end', value });

    async function send(one: TestManager, two: TestManager, requests: readonly Request[]): Promise<SwarmError> {
      const transport = new GrpcTransport({
        target: { kind: 'address', name: two.member.address },
        credentials: new NodeChannelCredentials({
          kind: 'member',
          identity: () => one.node,
          expect: { role: 'manager', clusterId: CLUSTER_ID },
        }),
      });
      try {
        const messages = requests.map((message) => ({ message }));
        return await failure(createClient(RaftService, transport).sendSnapshot(messages));
      } finally {
        transport.close();
      }
    }

    it('is refused before its handler hears of it', async () => {
      const [one, two] = await throughProxy();
      const header = (message: Message): Request => ({ kind: 'header', value: toWire(message) });
      const good = snapshotMessage(one);
      const cases: readonly [string, readonly Request[]][] = [
        ['bad-message', []],
        ['bad-message', [undefined]],
        ['bad-message', [chunk(1), end(1)]],
        ['bad-message', [header(one.messageTo(2, { type: 'MsgHeartbeat' }))]],
        ['bad-message', [header({ ...good, snapshot: undefined })]],
        ['wrong-member', [header({ ...good, from: 3 })]],
        ['wrong-member', [header({ ...good, to: 3 })]],
      ];
      for (const [reason, requests] of cases) assert.equal((await send(one, two, requests)).reason, reason);
      assert.deepEqual(two.snapshots, []);
    });

    it('of a node that was demoted meanwhile are not taken', async () => {
      const [one, two] = await throughProxy();
      const held = Promise.withResolvers<undefined>();
      two.beforeChunk = (count) => (count === 1 ? held.promise : undefined);
      const sending = failure(one.transport.sendSnapshot(snapshotMessage(one), source(many(10)).stream));
      await two.happenings.until('a chunk', () => two.snapshots[0]?.chunks.length === 1);
      two.strangers.set(1, new SwarmError({ code: 'denied', reason: 'node-removed', message: 'no manager any more' }));
      two.transport.reviewStrangers();
      held.resolve(undefined);
      assert.equal((await sending).code, 'cancelled');
      assert.ok(two.snapshots[0]?.outcome instanceof SwarmError);
    });

    it('is told apart from a whole snapshot', async () => {
      const [one, two] = await throughProxy({ snapshotChunkBytes: 1_000 });
      const header: Request = { kind: 'header', value: toWire(snapshotMessage(one)) };
      const cases: readonly (readonly Request[])[] = [
        [header],
        [header, chunk(1)],
        [header, part(1), end(0)],
        [header, chunk(1), end(2)],
        [header, header],
        [header, chunk(1), undefined],
        [header, part(600), chunk(600), end(1)],
      ];
      for (const requests of cases) {
        const error = await send(one, two, requests);
        assert.equal(error.reason, 'bad-message', error.message);
        const { outcome } = two.snapshots.at(-1) ?? {};
        assert.equal(outcome instanceof SwarmError && outcome.reason, 'bad-message');
      }
      assert.equal(two.snapshots.length, cases.length);
    });
  });
});
