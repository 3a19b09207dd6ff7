/**
 * Goal: what the manager says of networks reaches the kernel's side in order, is acknowledged when it is there and not
 * before, and is there again after a restart without any manager. Method: the real tables and database seam, appliers
 * that the test holds back or lets fail.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { MemoryDatabase } from '#agent/database/index.ts';
import { DISCOVERY_RETRY, Discovery, entryKey, NetworkTables, type NetworkViews } from '#agent/discovery/index.ts';
import { ManualClock } from '#common/clock.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import {
  type AppliedNetworks,
  NetworkChange,
  NetworkChanges,
  NetworkChangesType,
  NetworkEndpoint,
  NetworkPeer,
  NetworkProblem,
  NetworkService,
  NetworkTable,
} from '#gen/swarm/v1/networks.ts';

const { COMPLETE, INCREMENTAL } = NetworkChangesType;

function table(networkId: string, init: Partial<NetworkTable> = {}): NetworkChange {
  const value = NetworkTable.create({ networkId, name: networkId, vni: 4097, ...init });
  return NetworkChange.create({ networkId, item: { kind: 'table', value } });
}

function endpoint(networkId: string, taskId: string, serving = true): NetworkChange {
  const value = NetworkEndpoint.create({ taskId, addresses: ['10.0.1.9'], serving });
  return NetworkChange.create({ networkId, item: { kind: 'endpoint', value } });
}

function gone(change: NetworkChange): NetworkChange {
  return { ...change, remove: true };
}

function message(
  version: number,
  changes: readonly NetworkChange[],
  init: Partial<NetworkChanges> = {},
): NetworkChanges {
  return NetworkChanges.create({ type: INCREMENTAL, version, changes, ...init });
}

function contentOf(views: NetworkViews): unknown {
  const inOrder = <T>(map: ReadonlyMap<string, T>): readonly (readonly [string, T])[] =>
    [...map].toSorted(([a], [b]) => a.localeCompare(b));
  return inOrder(views).map(([id, { table: network, peers, services, endpoints }]) => [
    id,
    network,
    inOrder(peers),
    inOrder(services),
    inOrder(endpoints),
  ]);
}

async function settle(): Promise<void> {
  for (let round = 0; round < 20; round++) await new Promise((resolve) => setImmediate(resolve));
}

class Node {
  readonly clock = new ManualClock();
  readonly acknowledged: AppliedNetworks[] = [];
  /** What the applier was given, call by call. */
  readonly applied: (readonly NetworkChange[])[] = [];
  /** Set: calls wait here until the test lets them go. */
  gate: Promise<void> | undefined;
  failures = 0;
  problems: readonly NetworkProblem[] = [];
  readonly discovery: Discovery;
  readonly database: MemoryDatabase;

  constructor(database = new MemoryDatabase()) {
    this.database = database;
    this.discovery = new Discovery({
      appliers: [
        {
          name: 'test',
          apply: async (_views, changes) => {
            this.applied.push(changes);
            await this.gate;
            if (this.failures-- > 0) throw new Error('the kernel is busy');
            return this.problems;
          },
        },
      ],
      database,
      acknowledge: (applied) => this.acknowledged.push(applied),
      clock: this.clock,
      random: new SeededRandom(1),
      logger: silentLogger,
      retry: DISCOVERY_RETRY,
    });
  }

  get versions(): readonly number[] {
    return this.acknowledged.map(({ version }) => version);
  }
}

describe('agent/discovery', () => {
  it('acknowledges a commit when it is applied, and what came meanwhile in one go', async () => {
    const node = new Node();
    let open = (): void => {};
    node.gate = new Promise((resolve) => (open = resolve));
    node.discovery.receive(message(5, [table('front')], { type: COMPLETE }));
    node.discovery.receive(message(6, [endpoint('front', 't1')]));
    node.discovery.receive(message(7, [endpoint('front', 't1', false)]));
    await settle();
    assert.deepEqual(node.versions, []);
    open();
    await settle();
    assert.deepEqual(node.versions, [5, 7]);
    assert.equal(node.applied.length, 2);
    assert.equal(node.applied[1]?.length, 2);
  });

  it('a message in parts is one step, and its first parts are forgotten with their session', async () => {
    const node = new Node();
    node.discovery.receive(message(5, [table('front')], { type: COMPLETE, more: true }));
    await settle();
    assert.deepEqual(node.versions, []);
    node.discovery.sessionBegan();
    node.discovery.receive(message(6, [table('back')], { type: COMPLETE }));
    await settle();
    assert.deepEqual([...node.discovery.views.keys()], ['back']);
    assert.deepEqual(node.versions, [6]);
  });

  it('a full set that says nothing new changes nothing, and is acknowledged', async () => {
    const node = new Node();
    const set = [table('front'), endpoint('front', 't1')];
    node.discovery.receive(message(5, set, { type: COMPLETE }));
    await settle();
    node.discovery.receive(message(9, set, { type: COMPLETE }));
    await settle();
    assert.equal(node.applied.length, 1);
    assert.deepEqual(node.versions, [5, 9]);
  });

  it('what a full set does not name is removed, endpoints first', async () => {
    const node = new Node();
    node.discovery.receive(message(5, [table('front'), table('back'), endpoint('back', 't1')], { type: COMPLETE }));
    await settle();
    node.discovery.receive(message(6, [table('front')], { type: COMPLETE }));
    await settle();
    const last = node.applied.at(-1)?.map(({ networkId, remove, item }) => [networkId, remove, item && entryKey(item)]);
    assert.deepEqual(last, [
      ['back', true, 'endpoint t1'],
      ['back', true, 'table'],
    ]);
  });

  it('goes on after a failure, with backoff, and loses nothing', async () => {
    const node = new Node();
    node.failures = 2;
    node.discovery.receive(message(5, [table('front')], { type: COMPLETE }));
    await settle();
    assert.deepEqual(node.versions, []);
    node.discovery.receive(message(6, [endpoint('front', 't1')]));
    await settle();
    assert.equal(node.applied.length, 1, 'it waits before it tries again');
    node.clock.advance(DISCOVERY_RETRY.maxMs);
    await settle();
    node.clock.advance(DISCOVERY_RETRY.maxMs);
    await settle();
    assert.equal(node.applied.at(-1)?.length, 2);
    assert.deepEqual(node.versions, [6]);
  });

  it('says which networks could not be brought there', async () => {
    const node = new Node();
    node.problems = [NetworkProblem.create({ networkId: 'front', message: 'no VXLAN here' })];
    node.discovery.receive(message(5, [table('front')], { type: COMPLETE }));
    await settle();
    node.discovery.receive(message(6, []));
    await settle();
    assert.deepEqual(
      node.acknowledged.map(({ problems }) => problems[0]?.message),
      ['no VXLAN here', 'no VXLAN here'],
    );
  });

  it('who needs a network waits until it is applied, and gives up with its signal', async () => {
    const node = new Node();
    let open = (): void => {};
    node.gate = new Promise((resolve) => (open = resolve));
    let isThere = false;
    const waiting = node.discovery.applied('front', new AbortController().signal).then(() => (isThere = true));
    const given = new AbortController();
    const impatient = node.discovery.applied('front', given.signal);
    node.discovery.receive(message(5, [table('front')], { type: COMPLETE }));
    await settle();
    assert.equal(isThere, false);
    given.abort(new Error('out of patience'));
    await assert.rejects(impatient, /out of patience/);
    open();
    await waiting;
    assert.equal(isThere, true);
  });

  it('after a restart all is as it was, before any manager says a word', async () => {
    const first = new Node();
    const service = NetworkService.create({ serviceId: 's', name: 'web' });
    const peer = NetworkPeer.create({ nodeId: 'n', index: 1 });
    first.discovery.receive(
      message(
        5,
        [
          table('front'),
          table('back'),
          endpoint('front', 't1'),
          NetworkChange.create({ networkId: 'front', item: { kind: 'service', value: service } }),
          NetworkChange.create({ networkId: 'front', item: { kind: 'peer', value: peer } }),
          endpoint('front', 't2'),
          endpoint('back', 't3'),
        ],
        { type: COMPLETE },
      ),
    );
    first.discovery.receive(
      message(6, [gone(endpoint('front', 't2')), gone(table('back')), endpoint('front', 't1', false)]),
    );
    await settle();
    const second = new Node(first.database);
    await second.discovery.restore((await second.database.load()).networks);
    assert.deepEqual(contentOf(second.discovery.views), contentOf(first.discovery.views));
    assert.equal(second.applied.length, 1);
    assert.equal(second.applied[0]?.[0]?.item?.kind, 'table');
    assert.deepEqual(second.versions, [], 'it knows of no commit');
  });

  it('any history of messages leads to the same tables, from the database too', async () => {
    const change = fc.oneof(
      fc.constantFrom('a', 'b').map((id) => table(id)),
      fc.constantFrom('a', 'b').map((id) => table(id, { internal: true })),
      fc.constantFrom('a', 'b').map((id) => gone(table(id))),
      fc.tuple(fc.constantFrom('a', 'b'), fc.constantFrom('t1', 't2'), fc.boolean()).map((of) => endpoint(...of)),
      fc.tuple(fc.constantFrom('a', 'b'), fc.constantFrom('t1', 't2')).map((of) => gone(endpoint(...of))),
    );
    const messages = fc.array(fc.tuple(fc.array(change, { maxLength: 5 }), fc.boolean()), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(messages, async (history) => {
        const node = new Node();
        const followed = new NetworkTables();
        let version = 0;
        for (const [changes, complete] of history) {
          const type = complete ? COMPLETE : INCREMENTAL;
          node.discovery.receive(message(++version, changes, { type }));
        }
        await settle();
        for (const step of node.applied) followed.receive(message(1, step));
        assert.deepEqual(contentOf(followed.views), contentOf(node.discovery.views));
        const again = new Node(node.database);
        await again.discovery.restore((await again.database.load()).networks);
        assert.deepEqual(contentOf(again.discovery.views), contentOf(node.discovery.views));
        assert.deepEqual(node.versions.at(-1) ?? 0, version);
      }),
      { numRuns: 200 },
    );
  });
});
