/**
 * Goal: whatever happens, a time of a schedule makes one run, a slot completes once, no more is at work than allowed, and
 * nothing stays behind. Method: random histories over all loops with agents under virtual time: nodes fail, come back, are
 * drained, joined and removed; leaders change; clocks are put forward and back; others write between a plan and its
 * commit; jobs are updated, run, stopped, suspended. Promises are checked with each event; in the end all is healed.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { randomInt, SeededRandom } from '#common/random.ts';
import { JobRunState, JobStatus, NodeState, type Service, TaskState } from '#gen/swarm/v1/objects.ts';
import { JobOverlap, NodeAvailability, NodeSpec, RestartCondition } from '#gen/swarm/v1/specs.ts';
import {
  activeRun,
  DEFAULT_ORCHESTRATOR_CONFIG,
  endedRun,
  jobShape,
  queuedRun,
  withRun,
} from '#manager/orchestrator/index.ts';
import type { ChangeGroup, Loop } from '#manager/store/index.ts';
import type { LoopCluster } from '#test/manager/loops/loop-cluster.ts';
import { node } from '#test/manager/loops/objects.ts';
import { declareJob, editJobSpec, type JobOptions, jobCluster, runNow, updateJob } from './job-cluster.ts';
import { JobPromises } from './job-promises.ts';

const CRON = '* * * * *';
/** What each job is, by its place. */
const JOBS: readonly JobOptions[] = [
  { total: 5, concurrent: 2, historyLimit: 1 },
  { global: true, restart: { maxAttempts: 2, delayMs: 1000 } },
  { total: 3, concurrent: 1, schedule: { cron: CRON }, historyLimit: 3 },
  { total: 2, schedule: { cron: CRON, overlap: JobOverlap.QUEUE, startDeadlineMs: 90_000 }, deadlineMs: 45_000 },
  { global: true, schedule: { cron: CRON, overlap: JobOverlap.REPLACE }, historyLimit: 2 },
  { total: 4, restart: { condition: RestartCondition.NONE } },
];

const small = fc.nat({ max: 9 });
const command = fc.oneof(
  fc.record({ kind: fc.constant('update' as const), job: small, bad: fc.boolean() }),
  fc.record({ kind: fc.constant('run' as const), job: small }),
  fc.record({ kind: fc.constant('stop' as const), job: small }),
  fc.record({
    kind: fc.constant('state' as const),
    node: small,
    state: fc.constantFrom(NodeState.DOWN, NodeState.DOWN, NodeState.READY, NodeState.DISCONNECTED, NodeState.UNKNOWN),
  }),
  fc.record({
    kind: fc.constant('availability' as const),
    node: small,
    availability: fc.constantFrom(NodeAvailability.DRAIN, NodeAvailability.ACTIVE, NodeAvailability.PAUSE),
  }),
  fc.record({ kind: fc.constant('remove-node' as const), node: small }),
  fc.constant({ kind: 'add-node' as const }),
  fc.record({ kind: fc.constant('crash' as const), pick: fc.nat() }),
  fc.constant({ kind: 'step-agents' as const }),
  fc.constant({ kind: 'change-leader' as const }),
  fc.record({ kind: fc.constant('pass' as const), ms: fc.constantFrom(1, 1000, 20_000, 60_000, 200_000) }),
  fc.record({ kind: fc.constant('jump' as const), ms: fc.constantFrom(-90_000, -5000, 70_000, 1_200_000) }),
);
type Command = typeof command extends fc.Arbitrary<infer One> ? One : never;

class History {
  readonly cluster: LoopCluster;
  readonly #random: SeededRandom;
  readonly #promises = new JobPromises(CRON);
  #seenEvents = 0;
  #nodes = 0;
  #updates = 0;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
    const restart = { ...DEFAULT_ORCHESTRATOR_CONFIG.restart, jitter: 0 };
    this.cluster = jobCluster(0, { seed, orchestrator: { restart, slotsPerSlice: 1e6, groupsPerSlice: 1e6 } });
    this.cluster.shadows = this.cluster.newLoops();
    for (let i = 0; i < 3; i++) this.#addNode();
    for (const [place, options] of JOBS.entries()) declareJob(this.cluster, options, `j${place}`);
  }

  do(one: Command): void {
    this.cluster.interfere = randomInt(this.#random, 3) === 0 ? () => this.#interfere() : undefined;
    this.#apply(one);
    this.#checkLaw();
    this.cluster.settle();
    this.#check();
  }

  #apply(one: Command): void {
    const { cluster } = this;
    switch (one.kind) {
      case 'update': {
        const place = one.job % JOBS.length;
        const image = `${one.bad ? 'bad' : 'good'}:${++this.#updates}`;
        return updateJob(cluster, { ...JOBS[place], image }, `j${place}`);
      }
      case 'run':
        if (
          queuedRun(this.#job(one.job).job ?? JobStatus.create()) === undefined &&
          this.#job(one.job).job !== undefined
        )
          runNow(cluster, this.#job(one.job).id);
        return;
      case 'stop':
        return this.#stop(this.#job(one.job));
      case 'state':
        return cluster.setNodeState(this.#node(one.node), one.state);
      case 'availability':
        return cluster.edit('node', this.#node(one.node), {
          spec: NodeSpec.create({ availability: one.availability }),
        });
      case 'remove-node':
        if (cluster.store.count('node') > 1) cluster.remove('node', this.#node(one.node));
        return;
      case 'add-node':
        if (cluster.store.count('node') < 5) this.#addNode();
        return;
      case 'crash':
        return this.#crash(one.pick);
      case 'step-agents':
        cluster.stepAgents();
        return;
      case 'change-leader':
        return cluster.changeLeader();
      case 'pass':
        return cluster.run(one.ms);
      case 'jump':
        cluster.nowMs += one.ms;
        return cluster.changeLeader();
    }
  }

  /** As the API does it. */
  #stop(service: Service): void {
    const { job } = service;
    const run = job === undefined ? undefined : (queuedRun(job) ?? activeRun(job));
    if (job === undefined || run === undefined) return;
    const end = { state: JobRunState.STOPPED, endedAtMs: this.cluster.nowMs, message: 'stopped' };
    this.cluster.edit('service', service.id, { job: withRun(job, endedRun(run, end)) });
  }

  #crash(pick: number): void {
    const { cluster } = this;
    const running = cluster
      .tasks()
      .filter((task) => task.status?.state === TaskState.RUNNING && cluster.containers.get(task.nodeId)?.has(task.id))
      .filter(({ nodeId }) => cluster.store.get('node', nodeId)?.status?.state === NodeState.READY);
    const task = running[pick % Math.max(1, running.length)];
    if (task !== undefined) cluster.fail(task);
  }

  #interfere(): void {
    const { cluster } = this;
    const tasks = cluster.tasks();
    const task = tasks[randomInt(this.#random, Math.max(1, tasks.length))];
    if (randomInt(this.#random, 2) === 0) cluster.edit('service', `j${randomInt(this.#random, JOBS.length)}`, {});
    else if (task !== undefined) cluster.edit('task', task.id, {});
  }

  #job(pick: number): Service {
    return this.cluster.store.get('service', `j${pick % JOBS.length}`) as Service;
  }

  #node(pick: number): string {
    const ids = [...this.cluster.store.all('node')].map(({ id }) => id);
    return ids[pick % ids.length] as string;
  }

  #addNode(): void {
    this.cluster.create('node', node(`n${++this.#nodes}`));
  }

  #check(): void {
    const { events } = this.cluster;
    for (const event of events.slice(this.#seenEvents)) this.#promises.check(event);
    this.#seenEvents = events.length;
    for (const service of this.cluster.store.all('service')) this.#checkWork(service);
    this.#checkRest();
  }

  /** No more at work than allowed, as far as anybody can know. */
  #checkWork(service: Service): void {
    const { store } = this.cluster;
    const run = service.job === undefined ? undefined : activeRun(service.job);
    const declared = store.revision(service.id, run?.revision ?? 0)?.spec;
    if (run === undefined || declared === undefined) return;
    const slots = new Set<number | string>();
    for (const task of store.tasksOfService(service.id)) {
      const state = task.status?.state ?? TaskState.NEW;
      if (task.jobIteration !== run.iteration || task.desiredState > TaskState.COMPLETE || state > TaskState.RUNNING)
        continue;
      const key = task.slot > 0 ? task.slot : task.nodeId;
      assert.ok(!slots.has(key), `${service.id}: two tasks for ${key}`);
      slots.add(key);
    }
    assert.ok(slots.size <= jobShape(declared).concurrent, `${service.id}: ${slots.size} at work`);
  }

  /** Restoring equals replaying: loops that only ever observed plan what fresh ones plan. */
  #checkLaw(): void {
    for (const [place, loop] of this.cluster.newLoops().entries()) {
      if (loop.name !== 'job-orchestrator' && loop.name !== 'task-reaper') continue;
      loop.restore(this.cluster.store);
      const shadow = this.cluster.shadows[place] as Loop;
      const { store, nowMs } = this.cluster;
      assert.deepEqual(normal(shadow.plan(store, nowMs).changes), normal(loop.plan(store, nowMs).changes), loop.name);
    }
  }

  #checkRest(): void {
    const { store, nowMs, loops } = this.cluster;
    for (const loop of this.cluster.newLoops()) {
      if (loop.name !== 'job-orchestrator') continue;
      loop.restore(store);
      const plan = loop.plan(store, nowMs);
      assert.deepEqual(plan.changes, [], 'a new leader acts where the old one rests');
      assert.equal(plan.wakeAtMs, loops.find(({ name }) => name === loop.name)?.plan(store, nowMs).wakeAtMs);
    }
  }

  healAndCheck(): void {
    const { cluster } = this;
    cluster.interfere = undefined;
    for (const { id } of [...cluster.store.all('node')]) {
      cluster.setNodeState(id, NodeState.READY);
      cluster.edit('node', id, { spec: NodeSpec.create() });
    }
    for (const [place, options] of JOBS.entries()) {
      // No run of a schedule in the middle when it is looked at.
      const schedule = options.schedule === undefined ? {} : { schedule: { ...options.schedule, suspended: true } };
      const image = cluster.store.get('service', `j${place}`)?.spec?.task?.container?.image ?? '';
      editJobSpec(cluster, { ...options, ...schedule, image }, `j${place}`);
    }
    // A run of a schedule with a bad image goes on for ever.
    for (const service of [...cluster.store.all('service'), ...cluster.store.all('service')])
      this.#stop(this.#job(Number(service.id.slice(1))));
    cluster.run(60_000);
    for (const place of JOBS.keys())
      updateJob(cluster, { ...JOBS[place], ...suspended(place), image: 'good:9' }, `j${place}`);
    for (const place of JOBS.keys()) runNow(cluster, `j${place}`);
    cluster.run(3_600_000);
    this.#check();
    for (const service of cluster.store.all('service')) this.#checkEnd(service);
    assert.equal(
      [...cluster.containers.values()].reduce((sum, ids) => sum + ids.size, 0),
      0,
      'a container is left',
    );
    assert.equal(cluster.wakeAtMs(), undefined, 'something still wants to happen');
    this.#promises.checkTimes(cluster);
  }

  #checkEnd({ id, spec, job }: Service): void {
    const { cluster } = this;
    const last = job?.runs.findLast(({ revision }) => revision > 0);
    assert.equal(last?.state, JobRunState.COMPLETED, `${id}: ${JSON.stringify(last)}`);
    const { global, total } = jobShape(spec);
    assert.equal(last.succeeded, global ? cluster.store.count('node') : total, id);
    const kept = new Set(job?.runs.map(({ iteration }) => iteration));
    for (const task of cluster.tasks(id)) assert.ok(kept.has(task.jobIteration), `${id}: a task of a forgotten run`);
  }
}

function suspended(place: number): Pick<JobOptions, 'schedule'> {
  const schedule = JOBS[place]?.schedule;
  return schedule === undefined ? {} : { schedule: { ...schedule, suspended: true } };
}

function normal(groups: readonly ChangeGroup[]): readonly string[] {
  return groups.map((group) => JSON.stringify(group)).toSorted((a, b) => (a < b ? -1 : 1));
}

describe('orchestrator: random histories of jobs', () => {
  it('every time makes one run, every slot completes once, and nothing stays behind', function () {
    this.timeout(240_000);
    fc.assert(
      fc.property(fc.nat(), fc.array(command, { minLength: 1, maxLength: 30, size: 'max' }), (seed, commands) => {
        const history = new History(seed);
        history.cluster.run(1000);
        for (const one of commands) history.do(one);
        history.healAndCheck();
      }),
      { numRuns: Number(process.env['HISTORIES'] ?? 25) },
    );
  });
});
