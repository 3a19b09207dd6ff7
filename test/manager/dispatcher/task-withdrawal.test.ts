/**
 * Goal: a task is told to stop only when no node sends it new connections any more, and told in time whatever nodes do.
 * Method: the real dispatcher under a manual clock, with sessions whose messages are recorded and answered by the test.
 */
import assert from 'node:assert/strict';
import { ManualClock } from '#common/clock.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { AgentHello, SessionRequest, type SessionResponse } from '#gen/swarm/v1/dispatcher.ts';
import { AppliedNetworks } from '#gen/swarm/v1/networks.ts';
import {
  Cluster,
  Network,
  NetworkAttachment,
  Node,
  NodeDataPath,
  NodeDescription,
  NodeState,
  NodeStatus,
  Revision,
  Task,
  TaskState,
  TaskStatus,
} from '#gen/swarm/v1/objects.ts';
import { ClusterSpec, IpamSubnet, NetworkConfig, NetworkSpec, ServiceSpec } from '#gen/swarm/v1/specs.ts';
import { DISPATCHER_DEFAULTS, Dispatcher, type DispatcherSession } from '#manager/dispatcher/index.ts';
import type { Change } from '#manager/store/index.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';

const DEADLINE_MS = DISPATCHER_DEFAULTS.withdrawDeadlineMs;

function nodeOf(id: string, index: number, featureLevel = 3): Node {
  const dataPath = NodeDataPath.create({ address: `192.0.2.${index}` });
  const description = NodeDescription.create({ hostname: id, dataPath, featureLevel });
  return Node.create({ id, index, description, status: NodeStatus.create({ state: NodeState.READY }) });
}

function taskOn(nodeId: string, id: string, init: Partial<Task> = {}): Task {
  return Task.create({
    id,
    serviceId: 's',
    revision: 1,
    nodeId,
    slot: 1,
    desiredState: TaskState.RUNNING,
    status: TaskStatus.create({ state: TaskState.RUNNING }),
    networks: [NetworkAttachment.create({ network: 'front', addresses: ['10.0.1.9'] })],
    ...init,
  });
}

class Swarm {
  readonly clock = new ManualClock();
  readonly view = new MemoryView();
  readonly dispatcher = new Dispatcher({
    store: { view: () => this.view, decide: async (decide) => this.view.commit(decide(this.view)) },
    managers: () => [],
    clock: this.clock,
    random: new SeededRandom(1),
    logger: silentLogger,
    config: DISPATCHER_DEFAULTS,
  });
  readonly heard = new Map<string, SessionResponse[]>();

  constructor() {
    const spec = NetworkSpec.create({ name: 'front' });
    const subnets = [IpamSubnet.create({ subnet: '10.0.1.0/24', gateway: '10.0.1.1' })];
    const revision = Revision.create({ id: 'r', serviceId: 's', number: 1, spec: ServiceSpec.create({ name: 'web' }) });
    this.view.commit([
      { kind: 'create', table: 'cluster', object: Cluster.create({ id: 'c', spec: ClusterSpec.create() }) },
      { kind: 'create', table: 'network', object: Network.create({ id: 'front', spec, subnets, vni: 4097 }) },
      { kind: 'create', table: 'revision', object: revision },
      { kind: 'create', table: 'node', object: nodeOf('n1', 1) },
      { kind: 'create', table: 'node', object: nodeOf('n2', 2) },
      { kind: 'create', table: 'node', object: nodeOf('old', 3, 2) },
      { kind: 'create', table: 'node', object: nodeOf('elsewhere', 4) },
      { kind: 'create', table: 'task', object: taskOn('n1', 't1') },
      { kind: 'create', table: 'task', object: taskOn('n2', 't2') },
      { kind: 'create', table: 'task', object: taskOn('old', 't3') },
      { kind: 'create', table: 'task', object: taskOn('elsewhere', 't4', { networks: [] }) },
    ]);
    this.view.onCommit((commit, view) => this.dispatcher.observe(commit, view));
    this.dispatcher.start(this.view);
  }

  async open(nodeId: string): Promise<DispatcherSession> {
    const heard: SessionResponse[] = [];
    this.heard.set(nodeId, heard);
    const hello = AgentHello.create({ description: this.view.get('node', nodeId)?.description });
    const output = { send: (message: SessionResponse) => void heard.push(message), end: () => {} };
    const session = this.dispatcher.open(nodeId, hello, '192.0.2.1', output);
    await this.pass(5);
    return session;
  }

  async pass(durationMs: number): Promise<void> {
    this.clock.advance(durationMs);
    for (let round = 0; round < 10; round++) await new Promise((resolve) => setImmediate(resolve));
  }

  async update(changes: readonly Change[]): Promise<void> {
    this.view.commit(changes);
    await this.pass(5);
  }

  async stop(taskId: string): Promise<void> {
    await this.update([this.changed(taskId, { desiredState: TaskState.SHUTDOWN })]);
  }

  changed(taskId: string, fields: Partial<Task>): Change {
    const task = this.view.get('task', taskId);
    assert.ok(task !== undefined);
    return { kind: 'update', table: 'task', object: { ...task, ...fields } };
  }

  /** The newest desired state that the node was told of a task. */
  told(nodeId: string, taskId: string): TaskState | undefined {
    let told: TaskState | undefined;
    for (const { message } of this.heard.get(nodeId) ?? [])
      for (const { item } of message?.kind === 'assignments' ? message.value.changes : [])
        if (item?.kind === 'task' && item.value.id === taskId) told = item.value.desiredState;
    return told;
  }

  /** Whether the node's table lets new connections go to the task; undefined where it does not know it. */
  serving(nodeId: string, taskId: string): boolean | undefined {
    let serving: boolean | undefined;
    for (const { message } of this.heard.get(nodeId) ?? [])
      for (const { item } of message?.kind === 'networks' ? message.value.changes : [])
        if (item?.kind === 'endpoint' && item.value.taskId === taskId) serving = item.value.serving;
    return serving;
  }

  /** The agent says that it has applied all that it was told. */
  async confirm(session: DispatcherSession): Promise<void> {
    let version = 0;
    for (const { message } of this.heard.get(session.nodeId) ?? [])
      if (message?.kind === 'networks') version = message.value.version;
    const message = { kind: 'appliedNetworks' as const, value: AppliedNetworks.create({ version }) };
    this.dispatcher.receive(session, SessionRequest.create({ message }));
    await this.pass(5);
  }
}

describe('dispatcher: acknowledged withdrawal', () => {
  let swarm: Swarm;
  beforeEach(() => {
    swarm = new Swarm();
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
