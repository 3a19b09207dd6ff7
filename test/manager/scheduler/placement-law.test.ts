/**
 * Goal: the incremental index never differs from going over all nodes. Method: random clusters and random histories of
 * placements, ends, node changes and refused commits; every placement is compared with a plain search over what the
 * store says, and a scheduler that only observed must plan what a restored one plans.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Node, NodeState, type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { NodeAvailability, PlacementStrategy } from '#gen/swarm/v1/specs.ts';
import { DEFAULT_SCHEDULER_CONFIG, Scheduler } from '#manager/scheduler/index.ts';
import type { ChangeGroup } from '#manager/store/index.ts';
import { commitGroups, MemoryStore } from '#test/manager/loops/memory-store.ts';
import {
  create,
  GIB,
  inState,
  node,
  pendingTask,
  remove,
  revision,
  type SpecOptions,
  service,
  spec,
  T0,
  update,
} from '#test/manager/loops/objects.ts';

const SPECS: readonly SpecOptions[] = [
  {},
  { cpus: 1 },
  { cpus: 0.5, constraints: ['node.labels.zone != z1'] },
  { maxReplicas: 2 },
  { spread: ['node.labels.zone'], cpus: 0.5 },
  { cpus: 1, placement: { strategy: PlacementStrategy.BINPACK } },
];

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('add' as const),
      service: fc.nat({ max: SPECS.length - 1 }),
      count: fc.nat({ max: 6 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('end' as const), pick: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('retire' as const), pick: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('delete' as const), pick: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('node' as const), pick: fc.nat(), what: fc.nat({ max: 4 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('join' as const), zone: fc.nat({ max: 2 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('plan' as const), once: fc.boolean(), refuse: fc.nat({ max: 3 }) }),
  },
);

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

class World {
  readonly store = new MemoryStore();
  readonly #config = { ...DEFAULT_SCHEDULER_CONFIG, reasonIntervalMs: 0, reasonIntervalPerTaskMs: 0 };
  readonly live: Scheduler;
  readonly shadow: Scheduler;
  #nodes = 0;
  #tasks = 0;

  constructor(placementsPerSlice: number) {
    this.live = new Scheduler({ ...this.#config, placementsPerSlice, evaluationsPerSlice: placementsPerSlice });
    this.shadow = new Scheduler({ ...this.#config, placementsPerSlice: 1e6, evaluationsPerSlice: 1e6 });
    for (let i = 0; i < 4; i++) this.#join(i % 3);
    for (const [i, options] of SPECS.entries()) {
      const declared = spec({ name: `s${i}`, ...options });
      this.#commit([create('service', service(`s${i}`, declared)), create('revision', revision(`s${i}`, 1, declared))]);
    }
  }

  do(one: Step): void {
    switch (one.kind) {
      case 'add':
        for (let i = 0; i < one.count; i++)
          this.#commit([create('task', pendingTask(`t${++this.#tasks}`, `s${one.service}`))]);
        return;
      case 'end':
        return this.#editTask(one.pick, (task) => inState(task, TaskState.COMPLETE));
      case 'retire':
        return this.#editTask(one.pick, (task) => ({ ...task, desiredState: TaskState.SHUTDOWN }));
      case 'delete': {
        const task = this.#assigned(one.pick);
        if (task !== undefined) this.#commit([remove('task', task)]);
        return;
      }
      case 'node':
        return this.#changeNode(one.pick, one.what);
      case 'join':
        return this.#join(one.zone);
      case 'plan':
        this.#checkLaw();
        return this.#plan(one.refuse, one.once);
    }
  }

  #commit(changes: ChangeGroup): void {
    assert.equal(commitGroups(this.store, [this.live, this.shadow], [changes], T0), 0);
  }

  #join(zone: number): void {
    this.#commit([create('node', node(`n${++this.#nodes}`, { cpus: 3, labels: { zone: `z${zone}` } }))]);
  }

  #assigned(pick: number): Task | undefined {
    const tasks = [...this.store.all('task')].filter((task) => task.nodeId !== '');
    return tasks[pick % Math.max(1, tasks.length)];
  }

  #editTask(pick: number, edit: (task: Task) => Task): void {
    const task = this.#assigned(pick);
    if (task === undefined || (task.status?.state ?? 0) > TaskState.RUNNING) return;
    this.#commit([update('task', edit(task))]);
  }

  #changeNode(pick: number, what: number): void {
    const nodes = [...this.store.all('node')];
    const found = nodes[pick % nodes.length] as Node;
    const availability =
      found.spec?.availability === NodeAvailability.PAUSE ? NodeAvailability.ACTIVE : NodeAvailability.PAUSE;
    const state = found.status?.state === NodeState.DOWN ? NodeState.READY : NodeState.DOWN;
    const edits: readonly (() => Partial<Node>)[] = [
      () => ({ spec: { ...found.spec, availability } as Node['spec'] }),
      () => ({ status: { ...found.status, state } as Node['status'] }),
      () => ({ spec: { ...found.spec, labels: { zone: `z${pick % 3}` } } as Node['spec'] }),
      () => ({
        description: {
          ...found.description,
          resources: { cpuNanos: (1 + (pick % 5)) * 1e9, memoryBytes: 16 * GIB, pids: 0 },
        } as Node['description'],
      }),
    ];
    const edit = edits[what];
    if (edit !== undefined) this.#commit([update('node', { ...found, ...edit() })]);
    else if (nodes.length > 2) this.#commit([remove('node', found)]);
  }

  #checkLaw(): void {
    const fresh = new Scheduler({ ...this.#config, placementsPerSlice: 1e6, evaluationsPerSlice: 1e6 });
    fresh.restore(this.store);
    // Tasks of a group are equal, so which of them goes to which node is left open, and with it which of them waits.
    const describe = (loop: Scheduler) =>
      loop
        .plan(this.store, T0)
        .changes.flatMap(([change]) =>
          change?.table === 'task' && change.object.nodeId !== ''
            ? [`${change.object.serviceId} on ${change.object.nodeId}`]
            : [],
        )
        .sort();
    assert.deepEqual(describe(this.shadow), describe(fresh));
  }

  /** Plans once, or until quiet; of the groups of each plan, every `refuse`th is refused because someone else wrote the task. */
  #plan(refuse: number, once: boolean): void {
    for (let round = 0; round < 1000; round++) {
      const plan = this.live.plan(this.store, T0);
      this.#checkChoices(plan.changes);
      for (const [place, group] of plan.changes.entries()) {
        const object = group[0]?.object as Task;
        if (refuse > 0 && round < 3 && place % (refuse + 1) === 0)
          this.#commit([update('task', this.store.get('task', object.id) as Task)]);
        commitGroups(this.store, [this.live, this.shadow], [group], T0);
      }
      if (once) return;
      if (plan.changes.length === 0 && plan.more !== true) {
        for (const task of this.store.all('task'))
          if (task.status?.state === TaskState.PENDING && task.desiredState <= TaskState.RUNNING)
            assert.notEqual(task.status.error, '', `${task.id} waits without a reason`);
        return;
      }
    }
    assert.fail('the scheduler does not come to rest');
  }

  /** Every placement is the best there was, given those before it in the same plan. */
  #checkChoices(groups: readonly ChangeGroup[]): void {
    const tasks = new Map([...this.store.all('task')].map((task) => [task.id, task]));
    for (const [change] of groups) {
      const task = change?.object as Task;
      if (task.status?.state !== TaskState.ASSIGNED) {
        assert.deepEqual(
          this.#fitting(task, tasks).map(({ id }) => id),
          [],
          `${task.id} could have been placed`,
        );
        tasks.set(task.id, task);
        continue;
      }
      const options = SPECS[Number(task.serviceId.slice(1))] as SpecOptions;
      const fitting = this.#fitting(task, tasks);
      const chosen = fitting.find(({ id }) => id === task.nodeId);
      assert.ok(chosen !== undefined, `${task.nodeId} does not fit`);
      const best = this.#rank(chosen, options, task.serviceId, tasks);
      for (const candidate of fitting) {
        const rank = this.#rank(candidate, options, task.serviceId, tasks);
        // Among zones only their counts decide; within one, its nodes compare in full.
        const sameZone = candidate.spec?.labels['zone'] === chosen.spec?.labels['zone'];
        const parts = options.spread !== undefined && !sameZone ? 1 : rank.length;
        assert.ok(compare(best.slice(0, parts), rank) <= 0, `${candidate.id} is better than ${chosen.id}`);
      }
      tasks.set(task.id, task);
    }
  }

  #fitting(task: Task, tasks: ReadonlyMap<string, Task>): readonly Node[] {
    const options = SPECS[Number(task.serviceId.slice(1))] as SpecOptions;
    return [...this.store.all('node')].filter((candidate) => {
      if (candidate.status?.state !== NodeState.READY || candidate.spec?.availability === NodeAvailability.PAUSE)
        return false;
      if ((options.constraints ?? []).length > 0 && candidate.spec?.labels['zone'] === 'z1') return false;
      const held = [...tasks.values()].filter((one) => one.nodeId === candidate.id && holds(one));
      const reserved = held.reduce((sum, one) => sum + (SPECS[Number(one.serviceId.slice(1))]?.cpus ?? 0), 0);
      const cpus = options.cpus ?? 0;
      if (cpus > 0 && reserved + cpus > (candidate.description?.resources?.cpuNanos ?? 0) / 1e9) return false;
      const same = held.filter((one) => one.serviceId === task.serviceId && one.desiredState <= TaskState.RUNNING);
      return options.maxReplicas === undefined || same.length < options.maxReplicas;
    });
  }

  #rank(candidate: Node, options: SpecOptions, serviceId: string, tasks: ReadonlyMap<string, Task>): readonly number[] {
    const active = (match: (one: Task) => boolean) =>
      [...tasks.values()].filter((one) => holds(one) && one.desiredState <= TaskState.RUNNING && match(one)).length;
    const here = (one: Task) => one.nodeId === candidate.id;
    const total = active(here);
    const same = active((one) => here(one) && one.serviceId === serviceId);
    if (options.placement?.strategy === PlacementStrategy.BINPACK) {
      const reserved = [...tasks.values()]
        .filter((one) => holds(one) && here(one))
        .reduce((sum, one) => sum + (SPECS[Number(one.serviceId.slice(1))]?.cpus ?? 0), 0);
      return [-reserved / ((candidate.description?.resources?.cpuNanos ?? 0) / 1e9)];
    }
    if (options.spread !== undefined) {
      const zone = candidate.spec?.labels['zone'];
      const inZone = active(
        (one) => one.serviceId === serviceId && this.store.get('node', one.nodeId)?.spec?.labels['zone'] === zone,
      );
      return [inZone, same, total];
    }
    return [same, total];
  }
}

function holds(task: Task): boolean {
  const state = task.status?.state ?? 0;
  return task.nodeId !== '' && state >= TaskState.ASSIGNED && state <= TaskState.RUNNING;
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (const [place, value] of a.entries()) {
    const difference = value - (b[place] ?? 0);
    if (Math.abs(difference) > 1e-9) return difference;
  }
  return 0;
}

describe('scheduler: laws', () => {
  it('every placement is the best there is, and restoring equals replaying', function () {
    this.timeout(120_000);
    fc.assert(
      fc.property(
        fc.constantFrom(2, 5, 1_000_000),
        fc.array(step, { minLength: 1, maxLength: 40, size: 'max' }),
        (slice, steps) => {
          const world = new World(slice);
          for (const one of steps) world.do(one);
          world.do({ kind: 'plan', once: false, refuse: 0 });
        },
      ),
      { numRuns: Number(process.env['HISTORIES'] ?? 150) },
    );
  });
});
