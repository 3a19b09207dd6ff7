/**
 * Goal: who is no manager takes no part in the log, whatever certificate is shown and whatever is said; a manager that
 * talks rubbish harms nobody. Method: real daemons, and callers with stolen certificates of every kind.
 */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { NodeChannelCredentials, type TlsIdentity } from '#certs/tls.ts';
import {
  ExchangeRequest,
  ExchangeResponse,
  RaftEntryType,
  RaftMember,
  RaftMessage,
  RaftMessageType,
  RaftService,
  type SendSnapshotRequest,
} from '#gen/swarm/v1/raft.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { GrpcTransport } from '#proto/grpc/grpc-transport.ts';
import { createSwarmClient, type SwarmClient } from '#src/client/swarm-client.ts';
import { failure } from '#test/support/failure.ts';
import type { DaemonProcess } from './support/daemon-process.ts';
import { Managers } from './support/managers.ts';

const { MANAGER, WORKER } = NodeRole;
const ANSWER = { timeoutMs: 10_000 };
/** Of a stream that is left open on purpose. */
const PATIENCE_MS = 5_000;

interface Stolen extends TlsIdentity {
  readonly nodeId: string;
  readonly clusterId: string;
}

describe('managers: hostile callers', function () {
  this.timeout(60_000);
  this.bail(true);
  let managers: Managers;
  let one: DaemonProcess;
  let failed = false;
  /** A worker; a manager of before that was demoted; a manager. */
  let worker: Stolen;
  let demoted: Stolen;
  let third: Stolen;
  const open: { close(): void }[] = [];

  before(async () => {
    managers = await Managers.create();
    [one] = (await managers.cluster('one', 'two', 'three')) as [DaemonProcess];
    const four = await managers.daemon('four');
    await four.join((await one.tokens()).manager, one.address);
    await managers.voters(one, ['one', 'two', 'three', 'four']);
    demoted = await stolen(four);
    await one.setRole('four', WORKER);
    await managers.follows(four, WORKER);
    worker = await stolen(four);
    third = await stolen(managers.named('three'));
    assert.notEqual(demoted.certificatePem, worker.certificatePem);
  });
  afterEach(function () {
    failed ||= this.currentTest?.state === 'failed';
    for (const client of open.splice(0)) client.close();
  });
  after(() => managers.destroy(failed));

  /** What a copy of the host's state directory gives away. */
  async function stolen(host: DaemonProcess): Promise<Stolen> {
    const { nodeId, clusterId } = await host.info();
    return {
      nodeId,
      clusterId,
      certificatePem: await host.read('node', 'node.crt'),
      privateKeyPem: await host.read('node', 'node.key'),
      rootsPem: await host.read('node', 'root.crt'),
    };
  }

  function transportTo(host: DaemonProcess, who: Stolen, shows = true): GrpcTransport {
    const expect = { role: 'manager', clusterId: who.clusterId } as const;
    const transport = new GrpcTransport({
      target: { kind: 'address', name: host.address },
      credentials: new NodeChannelCredentials(
        shows ? { kind: 'member', identity: () => who, expect } : { kind: 'pinned', rootsPem: who.rootsPem, expect },
      ),
    });
    open.push(transport);
    return transport;
  }

  const callTo = (host: DaemonProcess, who: Stolen, shows = true): SwarmClient =>
    createSwarmClient(transportTo(host, who, shows));

  /** A stream of the log, and what is said on it. */
  function exchange(host: DaemonProcess, who: Stolen) {
    const raw = transportTo(host, who).open(RaftService.exchange.path, { timeoutMs: PATIENCE_MS });
    const say = (message: ExchangeRequest['message']): void => {
      raw.write(ExchangeRequest.encode({ message })).catch(() => {});
    };
    const hear = async (): Promise<ExchangeResponse> => {
      const next = await raw.messages.next();
      assert.ok(next.done !== true, 'the stream goes on');
      return ExchangeResponse.decode(next.value);
    };
    return { say, hear };
  }

  function hello(raftId: number, nodeId: string, to: number): ExchangeRequest['message'] {
    const from = RaftMember.create({ raftId, nodeId, address: '127.0.0.9:9', featureLevel: 1 });
    return { kind: 'hello', value: { from, to } };
  }

  async function helloRefused(host: DaemonProcess, who: Stolen, raftId: number, to: number, nodeId = who.nodeId) {
    const { say, hear } = exchange(host, who);
    say(hello(raftId, nodeId, to));
    return failure(hear());
  }

  /** The raft id of the host, which it names to a manager that takes it for somebody else. */
  async function raftIdOf(host: DaemonProcess): Promise<number> {
    const { message } = await helloRefused(host, third, 77, 1);
    const [, raftId] = /^this is member (\d+) of the log/.exec(message) ?? assert.fail(message);
    return Number(raftId);
  }

  /** The one that leads, as everybody sees it: it must lead all the time. */
  const leader = async (): Promise<string> => (await managers.leader(one)).name;

  /** What only the leader of a later term could want. */
  function snapshotOf(from: number, to: number): SendSnapshotRequest['message'] {
    const confState = { voters: [from], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false };
    const snapshot = { index: 1_000_000, term: 1_000_000, confState };
    return {
      kind: 'header',
      value: RaftMessage.create({ type: RaftMessageType.SNAP, from, to, term: 1_000_000, snapshot }),
    };
  }

  it('without a certificate, or with a worker’s, get nothing of the log and of its members', async () => {
    for (const [shows, code] of [
      [true, 'denied'],
      [false, 'unauthenticated'],
    ] as const) {
      const { raft, membership, snapshots, control } = callTo(one, worker, shows);
      const join = { address: '127.0.0.9:9', featureLevel: 1 };
      const calls: readonly [string, Promise<unknown>][] = [
        ['Exchange', raft.exchange([{ message: hello(77, worker.nodeId, 1) }], ANSWER).next()],
        ['SendSnapshot', raft.sendSnapshot([{ message: snapshotOf(77, 1) }], ANSWER)],
        ['JoinLog', membership.joinLog(join, ANSWER)],
        ['LeaveLog', membership.leaveLog({}, ANSWER)],
        ['GetCluster', control.getCluster({}, ANSWER)],
      ];
      for (const [what, call] of calls) assert.equal((await failure(call)).code, code, what);
      // Not served to other hosts at all: who has the key has the swarm.
      for (const call of [snapshots.getSnapshotKey({}, ANSWER), snapshots.saveSnapshot({}, ANSWER).next()])
        assert.equal((await failure(call)).code, 'unimplemented');
    }
  });

  it('that were managers do not come back with the certificate of before, under any id', async () => {
    const [before, host] = [await leader(), managers.named('two')];
    const [own, other] = [await raftIdOf(host), await raftIdOf(one)];
    for (const claimed of [77, other, own, Number.MAX_SAFE_INTEGER])
      for (const nodeId of [demoted.nodeId, third.nodeId])
        assert.match((await helloRefused(host, demoted, claimed, own, nodeId)).reason, /^(node-removed|wrong-member)$/);
    const { raft, membership, control } = callTo(host, demoted);
    const sent = raft.sendSnapshot([{ message: snapshotOf(77, own) }, { message: { kind: 'end', value: 0 } }], ANSWER);
    assert.equal((await failure(sent)).code, 'denied');
    const pretended = raft.sendSnapshot([{ message: snapshotOf(other, own) }], ANSWER);
    assert.equal((await failure(pretended)).code, 'denied');
    assert.equal((await failure(membership.joinLog({ address: '', featureLevel: 9 }, ANSWER))).code, 'denied');
    assert.equal((await failure(control.getCluster({}, ANSWER))).code, 'denied');
    await one.write('after-demoted');
    assert.equal(await leader(), before);
  });

  it('lose what they opened as managers within a second of their demotion, and others lose nothing', async () => {
    const five = await managers.daemon('five');
    await five.join((await one.tokens()).manager, one.address);
    await managers.voters(one, ['one', 'two', 'three', 'five']);
    const thief = await stolen(five);
    const host = managers.named('two');
    const own = await raftIdOf(host);
    const log = exchange(host, thief);
    // An id that nobody has heard of, as a manager has that was added a moment ago.
    log.say(hello(4711, thief.nodeId, own));
    assert.equal((await log.hear()).message?.kind, 'welcome');
    const watchOf = (who: Stolen) => callTo(host, who).watch.watch({}, { timeoutMs: 60_000 })[Symbol.asyncIterator]();
    const [watch, others] = [watchOf(thief), watchOf(third)];
    for (const one of [watch, others]) assert.equal((await one.next()).done, false);
    await one.setRole('five', WORKER);
    await managers.follows(five, WORKER);
    const startMs = performance.now();
    const toEnd = async (): Promise<never> => {
      for (;;) assert.equal((await watch.next()).done, false);
    };
    assert.deepEqual(
      [(await failure(log.hear())).reason, (await failure(toEnd())).reason],
      ['node-removed', 'wrong-role'],
    );
    assert.ok(performance.now() - startMs < 1_000, 'soon');
    await one.write('after-five');
    assert.equal((await others.next()).done, false, 'a manager that stays goes on');
    await five.stop();
    await one.control.removeNode({ reference: thief.nodeId, force: true }, ANSWER);
  });

  it('that were removed neither', async () => {
    const host = managers.named('two');
    const own = await raftIdOf(host);
    await managers.named('four').stop();
    await one.control.removeNode({ reference: demoted.nodeId, force: true }, ANSWER);
    // Read there, so that it has heard of the removal.
    assert.equal(await managers.node(host, 'four'), undefined);
    for (const claimed of [77, own])
      assert.match((await helloRefused(host, demoted, claimed, own)).reason, /^(node-removed|wrong-member)$/);
    const { membership, control } = callTo(host, demoted);
    assert.equal((await failure(membership.leaveLog({}, ANSWER))).reason, 'node-removed');
    assert.equal((await failure(control.getCluster({}, ANSWER))).reason, 'node-removed');
  });

  it('that are managers speak for nobody but themselves', async () => {
    const host = managers.named('two');
    const [own, other] = [await raftIdOf(host), await raftIdOf(one)];
    const { nodeId } = await one.info();
    for (const [claimed, name] of [
      [other, third.nodeId],
      [other, nodeId],
      [own, third.nodeId],
      [77, nodeId],
    ] as const)
      assert.equal((await helloRefused(host, third, claimed, own, name)).reason, 'wrong-member');
    const { raft } = callTo(host, third);
    const sent = raft.sendSnapshot([{ message: snapshotOf(other, own) }], ANSWER);
    assert.equal((await failure(sent)).reason, 'wrong-member');
  });

  it('that talk rubbish as a manager are not listened to, and leave nothing', async () => {
    const [before, host] = [await leader(), managers.named('two')];
    const [own, me] = [await raftIdOf(host), await raftIdOf(managers.named('three'))];
    await managers.named('three').kill();
    const { say, hear } = exchange(host, third);
    say(hello(me, third.nodeId, own));
    assert.equal((await hear()).message?.kind, 'welcome');
    const plain = RaftMessage.create({ type: RaftMessageType.APP, from: me, to: own, term: 1 });
    const entry = { type: RaftEntryType.NORMAL, term: 1, index: 9, data: new Uint8Array(9) };
    say(hello(me, third.nodeId, own));
    say(undefined);
    say({
      kind: 'messages',
      value: {
        messages: [
          { ...plain, type: RaftMessageType.UNSPECIFIED },
          { ...plain, type: 99 as RaftMessageType },
          { ...plain, from: own },
          { ...plain, to: me },
          { ...plain, index: Number.MAX_SAFE_INTEGER, entries: [entry] },
          { ...plain, entries: [entry, entry] },
          { ...plain, entries: [{ ...entry, index: 1, type: RaftEntryType.UNSPECIFIED }] },
          { ...plain, type: RaftMessageType.SNAP },
          // Well-formed, and of a term long gone.
          { ...plain, index: Number.MAX_SAFE_INTEGER, commit: Number.MAX_SAFE_INTEGER },
          { ...plain, type: RaftMessageType.HEARTBEAT, commit: Number.MAX_SAFE_INTEGER },
          { ...plain, type: RaftMessageType.VOTE, index: Number.MAX_SAFE_INTEGER, logTerm: Number.MAX_SAFE_INTEGER },
        ],
      },
    });
    say({ kind: 'ping', value: 5 });
    assert.deepEqual((await hear()).message, { kind: 'pong', value: 5 });
    await one.write('after-rubbish');
    assert.ok((await host.labels()).includes('after-rubbish'));
    assert.equal(await leader(), before);

    const { raft } = callTo(host, third);
    async function* cut(): AsyncGenerator<SendSnapshotRequest> {
      yield { message: snapshotOf(me, own) };
      for (let count = 0; count < 50; count++) yield { message: { kind: 'chunk', value: new Uint8Array(100_000) } };
      yield { message: { kind: 'end', value: 51 } };
    }
    assert.equal((await failure(raft.sendSnapshot(cut(), { timeoutMs: PATIENCE_MS }))).reason, 'bad-message');
    assert.deepEqual(
      (await readdir(join(host.state, 'raft'))).filter((name) => name.endsWith('.tmp')),
      [],
    );
    await one.write('after-snapshot');
    await managers.named('three').start();
    await managers.voters(one, ['one', 'two', 'three']);
    await managers.ready(one, 'three', MANAGER);
    for (const daemon of managers.daemons) assert.doesNotMatch(daemon.output, /"level":60|uncaught|Unhandled/i);
  });
});
