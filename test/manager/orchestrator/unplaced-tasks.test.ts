/**
 * Goal: a large service is made as fast as it is placed, and what cannot be placed holds nobody up. Method: the loop
 * alone, so that nothing is placed, then all of them.
 */
import assert from 'node:assert/strict';
import { DEFAULT_ORCHESTRATOR_CONFIG } from '#manager/orchestrator/index.ts';
import type { Loop } from '#manager/store/index.ts';
import { LoopCluster } from '#test/manager/loops/loop-cluster.ts';
import { node, revision, service, spec } from '#test/manager/loops/objects.ts';

const { unplacedMax } = DEFAULT_ORCHESTRATOR_CONFIG;

function declare(cluster: LoopCluster, id: string, replicas: number): void {
  const declared = spec({ name: id, replicas });
  cluster.create('service', service(id, declared));
  cluster.create('revision', revision(id, 1, declared));
}

/** The most tasks that were on their way to a node at one time. */
function watchUnplaced(cluster: LoopCluster): () => number {
  const unplaced = new Set<string>();
  let most = 0;
  const watcher: Loop = {
    name: 'watcher',
    restore: () => {},
    observe({ table, object }) {
      if (table !== 'task') return;
      if (object.nodeId === '' && object.status?.error === '') unplaced.add(object.id);
      else unplaced.delete(object.id);
      most = Math.max(most, unplaced.size);
    },
    plan: () => ({ changes: [], wakeAtMs: undefined }),
  };
  cluster.loops = [...cluster.loops, watcher];
  return () => most;
}

describe('orchestrator: tasks on their way', () => {
  it('are bounded while a large service is made, and all of it comes', () => {
    const cluster = new LoopCluster();
    for (let i = 1; i <= 20; i++) cluster.create('node', node(`n${i}`));
    const most = watchUnplaced(cluster);
    declare(cluster, 'web', unplacedMax * 5);
    cluster.run(10_000);
    assert.equal(cluster.running().length, unplacedMax * 5);
    assert.ok(most() > 1 && most() <= unplacedMax, `${most()} at one time`);
  });

  it('that fit nowhere hold back neither their own service nor another for long', () => {
    const cluster = new LoopCluster();
    declare(cluster, 'web', unplacedMax * 3);
    cluster.run(20_000);
    assert.equal(cluster.tasks().length, unplacedMax * 3, 'all of them are there and say why they wait');
    cluster.create('node', node('n1'));
    declare(cluster, 'other', 1);
    cluster.run(20_000);
    assert.equal(cluster.running().length, unplacedMax * 3 + 1);
  });
});
