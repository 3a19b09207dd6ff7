/**
 * Goal: a node has the secrets and configs of its own live tasks, each once, and never another's. Method: random histories
 * of tasks on two nodes, followed by one builder each; after every commit what was sent is compared with what the tasks
 * refer to, and no change names what the node has or has not already.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { AssignmentChange } from '#gen/swarm/v1/dispatcher.ts';
import {
  Config,
  ConfigVersion,
  PayloadVersion,
  Revision,
  Secret,
  SecretVersion,
  Task,
  TaskState,
  TaskStatus,
} from '#gen/swarm/v1/objects.ts';
import { ConfigReference, ContainerSpec, SecretReference, ServiceSpec, TaskSpec } from '#gen/swarm/v1/specs.ts';
import { AssignmentBuilder } from '#manager/dispatcher/assignment-builder.ts';
import type { Change, StoreEvent } from '#manager/store/index.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';

const NODES = ['a', 'b'] as const;
/** By revision of the one service. */
const REFERENCES: readonly (readonly string[])[] = [
  [],
  ['secret/s1/1'],
  ['secret/s1/2', 'config/c1/1'],
  ['secret/s2/1', 'config/c1/1'],
];

function specOf(references: readonly string[]): ServiceSpec {
  const parts = references.map((reference) => reference.split('/'));
  const secrets = parts
    .filter(([kind]) => kind === 'secret')
    .map(([, secretId, number]) => SecretReference.create({ secretId: secretId ?? '', number: Number(number) }));
  const configs = parts
    .filter(([kind]) => kind === 'config')
    .map(([, configId, number]) => ConfigReference.create({ configId: configId ?? '', number: Number(number) }));
  return ServiceSpec.create({
    task: TaskSpec.create({ container: ContainerSpec.create({ image: 'x', secrets, configs }) }),
  });
}

function world(): MemoryView {
  const view = new MemoryView();
  const versions = [1, 2].map((number) => PayloadVersion.create({ number }));
  const changes: Change[] = [
    { kind: 'create', table: 'config', object: Config.create({ id: 'c1', versions: versions.slice(0, 1) }) },
    {
      kind: 'create',
      table: 'configVersion',
      object: ConfigVersion.create({ id: 'vc1', configId: 'c1', number: 1, data: Buffer.from('c1') }),
    },
  ];
  for (const id of ['s1', 's2']) {
    changes.push({ kind: 'create', table: 'secret', object: Secret.create({ id, versions }) });
    for (const number of [1, 2]) {
      const object = SecretVersion.create({ id: `v${id}${number}`, secretId: id, number, data: Buffer.from(id) });
      changes.push({ kind: 'create', table: 'secretVersion', object });
    }
  }
  for (const [number, references] of REFERENCES.entries()) {
    const spec = specOf(references);
    changes.push({
      kind: 'create',
      table: 'revision',
      object: Revision.create({ id: `r${number}`, serviceId: 's', number, spec }),
    });
  }
  view.commit(changes);
  return view;
}

/** What one node was told. */
class Told {
  readonly payloads = new Map<string, string>();

  take(changes: readonly AssignmentChange[], complete: boolean): void {
    if (complete) this.payloads.clear();
    for (const { item, remove } of changes) {
      if (item?.kind !== 'secretVersion' && item?.kind !== 'configVersion') continue;
      const key =
        item.kind === 'secretVersion'
          ? `secret/${item.value.secretId}/${item.value.number}`
          : `config/${item.value.configId}/${item.value.number}`;
      assert.equal(this.payloads.has(key), remove, `${remove ? 'taken back' : 'sent'}: ${key}`);
      if (remove) assert.equal(item.value.data.length, 0);
      if (remove) this.payloads.delete(key);
      else this.payloads.set(key, Buffer.from(item.value.data).toString());
    }
  }
}

function wanted(view: MemoryView, nodeId: string): readonly string[] {
  const keys = new Set<string>();
  for (const task of view.all('task'))
    if (task.nodeId === nodeId && (task.status?.state ?? 0) <= TaskState.RUNNING)
      for (const key of REFERENCES[task.revision] ?? []) keys.add(key);
  return [...keys].sort();
}

const step = fc.record({
  kind: fc.constantFrom('create', 'state', 'stop', 'remove', 'again'),
  node: fc.constantFrom(...NODES),
  task: fc.nat({ max: 5 }),
  revision: fc.nat({ max: 3 }),
  state: fc.constantFrom(TaskState.RUNNING, TaskState.COMPLETE, TaskState.FAILED, TaskState.SHUTDOWN),
});

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function changeOf(view: MemoryView, { kind, node, task: number, revision, state }: Step): Change | undefined {
  const id = `t${number}`;
  const task = view.get('task', id);
  if (task === undefined) {
    if (kind !== 'create') return undefined;
    const status = TaskStatus.create({ state: TaskState.ASSIGNED });
    const init = {
      id,
      serviceId: 's',
      revision,
      nodeId: node,
      slot: number + 1,
      desiredState: TaskState.RUNNING,
      status,
    };
    return { kind: 'create', table: 'task', object: Task.create(init) };
  }
  if (kind === 'remove') return { kind: 'remove', table: 'task', object: task };
  if (kind === 'stop') return { kind: 'update', table: 'task', object: { ...task, desiredState: TaskState.SHUTDOWN } };
  const status = task.status ?? TaskStatus.create();
  if (kind !== 'state' || state < status.state) return undefined;
  return { kind: 'update', table: 'task', object: { ...task, status: { ...status, state } } };
}

function committed(view: MemoryView, changes: readonly Change[]): readonly StoreEvent[] {
  const events: StoreEvent[] = [];
  let isOver = false;
  view.onCommit((commit) => {
    if (!isOver) events.push(...commit.events);
  });
  view.commit(changes);
  isOver = true;
  return events;
}

describe('dispatcher: secrets and configs', () => {
  it('are sent to the nodes of live tasks that refer to them, once, and taken back with the last', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const view = world();
        const nodes = NODES.map((nodeId) => ({
          nodeId,
          builder: new AssignmentBuilder(nodeId, () => false),
          told: new Told(),
        }));
        for (const { builder, told } of nodes) told.take(builder.complete(view), true);
        for (const one of steps) {
          if (one.kind === 'again')
            for (const { builder, told, nodeId } of nodes)
              if (nodeId === one.node) told.take(builder.complete(view), true);
          const change = changeOf(view, one);
          if (change === undefined) continue;
          const events = committed(view, [change]);
          for (const { builder, told } of nodes) told.take(builder.increment(events, view), false);
          for (const { nodeId, told } of nodes)
            assert.deepEqual([...told.payloads.keys()].sort(), wanted(view, nodeId), `node ${nodeId}`);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('come before the task that needs them', () => {
    const view = world();
    const builder = new AssignmentBuilder('a', () => false);
    builder.complete(view);
    const task = Task.create({
      id: 't',
      serviceId: 's',
      revision: 2,
      nodeId: 'a',
      desiredState: TaskState.RUNNING,
      status: TaskStatus.create({ state: TaskState.ASSIGNED }),
    });
    const events = committed(view, [{ kind: 'create', table: 'task', object: task }]);
    const kinds = builder.increment(events, view).map(({ item }) => item?.kind);
    assert.deepEqual(kinds, ['secretVersion', 'configVersion', 'revision', 'task']);
  });
});
