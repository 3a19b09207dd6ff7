/**
 * Goal: a task is told to stop only when no node sends it new connections any more, and told in time whatever nodes do.
 * Method: the real dispatcher under a manual clock, with sessions whose messages are recorded and answered by the test.
 */
import assert from 'node:assert/strict';
import { SessionRequest } from '#gen/swarm/v1/dispatcher.ts';
import { AppliedNetworks } from '#gen/swarm/v1/networks.ts';
import { NodeState, NodeStatus, TaskState, TaskStatus } from '#gen/swarm/v1/objects.ts';
import { ClusterSpec, NetworkConfig } from '#gen/swarm/v1/specs.ts';
import { DISPATCHER_DEFAULTS } from '#manager/dispatcher/index.ts';
import { RecordedSwarm, taskOn } from './recorded-swarm.ts';

const DEADLINE_MS = DISPATCHER_DEFAULTS.withdrawDeadlineMs;

describe('dispatcher: acknowledged withdrawal', () => {
  let swarm: RecordedSwarm;
  beforeEach(() => {
    swarm = new RecordedSwarm();
  });
  afterEach(() => swarm.dispatcher.stop('the test is over'));

  it('the task is out of all tables at once, and stops when every node of its network has confirmed', async () => {
    const [n1, n2] = [await swarm.open('n1'), await swarm.open('n2')];
    await swarm.open('elsewhere');
    assert.equal(swarm.serving('n2', 't1'), true);
    await swarm.stop('t1');
    assert.equal(swarm.serving('n1', 't1'), false);
    assert.equal(swarm.serving('n2', 't1'), false);
    assert.equal(swarm.serving('elsewhere', 't1'), undefined);
    assert.equal(swarm.told('n1', 't1'), TaskState.RUNNING);
    await swarm.confirm(n2);
    assert.equal(swarm.told('n1', 't1'), TaskState.RUNNING);
    await swarm.confirm(n1);
    assert.equal(swarm.told('n1', 't1'), TaskState.SHUTDOWN);
  });

  it('a confirmation of an earlier state counts for nothing', async () => {
    const [n1, n2] = [await swarm.open('n1'), await swarm.open('n2')];
    await swarm.confirm(n1);
    await swarm.stop('t1');
    await swarm.confirm(n1);
    const message = {
      kind: 'appliedNetworks' as const,
      value: AppliedNetworks.create({ version: swarm.view.version - 1 }),
    };
    swarm.dispatcher.receive(n2, SessionRequest.create({ message }));
    await swarm.pass(5);
    assert.equal(swarm.told('n1', 't1'), TaskState.RUNNING);
  });

  it('a node that keeps silent holds it up until the deadline, one that is down not at all', async () => {
    const n1 = await swarm.open('n1');
    await swarm.open('n2');
    await swarm.stop('t1');
    await swarm.confirm(n1);
    await swarm.pass(DEADLINE_MS - 100);
    assert.equal(swarm.told('n1', 't1'), TaskState.RUNNING);
    await swarm.pass(100);
    assert.equal(swarm.told('n1', 't1'), TaskState.SHUTDOWN);

    const node = swarm.view.get('node', 'n2');
    assert.ok(node !== undefined);
    const again = taskOn('n1', 't5');
    await swarm.update([{ kind: 'create', table: 'task', object: again }]);
    await swarm.stop('t5');
    await swarm.confirm(n1);
    assert.equal(swarm.told('n1', 't5'), TaskState.RUNNING);
    await swarm.update([
      { kind: 'update', table: 'node', object: { ...node, status: NodeStatus.create({ state: NodeState.DOWN }) } },
    ]);
    assert.equal(swarm.told('n1', 't5'), TaskState.SHUTDOWN);
  });

  it('the deadline is the cluster’s', async () => {
    const cluster = swarm.view.cluster();
    assert.ok(cluster !== undefined);
    const network = NetworkConfig.create({ withdrawDeadlineMs: 500 });
    await swarm.update([
      { kind: 'update', table: 'cluster', object: { ...cluster, spec: ClusterSpec.create({ network }) } },
    ]);
    await swarm.open('n1');
    await swarm.stop('t1');
    await swarm.pass(400);
    assert.equal(swarm.told('n1', 't1'), TaskState.RUNNING);
    await swarm.pass(100);
    assert.equal(swarm.told('n1', 't1'), TaskState.SHUTDOWN);
  });

  it('a node whose session breaks is waited for, and confirms in its next one', async () => {
    const [n1, n2] = [await swarm.open('n1'), await swarm.open('n2')];
    swarm.dispatcher.closed(n2);
    await swarm.stop('t1');
    await swarm.confirm(n1);
    assert.equal(swarm.told('n1', 't1'), TaskState.RUNNING);
    await swarm.confirm(await swarm.open('n2'));
    assert.equal(swarm.told('n1', 't1'), TaskState.SHUTDOWN);
  });

  it('an agent of an older release gets no tables and is not waited for', async () => {
    await swarm.open('old');
    const [n1, n2] = [await swarm.open('n1'), await swarm.open('n2')];
    assert.equal(swarm.serving('old', 't3'), undefined);
    await swarm.stop('t1');
    await swarm.confirm(n1);
    await swarm.confirm(n2);
    assert.equal(swarm.told('n1', 't1'), TaskState.SHUTDOWN);
  });

  it('a task without addresses stops at once, and so does one that does not run yet', async () => {
    const starting = taskOn('n1', 't6', { status: TaskStatus.create({ state: TaskState.STARTING }) });
    await swarm.update([{ kind: 'create', table: 'task', object: starting }]);
    await Promise.all(['n1', 'elsewhere'].map((id) => swarm.open(id)));
    await swarm.stop('t4');
    await swarm.stop('t6');
    assert.equal(swarm.told('elsewhere', 't4'), TaskState.SHUTDOWN);
    assert.equal(swarm.told('n1', 't6'), TaskState.SHUTDOWN);
  });

  it('one that ends by itself, is wanted again or is removed is not held any longer', async () => {
    await swarm.update([{ kind: 'create', table: 'task', object: taskOn('n1', 't7') }]);
    await swarm.open('n1');
    await swarm.open('n2');
    await swarm.stop('t1');
    await swarm.update([swarm.changed('t1', { status: TaskStatus.create({ state: TaskState.FAILED }) })]);
    assert.equal(swarm.told('n1', 't1'), TaskState.SHUTDOWN);
    await swarm.stop('t7');
    const task = swarm.view.get('task', 't7');
    assert.ok(task !== undefined);
    await swarm.update([{ kind: 'remove', table: 'task', object: task }]);
    const removed = swarm.heard
      .get('n1')
      ?.some(
        ({ message }) =>
          message?.kind === 'assignments' &&
          message.value.changes.some(
            (change) => change.remove && change.item?.kind === 'task' && change.item.value.id === 't7',
          ),
      );
    assert.equal(removed, true);
  });

  it('a new leader, which knows nothing of confirmations, holds it once more', async () => {
    await swarm.open('n1');
    await swarm.open('n2');
    await swarm.stop('t1');
    swarm.dispatcher.stop('the lead moves');
    swarm.dispatcher.start(swarm.view);
    const n1 = await swarm.open('n1');
    assert.equal(swarm.told('n1', 't1'), TaskState.RUNNING);
    await swarm.confirm(n1);
    await swarm.confirm(await swarm.open('n2'));
    assert.equal(swarm.told('n1', 't1'), TaskState.SHUTDOWN);
  });
});
