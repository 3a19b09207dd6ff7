/**
 * Goal: an agent finds the leader from any manager, and follows it. Method: three managers on loopback, with real
 * certificates and connections, on a log whose followers lag as far as they may.
 */
import assert from 'node:assert/strict';
import type { LoadedIdentity } from '#agent/identity/index.ts';
import { SESSION_DEFAULTS, Session } from '#agent/session/index.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { systemClock } from '#common/system/clock.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { AgentHello, DispatcherService, SessionEndReason, type SessionResponse } from '#gen/swarm/v1/dispatcher.ts';
import { NodeDescription, NodeState } from '#gen/swarm/v1/objects.ts';
import { createClient } from '#proto/grpc/client.ts';
import { openLocalSession } from '#src/swarmd/local-manager.ts';
import { ManagerConnections } from '#src/swarmd/manager-connections.ts';
import { anotherManager } from '#test/fixtures/another-manager.ts';
import { eventually } from '#test/support/eventually.ts';
import { ManagerOnLoopback } from './support/manager-on-loopback.ts';
import { ThreeManagers, tlsIdentityOf, WAIT_MS } from './support/three-managers.ts';

describe('any manager, for agents', () => {
  let swarm: ThreeManagers;

  beforeEach(async () => {
    swarm = await ThreeManagers.start();
  });
  afterEach(() => swarm.close());

  /** Says hello and gives what comes back until the stream ends or the agent is welcomed. */
  async function hello(manager: ManagerOnLoopback): Promise<readonly SessionResponse[]> {
    const call = createClient(DispatcherService, manager.connect(swarm.caller)).session();
    await call.write({ message: { kind: 'hello', value: AgentHello.create() } });
    const responses: SessionResponse[] = [];
    for await (const response of call) {
      responses.push(response);
      if (response.message?.kind === 'welcome') break;
    }
    call.cancel();
    return responses;
  }

  function endOf(responses: readonly SessionResponse[]) {
    const last = responses.at(-1)?.message;
    assert.ok(last?.kind === 'end', last?.kind);
    return last.value;
  }

  /** Resolves when a call waits at the manager for a leader. */
  function asksForLeader(manager: ManagerOnLoopback): Promise<void> {
    const { watch } = manager.leaderCalls;
    const { promise, resolve } = Promise.withResolvers<void>();
    const leaderUntil = watch.leaderUntil.bind(watch);
    watch.leaderUntil = (...options) => {
      const leader = leaderUntil(...options);
      resolve();
      return leader;
    };
    return promise;
  }

  it('opens a session when it leads, and names the managers', async () => {
    const { a } = swarm;
    const [response] = await hello(a);
    assert.ok(response?.message?.kind === 'welcome');
    assert.deepEqual(response.message.value.managers?.managers, a.managers());
  });

  it('sends the agent to the leader', async () => {
    const { a, b } = swarm;
    const responses = await hello(b);
    const { reason, leader } = endOf(responses);
    assert.equal(reason, SessionEndReason.NOT_LEADER);
    assert.deepEqual(leader, { nodeId: a.nodeId, address: a.log.address });
    const [first] = responses;
    assert.ok(first?.message?.kind === 'managers');
    assert.equal(first.message.value.managers.length, 3);
  });

  it('keeps the agent waiting while there is an election', async () => {
    const { b, c, elect } = swarm;
    elect(undefined);
    const asked = asksForLeader(b);
    const waiting = hello(b);
    await withDeadline(asked, WAIT_MS, 'the agent to wait');
    elect(c);
    assert.equal(endOf(await waiting).leader?.nodeId, c.nodeId);
    elect(undefined);
    const askedAgain = asksForLeader(b);
    const lucky = hello(b);
    await withDeadline(askedAgain, WAIT_MS, 'the agent to wait again');
    elect(b);
    assert.equal((await lucky)[0]?.message?.kind, 'welcome');
  });

  it('does the same for the agent in its own process', async () => {
    const { a, b } = swarm;
    const stream = openLocalSession(() => b, b.nodeId);
    stream.send({ message: { kind: 'hello', value: AgentHello.create() } });
    const responses: SessionResponse[] = [];
    for await (const response of stream.responses) responses.push(response);
    assert.equal(endOf(responses).leader?.nodeId, a.nodeId);
    const own = openLocalSession(() => a, a.nodeId);
    own.send({ message: { kind: 'hello', value: AgentHello.create() } });
    // Before the session is there: not lost.
    own.send({ message: { kind: 'heartbeat', value: {} } });
    const kinds: string[] = [];
    for await (const { message } of own.responses) {
      kinds.push(message?.kind ?? '');
      if (message?.kind === 'heartbeatAck') break;
    }
    assert.deepEqual([kinds[0], kinds.at(-1)], ['welcome', 'heartbeatAck']);
    own.close();
    assert.equal(a.dispatcher.sessionCount, 0);
  });

  it('tells agents of the managers when they change, and only then', async () => {
    const { a, c, caller } = swarm;
    const call = createClient(DispatcherService, a.connect(caller)).session();
    await call.write({ message: { kind: 'hello', value: AgentHello.create() } });
    const lists: number[] = [];
    for await (const { message } of call) {
      if (message?.kind === 'managers') {
        lists.push(message.value.managers.length);
        break;
      }
      if (message?.kind !== 'assignments') continue;
      a.dispatcher.managersChanged();
      c.log.address = '192.0.2.3:2377';
      a.dispatcher.managersChanged();
      a.dispatcher.managersChanged();
    }
    call.cancel();
    assert.deepEqual(lists, [3]);
  });

  it('is followed by an agent from leader to leader, whatever becomes of the last one', async () => {
    const { a, b, c, caller, callerId, cluster, elect, managers } = swarm;
    const connections = new ManagerConnections({ identity: { clusterId: cluster.id } } as LoadedIdentity, () => caller);
    const session = new Session({
      dial: (address) => connections.session(address),
      managers: () => [b, c, a].map((manager) => manager.log.address),
      addressOf: ({ address }) => address,
      describe: async () => NodeDescription.create({ hostname: 'agent' }),
      advertiseAddress: () => '',
      statuses: () => [],
      apply: async () => {},
      onManagers: () => {},
      onNode: () => {},
      onNetworks: () => {},
      onEstablished: () => {},
      onRemoved: (message) => assert.fail(message),
      clock: systemClock,
      random: new SeededRandom(1),
      logger: silentLogger,
      config: SESSION_DEFAULTS,
    });
    const withLeader = (manager: ManagerOnLoopback): Promise<void> =>
      eventually(
        () => `a session with the leader: ${session.link?.address}, ${session.lastError?.message}`,
        () => session.link?.address === manager.log.address,
        { timeoutMs: 2_000 },
      );
    session.start();
    try {
      await withLeader(a);
      for (const next of [b, c, a, c]) {
        const asked = Promise.race(managers.map(asksForLeader));
        elect(undefined);
        await withDeadline(asked, WAIT_MS, 'the agent to turn to somebody else');
        elect(next);
        await withLeader(next);
      }
      // It dies, and says nothing.
      await c.close();
      elect(b);
      await withLeader(b);
      assert.equal(b.dispatcher.sessionCount, 1);
      assert.equal(b.store.view().get('node', callerId)?.status?.state, NodeState.READY);
    } finally {
      await session.close();
      connections.close();
    }
  });

  it('a node that the leader does not know is told that it was removed', async () => {
    const { a, b, cluster } = swarm;
    const stranger = await anotherManager(cluster, { nowMs: Date.now(), hostname: 'x', availability: 1 });
    const identity = tlsIdentityOf(stranger.identity);
    const open = async (manager: ManagerOnLoopback): Promise<SessionEndReason | undefined> => {
      const call = createClient(DispatcherService, manager.connect(identity)).session();
      await call.write({ message: { kind: 'hello', value: AgentHello.create() } });
      for await (const { message } of call) if (message?.kind === 'end') return message.value.reason;
      return undefined;
    };
    assert.equal(await open(a), SessionEndReason.NODE_REMOVED);
    // A follower may simply not have heard of it.
    assert.equal(await open(b), SessionEndReason.NOT_LEADER);
  });
});
