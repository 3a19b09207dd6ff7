/**
 * Goal: what a task is checked for, and what its checks come to, are Docker's rules and those of the probes. Method: the
 * rules one by one; then random outcomes against the rule in one sentence; then the life of a task under its checks.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  absorbOutcome,
  activeProbes,
  createMachine,
  gatesStart,
  type HealthPlan,
  type HealthReport,
  healthPlan,
  isChecked,
  NEW_PROBE,
  nextCheckMs,
  type PlannedProbe,
  reportOf,
  resumedStates,
  step,
  type TaskInput,
  type TaskMachine,
} from '#agent/tasks/index.ts';
import { ContainerStatus, HealthState, Task, TaskHealth, TaskState, TaskStatus } from '#gen/swarm/v1/objects.ts';
import { ContainerSpec, HealthCheck, Probe, Probes, ServiceSpec, TcpProbe } from '#gen/swarm/v1/specs.ts';

const IMAGE = {
  test: ['CMD-SHELL', 'curl localhost'],
  intervalMs: 7000,
  timeoutMs: 0,
  startPeriodMs: 20_000,
  startIntervalMs: 0,
  retries: 5,
};

const tcp = (fields: Partial<Probe> = {}): Probe =>
  Probe.create({ check: { kind: 'tcp', value: TcpProbe.create({ port: 80 }) }, ...fields });

function planned(fields: Partial<PlannedProbe> = {}): PlannedProbe {
  const [probe] = healthPlan(ContainerSpec.create({ probes: Probes.create({ readiness: tcp() }) }), undefined) ?? [];
  assert.ok(probe !== undefined);
  return { ...probe, ...fields };
}

describe('health of a task: what is checked', () => {
  const plan = (
    healthcheck?: Partial<HealthCheck>,
    image = IMAGE,
    shell: readonly string[] = [],
  ): HealthPlan | undefined =>
    healthPlan(ContainerSpec.create({ healthcheck: healthcheck && HealthCheck.create(healthcheck) }), image, shell);

  it('the image’s check, with the engine’s defaults for what it leaves open', () => {
    assert.deepEqual(plan(), [
      {
        role: 'health',
        check: { kind: 'exec', command: ['/bin/sh', '-c', 'curl localhost'] },
        initialDelayMs: 0,
        graceMs: 20_000,
        graceIntervalMs: 5000,
        intervalMs: 7000,
        timeoutMs: 30_000,
        failureThreshold: 5,
        successThreshold: 1,
      },
    ]);
  });

  it('single settings of the spec over the image’s, and a command of its own', () => {
    const [probe] = plan({ test: ['CMD', 'check', 'it'], timeoutMs: 100, retries: 0 }) ?? [];
    assert.deepEqual(probe?.check, { kind: 'exec', command: ['check', 'it'] });
    assert.equal(probe?.timeoutMs, 100);
    assert.equal(probe?.failureThreshold, 5, '0 means the image’s');
    assert.equal(probe?.intervalMs, 7000);
  });

  it('nothing where it is switched off, where the image switches it off, or where the image says nonsense', () => {
    assert.equal(plan({ test: ['NONE'] }), undefined);
    assert.equal(plan({}, { ...IMAGE, test: ['NONE'] }), undefined);
    assert.equal(plan(undefined, { ...IMAGE, test: ['curl', 'localhost'] }), undefined);
    assert.equal(plan(undefined, { ...IMAGE, test: [] }), undefined);
    assert.equal(healthPlan(undefined, undefined), undefined);
  });

  it('lines are for the image’s shell', () => {
    const [probe] = plan(undefined, IMAGE, ['/bin/bash', '-ec']) ?? [];
    assert.deepEqual(probe?.check, { kind: 'exec', command: ['/bin/bash', '-ec', 'curl localhost'] });
  });

  it('probes beside it, each with its defaults; only a health check and a startup probe hold a task back', () => {
    const all = healthPlan(
      ContainerSpec.create({ probes: Probes.create({ startup: tcp(), liveness: tcp(), readiness: tcp() }) }),
      IMAGE,
    );
    assert.deepEqual(
      all?.map(({ role }) => role),
      ['health', 'startup', 'liveness', 'readiness'],
    );
    const { intervalMs, timeoutMs, failureThreshold, successThreshold, initialDelayMs } = planned();
    assert.deepEqual(
      { intervalMs, timeoutMs, failureThreshold, successThreshold, initialDelayMs },
      { intervalMs: 10_000, timeoutMs: 1000, failureThreshold: 3, successThreshold: 1, initialDelayMs: 0 },
    );
    const gates = (probes: Partial<Probes>): boolean =>
      gatesStart(healthPlan(ContainerSpec.create({ probes: Probes.create(probes) }), undefined) ?? []);
    assert.equal(gates({ readiness: tcp(), liveness: tcp() }), false);
    assert.equal(gates({ startup: tcp() }), true);
  });
});

describe('health of a task: one probe', () => {
  const ok = { ok: true, message: '' };
  const bad = { ok: false, message: 'no' };

  it('failures before the first success do not count in the start period, and in the first interval', () => {
    const probe = planned({ graceMs: 1000, failureThreshold: 1 });
    assert.equal(absorbOutcome(probe, NEW_PROBE, bad, 999).verdict, 'open');
    assert.equal(absorbOutcome(probe, NEW_PROBE, bad, 1000).verdict, 'failing');
    const passed = absorbOutcome(probe, NEW_PROBE, ok, 10);
    assert.equal(passed.verdict, 'passing');
    assert.equal(absorbOutcome(probe, passed, bad, 20).verdict, 'failing', 'after a success they do');
  });

  it('the first checks come quickly, the one that ends the grace exactly then', () => {
    const probe = planned({ graceMs: 10_000, graceIntervalMs: 5000, intervalMs: 10_000 });
    const delays: number[] = [];
    let state = NEW_PROBE;
    let elapsedMs = 0;
    for (let count = 0; count < 8; count++) {
      const delayMs = nextCheckMs(probe, state, elapsedMs);
      delays.push(delayMs);
      elapsedMs += delayMs;
      state = absorbOutcome(probe, state, bad, elapsedMs);
    }
    assert.deepEqual(delays, [250, 500, 1000, 2000, 4000, 2250, 10_000, 10_000]);
    assert.equal(state.failures, 3, 'the one at the end of the grace is the first that counts');
    assert.equal(nextCheckMs(planned({ initialDelayMs: 9000 }), NEW_PROBE, 4000), 5250);
  });

  it('liveness is not in a hurry, and several successes take their intervals', () => {
    const once = { ...NEW_PROBE, checks: 1 };
    assert.equal(nextCheckMs(planned({ role: 'liveness' }), once, 300), 10_000);
    assert.equal(nextCheckMs(planned({ successThreshold: 2 }), once, 300), 10_000);
  });

  it('property: it fails exactly after so many counted failures in a row, and passes after so many successes', () => {
    const outcomes = fc.array(fc.record({ ok: fc.boolean(), waitMs: fc.nat(500) }), { maxLength: 60 });
    const rules = fc.record({
      failureThreshold: fc.integer({ min: 1, max: 4 }),
      successThreshold: fc.integer({ min: 1, max: 4 }),
      graceMs: fc.nat(3000),
      initialDelayMs: fc.nat(500),
    });
    fc.assert(
      fc.property(rules, outcomes, (rule, list) => {
        const probe = planned(rule);
        let state = NEW_PROBE;
        let elapsedMs = 0;
        let [good, wrong] = [0, 0];
        let verdict = 'open';
        for (const { ok: success, waitMs } of list) {
          elapsedMs += waitMs;
          state = absorbOutcome(probe, state, { ok: success, message: success ? '' : 'x' }, elapsedMs);
          const counts = verdict !== 'open' || elapsedMs >= rule.initialDelayMs + rule.graceMs;
          good = success ? good + 1 : 0;
          if (success) wrong = 0;
          else if (counts) wrong++;
          if (success && good >= rule.successThreshold) verdict = 'passing';
          if (!success && wrong >= rule.failureThreshold) verdict = 'failing';
          assert.equal(state.verdict, verdict);
          assert.ok(state.successes === 0 || state.failures === 0);
          assert.ok(nextCheckMs(probe, state, elapsedMs) >= 0);
        }
      }),
    );
  });
});

const PLAN: HealthPlan =
  healthPlan(
    ContainerSpec.create({ probes: Probes.create({ startup: tcp(), liveness: tcp(), readiness: tcp() }) }),
    IMAGE,
  ) ?? [];
const passing = { ...NEW_PROBE, verdict: 'passing' as const };
const failing = { ...NEW_PROBE, verdict: 'failing' as const, failures: 3, message: 'said so' };

describe('health of a task: all probes together', () => {
  it('nothing else is made before the startup probe has succeeded, which never comes back', () => {
    const roles = (states: Parameters<typeof activeProbes>[1]): readonly string[] =>
      activeProbes(PLAN, states).map(({ role }) => role);
    assert.deepEqual(roles({}), ['startup']);
    assert.deepEqual(roles({ startup: passing }), ['health', 'liveness', 'readiness']);
  });

  it('starting, ready, not ready and doomed', () => {
    const { state, started, ready, failure } = reportOf(PLAN, {});
    assert.deepEqual([state, started, ready, failure], [HealthState.STARTING, false, false, undefined]);
    const up = { startup: passing, health: passing };
    assert.deepEqual(pick(reportOf(PLAN, up)), [HealthState.STARTING, true, false, undefined]);
    const all = { ...up, readiness: passing };
    assert.deepEqual(pick(reportOf(PLAN, all)), [HealthState.HEALTHY, true, true, undefined]);
    const off = reportOf(PLAN, { ...up, readiness: failing });
    assert.deepEqual(pick(off), [HealthState.HEALTHY, true, false, undefined]);
    assert.deepEqual([off.message, off.failingStreak], ['said so', 3]);
    assert.deepEqual(pick(reportOf(PLAN, { ...all, liveness: failing })), [
      HealthState.UNHEALTHY,
      true,
      false,
      'unhealthy: liveness probe failed: said so',
    ]);
    assert.equal(reportOf(PLAN, { startup: failing }).failure, 'unhealthy: startup probe failed: said so');
  });

  it('what was known of a running task holds until checks say otherwise', () => {
    const known = (ready: boolean): TaskHealth => TaskHealth.create({ ready, message: ready ? '' : 'before' });
    assert.deepEqual(pick(reportOf(PLAN, resumedStates(PLAN, known(true), true))), [
      HealthState.HEALTHY,
      true,
      true,
      undefined,
    ]);
    const off = reportOf(PLAN, resumedStates(PLAN, known(false), true));
    assert.deepEqual([off.ready, off.started, off.message], [false, true, 'before']);
    assert.equal(reportOf(PLAN, resumedStates(PLAN, undefined, true)).ready, true);
    assert.equal(reportOf(PLAN, resumedStates(PLAN, known(false), false)).started, false);
  });
});

function pick({ state, started, ready, failure }: HealthReport): readonly unknown[] {
  return [state, started, ready, failure];
}

class Life {
  machine: TaskMachine = createMachine(assigned(TaskState.RUNNING), undefined);
  effects: readonly string[] = [];
  nowMs = 1000;

  feed(input: TaskInput): this {
    const result = step(this.machine, input, this.nowMs, { retryDelayMs: () => 100 });
    this.machine = result.machine;
    this.effects = result.effects.map((effect) => (effect.kind === 'run' ? effect.operation : effect.kind));
    return this;
  }

  health(report: Partial<HealthReport>): this {
    return this.feed({ kind: 'health', report: { ...reportOf(PLAN, {}), ...report } });
  }

  get state(): TaskState {
    return this.machine.status.state;
  }
}

function assigned(desiredState: TaskState) {
  const task = Task.create({ id: 't', desiredState, status: TaskStatus.create({ state: TaskState.ASSIGNED }) });
  return { task, spec: ServiceSpec.create({}), node: { id: 'n', hostname: 'h' } };
}

const CONTAINER = ContainerStatus.create({ containerId: 't', pid: 7 });
const exit = (code: number): TaskInput => ({
  kind: 'exited',
  exit: {
    container: ContainerStatus.create({ containerId: 't', exitCode: code }),
    error: code === 0 ? undefined : `task: non-zero exit (${code})`,
    lastLog: ['its last line'],
  },
});

function startedWith(plan: HealthPlan | undefined): Life {
  return new Life()
    .feed({ kind: 'assign', assignment: assigned(TaskState.RUNNING) })
    .feed({ kind: 'prepared', prepared: { networks: [], ports: [] } })
    .feed({ kind: 'started', container: CONTAINER, plan });
}

describe('health of a task: its life', () => {
  const READY = { started: true, ready: true, state: HealthState.HEALTHY };

  it('with a check that has to succeed first it goes on starting, watched, and then runs', () => {
    const life = startedWith(PLAN);
    assert.deepEqual([life.state, life.effects], [TaskState.STARTING, ['wait']]);
    assert.ok(isChecked(life.machine));
    assert.equal(life.machine.status.health?.ready, false);
    assert.equal(life.machine.status.runningAtMs, 0);
    life.nowMs = 5000;
    life.health({ started: true, ready: false });
    assert.deepEqual([life.state, life.machine.status.runningAtMs], [TaskState.RUNNING, 5000]);
    life.nowMs = 6000;
    life.health(READY);
    assert.deepEqual(life.machine.status.health?.ready, true);
    assert.equal(life.machine.status.health?.readySinceMs, 6000);
    assert.equal(life.machine.status.timestampMs, 5000, 'the time of the state stays');
  });

  it('without checks, or with a liveness probe alone, it runs and is ready at once', () => {
    assert.equal(startedWith(undefined).machine.status.health, undefined);
    const liveness = PLAN.filter(({ role }) => role === 'liveness');
    const { status } = startedWith(liveness).machine;
    assert.deepEqual([status.state, status.health?.ready], [TaskState.RUNNING, true]);
    const readiness = PLAN.filter(({ role }) => role === 'readiness');
    const waiting = startedWith(readiness).machine.status;
    assert.deepEqual([waiting.state, waiting.health?.ready], [TaskState.RUNNING, false]);
  });

  it('not ready: it stays as it is', () => {
    const life = startedWith(PLAN)
      .health(READY)
      .health({ ...READY, ready: false, message: 'busy' });
    assert.deepEqual([life.state, life.effects], [TaskState.RUNNING, []]);
    assert.equal(life.machine.status.health?.message, 'busy');
  });

  it('unhealthy: it is stopped, and has failed for that reason, with its exit code and its last words', () => {
    const failure = 'unhealthy: health check failed: no';
    const life = startedWith(PLAN)
      .health(READY)
      .health({ ...READY, ready: false, failure });
    assert.deepEqual([life.state, life.effects], [TaskState.RUNNING, ['shutdown']]);
    assert.ok(!isChecked(life.machine));
    life.feed({ kind: 'stopped' });
    assert.equal(life.state, TaskState.RUNNING, 'how it ended is still awaited');
    const { status } = life.feed(exit(143)).machine;
    assert.deepEqual([status.state, status.error], [TaskState.FAILED, failure]);
    assert.equal(status.container?.exitCode, 143);
    assert.deepEqual(status.lastLog, ['its last line']);
  });

  it('unhealthy, and how it ended is never heard of: it has failed all the same', () => {
    const failure = 'unhealthy: startup probe failed';
    const life = startedWith(PLAN).health({ failure });
    life.feed({ kind: 'failed', operation: 'wait', error: 'gone' }).feed({ kind: 'stopped' });
    life.nowMs += 1000;
    life.feed({ kind: 'tick' });
    assert.deepEqual([life.state, life.machine.status.error], [TaskState.FAILED, failure]);
  });

  it('ends by itself while it starts: failed, or done', () => {
    const bad = startedWith(PLAN).feed(exit(3));
    assert.deepEqual([bad.state, bad.machine.status.error], [TaskState.FAILED, 'task: non-zero exit (3)']);
    assert.equal(startedWith(PLAN).feed(exit(0)).state, TaskState.COMPLETE);
  });

  it('told to stop while it starts, or while it is stopped for its health: SHUTDOWN, and nothing is checked', () => {
    const early = startedWith(PLAN).feed({ kind: 'assign', assignment: assigned(TaskState.SHUTDOWN) });
    assert.deepEqual(early.effects, ['shutdown']);
    assert.ok(!isChecked(early.machine));
    assert.equal(early.feed(exit(143)).state, TaskState.SHUTDOWN);
    const late = startedWith(PLAN).health({ failure: 'unhealthy' });
    late.feed({ kind: 'assign', assignment: assigned(TaskState.SHUTDOWN) });
    assert.equal(late.feed(exit(143)).state, TaskState.SHUTDOWN);
  });

  it('adopted: one that ran goes on running, one that was starting goes on starting', () => {
    const found = (state: TaskState, health: TaskHealth | undefined): TaskStatus => {
      const status = TaskStatus.create({ state, health, runningAtMs: state === TaskState.RUNNING ? 500 : 0 });
      const machine = createMachine(assigned(TaskState.RUNNING), status);
      const input: TaskInput = {
        kind: 'found',
        found: { kind: 'running', container: CONTAINER, ports: [] },
        plan: PLAN,
      };
      const after = step(machine, input, 9000, { retryDelayMs: () => 100 });
      assert.ok(isChecked(after.machine));
      return after.machine.status;
    };
    const health = TaskHealth.create({ ready: true, state: HealthState.HEALTHY });
    assert.deepEqual(found(TaskState.RUNNING, health).health, health, 'nothing is reported anew');
    assert.equal(found(TaskState.STARTING, undefined).state, TaskState.STARTING);
    assert.equal(found(TaskState.RUNNING, undefined).runningAtMs, 500);
  });

  it('property: whatever checks say and containers do, states only grow and a doomed task never runs on', () => {
    const moves = fc.array(fc.record({ pick: fc.nat(9), ready: fc.boolean(), started: fc.boolean() }), {
      maxLength: 40,
    });
    fc.assert(
      fc.property(moves, (list) => {
        const life = startedWith(PLAN);
        for (const { pick: chosen, ready, started } of list) {
          life.nowMs += 50;
          const before = life.state;
          if (chosen < 5) life.health({ ready, started });
          else if (chosen === 5) life.health({ failure: 'unhealthy' });
          else if (chosen === 6 && life.machine.operation === 'shutdown') life.feed({ kind: 'stopped' });
          else if (chosen === 7 && life.machine.waiting) life.feed(exit(1));
          else if (chosen === 8 && life.machine.operation === 'shutdown')
            life.feed({ kind: 'failed', operation: 'shutdown', error: 'stuck' });
          else life.feed({ kind: 'tick' });
          assert.ok(life.state >= before);
        }
        if (life.machine.failure === undefined) return;
        for (let round = 0; round < 5; round++) {
          life.nowMs += 1000;
          if (life.machine.operation === 'shutdown') life.feed({ kind: 'stopped' });
          else if (life.machine.waiting) life.feed(exit(137));
          else life.feed({ kind: 'tick' });
        }
        assert.equal(life.state, TaskState.FAILED);
      }),
      { numRuns: 300 },
    );
  });
});
