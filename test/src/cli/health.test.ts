/**
 * Goal: flags about health change what they name and nothing else, and what is wrong with a task is said in one line.
 * Method: the functions behind the flags and the lists, on values of every kind.
 */
import assert from 'node:assert/strict';
import { ServiceListEntry, ServiceTaskCounts } from '#gen/swarm/v1/control.ts';
import { HealthState, Task, TaskHealth, TaskState, TaskStatus } from '#gen/swarm/v1/objects.ts';
import { ContainerSpec, HealthCheck, Probes } from '#gen/swarm/v1/specs.ts';
import { CliError } from '#src/cli/cli-errors.ts';
import { HEALTH_UPDATE_FLAGS, healthOf } from '#src/cli/commands/service/health-flags.ts';
import { prettyHealth } from '#src/cli/commands/service/pretty-health.ts';
import { replicasText } from '#src/cli/commands/service/service-ls.ts';
import { FlagValues } from '#src/cli/flags.ts';
import { isServing, taskProblem } from '#src/cli/format/task-problem.ts';
import { probe } from '#src/cli/values/probes.ts';

function given(...pairs: readonly (readonly [name: string, value: string])[]): FlagValues {
  const values = new FlagValues();
  for (const [name, value] of pairs) {
    const flag = HEALTH_UPDATE_FLAGS.find((one) => one.name === name);
    assert.ok(flag !== undefined, name);
    values.add(flag, value);
  }
  return values;
}

const BEFORE = ContainerSpec.create({
  healthcheck: HealthCheck.create({ test: ['CMD-SHELL', 'old'], intervalMs: 5000, retries: 4 }),
  probes: Probes.create({ readiness: probe('tcp:80'), liveness: probe('tcp:81') }),
});

describe('cli: flags about health', () => {
  it('leave alone what they do not name', () => {
    assert.deepEqual(healthOf(given(), BEFORE), { healthcheck: BEFORE.healthcheck, probes: BEFORE.probes });
    assert.deepEqual(healthOf(given(), undefined), { healthcheck: undefined, probes: undefined });
    const { healthcheck, probes } = healthOf(given(['health-interval', '7s'], ['readiness-probe', 'tcp:90']), BEFORE);
    assert.deepEqual(healthcheck, HealthCheck.create({ ...BEFORE.healthcheck, intervalMs: 7000 }));
    assert.deepEqual(probes, Probes.create({ readiness: probe('tcp:90'), liveness: probe('tcp:81') }));
  });

  it('an empty command is the image’s again, none at all is none, and any setting takes that back', () => {
    assert.deepEqual(healthOf(given(['health-cmd', '']), BEFORE).healthcheck?.test, []);
    const off = healthOf(given(['no-healthcheck', 'true']), BEFORE);
    assert.deepEqual(off.healthcheck, HealthCheck.create({ test: ['NONE'] }));
    const back = healthOf(given(['health-retries', '2']), ContainerSpec.create(off));
    assert.deepEqual(back.healthcheck, HealthCheck.create({ retries: 2 }));
  });

  it('probes are removed one by one; the last takes all with it', () => {
    const one = healthOf(given(['liveness-probe-rm', 'true']), BEFORE);
    assert.deepEqual(one.probes, Probes.create({ readiness: probe('tcp:80') }));
    assert.equal(healthOf(given(['readiness-probe-rm', 'true']), ContainerSpec.create(one)).probes, undefined);
  });

  it('contradictions are refused', () => {
    const isCliError = (error: unknown): boolean => error instanceof CliError;
    assert.throws(() => healthOf(given(['no-healthcheck', 'true'], ['health-cmd', 'x']), undefined), isCliError);
    assert.throws(
      () => healthOf(given(['liveness-probe', 'tcp:1'], ['liveness-probe-rm', 'true']), BEFORE),
      isCliError,
    );
  });

  it('are shown as they are given', () => {
    assert.deepEqual(prettyHealth(BEFORE), [
      'Health Check:',
      ' Test:\t\told',
      ' Interval:\t5s',
      ' Retries:\t4',
      'Probes:',
      ' Liveness:\ttcp:81',
      ' Readiness:\ttcp:80',
    ]);
    assert.deepEqual(prettyHealth(ContainerSpec.create({ healthcheck: HealthCheck.create({ test: ['NONE'] }) })), [
      'Health Check:',
      ' Test:\t\tnone',
    ]);
    assert.deepEqual(prettyHealth(ContainerSpec.create()), []);
  });
});

describe('cli: what is wrong with a task', () => {
  const NOW_MS = 1e12;
  const task = (fields: Partial<TaskStatus>, more: Partial<Task> = {}): Task =>
    Task.create({ status: TaskStatus.create({ state: TaskState.RUNNING, ...fields }), ...more });

  it('its error, why it is held back and for how long, or why it is not ready', () => {
    const held = { holdReason: 'crash loop: restart 7: exit code 1', startNotBeforeMs: NOW_MS + 79_100 };
    assert.equal(
      taskProblem(task({ state: TaskState.NEW }, held), NOW_MS),
      'crash loop: restart 7 in 1m20s: exit code 1',
    );
    assert.equal(taskProblem(task({ state: TaskState.NEW }, held), NOW_MS + 80_000), held.holdReason);
    assert.equal(taskProblem(task({ error: 'broken' }, held), NOW_MS), 'broken');
    assert.equal(taskProblem(task({ state: TaskState.SHUTDOWN }, held), NOW_MS), '');
    const evicted = {
      evictReason: 'preempted by task t2 of service db (priority 5)',
      desiredState: TaskState.SHUTDOWN,
    };
    assert.equal(taskProblem(task({ state: TaskState.SHUTDOWN }, evicted), NOW_MS), evicted.evictReason);
    const unwanted = { ...held, desiredState: TaskState.SHUTDOWN };
    assert.equal(taskProblem(task({ state: TaskState.READY }, unwanted), NOW_MS), '');
    const health = TaskHealth.create({ ready: false, message: 'answered 503' });
    assert.equal(taskProblem(task({ health }), NOW_MS), 'not ready: answered 503');
    assert.equal(taskProblem(task({ health, state: TaskState.STARTING }), NOW_MS), 'not ready: answered 503');
    const silent = TaskHealth.create({ ready: false });
    assert.equal(taskProblem(task({ health: silent, state: TaskState.STARTING }), NOW_MS), '');
    assert.equal(taskProblem(task({ health: silent }), NOW_MS), 'not ready');
    assert.equal(taskProblem(task({ health, state: TaskState.SHUTDOWN }), NOW_MS), '');
    assert.equal(taskProblem(task({ health: { ...health, ready: true, state: HealthState.HEALTHY } }), NOW_MS), '');
    assert.equal(taskProblem(task({}), NOW_MS), '');
    assert.equal(isServing(task({ health })), false);
    assert.equal(isServing(task({})), true);
  });

  it('a service says how many of its tasks are not ready, or crash again and again', () => {
    const text = (counts: Partial<ServiceTaskCounts>): string =>
      replicasText(
        ServiceListEntry.create({ counts: ServiceTaskCounts.create({ running: 3, desired: 3, ...counts }) }),
      );
    assert.equal(text({}), '3/3');
    assert.equal(text({ notReady: 1 }), '3/3 (2 ready)');
    assert.equal(text({ running: 2, notReady: 2, crashLooping: 1 }), '2/3 (0 ready, 1 in a crash loop)');
  });
});
