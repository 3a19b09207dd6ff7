/**
 * Goal: an update on real nodes is tried out, judged and undone as declared, and says why. Method: a service of busybox
 * containers; commands attached, as people run them. Under load, and each way to fail: test/long/e2e/rollout.test.ts.
 */
import assert from 'node:assert/strict';
import { RevisionOutcome, UpdatePauseReason, UpdateState } from '#gen/swarm/v1/objects.ts';
import { IMAGE, SLEEP, useCluster } from './support/cluster.ts';

const NAME = 'rollout';
const QUICK = ['--update-monitor', '500ms', '--rollback-monitor', '500ms', '--update-order', 'auto'];

describe('e2e: rollouts', function () {
  const cluster = useCluster(this);

  it('canaries run beside the others until they are promoted; history and diff tell', async () => {
    const flags = ['-q', '--name', NAME, '--replicas', '2', ...QUICK];
    await cluster().must(['service', 'create', ...flags, IMAGE, ...SLEEP]);
    const change = ['--update-canaries', '1', '--env-add', 'LEVEL=2', NAME];
    const waits = await cluster().must(['service', 'update', ...change]);
    assert.match(waits, /canaries run \(1 of 2 tasks\); waiting to be promoted or aborted/);
    assert.match(waits, /swarm service rollout promote rollout/);
    assert.equal((await cluster().running(NAME)).length, 3);
    const status = await cluster().must(['service', 'rollout', 'status', NAME]);
    assert.match(status, /Update: +paused \(canary\)\n/);
    await cluster().must(['service', 'rollout', 'promote', '-q', NAME]);
    assert.equal((await cluster().running(NAME)).filter(({ revision }) => revision === 2).length, 2);
    const history = await cluster().must([
      'service',
      'history',
      '--format',
      '{{.Revision}}{{.Current}} {{.Outcome}}',
      NAME,
    ]);
    assert.equal(history, '2* healthy\n1 healthy\n');
    assert.match(
      await cluster().must(['service', 'diff', NAME, '1']),
      /^\+ task\.container\.env\[LEVEL\]: "LEVEL=2"$/m,
    );
  });

  it('a start that crashes is rolled back by itself; the command says why and what the task wrote', async () => {
    const crash = ['--args', 'sh -c "echo no such table: users; exit 3"', '--update-failure-action', 'rollback'];
    const update = [...crash, '--update-canaries', '0', '--restart-delay', '0s', NAME];
    const refused = await cluster().refused(['service', 'update', '-q', ...update]);
    assert.match(refused, /service update rolled back: update rolled back to revision 2 due to failure or early/);
    assert.match(refused, /last lines of task \w+:\n {2}no such table: users/);
    const { service } = await cluster().client().control.getService({ reference: NAME });
    assert.equal(service?.updateStatus?.state, UpdateState.ROLLBACK_COMPLETED);
    assert.equal((await cluster().running(NAME)).length, 2);
    const outcomes: RevisionOutcome[] = [];
    for await (const page of cluster()
      .client()
      .control.listRevisions({ serviceId: service?.id ?? '' }))
      outcomes.push(...page.revisions.map(({ outcome }) => outcome));
    const { HEALTHY, FAILED } = RevisionOutcome;
    assert.deepEqual(outcomes, [HEALTHY, HEALTHY, FAILED, HEALTHY]);
  });

  it('paused and aborted on request; rolled back to a revision of choice', async () => {
    const slow = ['--update-delay', '1h', '--env-add', 'LEVEL=3', '--update-failure-action', 'pause', NAME];
    await cluster().must(['service', 'update', '-d', ...slow]);
    await cluster().must(['service', 'rollout', 'pause', NAME]);
    const { service } = await cluster().client().control.getService({ reference: NAME });
    assert.equal(service?.updateStatus?.pauseReason, UpdatePauseReason.USER);
    await cluster().must(['service', 'rollout', 'abort', '-q', NAME]);
    await cluster().must(['service', 'rollback', '-q', '--to', '1', NAME]);
    const inspected = await cluster().must(['service', 'inspect', '--format', '{{json .Spec.TaskTemplate}}', NAME]);
    assert.doesNotMatch(inspected, /LEVEL/);
    assert.match(await cluster().refused(['service', 'rollback', '--to', '99', NAME]), /has no revision 99/);
    assert.match(await cluster().refused(['service', 'rollout', 'resume', NAME]), /there is no update/);
  });
});
