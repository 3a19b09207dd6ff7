/**
 * Goal: how long a lost node was silent is known from clocks that nobody sets, written when something hangs on it, and
 * never more than is true; graces end also where leaders follow each other quickly. Method: the real dispatcher under a
 * manual clock.
 */
import assert from 'node:assert/strict';
import { AgentHello, SessionRequest } from '#gen/swarm/v1/dispatcher.ts';
import { Node, NodeState, NodeStatus, Revision } from '#gen/swarm/v1/objects.ts';
import { ClusterSpec, ContainerSpec, DispatcherConfig, NodeSpec, ServiceSpec, TaskSpec } from '#gen/swarm/v1/specs.ts';
import { DISPATCHER_DEFAULTS, type DispatcherSession } from '#manager/dispatcher/index.ts';
import { fenceMs } from '#manager/orchestrator/index.ts';
import { electionTimeoutMs } from '#manager/raft/config.ts';
import { DEFAULT_RAFT_CONFIG } from '#manager/raft/index.ts';
import { RecordedSwarm } from './recorded-swarm.ts';

const { heartbeatPeriodMs: PERIOD_MS, downAfterPeriods, unknownAfterPeriods } = DISPATCHER_DEFAULTS;
const DOWN_MS = PERIOD_MS * downAfterPeriods;
const GRACE_MS = 30_000;
const LOOK_MS = 250;
const HOUR_MS = 3_600_000;

describe('dispatcher: how long nodes are silent', () => {
  let swarm: RecordedSwarm;

  beforeEach(async () => {
    swarm = new RecordedSwarm();
    await configure({ featureLevel: 5, replaceAfterMs: GRACE_MS });
  });
  afterEach(() => swarm.dispatcher.stop('the test is over'));

  async function configure(options: {
    readonly featureLevel: number;
    readonly replaceAfterMs?: number;
    readonly heartbeatPeriodMs?: number;
  }): Promise<void> {
    const cluster = swarm.view.cluster();
    assert.ok(cluster !== undefined);
    const { featureLevel, replaceAfterMs, heartbeatPeriodMs } = options;
    const spec = ClusterSpec.create({ dispatcher: DispatcherConfig.create({ replaceAfterMs, heartbeatPeriodMs }) });
    await swarm.update([{ kind: 'update', table: 'cluster', object: { ...cluster, featureLevel, spec } }]);
  }

  /** Time passes, in which these nodes send their heartbeats. */
  async function beat(durationMs: number, ...sessions: readonly DispatcherSession[]): Promise<void> {
    for (let passedMs = 0; passedMs < durationMs; passedMs += LOOK_MS) {
      for (const session of sessions)
        swarm.dispatcher.receive(session, SessionRequest.create({ message: { kind: 'heartbeat', value: {} } }));
      await swarm.pass(LOOK_MS);
    }
  }

  const status = (): NodeStatus => swarm.view.get('node', 'n1')?.status ?? NodeStatus.create();
  const newLeader = (): void => {
    swarm.dispatcher.stop('the lead moves');
    swarm.dispatcher.start(swarm.view);
  };

  it('is written when the node is down, and again when its tasks are not waited for any longer', async () => {
    await swarm.open('n1');
    const heardMs = swarm.clock.now();
    await beat(DOWN_MS + LOOK_MS);
    assert.equal(status().state, NodeState.DOWN);
    const downMs = status().silentMs;
    assert.ok(downMs >= DOWN_MS && downMs <= DOWN_MS + 2 * LOOK_MS, String(downMs));
    assert.ok(Math.abs(status().lastHeardMs - heardMs) <= 2 * LOOK_MS);
    const { sinceMs } = status();
    await beat(GRACE_MS - DOWN_MS - 2 * PERIOD_MS);
    assert.equal(status().silentMs, downMs, 'nothing hung on it meanwhile');
    await beat(4 * PERIOD_MS);
    assert.ok(status().silentMs >= GRACE_MS && status().silentMs < GRACE_MS + 4 * PERIOD_MS);
    assert.equal(status().sinceMs, sinceMs);
    const written = status();
    await beat(GRACE_MS);
    assert.deepEqual(status(), written, 'and nothing afterwards');
  });

  it('is written for what stops by itself when it surely has', async () => {
    const task = TaskSpec.create({ container: ContainerSpec.create(), stopAfterDisconnectMs: 20_000 });
    const spec = ServiceSpec.create({ name: 'web', task });
    const revision = swarm.view.revision('s', 1) as Revision;
    await swarm.update([{ kind: 'update', table: 'revision', object: { ...revision, spec } }]);
    await swarm.open('n1');
    await beat(fenceMs(spec) - PERIOD_MS);
    assert.ok(status().silentMs < fenceMs(spec));
    await beat(3 * PERIOD_MS);
    assert.ok(status().silentMs >= fenceMs(spec));
  });

  it('is gone when the node is back', async () => {
    await swarm.open('n1');
    await beat(DOWN_MS + LOOK_MS);
    await swarm.open('n1');
    const { state, silentMs, lastHeardMs } = status();
    assert.deepEqual([state, silentMs, lastHeardMs], [NodeState.READY, 0, 0]);
  });

  it('a next leader goes on from what is written, and adds nothing that it does not know', async () => {
    await swarm.open('n1');
    await beat(DOWN_MS + LOOK_MS);
    const downMs = status().silentMs;
    swarm.dispatcher.stop('nobody leads');
    await swarm.pass(10 * GRACE_MS);
    swarm.dispatcher.start(swarm.view);
    await beat(GRACE_MS - downMs - PERIOD_MS);
    assert.equal(status().silentMs, downMs);
    await beat(3 * PERIOD_MS);
    assert.ok(status().silentMs >= GRACE_MS);
  });

  it('does not begin, short as heartbeats may be, before a leader of before can answer no more', async () => {
    assert.ok(DISPATCHER_DEFAULTS.staleLeaderMs >= 2 * electionTimeoutMs(DEFAULT_RAFT_CONFIG));
    await configure({ featureLevel: 5, heartbeatPeriodMs: PERIOD_MS / 10 });
    await swarm.open('n1');
    // What was before the change is over.
    await beat(DOWN_MS, await swarm.open('n1'));
    newLeader();
    const beganMs = swarm.clock.monotonic();
    while (status().state !== NodeState.DOWN && swarm.clock.monotonic() - beganMs < DOWN_MS) await beat(LOOK_MS);
    assert.equal(status().state, NodeState.DOWN);
    const mayKnowMs = Math.max(0, swarm.clock.monotonic() - beganMs - DISPATCHER_DEFAULTS.staleLeaderMs);
    assert.ok(status().silentMs <= mayKnowMs, `${status().silentMs} ms of at most ${mayKnowMs} ms`);
  });

  it('is not counted while the manager itself stands still', async () => {
    await swarm.open('n1');
    await beat(DOWN_MS + LOOK_MS);
    const downMs = status().silentMs;
    swarm.clock.standstillMs += 10 * GRACE_MS;
    await beat(GRACE_MS - downMs - 2 * PERIOD_MS);
    assert.equal(status().silentMs, downMs);
  });

  it('wall clocks that jump by an hour either way take no node away, and end no grace', async () => {
    for (const jumpMs of [HOUR_MS, -HOUR_MS]) {
      const n2 = await swarm.open('n2');
      await swarm.open('n1');
      swarm.clock.setWall(swarm.clock.now() + jumpMs);
      await beat(DOWN_MS - 2 * LOOK_MS, n2);
      assert.equal(status().state, NodeState.READY);
      await beat(4 * LOOK_MS, n2);
      assert.equal(status().state, NodeState.DOWN);
      swarm.clock.setWall(swarm.clock.now() + jumpMs);
      await beat(GRACE_MS / 2, n2);
      assert.ok(status().silentMs < GRACE_MS);
      assert.equal(swarm.state('n2'), NodeState.READY);
    }
  });

  it('a new leader whose clock is an hour ahead gives nodes time to find it', async () => {
    await swarm.open('n1');
    newLeader();
    await swarm.pass(LOOK_MS);
    assert.equal(status().state, NodeState.UNKNOWN);
    swarm.clock.setWall(swarm.clock.now() + HOUR_MS);
    newLeader();
    await beat(DOWN_MS - 2 * LOOK_MS);
    assert.equal(status().state, NodeState.UNKNOWN);
    await swarm.open('n1');
    assert.equal(status().state, NodeState.READY);
  });

  it('leaders that follow each other quickly do not keep a dead node UNKNOWN', async () => {
    await swarm.open('n1');
    newLeader();
    const beganMs = swarm.clock.monotonic();
    // Each leads for longer than any node may be silent, and for less than it gives to those that it does not know.
    while (status().state !== NodeState.DOWN && swarm.clock.monotonic() - beganMs < 100_000) {
      await beat(DOWN_MS + 4 * LOOK_MS);
      if (status().state !== NodeState.DOWN) newLeader();
    }
    const tookMs = swarm.clock.monotonic() - beganMs;
    assert.ok(tookMs <= PERIOD_MS * unknownAfterPeriods + 2 * DOWN_MS, `${tookMs} ms`);
  });

  it('nothing is written while a manager of an earlier release is there', async () => {
    await configure({ featureLevel: 4, replaceAfterMs: GRACE_MS });
    await swarm.open('n1');
    await beat(2 * GRACE_MS);
    const { state, silentMs, lastHeardMs } = status();
    assert.deepEqual([state, silentMs, lastHeardMs], [NodeState.DOWN, 0, 0]);
  });

  it('a thousand nodes: the period keeps heartbeats under 2,000 a second, and five of it make one down', async () => {
    const nodes = Array.from({ length: 4000 }, (_, number) => {
      const id = `many${number}`;
      const ready = NodeStatus.create({ state: NodeState.READY });
      return Node.create({ id, spec: NodeSpec.create(), status: ready });
    });
    await swarm.update(nodes.map((object) => ({ kind: 'create', table: 'node', object })));
    const told = (): number =>
      (swarm.heard.get('n1') ?? []).reduce((last, { message }) => {
        if (message?.kind === 'welcome') return message.value.heartbeatPeriodMs;
        return message?.kind === 'heartbeatAck' ? message.value.periodMs : last;
      }, 0);
    for (const { id } of nodes.slice(0, 1000)) await greeted(id);
    await swarm.open('n1');
    assert.equal(told(), PERIOD_MS);
    for (const { id } of nodes.slice(1000)) await greeted(id);
    const n1 = await swarm.open('n1');
    assert.ok(told() >= 2000 && told() < 2010, `${told()} ms for 4,001 nodes`);
    await beat(DOWN_MS + LOOK_MS, n1);
    assert.equal(swarm.state('many3999'), NodeState.READY);
    await beat(told() * downAfterPeriods - DOWN_MS, n1);
    assert.equal(swarm.state('many3999'), NodeState.DOWN);
    assert.equal(swarm.state('n1'), NodeState.READY);
  }).timeout(60_000);

  /** As `greet`, without a pause for each. */
  async function greeted(nodeId: string): Promise<void> {
    swarm.dispatcher.open(nodeId, AgentHello.create(), '', { send: () => {}, end: () => {} });
  }
});
