/**
 * Goal: the incremental index never differs from going over all nodes. Method: random clusters and random histories of
 * placements, ends, node changes and refused commits; every placement is compared with a plain search over what the
 * store says, and a scheduler that only observed must plan what a restored one plans.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Node, NodeState, type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import {
  Affinity,
  GenericResource,
  NodeAvailability,
  Placement,
  PlacementStrategy,
  ResourceRequirements,
  Resources,
} from '#gen/swarm/v1/specs.ts';
import { DEFAULT_SCHEDULER_CONFIG, Scheduler, SERVICES_LEVEL } from '#manager/scheduler/index.ts';
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

const ZONE = 'node.labels.zone';

function near(service: string, fields: Partial<Affinity> = {}): Affinity {
  return Affinity.create({ service, ...fields });
}

function apart(service: string, fields: Partial<Affinity> = {}): Affinity {
  return Affinity.create({ service, anti: true, ...fields });
}

function generic(kind: string, value: number | string): GenericResource {
  const named = typeof value === 'string';
  return GenericResource.create({ kind, value: named ? { kind: 'name', value } : { kind: 'count', value } });
}

function wanting(...resources: readonly GenericResource[]): NonNullable<SpecOptions['task']> {
  return { resources: ResourceRequirements.create({ reservations: Resources.create({ generic: resources }) }) };
}

const NODE_GENERIC: readonly GenericResource[] = [generic('GPU', 'a'), generic('GPU', 'b'), generic('SSD', 3)];

const SPECS: readonly SpecOptions[] = [
  {},
  { cpus: 1 },
  { cpus: 0.5, constraints: ['node.labels.zone != z1'] },
  { maxReplicas: 2 },
  { spread: ['node.labels.zone'], cpus: 0.5 },
  { cpus: 1, placement: { strategy: PlacementStrategy.BINPACK } },
  { placement: { affinities: [apart('s6')] } },
  { placement: { affinities: [apart('s0', { topology: ZONE })] } },
  { placement: { affinities: [near('s1', { topology: ZONE }), apart('s3')] } },
  { placement: { affinities: [near('s9', { topology: ZONE })] } },
  { placement: { affinities: [near('s2', { weight: 50 }), apart('s0', { weight: 30, topology: ZONE })] } },
  { task: wanting(generic('GPU', 1)) },
  { task: { ...wanting(generic('SSD', 2)), placement: Placement.create({ priority: 5 }) } },
  { cpus: 2, placement: { priority: 10, preempts: true } },
  { cpus: 1, placement: { priority: -5 } },
];

function specOf(serviceId: string): SpecOptions {
  return SPECS[Number(serviceId.slice(1))] as SpecOptions;
}

function placementOf(serviceId: string): SpecOptions['placement'] {
  const options = specOf(serviceId);
  return options.task?.placement ?? options.placement;
}

function priorityOf(serviceId: string): number {
  return placementOf(serviceId)?.priority ?? 0;
}

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
  readonly #config = {
    ...DEFAULT_SCHEDULER_CONFIG,
    reasonIntervalMs: 0,
    reasonIntervalPerTaskMs: 0,
    preemptionIntervalMs: 0,
  };
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
    const made = node(`n${++this.#nodes}`, { cpus: 3, labels: zone === 2 ? {} : { zone: `z${zone}` } });
    const resources = Resources.create({ ...made.description?.resources, generic: NODE_GENERIC });
    this.#commit([
      create('node', {
        ...made,
        description: { ...made.description, resources, featureLevel: SERVICES_LEVEL } as Node['description'],
      }),
    ]);
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
      () => ({ spec: { ...found.spec, labels: pick % 4 === 3 ? {} : { zone: `z${pick % 3}` } } as Node['spec'] }),
      () => ({
        description: {
          ...found.description,
          resources: {
            cpuNanos: (1 + (pick % 5)) * 1e9,
            memoryBytes: 16 * GIB,
            pids: 0,
            generic: NODE_GENERIC.slice(pick % 2),
          },
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
          change?.table === 'task' && change.object.nodeId !== '' && change.object.evictReason === ''
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
    for (const group of groups) {
      const task = group[0]?.object as Task;
      if (group.length > 1) {
        this.#checkEviction(
          group.map(({ object }) => object as Task),
          tasks,
        );
        continue;
      }
      if (task.status?.state !== TaskState.ASSIGNED) {
        assert.deepEqual(
          this.#fitting(task, tasks).map(({ id }) => id),
          [],
          `${task.id} could have been placed, and says ${task.status?.error}`,
        );
        tasks.set(task.id, task);
        continue;
      }
      const options = specOf(task.serviceId);
      const fitting = this.#fitting(task, tasks);
      this.#checkOrder(task, tasks);
      this.#checkGiven(task, tasks);
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

  /** Whoever leaves is of lower priority, and needed; and there was no other way. */
  #checkEviction(group: readonly Task[], tasks: Map<string, Task>): void {
    const preemptor = group.at(-1) as Task;
    const victims = group.slice(0, -1);
    assert.deepEqual(this.#fitting(preemptor, tasks), [], 'it had a place');
    const nodeId = victims[0]?.nodeId ?? '';
    // What is to stop makes room by itself.
    const stopping = [...tasks.values()].filter(
      (one) => one.nodeId === nodeId && holds(one) && (one.desiredState > TaskState.RUNNING || one.evictReason !== ''),
    );
    const fitsWithout = (gone: readonly Task[]): boolean => {
      const rest = new Map(tasks);
      for (const one of [...gone, ...stopping]) rest.delete(one.id);
      return this.#fitting(preemptor, rest).some(({ id }) => id === nodeId);
    };
    assert.ok(fitsWithout(victims), 'it does not help');
    for (const victim of victims) {
      assert.equal(victim.nodeId, nodeId);
      assert.equal(victim.preemptedBy, preemptor.id);
      assert.ok(
        priorityOf(victim.serviceId) < priorityOf(preemptor.serviceId),
        `${victim.id} has the priority to stay`,
      );
      assert.ok(!fitsWithout(victims.filter((one) => one !== victim)), `${victim.id} need not leave`);
    }
    for (const task of group) tasks.set(task.id, task);
  }

  /** Nobody of a higher priority could have been placed instead. */
  #checkOrder(task: Task, tasks: ReadonlyMap<string, Task>): void {
    for (const other of tasks.values()) {
      const waits = other.status?.state === TaskState.PENDING && other.desiredState <= TaskState.RUNNING;
      if (!waits || priorityOf(other.serviceId) <= priorityOf(task.serviceId)) continue;
      assert.deepEqual(this.#fitting(other, tasks), [], `${task.id} came before ${other.id}`);
    }
  }

  /** It has what it asked for, and nobody else has any of it. */
  #checkGiven(task: Task, tasks: ReadonlyMap<string, Task>): void {
    for (const wanted of specOf(task.serviceId).task?.resources?.reservations?.generic ?? [])
      assert.equal(amountOf(task.assignedGeneric, wanted.kind), wanted.value?.value);
    const names = namesOf(task);
    for (const one of tasks.values())
      if (one.id !== task.id && one.nodeId === task.nodeId && holds(one))
        for (const name of namesOf(one)) assert.ok(!names.includes(name), `${name} is given twice`);
  }

  #fitting(task: Task, tasks: ReadonlyMap<string, Task>): readonly Node[] {
    const options = specOf(task.serviceId);
    return [...this.store.all('node')].filter((candidate) => {
      if (candidate.status?.state !== NodeState.READY || candidate.spec?.availability === NodeAvailability.PAUSE)
        return false;
      if ((options.constraints ?? []).length > 0 && candidate.spec?.labels['zone'] === 'z1') return false;
      const held = [...tasks.values()].filter((one) => one.nodeId === candidate.id && holds(one));
      const reserved = held.reduce((sum, one) => sum + (specOf(one.serviceId).cpus ?? 0), 0);
      const cpus = options.cpus ?? 0;
      if (cpus > 0 && reserved + cpus > (candidate.description?.resources?.cpuNanos ?? 0) / 1e9) return false;
      if (held.some((one) => one.preemptedBy !== '' && one.preemptedByPriority > priorityOf(task.serviceId)))
        return false;
      const same = held.filter((one) => one.serviceId === task.serviceId && one.desiredState <= TaskState.RUNNING);
      if (options.maxReplicas !== undefined && same.length >= options.maxReplicas) return false;
      return this.#hasGeneric(candidate, task, held) && this.#suitsRules(candidate, task, tasks);
    });
  }

  #hasGeneric(candidate: Node, task: Task, held: readonly Task[]): boolean {
    const total = candidate.description?.resources?.generic ?? [];
    return (specOf(task.serviceId).task?.resources?.reservations?.generic ?? []).every(({ kind, value }) => {
      const taken = held.flatMap((one) => one.assignedGeneric);
      const free = total.filter(
        (one) =>
          one.kind === kind &&
          one.value?.kind === 'name' &&
          !held.some((two) => namesOf(two).includes(one.value?.value)),
      ).length;
      const counted = (list: readonly GenericResource[]) => list.filter((one) => one.value?.kind === 'count');
      const left = amountOf(counted(total), kind) - amountOf(counted(taken), kind);
      return free + Math.max(0, left) >= Number(value?.value);
    });
  }

  /** Its own rules, and those of all that is there. */
  #suitsRules(candidate: Node, task: Task, tasks: ReadonlyMap<string, Task>): boolean {
    const present = [...tasks.values()].filter((one) => holds(one) && this.store.get('node', one.nodeId) !== undefined);
    const own = (placementOf(task.serviceId)?.affinities ?? []).filter(({ weight }) => weight === 0);
    for (const rule of own) {
      const wanted = present.filter((one) => one.serviceId === rule.service && one.desiredState <= TaskState.RUNNING);
      const others = rule.service === task.serviceId ? wanted : present.filter((one) => one.serviceId === rule.service);
      const isNear = (one: Task) => this.#isNear(candidate, one, rule.topology);
      if (rule.anti && others.some(isNear)) return false;
      const isFirst = rule.service === task.serviceId && wanted.length === 0;
      const hasLabel = rule.topology === '' || candidate.spec?.labels['zone'] !== undefined;
      if (!rule.anti && !(wanted.some(isNear) || (isFirst && hasLabel))) return false;
    }
    return !present.some(
      (one) =>
        one.serviceId !== task.serviceId &&
        (placementOf(one.serviceId)?.affinities ?? []).some(
          (rule) =>
            rule.anti &&
            rule.weight === 0 &&
            rule.service === task.serviceId &&
            this.#isNear(candidate, one, rule.topology),
        ),
    );
  }

  #isNear(candidate: Node, task: Task, topology: string): boolean {
    if (topology === '') return task.nodeId === candidate.id;
    const zone = this.store.get('node', task.nodeId)?.spec?.labels['zone'];
    return zone !== undefined && zone === candidate.spec?.labels['zone'];
  }

  #wishes(candidate: Node, serviceId: string, tasks: ReadonlyMap<string, Task>): number {
    let sum = 0;
    for (const rule of placementOf(serviceId)?.affinities ?? []) {
      const met = [...tasks.values()].some(
        (one) =>
          holds(one) &&
          one.desiredState <= TaskState.RUNNING &&
          one.serviceId === rule.service &&
          this.#isNear(candidate, one, rule.topology),
      );
      if (met) sum += rule.anti ? -rule.weight : rule.weight;
    }
    return sum;
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
      const nodeOf = (one: Task) => this.store.get('node', one.nodeId);
      const inZone = active(
        (one) => one.serviceId === serviceId && nodeOf(one)?.spec?.labels['zone'] === zone && nodeOf(one) !== undefined,
      );
      return [inZone, same, total];
    }
    return [-this.#wishes(candidate, serviceId, tasks), same, total];
  }
}

function holds(task: Task): boolean {
  const state = task.status?.state ?? 0;
  return task.nodeId !== '' && state >= TaskState.ASSIGNED && state <= TaskState.RUNNING;
}

function namesOf(task: Task): readonly unknown[] {
  return task.assignedGeneric.flatMap(({ value }) => (value?.kind === 'name' ? [value.value] : []));
}

function amountOf(resources: readonly GenericResource[], kind: string): number {
  return resources
    .filter((one) => one.kind === kind)
    .reduce((sum, { value }) => sum + (value?.kind === 'count' ? value.value : 1), 0);
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
