/**
 * Goal: who steers updates on the command line gets what is asked for, sees where things stand, and learns why not.
 * Method: commands against the real API over a store in memory.
 */
import assert from 'node:assert/strict';
import { type Service, Task, TaskState, TaskStatus, UpdatePauseReason, UpdateState } from '#gen/swarm/v1/objects.ts';
import { FailureAction, type UpdateConfig, UpdateOrder } from '#gen/swarm/v1/specs.ts';
import { rolloutFixture } from './support/rollout-fixture.ts';
import { runCli } from './support/run-cli.ts';

describe('cli: rollouts', () => {
  it('create and update write every setting, and inspect shows them', async () => {
    const fixture = rolloutFixture();
    const flags = [
      ...['--update-order', 'auto', '--update-canaries', '2', '--update-auto-promote'],
      ...['--update-progress-deadline', '90s', '--update-failure-action', 'rollback'],
      ...['--rollback-order', 'start-first', '--rollback-progress-deadline', '0s'],
    ];
    const created = await runCli(['service', 'create', '-d', '-q', '--name', 'new', ...flags, 'nginx:1'], fixture);
    assert.equal(created.exitCode, 0, created.stderr);
    const { update, rollback } = fixture.spec('new');
    const { order, canaries, autoPromote, progressDeadlineMs, failureAction } = update as UpdateConfig;
    assert.deepEqual(
      [order, canaries, autoPromote, progressDeadlineMs, failureAction],
      [UpdateOrder.AUTO, 2, true, 90_000, FailureAction.ROLLBACK],
    );
    assert.deepEqual([rollback?.order, rollback?.progressDeadlineMs], [UpdateOrder.START_FIRST, 0]);

    const json = await runCli(['service', 'inspect', '--format', '{{json .Spec.UpdateConfig}}', 'new'], fixture);
    assert.match(json.stdout, /"Order":"auto","ProgressDeadline":90000000000,"Canaries":2,"AutoPromote":true/);
    const pretty = await runCli(['service', 'inspect', '--pretty', 'new'], fixture);
    assert.match(
      pretty.stdout,
      /\n Update order: {6}auto\n Progress deadline: 1m30s\n Canaries:\t2 \(promoted automatically\)\n/,
    );

    const without = await runCli(['service', 'update', '-d', '--update-canaries', '0', 'new'], fixture);
    assert.equal(without.exitCode, 0, without.stderr);
    assert.deepEqual([fixture.spec('new').update?.canaries, fixture.spec('new').update?.autoPromote], [0, false]);
  });

  it('settings that cannot be are refused with their flag', async () => {
    const refused: readonly (readonly [readonly string[], RegExp])[] = [
      [['--update-auto-promote'], /update-auto-promote: there are no canaries to promote/],
      [['--update-order', 'never'], /invalid order: "never"/],
      [['--update-progress-deadline', '-1s'], /update-progress-deadline: must not be negative/],
      [['--update-canaries', '-1'], /invalid argument "-1" for "--update-canaries"/],
    ];
    for (const [flags, message] of refused) {
      const fixture = rolloutFixture();
      const { stderr, exitCode } = await runCli(['service', 'create', '-d', '--name', 'n', ...flags, 'nginx'], fixture);
      assert.notEqual(exitCode, 0);
      assert.match(stderr, message);
      assert.equal(fixture.has('n'), false);
    }
  });

  it('history lists revisions with their outcome, the newest first; diff shows fields', async () => {
    const fixture = rolloutFixture();
    const { stdout } = await runCli(['service', 'history', 'web'], fixture);
    const lines = stdout.trimEnd().split('\n');
    assert.match(lines[0] ?? '', /^REVISION +CURRENT +CREATED +BY +OUTCOME +IMAGE$/);
    assert.match(lines[1] ?? '', /^3 +\* .* unknown +web:3$/);
    assert.match(lines[2] ?? '', /^2 .* failed +web:2$/);
    assert.match(lines[3] ?? '', /^1 .* healthy +web:1$/);
    const diff = await runCli(['service', 'diff', 'web', '1', '2'], fixture);
    assert.equal(diff.stdout, '~ task.container.image: "web:1" -> "web:2"\n');
    const now = await runCli(['service', 'diff', '--output', 'json', 'web', '1'], fixture);
    assert.deepEqual(JSON.parse(now.stdout), [{ path: 'task.container.image', before: '"web:1"', after: '"web:3"' }]);
    const missing = await runCli(['service', 'diff', 'web', '1', '9'], fixture);
    assert.match(missing.stderr, /service web has no revision 9: kept are 1, 2, 3/);
    assert.match((await runCli(['service', 'diff', 'web', 'x'], fixture)).stderr, /"x" is no number of a revision/);
  });

  it('status tells state, reason, the task that failed, and its last lines', async () => {
    const fixture = rolloutFixture({
      state: UpdateState.PAUSED,
      pauseReason: UpdatePauseReason.STALLED,
      message: 'update paused because no task became healthy',
      failedTask: 't1',
      failedTaskLog: ['cannot reach db'],
    });
    const { stdout } = await runCli(['service', 'rollout', 'status', 'web'], fixture);
    assert.match(stdout, /^Update: +paused \(stalled\)$/m);
    assert.match(stdout, /^Failed task: +t1$/m);
    assert.match(stdout, /^Its last lines:\n {2}cannot reach db$/m);
    const json = await runCli(['service', 'rollout', 'status', '-o', 'json', 'web'], fixture);
    assert.equal((JSON.parse(json.stdout) as { readonly Update: string }).Update, 'paused (stalled)');
    const inspected = await runCli(['service', 'inspect', '--format', '{{json .UpdateStatus}}', 'web'], fixture);
    assert.match(inspected.stdout, /"PauseReason":"stalled","FailedTask":"t1","FailedTaskLog":\["cannot reach db"\]/);
    const pretty = await runCli(['service', 'inspect', '--pretty', 'web'], fixture);
    assert.match(pretty.stdout, /\n Paused For:\tstalled\n Failed Task:\tt1\n {2}cannot reach db\n/);
  });

  it('status counts tasks of the revision that was returned to', async () => {
    const tasks = [1, 3].map((revision) =>
      Task.create({
        id: `t${revision}`,
        serviceId: 'web-id',
        slot: revision,
        revision,
        desiredState: TaskState.RUNNING,
        status: TaskStatus.create({ state: TaskState.RUNNING }),
      }),
    );
    const fixture = rolloutFixture({ state: UpdateState.COMPLETED }, tasks);
    const status = async (): Promise<string> => (await runCli(['service', 'rollout', 'status', 'web'], fixture)).stdout;
    assert.match(await status(), /^Tasks: +1 of 2 at revision 3, 2 healthy$/m);
    const { exitCode, stderr } = await runCli(['service', 'rollback', '--detach', '--to', '1', 'web'], fixture);
    assert.equal(exitCode, 0, stderr);
    assert.match(await status(), /^Tasks: +1 of 2 at revision 4, 2 healthy$/m);
  });

  it('pause, resume, promote and abort do what they say, or say why they cannot', async () => {
    const fixture = rolloutFixture({ state: UpdateState.UPDATING });
    const state = (): UpdateState | undefined => fixture.service('web').updateStatus?.state;
    const say = async (...words: readonly string[]) => runCli(['service', 'rollout', ...words], fixture);
    assert.equal((await say('pause', 'web')).stdout, 'web\n');
    assert.equal(state(), UpdateState.PAUSED);
    assert.equal((await say('resume', '-d', 'web')).stdout, 'web\n');
    assert.equal(state(), UpdateState.UPDATING);
    assert.match((await say('promote', '-d', 'web')).stderr, /no update of service web has canaries/);
    assert.equal((await say('abort', '-d', 'web')).exitCode, 0);
    assert.equal(state(), UpdateState.ROLLBACK_STARTED);
    assert.equal(fixture.spec('web').task?.container?.image, 'web:1');
    assert.match((await say('pause', 'nothing')).stderr, /service nothing not found/);
  });

  it('rollback goes back, to a revision of choice too; update --rollback stands alone', async () => {
    const image = (fixture: { spec(name: string): NonNullable<Service['spec']> }): string | undefined =>
      fixture.spec('web').task?.container?.image;
    const plain = rolloutFixture();
    assert.equal((await runCli(['service', 'rollback', '-d', 'web'], plain)).exitCode, 0);
    assert.equal(image(plain), 'web:1', 'revision 2 has failed');
    const chosen = rolloutFixture();
    const { stderr } = await runCli(['service', 'rollback', '-d', '--to', '2', 'web'], chosen);
    assert.match(stderr, /revision 2 failed when it was rolled out/);
    assert.equal(image(chosen), 'web:2');
    assert.match((await runCli(['service', 'rollback', '--to', '0', 'web'], chosen)).stderr, /numbered from 1/);
    const flag = rolloutFixture();
    assert.equal((await runCli(['service', 'update', '-d', '--rollback', 'web'], flag)).exitCode, 0);
    assert.equal(image(flag), 'web:1');
    const both = await runCli(['service', 'update', '-d', '--rollback', '--image', 'x', 'web'], rolloutFixture());
    assert.match(both.stderr, /other flags may not be combined with --rollback/);
  });
});
