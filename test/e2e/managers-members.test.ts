/**
 * Goal: managers come and go while the swarm runs, and a swarm that lost them for good goes on. Method: real daemons;
 * nodes are promoted and demoted, a majority loses power.
 */
import assert from 'node:assert/strict';
import { NodeState } from '#gen/swarm/v1/objects.ts';
import { isRunning, SOON_MS } from './support/cluster.ts';
import { NEW_LEADER_MS, useManagers } from './support/managers.ts';

const REPLICAS = 4;

describe('e2e: members', function () {
  const managers = useManagers(this, { managers: 3, workers: 2 });
  const cluster = () => managers().cluster;

  const serviceNames = async (host: string): Promise<readonly string[]> =>
    (await cluster().mustOn(host, ['service', 'ls', '--format', '{{.Name}} {{.Replicas}}'])).trim().split('\n');

  it('a worker is promoted and demoted again; its containers do not notice', async () => {
    await managers().formed();
    await cluster().createService('web', REPLICAS, ['--constraint', 'node.hostname!=m1', '--restart-delay', '0s']);
    await cluster().settled('web', REPLICAS);
    const before = await managers().containers('web');
    const load = await managers().load();
    await cluster().must(['node', 'promote', 'w1']);
    await managers().formed([...managers().names, 'w1']);
    assert.deepEqual(
      (await serviceNames('w1')).filter((name) => name.startsWith('web')),
      [`web ${REPLICAS}/${REPLICAS}`],
    );
    await cluster().mustOn('w1', ['node', 'update', '--label-add', 'by=w1', 'w1']);

    await cluster().must(['node', 'demote', 'w1']);
    await managers().formed();
    await cluster().until(
      async () => (await cluster().on('w1', ['service', 'ls'])).stderr,
      (stderr) => /not a swarm manager/i.test(stderr),
      'w1 to be a worker again',
    );
    await cluster().nodeState('w1', NodeState.READY);
    assert.deepEqual(await managers().containers('web'), before);
    await load.finishWell();
  });

  it('a leader that is demoted hands over first, and can be promoted again', async () => {
    const leader = await managers().formed();
    const others = managers().others(leader);
    cluster().entrance = others[0] ?? '';
    const load = await managers().load({ managers: others.map((name) => cluster().host(name)) });
    await load.more(20, SOON_MS);
    await cluster().must(['node', 'demote', leader]);
    assert.notEqual(await managers().formed(others), leader);
    await load.more(20, SOON_MS);
    await cluster().must(['node', 'promote', leader]);
    assert.notEqual(await managers().formed(), leader);
    await load.finishWell();
  });

  it('the last two of three managers are never demoted below a quorum that can be reached', async () => {
    const leader = await managers().formed();
    const [victim = '', other = ''] = managers().others(leader);
    cluster().entrance = leader;
    await cluster().lab.killDaemon(victim);
    await cluster().until(
      async () => (await cluster().nodesSeenFrom(leader)).get(victim)?.managerStatus?.reachable,
      (reachable) => reachable === false,
      `${victim} to be unreachable`,
    );
    const { exitCode, stderr } = await cluster().on(leader, ['node', 'demote', other]);
    assert.notEqual(exitCode, 0);
    assert.match(stderr, /quorum/);
    await cluster().lab.start(victim);
    assert.equal(await managers().formed(), leader);
  });

  it('after the loss of a majority one manager goes on alone, and others join it', async () => {
    await managers().formed();
    await cluster().settled('web', REPLICAS);
    cluster().entrance = 'm1';
    const onWorkers = async (): Promise<readonly string[]> => {
      const nodes = await cluster().nodes();
      const ids = [nodes.get('w1')?.id, nodes.get('w2')?.id];
      const tasks = (await cluster().tasks('web')).filter((task) => isRunning(task) && ids.includes(task.nodeId));
      return tasks.map((task) => `${task.id} ${task.status?.container?.pid}`).toSorted();
    };
    const before = await onWorkers();
    const lost = [await managers().nodeId('m2'), await managers().nodeId('m3')];
    for (const host of ['m2', 'm3']) await cluster().lab.kill(host);
    await managers().refusedForQuorum('m1', ['service', 'ls']);
    await cluster().mustOn('m1', ['init', '--force-new-cluster']);
    assert.equal(await managers().leader(['m1']), 'm1');
    for (const host of ['w1', 'w2']) await cluster().nodeState(host, NodeState.READY, 2 * NEW_LEADER_MS);
    const after = await onWorkers();
    for (const task of before) assert.ok(after.includes(task), `${task} was kept`);

    for (const host of ['m2', 'm3']) {
      await cluster().lab.start(host);
      await cluster().mustOn(host, ['leave', '--force']);
      await managers().joinAs('manager', host, 'm1');
      await cluster().loadImage(host);
    }
    await managers().formed();
    // They are the nodes that they were, and what ran there is gone.
    assert.deepEqual([await managers().nodeId('m2'), await managers().nodeId('m3')], lost);
    await cluster().settled('web', REPLICAS, 3 * SOON_MS);
    await cluster().mustOn('m3', ['node', 'update', '--label-add', 'by=m3', 'w1']);
  });
});
