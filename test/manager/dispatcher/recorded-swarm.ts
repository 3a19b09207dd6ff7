/** The real dispatcher under a manual clock, with sessions whose messages are recorded and answered by the test. */
import assert from 'node:assert/strict';
import { ManualClock } from '#common/clock.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { AgentHello, SessionRequest, type SessionResponse, StatusBatch } from '#gen/swarm/v1/dispatcher.ts';
import { AppliedNetworks, NetworkChangesType } from '#gen/swarm/v1/networks.ts';
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
import { ClusterSpec, IpamSubnet, NetworkSpec, ServiceSpec } from '#gen/swarm/v1/specs.ts';
import {
  DISPATCHER_DEFAULTS,
  Dispatcher,
  type DispatcherSession,
  type DispatcherStore,
} from '#manager/dispatcher/index.ts';
import type { Change } from '#manager/store/index.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';

export function nodeOf(id: string, index: number, featureLevel = 3): Node {
  const dataPath = NodeDataPath.create({ address: `192.0.2.${index}` });
  const description = NodeDescription.create({ hostname: id, dataPath, featureLevel });
  return Node.create({ id, index, description, status: NodeStatus.create({ state: NodeState.READY }) });
}

export function taskOn(nodeId: string, id: string, init: Partial<Task> = {}): Task {
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

/** Time may also pass while the whole process stands still. */
class StandstillClock extends ManualClock {
  standstillMs = 0;

  override monotonic(): number {
    return super.monotonic() + this.standstillMs;
  }
}

export class RecordedSwarm {
  readonly clock = new StandstillClock();
  readonly view = new MemoryView();
  readonly dispatcher: Dispatcher;
  readonly heard = new Map<string, SessionResponse[]>();
  /** Nothing can be written. */
  refuse = false;

  constructor(managerHeardMs: (nodeId: string) => number | undefined = () => undefined) {
    const decide: DispatcherStore['decide'] = async (change) => {
      if (this.refuse) throw new Error('refused');
      this.view.commit(change(this.view));
    };
    this.dispatcher = new Dispatcher({
      store: { view: () => this.view, decide },
      managers: () => [],
      managerHeardMs,
      clock: this.clock,
      random: new SeededRandom(1),
      logger: silentLogger,
      config: DISPATCHER_DEFAULTS,
    });
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

  /** As an agent does it: after the welcome it says how these of its tasks are, then that it is there. */
  async open(nodeId: string, states: Readonly<Record<string, TaskState>> = {}): Promise<DispatcherSession> {
    const session = await this.greet(nodeId);
    const updates = Object.entries(states).map(([taskId, state]) => ({ taskId, status: TaskStatus.create({ state }) }));
    const say = (message: SessionRequest['message']): void =>
      this.dispatcher.receive(session, SessionRequest.create({ message }));
    if (updates.length > 0) say({ kind: 'statuses', value: StatusBatch.create({ batch: 1, updates }) });
    say({ kind: 'heartbeat', value: {} });
    await this.written();
    return session;
  }

  /** Says hello, and nothing else. */
  async greet(nodeId: string): Promise<DispatcherSession> {
    const heard: SessionResponse[] = [];
    this.heard.set(nodeId, heard);
    const hello = AgentHello.create({ description: this.view.get('node', nodeId)?.description });
    const output = { send: (message: SessionResponse) => void heard.push(message), end: () => {} };
    const session = this.dispatcher.open(nodeId, hello, '192.0.2.1', output);
    await this.pass(0);
    return session;
  }

  async pass(durationMs: number): Promise<void> {
    this.clock.advance(durationMs);
    for (let round = 0; round < 10; round++) await new Promise((resolve) => setImmediate(resolve));
  }

  /** What was to be written is, and everybody is told. */
  async written(): Promise<void> {
    await this.pass(0);
    await this.pass(5);
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
    for (const { message } of this.heard.get(nodeId) ?? []) {
      if (message?.kind !== 'networks') continue;
      if (message.value.type === NetworkChangesType.COMPLETE) serving = undefined;
      for (const { item, remove } of message.value.changes)
        if (item?.kind === 'endpoint' && item.value.taskId === taskId)
          serving = remove ? undefined : item.value.serving;
    }
    return serving;
  }

  /** Whether the node knows of the other as one that takes part. */
  peer(nodeId: string, otherId: string): boolean {
    let known = false;
    for (const { message } of this.heard.get(nodeId) ?? [])
      for (const { item, remove } of message?.kind === 'networks' ? message.value.changes : [])
        if (item?.kind === 'peer' && item.value.nodeId === otherId) known = !remove;
    return known;
  }

  state(nodeId: string): NodeState | undefined {
    return this.view.get('node', nodeId)?.status?.state;
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
