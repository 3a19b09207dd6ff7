/**
 * Goal: nodes are shown with their place in the log as it is at the moment, and no change of roles is taken that would
 * cost the swarm its managers. Method: the real API on a plain store, with members of the log that the test names.
 */
import assert from 'node:assert/strict';
import { type LogFields, silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { ListNodesRequest, UpdateNodeRequest } from '#gen/swarm/v1/control.ts';
import {
  Cluster,
  EngineDescription,
  ManagerStatus,
  Node,
  NodeDescription,
  NodeState,
  NodeStatus,
} from '#gen/swarm/v1/objects.ts';
import { NodeRole, NodeSpec } from '#gen/swarm/v1/specs.ts';
import { ControlApi, type ManagerMember } from '#manager/control/index.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';

const caller = { author: 'test' };
const { MANAGER, WORKER } = NodeRole;

interface World {
  readonly logged: LogFields[];
  readonly api: ControlApi;
  readonly view: MemoryView;
  members: ManagerMember[];
}

function member(nodeId: string, change: Partial<ManagerMember> = {}): ManagerMember {
  return { nodeId, address: `${nodeId}:2377`, voter: true, leader: false, reachable: true, ...change };
}

function setUp(nodes: Readonly<Record<string, NodeRole>>, members: ManagerMember[]): World {
  const view = new MemoryView();
  for (const [id, role] of Object.entries(nodes))
    view.commit([
      {
        kind: 'create',
        table: 'node',
        object: Node.create({
          id,
          role,
          spec: NodeSpec.create({ desiredRole: role }),
          status: NodeStatus.create({ state: NodeState.READY }),
          description: NodeDescription.create({ hostname: `host-${id}` }),
          // What an earlier release has stored is not what is.
          managerStatus: ManagerStatus.create({ leader: true, reachable: true, address: 'old:1' }),
        }),
      },
    ]);
  const world: World = {
    view,
    members,
    api: new ControlApi({
      store: { view: () => view, decide: async (decide) => view.commit(decide(view)) },
      selfNodeId: () => 'a',
      members: () => world.members,
      random: new SeededRandom(1),
      images: { resolve: async () => undefined },
      tokens: () => 'token',
      now: () => 1_000,
      logger: { ...silentLogger, info: (_message, fields = {}) => world.logged.push(fields) },
    }),
    logged: [],
  };
  return world;
}

async function setRole({ api, view }: World, id: string, desiredRole: NodeRole): Promise<Node | undefined> {
  const version = view.get('node', id)?.version ?? 0;
  const spec = NodeSpec.create({ desiredRole });
  return (await api.updateNode(caller, UpdateNodeRequest.create({ id, version, spec }))).node;
}

const THREE = { a: MANAGER, b: MANAGER, c: MANAGER, w: WORKER };

describe('control API: managers among the nodes', () => {
  it('are shown as the log knows them now; others are shown without', async () => {
    const world = setUp({ ...THREE, d: MANAGER }, [
      member('a', { leader: true }),
      member('b', { reachable: false }),
      member('c', { voter: false }),
    ]);
    const statuses = async (): Promise<Record<string, ManagerStatus | undefined>> => {
      const all: Record<string, ManagerStatus | undefined> = {};
      for await (const { nodes } of world.api.listNodes(caller, ListNodesRequest.create({})))
        for (const node of nodes) all[node.id] = node.managerStatus;
      return all;
    };
    assert.deepEqual(await statuses(), {
      a: { leader: true, reachable: true, address: 'a:2377', learner: false },
      b: { leader: false, reachable: false, address: 'b:2377', learner: false },
      c: { leader: false, reachable: true, address: 'c:2377', learner: true },
      d: undefined,
      w: undefined,
    });
    world.members = [member('b', { leader: true, address: 'elsewhere:2377' })];
    assert.deepEqual((await statuses())['a'], undefined);
    const { node } = await world.api.getNode(caller, { reference: 'host-b' });
    assert.deepEqual(node?.managerStatus, { leader: true, reachable: true, address: 'elsewhere:2377', learner: false });
    assert.equal(world.view.get('node', 'b')?.managerStatus?.address, 'old:1', 'nothing of it is stored');
  });

  it('a worker is promoted by what is desired of it; its role is the reconciler work', async () => {
    const world = setUp(THREE, [member('a'), member('b'), member('c')]);
    const node = await setRole(world, 'w', MANAGER);
    assert.deepEqual([node?.role, node?.spec?.desiredRole], [WORKER, MANAGER]);
    const demoted = await setRole(world, 'b', WORKER);
    assert.deepEqual([demoted?.role, demoted?.spec?.desiredRole], [MANAGER, WORKER]);
    assert.deepEqual(demoted?.managerStatus?.address, 'b:2377');
  });

  it('an unknown role is refused', async () => {
    const world = setUp(THREE, []);
    for (const role of [NodeRole.UNSPECIFIED, 9 as NodeRole])
      await assert.rejects(setRole(world, 'w', role), { reason: 'bad-field', field: 'role' });
  });

  it('the last manager stays, also when another is only on its way to become or to cease being one', async () => {
    const words = { code: 'precondition', message: 'attempting to demote the last manager of the swarm' };
    const one = setUp({ a: MANAGER, w: WORKER }, [member('a', { leader: true })]);
    await assert.rejects(setRole(one, 'a', WORKER), words);
    await setRole(one, 'w', MANAGER);
    await assert.rejects(setRole(one, 'a', WORKER), words);
    const two = setUp({ a: MANAGER, b: MANAGER }, [member('a', { leader: true }), member('b')]);
    await setRole(two, 'b', WORKER);
    await assert.rejects(setRole(two, 'a', WORKER), words);
  });

  it('a demotion that breaks the quorum is refused, naming who cannot be reached', async () => {
    const world = setUp(THREE, [member('a', { leader: true }), member('b'), member('c', { reachable: false })]);
    await assert.rejects(setRole(world, 'b', WORKER), (error: Error & { reason?: string; code?: string }) => {
      assert.deepEqual([error.code, error.reason], ['precondition', 'no-quorum']);
      assert.match(error.message, /of the 2 managers that stay host-c cannot be reached/);
      return true;
    });
    // The one that is away may go: those that stay are all there.
    await setRole(world, 'c', WORKER);
    // It is not counted on any more.
    await setRole(world, 'b', WORKER);
  });

  it('a manager that has not joined the log yet may be demoted without a look at the quorum', async () => {
    const world = setUp({ a: MANAGER, b: MANAGER }, [member('a', { leader: true }), member('b', { voter: false })]);
    await assert.rejects(setRole(world, 'a', WORKER), /no other manager has caught up/);
    await setRole(world, 'b', WORKER);
  });

  it('a node that is still a member of the log is not removed', async () => {
    const world = setUp({ a: MANAGER, w: WORKER }, [member('a'), member('w')]);
    await assert.rejects(
      world.api.removeNode(caller, { reference: 'w', force: true }),
      /is still a member of the raft cluster: its demotion is under way/,
    );
    world.members = [member('a')];
    await world.api.removeNode(caller, { reference: 'w', force: true });
  });

  it('a node leaves by itself unless it is a manager; one that has left already is no mistake', async () => {
    const world = setUp({ a: MANAGER, w: WORKER }, [member('a'), member('w')]);
    await assert.rejects(world.api.leaveCluster(caller, 'a', ''), /must be demoted/);
    await assert.rejects(world.api.leaveCluster(caller, 'w', ''), /still a member of the raft cluster/);
    world.members = [member('a')];
    await world.api.leaveCluster(caller, 'w', `by hand\u001b[2J${'!'.repeat(5_000)}`);
    assert.equal(world.view.get('node', 'w'), undefined);
    const reason = String(world.logged.find(({ nodeId }) => nodeId === 'w')?.['reason']);
    assert.match(reason, /^by hand\\u001b\[2J!/, 'no more than text');
    assert.ok(reason.length < 3_000, `${reason.length} characters`);
    await world.api.leaveCluster(caller, 'w', '');
  });

  it('a node of an older release is not promoted, and one that a new leader has yet to hear of is not removed', async () => {
    const world = setUp({ a: MANAGER, w: WORKER }, [member('a')]);
    const edit = (change: Partial<Node>): void => {
      const node = world.view.get('node', 'w');
      assert.ok(node);
      world.view.commit([{ kind: 'update', table: 'node', object: { ...node, ...change } }]);
    };
    world.view.commit([{ kind: 'create', table: 'cluster', object: Cluster.create({ id: 'c', featureLevel: 5 }) }]);
    edit({ description: NodeDescription.create({ featureLevel: 4 }) });
    await assert.rejects(setRole(world, 'w', MANAGER), /its release understands 4/);
    edit({ description: NodeDescription.create({ featureLevel: 5, engine: EngineDescription.create() }) });
    await setRole(world, 'w', MANAGER);
    edit({ status: NodeStatus.create({ state: NodeState.UNKNOWN }) });
    await assert.rejects(world.api.removeNode(caller, { reference: 'w', force: false }), /has not heard of it yet/);
    edit({ description: NodeDescription.create({ hostname: 'never-connected' }) });
    await world.api.removeNode(caller, { reference: 'w', force: false });
    assert.deepEqual(
      world.view.cluster()?.removedNodes.map(({ nodeId }) => nodeId),
      ['w'],
    );
  });
});
