/**
 * Goal: nobody goes on talking to what a dead host ran, and a host that was only cut off finds its networks as it left
 * them. Method: the real dispatcher under a manual clock, with recorded sessions.
 */
import assert from 'node:assert/strict';
import { AgentLeaving, SessionRequest } from '#gen/swarm/v1/dispatcher.ts';
import { NodeState, TaskState } from '#gen/swarm/v1/objects.ts';
import { DISPATCHER_DEFAULTS, type DispatcherSession } from '#manager/dispatcher/index.ts';
import { RecordedSwarm } from './recorded-swarm.ts';

const { heartbeatPeriodMs: PERIOD_MS, downAfterPeriods, unknownAfterPeriods, leavingMs } = DISPATCHER_DEFAULTS;
const GRACE_MS = PERIOD_MS * downAfterPeriods;
/** How often the dispatcher looks. */
const LOOK_MS = PERIOD_MS / 4;

describe('dispatcher: nodes that are down', () => {
  let swarm: RecordedSwarm;
  /** When the manager on a node was last heard of. */
  const heardMs = new Map<string, number>();

  beforeEach(() => {
    heardMs.clear();
    swarm = new RecordedSwarm((nodeId) => heardMs.get(nodeId));
  });
  afterEach(() => swarm.dispatcher.stop('the test is over'));

  /** Time passes, in which these nodes send their heartbeats and the others are silent. */
  async function beat(durationMs: number, ...sessions: readonly DispatcherSession[]): Promise<void> {
    for (let passedMs = 0; passedMs < durationMs; passedMs += LOOK_MS) {
      for (const session of sessions)
        swarm.dispatcher.receive(session, SessionRequest.create({ message: { kind: 'heartbeat', value: {} } }));
      await swarm.pass(Math.min(LOOK_MS, durationMs - passedMs));
    }
  }

  async function leave(session: DispatcherSession, removed: boolean): Promise<void> {
    const value = AgentLeaving.create({ reason: 'the host goes down', removed });
    swarm.dispatcher.receive(session, SessionRequest.create({ message: { kind: 'leaving', value } }));
    await swarm.written();
  }

  it('their tasks leave the tables when their silence has lasted long enough', async () => {
    const [, n2] = [await swarm.open('n1'), await swarm.open('n2')];
    await beat(GRACE_MS - LOOK_MS, n2);
    assert.equal(swarm.serving('n2', 't1'), true);
    await beat(2 * LOOK_MS, n2);
    assert.equal(swarm.state('n1'), NodeState.DOWN);
    assert.equal(swarm.serving('n2', 't1'), undefined);
    assert.equal(swarm.serving('n2', 't2'), true);
    assert.equal(swarm.peer('n2', 'n1'), true, 'the way there stays, for its return');
  });

  it('one that comes back is told of networks when its own tasks are in the tables again', async () => {
    const [, n2] = [await swarm.open('n1'), await swarm.open('n2')];
    await beat(GRACE_MS + LOOK_MS, n2);
    assert.equal(swarm.serving('n2', 't1'), undefined);
    await swarm.open('n1');
    assert.equal(swarm.state('n1'), NodeState.READY);
    assert.equal(swarm.serving('n2', 't1'), true, 'at once');
    const told = swarm.heard.get('n1') ?? [];
    const sets = told.flatMap(({ message }) => (message?.kind === 'networks' ? [message.value.changes] : []));
    assert.equal(sets.length, 1);
    const own = sets[0]?.find(({ item }) => item?.kind === 'endpoint' && item.value.taskId === 't1')?.item?.value;
    assert.deepEqual(own, { ...own, serving: true });
    const kinds = told.map(({ message }) => message?.kind).filter((kind) => kind !== 'node' && kind !== 'heartbeatAck');
    assert.deepEqual(kinds, ['welcome', 'networks', 'assignments']);
  });

  it('tasks that were replaced meanwhile are back without new connections, and are told to stop', async () => {
    const [, n2] = [await swarm.open('n1'), await swarm.open('n2')];
    await beat(GRACE_MS + LOOK_MS, n2);
    await swarm.stop('t1');
    await swarm.open('n1');
    assert.equal(swarm.serving('n1', 't1'), false);
    assert.equal(swarm.serving('n2', 't1'), false);
    assert.equal(swarm.told('n1', 't1'), TaskState.SHUTDOWN, 'nobody has to confirm what nobody knew of');
  });

  it('what one that comes back has lost serves nobody again', async () => {
    const [, n2] = [await swarm.open('n1'), await swarm.open('n2')];
    await beat(GRACE_MS + LOOK_MS, n2);
    const before = swarm.heard.get('n2')?.length ?? 0;
    const n1 = await swarm.greet('n1');
    assert.equal(swarm.state('n1'), NodeState.DOWN, 'until it has said how its tasks are');
    swarm.dispatcher.closed(n1);
    await swarm.open('n1', { t1: TaskState.FAILED });
    assert.equal(swarm.state('n1'), NodeState.READY);
    const told = (swarm.heard.get('n2') ?? []).slice(before);
    assert.doesNotMatch(JSON.stringify(told), /"taskId":"t1"/, 'nobody was led to it in between');
  });

  it('a change that cannot be written leaves no session half told', async () => {
    swarm.refuse = true;
    await swarm.open('n1');
    assert.deepEqual(
      swarm.heard.get('n1')?.map(({ message }) => message?.kind),
      ['welcome', 'end'],
    );
  });

  it('under a new leader they have time to find it, and until then nothing leaves the tables', async () => {
    await swarm.open('n1');
    swarm.dispatcher.stop('the lead moves');
    swarm.dispatcher.start(swarm.view);
    const n2 = await swarm.open('n2');
    await beat(PERIOD_MS * unknownAfterPeriods - 2 * LOOK_MS, n2);
    assert.equal(swarm.state('n1'), NodeState.UNKNOWN);
    assert.equal(swarm.serving('n2', 't1'), true);
    await beat(3 * LOOK_MS, n2);
    assert.equal(swarm.state('n1'), NodeState.DOWN);
    assert.equal(swarm.serving('n2', 't1'), undefined);
  });

  it('a host whose manager died with it gets no more time than any other', async () => {
    const n1 = await swarm.open('n1');
    // The host of the leader is lost; the next one leads two seconds later.
    heardMs.set('n1', swarm.clock.monotonic());
    await beat(2_000, n1);
    swarm.dispatcher.stop('the lead moves');
    swarm.dispatcher.start(swarm.view);
    const n2 = await swarm.open('n2');
    await beat(GRACE_MS - 2_000 - LOOK_MS, n2);
    assert.equal(swarm.state('n1'), NodeState.UNKNOWN);
    await beat(2 * LOOK_MS, n2);
    assert.equal(swarm.state('n1'), NodeState.DOWN);
    assert.equal(swarm.serving('n2', 't1'), undefined);
    assert.equal(swarm.state('elsewhere'), NodeState.UNKNOWN, 'others may still be looking for the leader');
  });

  it('silence elsewhere counts for nothing while the node is heard here, or while this manager was held up', async () => {
    heardMs.set('n1', swarm.clock.monotonic());
    const n1 = await swarm.open('n1');
    await beat(2 * GRACE_MS, n1);
    assert.equal(swarm.state('n1'), NodeState.READY);
    swarm.dispatcher.stop('the lead moves');
    heardMs.set('n1', swarm.clock.monotonic());
    swarm.dispatcher.start(swarm.view);
    await swarm.open('n2');
    // The first look after it comes before anything was read.
    swarm.clock.standstillMs += 2 * GRACE_MS;
    await swarm.pass(LOOK_MS);
    assert.equal(swarm.state('n1'), NodeState.UNKNOWN);
  });

  it('one that takes its leave gets no new connections, keeps those it has, and is down later', async () => {
    const [n1, n2] = [await swarm.open('n1'), await swarm.open('n2')];
    await leave(n1, false);
    assert.equal(swarm.state('n1'), NodeState.DISCONNECTED);
    assert.equal(swarm.serving('n2', 't1'), false);
    swarm.dispatcher.stop('the lead moves');
    swarm.dispatcher.start(swarm.view);
    const again = await swarm.open('n2');
    await beat(leavingMs - LOOK_MS, n2, again);
    assert.equal(swarm.serving('n2', 't1'), false);
    await beat(2 * LOOK_MS, again);
    assert.equal(swarm.state('n1'), NodeState.DOWN);
    assert.equal(swarm.view.get('node', 'n1')?.status?.message, 'the host goes down');
    assert.equal(swarm.serving('n2', 't1'), undefined);
  });

  it('one that took its leave and comes back serves with nothing that has ended meanwhile', async () => {
    const [n1] = [await swarm.open('n1'), await swarm.open('n2')];
    await leave(n1, false);
    const before = swarm.heard.get('n2')?.length ?? 0;
    const again = await swarm.greet('n1');
    assert.equal(swarm.state('n1'), NodeState.DISCONNECTED, 'until it has said how its tasks are');
    swarm.dispatcher.closed(again);
    await swarm.open('n1', { t1: TaskState.SHUTDOWN });
    assert.equal(swarm.state('n1'), NodeState.READY);
    const told = (swarm.heard.get('n2') ?? []).slice(before);
    assert.doesNotMatch(JSON.stringify(told), /"taskId":"t1"[^}]*"serving":true/, 'nobody was led to it in between');
    assert.equal(swarm.serving('n2', 't1'), undefined);
  });

  it('one that leaves the swarm for good is down at once', async () => {
    const [n1] = [await swarm.open('n1'), await swarm.open('n2')];
    await leave(n1, true);
    assert.equal(swarm.state('n1'), NodeState.DOWN);
    assert.equal(swarm.serving('n2', 't1'), undefined);
  });
});
