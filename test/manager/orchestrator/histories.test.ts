/**
 * Goal: whatever happens, in whatever order, the loops keep their promises. Method: random histories (nodes fail, come
 * back, are drained, removed and joined; services are scaled, updated to good and bad images, removed; containers die;
 * leaders change; others write in between) over all loops with agents under virtual time. Promises are checked with each
 * event and after each command; in the end everything is healed and must come to the declared state and to rest.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { SwarmError } from '#common/errors.ts';
import { randomInt, SeededRandom } from '#common/random.ts';
import { NodeState, OneOff, Task, TaskState, TaskStatus } from '#gen/swarm/v1/objects.ts';
import {
  DrainSpec,
  EndpointSpec,
  FailureAction,
  NodeAvailability,
  NodeSpec,
  RestartCondition,
  type ServiceSpec,
  UpdateConfig,
  UpdateOrder,
} from '#gen/swarm/v1/specs.ts';
import {
  abortRollout,
  pauseRollout,
  promoteRollout,
  type RolloutHelp,
  resumeRollout,
  rollbackService,
} from '#manager/control/rollouts.ts';
import type { Change, ChangeGroup, Loop, StoreEvent, StoreView } from '#manager/store/index.ts';
import { LoopCluster } from '#test/manager/loops/loop-cluster.ts';
import {
  cluster as clusterObject,
  hostPort,
  node,
  revision,
  type SpecOptions,
  service,
  spec,
} from '#test/manager/loops/objects.ts';

/** What operators do to updates, as the API decides it. */
const STEERING = {
  pause: pauseRollout,
  resume: resumeRollout,
  promote: (view: StoreView, id: string) => promoteRollout(view, id),
  abort: abortRollout,
  rollback: (view: StoreView, id: string, help: RolloutHelp) => rollbackService(view, id, 0, help),
} as const;
type SteeringVerb = keyof typeof STEERING;

type Command =
  | { readonly kind: 'scale'; readonly service: number; readonly replicas: number }
  | { readonly kind: 'update'; readonly service: number; readonly bad: boolean; readonly variant: number }
  | { readonly kind: 'constrain'; readonly service: number; readonly zone: number }
  | { readonly kind: 'remove-service'; readonly service: number }
  | { readonly kind: 'steer'; readonly service: number; readonly verb: SteeringVerb }
  | { readonly kind: 'unready'; readonly pick: number; readonly ready: boolean }
  | { readonly kind: 'state'; readonly node: number; readonly state: NodeState }
  | {
      readonly kind: 'availability';
      readonly node: number;
      readonly availability: NodeAvailability;
      readonly parallelism: number;
    }
  | { readonly kind: 'relabel'; readonly node: number; readonly zone: number }
  | { readonly kind: 'remove-node'; readonly node: number }
  | { readonly kind: 'add-node' }
  | { readonly kind: 'run'; readonly node: number; readonly bad: boolean; readonly autoRemove: boolean }
  | { readonly kind: 'end-run'; readonly pick: number; readonly state: TaskState }
  | { readonly kind: 'crash'; readonly pick: number }
  | { readonly kind: 'step-agents' }
  | { readonly kind: 'change-leader' }
  | { readonly kind: 'pass'; readonly ms: number };

const SERVICES = 4;

const small = fc.nat({ max: 9 });
const command: fc.Arbitrary<Command> = fc.oneof(
  fc.record({ kind: fc.constant('scale' as const), service: small, replicas: fc.nat({ max: 8 }) }),
  fc.record({ kind: fc.constant('update' as const), service: small, bad: fc.boolean(), variant: fc.nat({ max: 255 }) }),
  fc.record({ kind: fc.constant('constrain' as const), service: small, zone: fc.nat({ max: 2 }) }),
  fc.record({ kind: fc.constant('remove-service' as const), service: small }),
  fc.record({
    kind: fc.constant('steer' as const),
    service: small,
    verb: fc.constantFrom<SteeringVerb>('pause', 'resume', 'promote', 'abort', 'rollback'),
  }),
  fc.record({ kind: fc.constant('unready' as const), pick: fc.nat(), ready: fc.boolean() }),
  fc.record({
    kind: fc.constant('state' as const),
    node: small,
    state: fc.constantFrom(NodeState.DOWN, NodeState.DOWN, NodeState.READY, NodeState.DISCONNECTED, NodeState.UNKNOWN),
  }),
  fc.record({
    kind: fc.constant('availability' as const),
    node: small,
    availability: fc.constantFrom(NodeAvailability.DRAIN, NodeAvailability.ACTIVE, NodeAvailability.PAUSE),
    parallelism: fc.nat({ max: 2 }),
  }),
  fc.record({ kind: fc.constant('relabel' as const), node: small, zone: fc.nat({ max: 1 }) }),
  fc.record({ kind: fc.constant('remove-node' as const), node: small }),
  fc.constant({ kind: 'add-node' as const }),
  fc.record({ kind: fc.constant('run' as const), node: small, bad: fc.boolean(), autoRemove: fc.boolean() }),
  fc.record({
    kind: fc.constant('end-run' as const),
    pick: fc.nat(),
    state: fc.constantFrom(TaskState.SHUTDOWN, TaskState.REMOVE),
  }),
  fc.record({ kind: fc.constant('crash' as const), pick: fc.nat() }),
  fc.constant({ kind: 'step-agents' as const }),
  fc.constant({ kind: 'change-leader' as const }),
  fc.record({ kind: fc.constant('pass' as const), ms: fc.constantFrom(1, 1000, 6000, 60_000) }),
);

/** What a service is, by its place in the list. */
function baseOptions(index: number): SpecOptions {
  switch (index % SERVICES) {
    case 0:
      return { replicas: 3 };
    case 1:
      return {
        replicas: 2,
        cpus: 1,
        restart: { condition: RestartCondition.ON_FAILURE, delayMs: 0, maxAttempts: 2, windowMs: 0 },
      };
    case 2:
      return { global: true };
    default:
      return { replicas: 2, endpoint: EndpointSpec.create({ ports: [hostPort(8080), hostPort(0)] }) };
  }
}

function updateConfig(variant: number): UpdateConfig {
  return UpdateConfig.create({
    order: (variant & 1) === 0 ? UpdateOrder.STOP_FIRST : UpdateOrder.START_FIRST,
    parallelism: (variant >> 1) & 1,
    failureAction: [FailureAction.PAUSE, FailureAction.CONTINUE, FailureAction.ROLLBACK][
      (variant >> 2) % 3
    ] as FailureAction,
    delayMs: (variant & 16) === 0 ? 0 : 3000,
    monitorMs: (variant & 32) === 0 ? undefined : 1000,
    canaries: (variant & 64) === 0 ? 0 : 1,
    autoPromote: (variant & 192) === 192,
    progressDeadlineMs: (variant & 128) === 0 ? undefined : 20_000,
  });
}

class History {
  readonly cluster: LoopCluster;
  readonly #random: SeededRandom;
  readonly #operators: SeededRandom;
  #nodes = 0;
  #seenEvents = 0;
  #images = 0;
  #runs = 0;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
    // Another one than the loops have: ids of both live in one store.
    this.#operators = new SeededRandom(seed + 1_000_000);
    const endless = 1_000_000;
    this.cluster = new LoopCluster({
      seed,
      orchestrator: { slotsPerSlice: endless, groupsPerSlice: endless },
      scheduler: {
        placementsPerSlice: endless,
        evaluationsPerSlice: endless,
        reasonIntervalMs: 0,
        reasonIntervalPerTaskMs: 0,
      },
      fate: (task, cluster) => {
        const image = cluster.store.revision(task.serviceId, task.revision)?.spec?.task?.container?.image;
        return image?.startsWith('bad') === true ? { afterMs: 500, state: TaskState.FAILED } : undefined;
      },
    });
    // Nodes are drained at once below level 5, and in pace from there on.
    this.cluster.create('cluster', { ...clusterObject(), featureLevel: seed % 3 === 0 ? 4 : 5 });
    this.cluster.shadows = this.cluster.newLoops();
    for (let i = 0; i < 4; i++) this.#addNode();
    for (let i = 0; i < SERVICES; i++) this.#declare(i);
  }

  do(command: Command): void {
    this.cluster.interfere = randomInt(this.#random, 3) === 0 ? () => this.#interfere() : undefined;
    this.#apply(command);
    this.#checkLaw();
    this.cluster.settle();
    this.checkPromises();
    this.#checkRest();
  }

  #apply(command: Command): void {
    const { cluster } = this;
    switch (command.kind) {
      case 'scale':
        return this.#scale(command.service, command.replicas);
      case 'update':
        return this.#update(command.service, {
          image: `${command.bad ? 'bad' : 'good'}:${this.#images++}`,
          update: updateConfig(command.variant),
          rollback: { ...updateConfig(command.variant ^ 5), canaries: 0, autoPromote: false },
        });
      case 'constrain':
        return this.#update(command.service, {
          constraints: command.zone === 2 ? [] : [`node.labels.zone == z${command.zone}`],
        });
      case 'remove-service': {
        const found = this.#service(command.service);
        if (found !== undefined) cluster.edit('service', found.id, { pendingDelete: true });
        return;
      }
      case 'steer':
        return this.#steer(command.service, command.verb);
      case 'unready': {
        const running = cluster
          .running()
          .filter(({ nodeId }) => cluster.store.get('node', nodeId)?.status?.state === NodeState.READY);
        const task = running[command.pick % Math.max(1, running.length)];
        if (task !== undefined && task.serviceId !== '') cluster.setReady(task, command.ready);
        return;
      }
      case 'state': {
        const id = this.#node(command.node);
        if (id !== undefined) cluster.setNodeState(id, command.state);
        return;
      }
      case 'availability':
        return this.#editNodeSpec(command.node, {
          availability: command.availability,
          drain: DrainSpec.create({ parallelism: command.parallelism }),
        });
      case 'relabel':
        return this.#editNodeSpec(command.node, { labels: { zone: `z${command.zone}` } });
      case 'remove-node': {
        const id = this.#node(command.node);
        if (id !== undefined && cluster.store.count('node') > 2) cluster.remove('node', id);
        return;
      }
      case 'add-node':
        if (cluster.store.count('node') < 7) this.#addNode();
        return;
      case 'run':
        return this.#run(command);
      case 'end-run': {
        const containers = this.#oneOffs().filter(({ desiredState }) => desiredState < command.state);
        const task = containers[command.pick % Math.max(1, containers.length)];
        if (task !== undefined) cluster.edit('task', task.id, { desiredState: command.state });
        return;
      }
      case 'crash': {
        const running = cluster.tasks().filter((task) => cluster.containers.get(task.nodeId)?.has(task.id) === true);
        const reachable = running.filter(
          (task) =>
            task.status?.state === TaskState.RUNNING &&
            cluster.store.get('node', task.nodeId)?.status?.state === NodeState.READY,
        );
        const task = reachable[command.pick % Math.max(1, reachable.length)];
        if (task !== undefined) cluster.fail(task);
        return;
      }
      case 'step-agents':
        cluster.stepAgents();
        return;
      case 'change-leader':
        cluster.changeLeader();
        return;
      case 'pass':
        cluster.run(command.ms);
        return;
    }
  }

  /** Someone else writes the task between a plan and its commit. */
  #interfere(): void {
    if (randomInt(this.#random, 2) === 0) return;
    const tasks = this.cluster.tasks();
    const task = tasks[randomInt(this.#random, Math.max(1, tasks.length))];
    if (task !== undefined) this.cluster.edit('task', task.id, {});
  }

  #addNode(): void {
    this.cluster.create('node', node(`n${++this.#nodes}`, { labels: { zone: `z${this.#nodes % 2}` } }));
  }

  /** A container of `swarm run`, as the API makes it. */
  #run({ node: pick, bad, autoRemove }: Extract<Command, { kind: 'run' }>): void {
    const nodeId = this.#node(pick);
    if (nodeId === undefined) return;
    const number = ++this.#runs;
    const name = `run${number}`;
    const declared = spec({ name, image: bad ? 'bad:0' : 'good:0', cpus: number % 3 });
    const status = TaskStatus.create({ state: TaskState.NEW });
    const oneOff = OneOff.create({ name, autoRemove });
    const desiredState = TaskState.RUNNING;
    const task = Task.create({ id: name, nodeId, revision: number, desiredState, status, oneOff });
    this.cluster.commit(
      { kind: 'create', table: 'revision', object: { ...revision('', number, declared), id: `${name}-r` } },
      { kind: 'create', table: 'task', object: task },
    );
  }

  #oneOffs(): readonly Task[] {
    return this.cluster.tasks('');
  }

  #node(pick: number): string | undefined {
    const ids = [...this.cluster.store.all('node')].map(({ id }) => id);
    return ids[pick % ids.length];
  }

  #editNodeSpec(pick: number, fields: Partial<NodeSpec>): void {
    const id = this.#node(pick);
    if (id === undefined) return;
    const current = this.cluster.store.get('node', id);
    this.cluster.edit('node', id, { spec: NodeSpec.create({ ...current?.spec, ...fields }) });
  }

  #declare(index: number): void {
    const declared = spec({ name: `s${index}`, image: 'good:0', ...baseOptions(index) });
    this.cluster.create('service', service(`s${index}`, declared));
    this.cluster.create('revision', revision(`s${index}`, 1, declared));
  }

  #service(pick: number) {
    const found = this.cluster.store.get('service', `s${pick % SERVICES}`);
    return found?.pendingDelete === true ? undefined : found;
  }

  #scale(pick: number, replicas: number): void {
    const found = this.#service(pick);
    if (found?.spec?.mode?.kind !== 'replicated') return;
    const mode = { kind: 'replicated', value: { replicas } } as const;
    this.cluster.edit('service', found.id, { spec: { ...found.spec, mode } });
  }

  #steer(pick: number, verb: SteeringVerb): void {
    const found = this.#service(pick);
    if (found === undefined) return;
    const help = { author: 'operator', random: this.#operators, nowMs: this.cluster.nowMs };
    try {
      const { changes } = STEERING[verb](this.cluster.store, found.id, help);
      if (changes.length > 0) this.cluster.commit(...changes);
    } catch (thrown) {
      // An operator who is refused has learnt something.
      if (!(thrown instanceof SwarmError)) throw thrown;
    }
  }

  /** As the API does it: the next revision, and no update status. A removed service is declared anew. */
  #update(pick: number, fields: SpecOptions): void {
    const found = this.#service(pick);
    if (found?.spec === undefined) {
      if (this.cluster.store.get('service', `s${pick % SERVICES}`) === undefined) this.#declare(pick % SERVICES);
      return;
    }
    const before = found.spec;
    const made = spec({
      image: before.task?.container?.image ?? '',
      constraints: before.task?.placement?.constraints ?? [],
      ...fields,
    });
    const declared: ServiceSpec = {
      ...before,
      task: { ...before.task, container: made.task?.container, placement: made.task?.placement } as ServiceSpec['task'],
      update: fields.update ?? before.update,
      rollback: fields.rollback ?? before.rollback,
    };
    const number = found.revision + 1;
    this.cluster.commit(
      {
        kind: 'update',
        table: 'service',
        object: { ...found, spec: declared, revision: number, updateStatus: undefined },
      },
      { kind: 'create', table: 'revision', object: revision(found.id, number, declared) },
    );
  }

  checkPromises(): void {
    const { cluster } = this;
    for (const event of cluster.events.slice(this.#seenEvents)) checkEvent(event);
    this.#seenEvents = cluster.events.length;
    const ports = new Set<string>();
    for (const task of cluster.tasks()) {
      const state = task.status?.state ?? TaskState.NEW;
      if (task.nodeId === '' || state < TaskState.ASSIGNED || state > TaskState.RUNNING) continue;
      for (const port of task.hostPorts) {
        assert.ok(port.publishedPort > 0);
        const key = `${task.nodeId} ${port.publishedPort}`;
        assert.ok(!ports.has(key), `port given twice: ${key}`);
        ports.add(key);
      }
    }
  }

  /** Restoring equals replaying: loops that only ever observed plan what fresh ones plan. */
  #checkLaw(): void {
    const fresh = this.cluster.newLoops();
    for (const [place, loop] of fresh.entries()) {
      loop.restore(this.cluster.store);
      const shadow = this.cluster.shadows[place] as Loop;
      assert.deepEqual(
        normal(loop.name, shadow.plan(this.cluster.store, this.cluster.nowMs).changes),
        normal(loop.name, loop.plan(this.cluster.store, this.cluster.nowMs).changes),
        `${loop.name}: replayed and restored plans differ`,
      );
    }
  }

  /** At rest a fresh leader has nothing to do, and wakes up when the old one would. */
  #checkRest(): void {
    for (const loop of this.cluster.newLoops()) {
      loop.restore(this.cluster.store);
      const plan = loop.plan(this.cluster.store, this.cluster.nowMs);
      assert.deepEqual(plan.changes, [], `${loop.name}: a new leader acts where the old one rests`);
      const live = this.cluster.loops.find(({ name }) => name === loop.name);
      assert.equal(plan.wakeAtMs, live?.plan(this.cluster.store, this.cluster.nowMs).wakeAtMs, `${loop.name}: wake-up`);
    }
  }

  /** Everything works again and runs a good image: the declared state must come about. */
  healAndCheck(): void {
    const { cluster } = this;
    cluster.interfere = undefined;
    for (const { id, status } of [...cluster.store.all('node')]) {
      if (status?.state !== NodeState.READY) cluster.setNodeState(id, NodeState.READY);
      const current = cluster.store.get('node', id);
      cluster.edit('node', id, { spec: NodeSpec.create({ ...current?.spec, availability: NodeAvailability.ACTIVE }) });
    }
    this.#recover();
    cluster.run(60_000);
    // Start-first with a fixed host port on every node cannot end, so that service stops first (its variant is even).
    for (let i = 0; i < SERVICES; i++)
      this.#update(i, {
        image: `good:${this.#images++}`,
        constraints: [],
        update: updateConfig(i + 1),
        rollback: updateConfig(i + 1),
      });
    for (let i = 0; i < 5; i++) {
      cluster.run(600_000);
      this.#recover();
    }
    cluster.run(600_000);
    this.checkPromises();
    for (const found of cluster.store.all('service')) this.#checkService(found.id);
    this.#checkOneOffs();
    for (const task of cluster.tasks()) {
      const contained = cluster.containers.get(task.nodeId)?.has(task.id) === true;
      assert.equal(contained, task.status?.state === TaskState.RUNNING, `container of ${task.id}`);
    }
    const known = new Set(cluster.tasks().map(({ id }) => id));
    for (const ids of cluster.containers.values())
      for (const id of ids) assert.ok(known.has(id), 'a container is left');
    assert.equal(cluster.settle(), 0);
    assert.equal(cluster.wakeAtMs(), undefined, 'something still wants to happen');
  }

  /** Whatever was not ready is. */
  #recover(): void {
    for (const task of this.cluster.running())
      if (task.status?.health?.ready === false) this.cluster.setReady(task, true);
  }

  /** Each runs, or has ended and is kept to be seen; of those that went nothing is left. */
  #checkOneOffs(): void {
    const { store } = this.cluster;
    for (const task of this.#oneOffs()) {
      assert.equal(task.evictReason, '');
      assert.ok(task.desiredState < TaskState.REMOVE, `${task.id} was to go`);
      const hasEnded = (task.status?.state ?? TaskState.NEW) > TaskState.RUNNING;
      if (hasEnded) assert.equal(task.oneOff?.autoRemove, false, `${task.id} was to go by itself`);
      else assert.equal(task.status?.state, TaskState.RUNNING, `${task.id} waits`);
    }
    const numbers = [...store.revisionsOfService('')].map(({ number }) => number);
    assert.deepEqual(new Set(numbers), new Set(this.#oneOffs().map(({ revision: number }) => number)));
  }

  #checkService(id: string): void {
    const { cluster } = this;
    const found = cluster.store.get('service', id);
    const running = cluster.running(id);
    const nodes = cluster.store.count('node');
    const replicas = found?.spec?.mode?.kind === 'replicated' ? found.spec.mode.value.replicas : nodes;
    const expected = id === 's3' ? Math.min(replicas, nodes) : replicas;
    assert.equal(running.length, expected, `${id}: ${running.length} running of ${expected}`);
    const slots = running.map((task) => (task.slot > 0 ? task.slot : task.nodeId));
    assert.equal(new Set(slots).size, slots.length, `${id}: two in one slot`);
    assert.equal(cluster.wanted(id).length, replicas, `${id}: wanted`);
    // Of the present revision, or of one whose tasks are the same.
    const image = found?.spec?.task?.container?.image;
    for (const task of running)
      assert.equal(cluster.store.revision(id, task.revision)?.spec?.task?.container?.image, image, `${id}: image`);
    assert.equal(
      cluster.tasks(id).filter((task) => task.evictReason !== '' && task.desiredState < TaskState.SHUTDOWN).length,
      0,
    );
  }
}

function checkEvent(event: StoreEvent): void {
  if (event.table !== 'task' || event.kind !== 'update') return;
  const { old, object } = event;
  const states = (task: Task) => task.status?.state ?? TaskState.NEW;
  assert.ok(states(object) >= states(old), `state went back: ${states(old)} to ${states(object)}`);
  assert.ok(object.desiredState >= old.desiredState, `desired state went back`);
  assert.ok(old.nodeId === '' || object.nodeId === old.nodeId, 'a task moved');
  assert.equal(object.revision, old.revision);
  assert.equal(object.slot, old.slot);
}

/** Groups without what is chance: ids of new tasks, and which of equal tasks went to which node. */
function normal(loop: string, groups: readonly ChangeGroup[]): readonly string[] {
  const texts: string[] = [];
  for (const group of groups) {
    const [first] = group;
    if (loop !== 'scheduler') texts.push(group.map(describeChange).join('; '));
    // Which of a group's tasks is placed is left open, and with it which of them gets a reason.
    else if (first?.table === 'task' && first.object.nodeId !== '')
      texts.push(`${first.object.serviceId}/${first.object.revision} on ${first.object.nodeId}`);
  }
  return texts.sort();
}

function describeChange({ kind, table, object }: Change): string {
  return `${kind} ${table} ${JSON.stringify(kind === 'create' ? { ...object, id: '' } : object)}`;
}

describe('orchestrator: random histories', () => {
  it('promises hold, restoring equals replaying, and all comes to rest in the declared state', function () {
    this.timeout(120_000);
    fc.assert(
      fc.property(fc.nat(), fc.array(command, { minLength: 1, maxLength: 30, size: 'max' }), (seed, commands) => {
        const history = new History(seed);
        history.cluster.run(1000);
        for (const one of commands) history.do(one);
        history.healAndCheck();
      }),
      { numRuns: Number(process.env['HISTORIES'] ?? 60) },
    );
  });
});
