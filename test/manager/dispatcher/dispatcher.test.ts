/**
 * Goal: a dispatcher that has stopped leaves nothing behind that would go on. Method: a manual clock, which knows of
 * every timer that is set.
 */
import assert from 'node:assert/strict';
import { ManualClock } from '#common/clock.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { AgentHello, SessionEndReason, type SessionResponse } from '#gen/swarm/v1/dispatcher.ts';
import { Cluster, Node, NodeState, NodeStatus, Task } from '#gen/swarm/v1/objects.ts';
import { DISPATCHER_DEFAULTS, Dispatcher } from '#manager/dispatcher/index.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';

describe('manager/dispatcher: its end', () => {
  let clock: ManualClock;
  let view: MemoryView;
  let dispatcher: Dispatcher;
  const warnings: string[] = [];

  beforeEach(() => {
    clock = new ManualClock();
    warnings.length = 0;
    view = new MemoryView();
    view.commit([
      { kind: 'create', table: 'cluster', object: Cluster.create({ id: 'c' }) },
      { kind: 'create', table: 'node', object: Node.create({ id: 'n' }) },
    ]);
    dispatcher = new Dispatcher({
      store: { view: () => view, decide: async (decide) => view.commit(decide(view)) },
      managers: () => [],
      clock,
      random: new SeededRandom(1),
      logger: { ...silentLogger, warn: (message) => warnings.push(message) },
      config: DISPATCHER_DEFAULTS,
    });
  });

  /** Opens a session of the node; what it is told. */
  function session(): readonly SessionResponse[] {
    const told: SessionResponse[] = [];
    dispatcher.open('n', AgentHello.create(), '', { send: (response) => told.push(response), end: () => {} });
    return told;
  }

  /** All is written that was to be: this store needs no more than the promises that are under way. */
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  it('leaves no timer, and ends the sessions', async () => {
    dispatcher.start(view);
    const told = session();
    await settled();
    view.onCommit((commit) => dispatcher.observe(commit, view));
    view.commit([{ kind: 'create', table: 'task', object: Task.create({ id: 't', nodeId: 'n' }) }]);
    dispatcher.stop('it is over');
    assert.equal(clock.nextDue(), undefined);
    assert.equal(dispatcher.sessionCount, 0);
    const last = told.at(-1)?.message;
    assert.ok(last?.kind === 'end' && last.value.reason === SessionEndReason.NOT_LEADER, last?.kind);
  });

  it('leaves none either when one term began without the end of another', () => {
    dispatcher.start(view);
    const told = session();
    dispatcher.start(view);
    assert.equal(told.at(-1)?.message?.kind, 'end', 'a session belongs to one term');
    clock.advance(60_000);
    dispatcher.stop('it is over');
    assert.equal(clock.nextDue(), undefined);
    dispatcher.stop('once more');
    assert.equal(clock.nextDue(), undefined);
  });

  it('leaves no memory of who was alive: the next term goes by what the leaders between have written', async () => {
    dispatcher.start(view);
    session();
    await settled();
    assert.equal(view.get('node', 'n')?.status?.state, NodeState.READY);
    dispatcher.stop('another manager leads');
    // There the node took its leave.
    const status = NodeStatus.create({ state: NodeState.DOWN, message: 'the node is going down', sinceMs: 7 });
    const node = view.get('node', 'n');
    assert.ok(node);
    view.commit([{ kind: 'update', table: 'node', object: { ...node, status } }]);
    dispatcher.start(view);
    clock.advance(10 * 60_000);
    await settled();
    assert.deepEqual(view.get('node', 'n')?.status, status, 'nobody waits for its heartbeat');
    assert.deepEqual(warnings, []);
    dispatcher.stop('it is over');
  });
});
