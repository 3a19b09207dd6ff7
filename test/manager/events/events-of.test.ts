/**
 * Goal: each change that a careful operator wants to know of is one event, with who did it, and nothing secret is ever in
 * one. Method: one line per kind of change; for secrets, objects whose every secret has a mark that must not come out.
 */
import assert from 'node:assert/strict';
import { writeAuthor } from '#common/author.ts';
import { LIMITS } from '#common/limits.ts';
import {
  Client,
  ClientRole,
  Cluster,
  DrainStatus,
  EngineDescription,
  Event,
  EventActorKind,
  IssuanceState,
  JoinTokens,
  Node,
  NodeCertificate,
  NodeDescription,
  NodeState,
  NodeStatus,
  PayloadVersion,
  RootCa,
  RootRotation,
  Secret,
  SecretSpec,
  SecretVersion,
  Service,
  Stack,
  StackSpec,
  StackState,
  UnlockKey,
  UpdateState,
  UpdateStatus,
  Volume,
  VolumeSpec,
} from '#gen/swarm/v1/objects.ts';
import { ClusterSpec, ExternalCa, NodeAvailability, NodeRole, NodeSpec, ServiceSpec } from '#gen/swarm/v1/specs.ts';
import { EVENT_ACTIONS, eventRecorder, eventsOf } from '#manager/events/index.ts';
import { type StoreEvent, StoreState, type TableName, type Tables, TransactionBuilder } from '#manager/store/index.ts';
import { create } from '#test/manager/store/changes.ts';
import { service, task } from '#test/manager/store/support.ts';

const NODE_ID = '4m0a1b2c3d4e5f6g7h8i9j0kz';
const BY_CI = writeAuthor({ kind: 'client', id: '9kx0000000000000000000000', peer: '192.0.2.7:40312', name: 'ci' });
const seenActions = new Set<string>();

function events(changes: readonly StoreEvent[], author = BY_CI): readonly Event[] {
  const commit = { version: 7, timeMs: 1, events: changes };
  const all = eventsOf({ commit, author, before: StoreState.empty(), previousVersion: 3 });
  for (const { type, action } of all) seenActions.add(`${type} ${action}`);
  return all;
}

const said = (all: readonly Event[]): readonly string[] => all.map(({ type, action }) => `${type} ${action}`);

function changed<Name extends TableName>(table: Name, old: Tables[Name], object: Tables[Name]): StoreEvent {
  return { kind: 'update', table, old, object } as StoreEvent;
}
function made<Name extends TableName>(table: Name, object: Tables[Name]): StoreEvent {
  return { kind: 'create', table, object } as StoreEvent;
}
function gone<Name extends TableName>(table: Name, object: Tables[Name]): StoreEvent {
  return { kind: 'remove', table, object, old: object } as StoreEvent;
}

const pem = (text: string): Uint8Array => Buffer.from(text);
const certificate = (text: string, state: IssuanceState = IssuanceState.ISSUED): NodeCertificate =>
  NodeCertificate.create({ role: NodeRole.WORKER, state, certificatePem: pem(text) });

describe('events of nodes', () => {
  const node = Node.create({
    id: NODE_ID,
    role: NodeRole.WORKER,
    spec: NodeSpec.create({ desiredRole: NodeRole.WORKER, availability: NodeAvailability.ACTIVE }),
    status: NodeStatus.create({ state: NodeState.READY }),
    description: NodeDescription.create({ hostname: 'web-1', engine: EngineDescription.create({ version: '1' }) }),
    certificate: certificate('a'),
  });
  const spec = node.spec ?? NodeSpec.create();
  const inState = (state: NodeState): Node => ({ ...node, status: NodeStatus.create({ state }) });
  const drained = (init: Partial<DrainStatus>): Node => ({ ...node, drain: DrainStatus.create(init) });

  it('tells who came, with what', () => {
    assert.deepEqual(said(events([made('node', node)])), ['node join', 'certificate issue']);
    const manager = { ...node, role: NodeRole.MANAGER };
    assert.deepEqual(said(events([made('node', manager)])), ['node join', 'manager add', 'certificate issue']);
    const [joined] = events([made('node', node)], 'token//192.0.2.9:51002/worker');
    assert.equal(joined?.message, 'web-1 joined the swarm as a worker');
    assert.deepEqual(joined.attributes, { role: 'worker' });
    assert.deepEqual([joined.subjectId, joined.subjectName], [NODE_ID, 'web-1']);
    assert.equal(joined.actor?.kind, EventActorKind.TOKEN);
    assert.deepEqual([joined.actor.name, joined.actor.peer], ['worker', '192.0.2.9:51002']);
  });

  it('tells how it went: by itself, by somebody, by the swarm', () => {
    assert.deepEqual(said(events([gone('node', node)], `node/${NODE_ID}//web-1`)), ['node leave']);
    assert.deepEqual(said(events([gone('node', node)])), ['node remove']);
    assert.deepEqual(said(events([gone('node', node)], '')), ['node prune']);
    const manager = { ...node, role: NodeRole.MANAGER };
    assert.deepEqual(said(events([gone('node', manager)])), ['node remove', 'manager remove']);
  });

  const cases: readonly (readonly [string, Node, Node, readonly string[]])[] = [
    ['down', node, inState(NodeState.DOWN), ['node down']],
    ['ready again', inState(NodeState.DOWN), node, ['node ready']],
    ['went in order', node, inState(NodeState.DISCONNECTED), ['node disconnect']],
    ['unknown to a new leader', node, inState(NodeState.UNKNOWN), []],
    ['known to it again', inState(NodeState.UNKNOWN), node, []],
    [
      'connected for the first time',
      { ...inState(NodeState.UNKNOWN), description: NodeDescription.create({ hostname: 'web-1' }) },
      node,
      ['node ready'],
    ],
    ['promoted', node, { ...node, spec: { ...spec, desiredRole: NodeRole.MANAGER } }, ['node promote']],
    ['demoted', { ...node, spec: { ...spec, desiredRole: NodeRole.MANAGER } }, node, ['node demote']],
    ['a manager', node, { ...node, role: NodeRole.MANAGER }, ['manager add']],
    ['no manager', { ...node, role: NodeRole.MANAGER }, node, ['manager remove']],
    ['labelled', node, { ...node, spec: { ...spec, labels: { tier: 'db' } } }, ['node update']],
    ['paused', node, { ...node, spec: { ...spec, availability: NodeAvailability.PAUSE } }, ['node update']],
    ['admitted again', node, { ...node, certificatesFromMs: 5 }, ['node rejoin']],
    ['renewed', node, { ...node, certificate: certificate('b') }, ['certificate renew']],
    ['to renew', node, { ...node, certificate: certificate('a', IssuanceState.ROTATE) }, ['certificate rotate']],
    ['drained of', node, drained({ startedAtMs: 5, total: 3 }), ['node drain']],
    ['drained', drained({ startedAtMs: 5 }), drained({ startedAtMs: 5, completedAtMs: 9 }), ['node drained']],
    ['being drained', drained({ startedAtMs: 5, left: 3 }), drained({ startedAtMs: 5, left: 2 }), []],
    ['described', node, { ...node, description: NodeDescription.create({ hostname: 'web-1', featureLevel: 9 }) }, []],
    ['numbered', node, { ...node, index: 3 }, []],
  ];
  for (const [name, old, object, expected] of cases)
    it(name, () => assert.deepEqual(said(events([changed('node', old, object)])), expected));

  it('says which fields were changed, and what the availability is', () => {
    const object = { ...node, spec: { ...spec, availability: NodeAvailability.DRAIN, labels: { tier: 'db' } } };
    const [event] = events([changed('node', node, object)]);
    assert.deepEqual(event?.attributes, { fields: 'availability, labels[tier]', availability: 'drain' });
    assert.equal(event.message, 'web-1 was updated: availability is drain');
  });
});

describe('events of the cluster', () => {
  const MARK = 'SECRET-MARK';
  const root = RootCa.create({
    certificatePem: pem('root'),
    keyPem: pem(`${MARK}-root-key`),
    digest: 'd1',
    joinTokens: JoinTokens.create({ worker: `${MARK}-worker`, manager: `${MARK}-manager` }),
  });
  const cluster = Cluster.create({
    id: 'c1',
    featureLevel: 5,
    spec: ClusterSpec.create({ name: 'default' }),
    rootCa: root,
    snapshotKey: pem(`${MARK}-snapshot`),
  });
  const rotation = RootRotation.create({ keyPem: pem(`${MARK}-new-key`), digest: 'd2', number: 1, startedAtMs: 4 });
  const turning = { ...cluster, rootCa: { ...root, rotation } };
  const locked = { ...cluster, unlockKey: UnlockKey.create({ key: pem(`${MARK}-unlock`), version: 1 }) };
  const external = ExternalCa.create({ url: `https://user:${MARK}@ca`, options: { label: MARK } });

  const cases: readonly (readonly [string, Cluster, Cluster, readonly string[]])[] = [
    ['settings', cluster, { ...cluster, spec: ClusterSpec.create({ labels: { a: MARK } }) }, ['cluster update']],
    [
      'authorities outside',
      { ...cluster, spec: ClusterSpec.create({ ca: { nodeCertExpiryMs: 1, externalCas: [] } }) },
      { ...cluster, spec: ClusterSpec.create({ ca: { nodeCertExpiryMs: 1, externalCas: [external] } }) },
      ['cluster update'],
    ],
    ['feature level', { ...cluster, featureLevel: 4 }, cluster, ['cluster upgrade']],
    ['root is being replaced', cluster, turning, ['root rotate']],
    [
      'by yet another one',
      turning,
      { ...cluster, rootCa: { ...root, rotation: { ...rotation, digest: 'd3', number: 2 } } },
      ['root rotate'],
    ],
    ['rotation is complete', turning, { ...cluster, rootCa: { ...root, digest: 'd2' } }, ['root complete']],
    ['rotation is given up', turning, cluster, ['root abort']],
    ['another root at once', cluster, { ...cluster, rootCa: { ...root, digest: 'd9' } }, ['root replace']],
    [
      'nodes are left behind',
      turning,
      { ...cluster, rootCa: { ...root, rotation: { ...rotation, leftBehind: ['n1', 'n2'] } } },
      ['root leave-behind'],
    ],
    [
      'tokens',
      cluster,
      { ...cluster, rootCa: { ...root, joinTokens: JoinTokens.create({ worker: `${MARK}2`, manager: `${MARK}3` }) } },
      ['token rotate', 'token rotate'],
    ],
    ['locked', cluster, locked, ['key set']],
    [
      'unlock key',
      locked,
      { ...cluster, unlockKey: UnlockKey.create({ key: pem(`${MARK}9`), version: 2 }) },
      ['key rotate'],
    ],
    ['unlocked', locked, cluster, ['key remove']],
    ['key of snapshots', { ...cluster, snapshotKey: pem('') }, cluster, ['key set']],
    ['another key of snapshots', cluster, { ...cluster, snapshotKey: pem(`${MARK}4`) }, ['key rotate']],
    ['removed nodes', cluster, { ...cluster, removedNodes: [{ nodeId: 'x', expiresAtMs: 1, removedAtMs: 1 }] }, []],
  ];
  for (const [name, old, object, expected] of cases)
    it(`${name}, without what is secret`, () => {
      const all = events([changed('cluster', old, object)]);
      assert.deepEqual(said(all), expected);
      assert.doesNotMatch(JSON.stringify(all), new RegExp(MARK));
    });

  it('is founded', () => assert.deepEqual(said(events([made('cluster', cluster)])), ['cluster create']));
});

describe('events of what is declared', () => {
  const web = Service.create({ id: 's1', revision: 1, spec: ServiceSpec.create({ name: 'web' }) });
  const updating = (state: UpdateState): Service => ({ ...web, updateStatus: UpdateStatus.create({ state }) });

  it('services come, change and go; what loops write is none', () => {
    assert.deepEqual(said(events([made('service', web)])), ['service create']);
    const spec = ServiceSpec.create({ name: 'web', labels: { a: '1' } });
    const [event] = events([changed('service', web, { ...web, spec, revision: 2 })]);
    assert.deepEqual([event?.action, event?.attributes], ['update', { fields: 'labels[a]', revision: '2' }]);
    assert.deepEqual(said(events([changed('service', web, { ...web, waitsFor: 'db' })])), []);
    const leaving = { ...web, pendingDelete: true };
    assert.deepEqual(said(events([changed('service', web, leaving)])), ['service remove']);
    assert.deepEqual(said(events([gone('service', leaving)], '')), ['service gone']);
  });

  it('what became of updates', () => {
    const steps: readonly (readonly [UpdateState, UpdateState, readonly string[]])[] = [
      [UpdateState.UNSPECIFIED, UpdateState.UPDATING, []],
      [UpdateState.UPDATING, UpdateState.COMPLETED, ['rollout complete']],
      [UpdateState.UPDATING, UpdateState.PAUSED, ['rollout pause']],
      [UpdateState.PAUSED, UpdateState.UPDATING, ['rollout resume']],
      [UpdateState.UPDATING, UpdateState.ROLLBACK_STARTED, ['rollout rollback']],
      [UpdateState.ROLLBACK_STARTED, UpdateState.ROLLBACK_PAUSED, ['rollout pause']],
      [UpdateState.ROLLBACK_STARTED, UpdateState.ROLLBACK_COMPLETED, ['rollout rolled-back']],
    ];
    for (const [before, after, expected] of steps)
      assert.deepEqual(said(events([changed('service', updating(before), updating(after))], '')), expected);
  });

  it('secrets change with their versions, and what they hold is nowhere', () => {
    const secret = Secret.create({
      id: 'x',
      spec: SecretSpec.create({ name: 'key' }),
      versions: [PayloadVersion.create({ number: 1 })],
    });
    const next = { ...secret, versions: [...secret.versions, PayloadVersion.create({ number: 2 })] };
    const held = SecretVersion.create({ id: 'y', secretId: 'x', number: 2, data: pem('SECRET-MARK') });
    const all = events([changed('secret', secret, next), made('secretVersion', held)]);
    assert.deepEqual(said(all), ['secret update']);
    assert.deepEqual(all[0]?.attributes, { fields: 'version', version: '2' });
    assert.deepEqual(said(events([changed('secret', secret, { ...secret, followedNumber: 1 })])), []);
  });

  it('every kind comes and goes', () => {
    for (const table of ['network', 'secret', 'config', 'volume', 'stack'] as const) {
      const object = (more: object = {}): never =>
        ({ id: 'x', spec: { name: 'a' }, versions: [], nodeId: 'n', ...more }) as never; // what is looked at every kind has
      assert.deepEqual(said(events([made(table, object())])), [`${table} create`]);
      assert.deepEqual(said(events([gone(table, object())])), [`${table} remove`]);
      const other = object({ spec: { name: 'a', labels: { x: 'y' } } });
      assert.deepEqual(said(events([changed(table, object(), other)])), [`${table} update`]);
    }
    const stack = Stack.create({ id: 'x', spec: StackSpec.create({ name: 'a', compose: 'env: SECRET-MARK' }) });
    const leaving = { ...stack, state: StackState.REMOVING };
    const all = events([changed('stack', stack, leaving), gone('stack', leaving)]);
    assert.deepEqual(said(all), ['stack remove', 'stack gone']);
    const volume = Volume.create({ id: 'x', nodeId: 'n', pendingDelete: true, spec: VolumeSpec.create({ name: 'v' }) });
    assert.deepEqual(said(events([gone('volume', volume)])), ['volume gone']);
    const other = { ...stack, spec: StackSpec.create({ name: 'a', compose: 'env: SECRET-MARK2' }) };
    assert.doesNotMatch(JSON.stringify([...all, ...events([changed('stack', stack, other)])]), /SECRET-MARK/);
  });

  it('clients come, renew themselves and are revoked', () => {
    const ci = Client.create({ id: 'x', name: 'ci', role: ClientRole.OPERATOR, serial: '1' });
    assert.deepEqual(said(events([made('client', ci)])), ['client create']);
    assert.deepEqual(said(events([changed('client', ci, { ...ci, serial: '2' })])), ['client renew']);
    assert.deepEqual(said(events([changed('client', ci, { ...ci, role: ClientRole.VIEWER })])), ['client update']);
    assert.deepEqual(said(events([gone('client', ci)])), ['client revoke']);
  });

  it('tasks and revisions are none', () => {
    assert.deepEqual(events([made('task', task('t1'))]), []);
  });
});

describe('events', () => {
  it('have every action that they may have', () => {
    const known = Object.entries(EVENT_ACTIONS).flatMap(([type, actions]) => actions.map((one) => `${type} ${one}`));
    assert.deepEqual([...seenActions].sort(), [...known].sort());
  });

  it('are bounded, whatever the names', () => {
    const name = `${'界'.repeat(5000)}\u0007`;
    const labels = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`${index}${name}`, '']));
    const spec = ServiceSpec.create({ name, labels });
    const before = Service.create({ id: NODE_ID, spec: ServiceSpec.create({ name }) });
    const author = writeAuthor({ kind: 'client', id: NODE_ID, peer: 'x'.repeat(5000), name });
    for (const event of events([changed('service', before, { ...before, spec })], author)) {
      const size = Event.encode({ ...event, version: 2 ** 53 - 1, createdAtMs: 2 ** 53 - 1, updatedAtMs: 2 ** 53 - 1 });
      assert.ok(size.length <= LIMITS.EVENT_BYTES, String(size.length));
      assert.doesNotMatch(event.message, /\p{Cc}/u);
    }
  });

  it('are not written before every manager knows them', () => {
    for (const [featureLevel, count] of [
      [4, 0],
      [5, 1],
    ] as const) {
      const base = built(StoreState.empty(), [create('cluster', Cluster.create({ id: 'c', featureLevel }))]);
      const next = built(base, [create('service', service('web'))]);
      assert.equal(next.count('event') - base.count('event'), count);
    }
  });

  it('come on top of what a transaction may hold', () => {
    const base = built(StoreState.empty(), [create('cluster', Cluster.create({ id: 'c', featureLevel: 5 }))], 300);
    const many = (first: number): StoreState =>
      built(
        base,
        Array.from({ length: LIMITS.CHANGES_PER_TRANSACTION }, (_, index) =>
          create('service', service(`s${first + index}`)),
        ),
        300,
      );
    const next = many(0);
    assert.equal(next.count('service'), LIMITS.CHANGES_PER_TRANSACTION);
    assert.equal(next.count('event'), LIMITS.CHANGES_PER_TRANSACTION + 1);
  });
});

function built(base: StoreState, changes: Parameters<TransactionBuilder['add']>[0], kept?: number): StoreState {
  const how = { id: base.version + 1, timeMs: 1, author: '', recorder: eventRecorder(kept) };
  const builder = new TransactionBuilder(base, how);
  assert.equal(builder.add(changes).kind, 'added');
  return builder.finish().next;
}
