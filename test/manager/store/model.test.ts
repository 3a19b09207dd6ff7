/**
 * The store against a naive model: arrays that are searched from front to back, changes that are checked by rereading
 * everything. After any history the two agree in what they accept, why they refuse, and what every query finds; and no
 * view that was taken on the way has changed.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { SwarmError } from '#common/errors.ts';
import {
  Client,
  Config,
  ConfigSpec,
  ConfigVersion,
  Event,
  Secret,
  SecretSpec,
  SecretVersion,
  Stack,
  StackSpec,
  TaskState,
  Volume,
  VolumeSpec,
} from '#gen/swarm/v1/objects.ts';
import {
  applyTransaction,
  type Change,
  type ChangeGroup,
  type StoredObject,
  type StoreEvent,
  StoreState,
  TABLE_NAMES,
  type TableName,
} from '#manager/store/index.ts';
import { build, cluster, init, network, node, revision, service, task } from './support.ts';

type Rows = ReadonlyMap<string, StoredObject>;
type Model = { readonly version: number; readonly tables: Readonly<Record<TableName, Rows>> };

const STATES = [TaskState.READY, TaskState.RUNNING, TaskState.SHUTDOWN] as const;
const few = (prefix: string, count: number) => fc.integer({ min: 1, max: count }).map((number) => `${prefix}${number}`);

const objects: Readonly<Record<TableName, fc.Arbitrary<StoredObject>>> = {
  cluster: few('c', 2).map(cluster),
  node: fc
    .tuple(few('n', 5), fc.constantFrom('', 'Alpha', 'alpha', 'beta', 'alphabet'))
    .map(([id, name]) => node(id, name)),
  service: fc
    .tuple(few('s', 5), fc.constantFrom('web', 'WEB', 'web2', 'db', ''))
    .map(([id, name]) => service(id, name)),
  revision: fc
    .tuple(few('r', 8), few('s', 3), fc.integer({ min: 1, max: 4 }))
    .map(([id, serviceId, number]) => revision(id, serviceId, number)),
  task: fc
    .record({
      id: few('t', 25),
      serviceId: few('s', 3),
      slot: fc.integer({ min: 0, max: 3 }),
      nodeId: fc.constantFrom('', 'n1', 'n2'),
      desiredState: fc.constantFrom(...STATES),
    })
    .map(({ id, ...rest }) => task(id, rest)),
  network: fc.tuple(few('w', 4), fc.constantFrom('front', 'FRONT', 'back', '')).map(([id, name]) => network(id, name)),
  secret: fc
    .tuple(few('x', 3), fc.constantFrom('key', 'KEY', ''))
    .map(([id, name]) => Secret.create({ id, spec: SecretSpec.create({ name }) })),
  secretVersion: fc
    .tuple(few('xv', 6), few('x', 3), fc.integer({ min: 1, max: 3 }))
    .map(([id, secretId, number]) => SecretVersion.create({ id, secretId, number })),
  config: fc
    .tuple(few('y', 3), fc.constantFrom('conf', 'CONF', ''))
    .map(([id, name]) => Config.create({ id, spec: ConfigSpec.create({ name }) })),
  configVersion: fc
    .tuple(few('yv', 6), few('y', 3), fc.integer({ min: 1, max: 3 }))
    .map(([id, configId, number]) => ConfigVersion.create({ id, configId, number })),
  volume: fc
    .tuple(few('v', 4), fc.constantFrom('n1', 'n2'), fc.constantFrom('data', 'DATA'))
    .map(([id, nodeId, name]) => Volume.create({ id, nodeId, spec: VolumeSpec.create({ name }) })),
  stack: fc
    .tuple(few('k', 3), fc.constantFrom('shop', 'SHOP', ''))
    .map(([id, name]) => Stack.create({ id, spec: StackSpec.create({ name }) })),
  client: fc.tuple(few('k', 3), fc.constantFrom('ci', 'CI', '')).map(([id, name]) => Client.create({ id, name })),
  event: few('e', 4).map((id) => Event.create({ id, type: 'node' })),
};

/** A change whose version is set right before it is made: the current one, or another. */
interface Wish {
  readonly kind: Change['kind'];
  readonly table: TableName;
  readonly object: StoredObject;
  readonly versionOff: number;
}

const wishes: fc.Arbitrary<Wish> = fc
  .constantFrom<TableName>(...TABLE_NAMES, 'task', 'task', 'task', 'task', 'service', 'network', 'revision')
  .chain((table) =>
    fc.record({
      kind: fc.constantFrom<Change['kind']>('create', 'create', 'update', 'update', 'remove'),
      table: fc.constant(table),
      object: objects[table],
      versionOff: fc.constantFrom(0, 0, 0, 0, 0, 0, 0, -1, 1),
    }),
  );

const histories = fc.array(fc.array(wishes, { minLength: 1, maxLength: 4 }), { maxLength: 40, size: 'max' });

function nameOf(table: TableName, object: StoredObject): string {
  if (table === 'service') return (object as ReturnType<typeof service>).spec?.name.toLowerCase() ?? '';
  if (table === 'network') return (object as ReturnType<typeof network>).spec?.name.toLowerCase() ?? '';
  if (table === 'client') return (object as Client).name.toLowerCase();
  if (table === 'node') return (object as ReturnType<typeof node>).description?.hostname.toLowerCase() ?? '';
  return 'spec' in object && object.spec !== undefined && 'name' in object.spec ? object.spec.name.toLowerCase() : '';
}

/** What may not occur twice in a table. */
function uniqueKey(table: TableName, object: StoredObject): string {
  if (['client', 'service', 'network', 'secret', 'config', 'stack'].includes(table)) return nameOf(table, object);
  if (table === 'secretVersion') return numbered((object as SecretVersion).secretId, (object as SecretVersion).number);
  if (table === 'configVersion') return numbered((object as ConfigVersion).configId, (object as ConfigVersion).number);
  if (table === 'volume') return `${(object as Volume).nodeId} ${(object as Volume).spec?.name}`;
  if (table !== 'revision') return '';
  const { serviceId, number } = object as ReturnType<typeof revision>;
  return numbered(serviceId, number);
}

function numbered(id: string, number: number): string {
  return `${id} ${number}`;
}

/** The model after the group, or the reason of its refusal. */
function tryGroup(model: Model, group: ChangeGroup, timeMs: number): Model | string {
  const version = model.version + 1;
  const tables = Object.fromEntries(TABLE_NAMES.map((name) => [name, new Map(model.tables[name])])) as Record<
    TableName,
    Map<string, StoredObject>
  >;
  const seen = new Set<string>();
  for (const { kind, table, object } of group) {
    const current = tables[table].get(object.id);
    const touched = seen.has(`${table} ${object.id}`);
    seen.add(`${table} ${object.id}`);
    const before = model.tables[table].get(object.id);
    if (kind === 'create' && before !== undefined) return 'duplicate-name';
    if (kind === 'create' && object.version !== 0) return 'bad-field';
    if (kind !== 'create' && before === undefined) return 'unknown-object';
    if (kind !== 'create' && before?.version !== object.version) return 'out-of-sequence';
    if (touched) return 'out-of-sequence';
    if (kind === 'remove') {
      tables[table].delete(object.id);
      continue;
    }
    const key = uniqueKey(table, object);
    for (const other of tables[table].values())
      if (key !== '' && other.id !== object.id && uniqueKey(table, other) === key) return 'duplicate-name';
    const createdAtMs = kind === 'create' ? timeMs : (current?.createdAtMs ?? 0);
    tables[table].set(object.id, { ...object, version, createdAtMs, updatedAtMs: timeMs });
  }
  return { version, tables };
}

function ids(found: Iterable<StoredObject>): string[] {
  return [...found].map((object) => object.id).sort();
}

function checkView(view: StoreState, model: Model): void {
  assert.equal(view.version, model.version);
  for (const table of TABLE_NAMES) {
    const rows = [...model.tables[table].values()].sort((left, right) => (left.id < right.id ? -1 : 1));
    assert.deepEqual([...view.all(table)], rows);
    assert.equal(view.count(table), rows.length);
    for (const row of rows) assert.deepEqual(view.get(table, row.id), row);
    assert.equal(view.get(table, 'x'), undefined);
    for (const prefix of ['', 't', 't1', 'n', 'zz'])
      assert.deepEqual(view.byIdPrefix(table, prefix, 3), rows.filter((row) => row.id.startsWith(prefix)).slice(0, 3));
  }
  const tasks = [...model.tables.task.values()] as ReturnType<typeof task>[];
  for (const serviceId of ['s1', 's2', 's3', 's9']) {
    const own = tasks.filter((row) => row.serviceId === serviceId);
    assert.deepEqual(ids(view.tasksOfService(serviceId)), ids(own));
    for (const slot of [1, 2, 3])
      assert.deepEqual(ids(view.tasksOfSlot(serviceId, slot)), ids(own.filter((row) => row.slot === slot)));
    const revisions = [...model.tables.revision.values()] as ReturnType<typeof revision>[];
    const ofService = revisions.filter((row) => row.serviceId === serviceId);
    assert.deepEqual(ids(view.revisionsOfService(serviceId)), ids(ofService));
    for (const number of [1, 2, 3, 4])
      assert.deepEqual(
        view.revision(serviceId, number),
        ofService.find((row) => row.number === number),
      );
  }
  for (const nodeId of ['n1', 'n2', 'n3'])
    assert.deepEqual(ids(view.tasksOfNode(nodeId)), ids(tasks.filter((row) => row.nodeId === nodeId)));
  for (const state of STATES)
    assert.deepEqual(ids(view.tasksWithDesiredState(state)), ids(tasks.filter((row) => row.desiredState === state)));
  checkNames(view, model);
  assert.deepEqual(view.cluster()?.id, ids(model.tables.cluster.values())[0]);
}

function checkNames(view: StoreState, model: Model): void {
  for (const table of ['network', 'node', 'service'] as const) {
    const rows = [...model.tables[table].values()].filter((row) => nameOf(table, row) !== '');
    for (const name of ['Alpha', 'alpha', 'web', 'WEB', 'db', 'w', 'al', 'zebra', 'Front', 'b']) {
      const key = name.toLowerCase();
      assert.deepEqual(ids(view.byName(table, name)), ids(rows.filter((row) => nameOf(table, row) === key)));
      const starting = rows.filter((row) => nameOf(table, row).startsWith(key));
      assert.deepEqual(ids(view.byNamePrefix(table, name, 100)), ids(starting));
      assert.equal(view.byNamePrefix(table, name, 1).length, Math.min(1, starting.length));
    }
  }
  const web = [...model.tables.service.values()].find((row) => nameOf('service', row) === 'web');
  assert.equal(view.serviceByName('Web')?.id, web?.id);
}

/** The events must turn the old model into the new one. */
function checkEvents(events: readonly StoreEvent[], before: Model, after: Model): void {
  const tables = Object.fromEntries(TABLE_NAMES.map((name) => [name, new Map(before.tables[name])])) as Record<
    TableName,
    Map<string, StoredObject>
  >;
  for (const { kind, table, object, old } of events) {
    assert.deepEqual(old, kind === 'create' ? undefined : tables[table].get(object.id));
    if (kind === 'remove') tables[table].delete(object.id);
    else tables[table].set(object.id, object);
  }
  assert.deepEqual(tables, after.tables);
}

describe('manager/store: against a naive model', () => {
  it('accepts, refuses and finds the same after any history', () => {
    let accepted = 0;
    const reasons = new Set<string>();
    fc.assert(
      fc.property(histories, (history) => {
        let state = StoreState.empty();
        let replica = StoreState.empty();
        let model = emptyModel();
        const views: [StoreState, Model][] = [];
        history.forEach((wanted, position) => {
          const group = wanted.map((wish) => changeOf(wish, model));
          const how = init(1000 + position);
          const prepared = build(state, group, how);
          const expected = tryGroup(model, group, how.timeMs);
          if (prepared instanceof SwarmError || typeof expected === 'string') {
            assert.equal(prepared instanceof SwarmError ? prepared.reason : 'accepted', expected);
            reasons.add(String(expected));
            return;
          }
          accepted++;
          checkEvents(prepared.commit.events, model, expected);
          const applied = applyTransaction(replica, prepared.data);
          assert.equal(applied.kind, 'applied');
          if (applied.kind === 'applied') replica = applied.next;
          state = prepared.next;
          model = expected;
          views.push([state, model]);
        });
        for (const [view, expected] of views.filter((_, position) => position % 5 === 0)) checkView(view, expected);
        checkView(state, model);
        checkView(replica, model);
      }),
      { numRuns: 200 },
    );
    assert.ok(accepted > 300, `only ${accepted} groups were accepted`);
    assert.deepEqual([...reasons].sort(), ['bad-field', 'duplicate-name', 'out-of-sequence', 'unknown-object']);
  });
});

function emptyModel(): Model {
  return {
    version: 0,
    tables: Object.fromEntries(TABLE_NAMES.map((name): [TableName, Rows] => [name, new Map()])) as Record<
      TableName,
      Rows
    >,
  };
}

function changeOf({ kind, table, object, versionOff }: Wish, model: Model): Change {
  const current = kind === 'create' ? 0 : (model.tables[table].get(object.id)?.version ?? 0);
  return { kind, table, object: { ...object, version: Math.max(0, current + versionOff) } } as Change;
}
