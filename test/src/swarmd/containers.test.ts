/**
 * Goal: any manager takes containers of `swarm run` to the leader for whoever asks, and a worker gets, sees and changes only
 * what is on itself, whatever it says. Method: two managers on loopback with real certificates, on a shared log.
 */
import assert from 'node:assert/strict';
import { readAuthor } from '#common/author.ts';
import { ContainerService } from '#gen/swarm/v1/containers.ts';
import { Cluster, Network, Node, NodeDescription, NodeState, NodeStatus } from '#gen/swarm/v1/objects.ts';
import { ClusterSpec, NetworkAttachmentSpec, NetworkSpec, NodeRole, NodeSpec, TaskSpec } from '#gen/swarm/v1/specs.ts';
import type { Change } from '#manager/store/index.ts';
import { StoreState } from '#manager/store/index.ts';
import type { Caller, PeerIdentity } from '#proto/grpc/caller.ts';
import { createClient } from '#proto/grpc/client.ts';
import { runCallerOf } from '#src/swarmd/handlers/container-handlers.ts';
import { CLUSTER_ID, type TestNode, testAuthority, testNode } from '#test/certs/fixtures.ts';
import { failure } from '#test/support/failure.ts';
import { ManagerOnLoopback } from './support/manager-on-loopback.ts';
import { SharedLog } from './support/shared-log.ts';
import { spec } from './support/three-managers.ts';

describe('containers of swarm run at managers', () => {
  const authority = testAuthority();
  const [first, second] = [testNode(authority, 'manager'), testNode(authority, 'manager')];
  const [worker, other] = [testNode(authority, 'worker'), testNode(authority, 'worker')];
  let leader: ManagerOnLoopback;
  let follower: ManagerOnLoopback;

  beforeEach(async () => {
    const shared = new SharedLog();
    const manager = (node: TestNode) => new ManagerOnLoopback(shared, node.identity.nodeId, CLUSTER_ID, node);
    [leader, follower] = [manager(first), manager(second)];
    await leader.start();
    await follower.start();
    shared.elect(leader.log);
    await leader.store.commit(objects());
    leader.log.catchUp();
    follower.log.catchUp();
  });
  afterEach(() => Promise.all([leader.close(), follower.close()]));

  function objects(): Change[] {
    const cluster = Cluster.create({ id: CLUSTER_ID, featureLevel: 3, spec: ClusterSpec.create() });
    const crew = Network.create({ id: 'net1', spec: NetworkSpec.create({ name: 'crew', attachable: true }) });
    const nodes = [first, second, worker, other].map(({ identity: { nodeId, role } }): Change => {
      const kind = role === 'manager' ? NodeRole.MANAGER : NodeRole.WORKER;
      const description = NodeDescription.create({ hostname: nodeId, featureLevel: 3 });
      const status = NodeStatus.create({ state: NodeState.READY });
      const nodeSpec = NodeSpec.create({ desiredRole: kind });
      const object = Node.create({ id: nodeId, role: kind, description, status, spec: nodeSpec });
      return { kind: 'create', table: 'node', object };
    });
    return [
      { kind: 'create', table: 'cluster', object: cluster },
      { kind: 'create', table: 'network', object: crew },
      ...nodes,
    ];
  }

  const containersAt = (manager: ManagerOnLoopback, node: TestNode) =>
    createClient(ContainerService, manager.connect(node));

  async function listed(manager: ManagerOnLoopback, node: TestNode): Promise<readonly string[]> {
    const names: string[] = [];
    for await (const { containers } of containersAt(manager, node).listContainers({}))
      names.push(...containers.map(({ task }) => task?.oneOff?.name ?? ''));
    return names.sort();
  }

  function on(name: string, network: string) {
    const declared = spec(name);
    const networks = [NetworkAttachmentSpec.create({ network })];
    return { ...declared, task: TaskSpec.create({ ...declared.task, networks }) };
  }

  it('a worker’s call at a follower is decided by the leader, for the worker', async () => {
    const { container } = await containersAt(follower, worker).runContainer({ spec: on('mine', 'crew') });
    assert.equal(container?.task?.nodeId, worker.identity.nodeId);
    assert.equal(readAuthor(container.task.oneOff?.createdBy ?? '')?.id, worker.identity.nodeId);
    assert.ok(leader.seen.includes(`RunContainer ${worker.identity.nodeId}`), leader.seen.join());
    const refusal = await failure(containersAt(follower, worker).runContainer({ spec: on('not', 'nowhere') }));
    assert.equal(refusal.reason, 'unknown-object');
  });

  it('another worker neither sees nor ends it; its own does, and managers do', async () => {
    const { container } = await containersAt(follower, worker).runContainer({ spec: spec('mine') });
    const id = container?.task?.id ?? '';
    assert.deepEqual(await listed(follower, other), []);
    for (const reference of ['mine', id]) {
      const theirs = containersAt(follower, other);
      assert.equal((await failure(theirs.getContainer({ reference }))).reason, 'unknown-object');
      assert.equal((await failure(theirs.stopContainer({ reference }))).reason, 'unknown-object');
      assert.equal((await failure(theirs.removeContainer({ reference, force: true }))).reason, 'unknown-object');
    }
    await containersAt(leader, first).runContainer({ spec: spec('managers') });
    assert.deepEqual(await listed(follower, worker), ['mine']);
    assert.deepEqual(await listed(follower, second), ['managers', 'mine']);
    await containersAt(follower, worker).stopContainer({ reference: 'mine' });
    await containersAt(follower, second).removeContainer({ reference: 'mine', force: true });
  });

  it('output is not given over the network', async () => {
    const stream = containersAt(leader, worker).followContainer({ id: 'x' });
    const refusal = await failure(
      (async () => {
        for await (const _ of stream) assert.fail('it gave something');
      })(),
    );
    assert.equal(refusal.code, 'denied');
  });

  const peer = ({ identity }: TestNode): PeerIdentity => ({
    ...identity,
    serial: '1',
    notBeforeMs: 0,
    notAfterMs: 1,
    issuerKeyId: 'a',
  });

  it('the socket of a manager is that manager, also where it has passed the call on', () => {
    const local: Caller = { kind: 'local' };
    const manager = { nodeId: first.identity.nodeId, store: { view: () => StoreState.empty() } };
    const own = runCallerOf({ caller: local, forwardedBy: undefined, peer: '' }, manager);
    const { nodeId } = first.identity;
    assert.deepEqual(own, { author: `local/${nodeId}//`, nodeId, seesAll: true });
    const identity = peer(second);
    const passedOn = runCallerOf({ caller: local, forwardedBy: identity, peer: '' }, manager);
    assert.deepEqual(passedOn, { author: `local/${identity.nodeId}//`, nodeId: identity.nodeId, seesAll: true });
    const node: Caller = { kind: 'node', ...peer(worker) };
    assert.deepEqual(runCallerOf({ caller: node, forwardedBy: identity, peer: '192.0.2.7:4031' }, manager), {
      author: `node/${worker.identity.nodeId}/192.0.2.7:4031/`,
      nodeId: worker.identity.nodeId,
      seesAll: false,
    });
  });
});
