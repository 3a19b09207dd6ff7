/**
 * What costs nothing when all is well must cost little when it is not. All loops of a leader on a store in memory, with
 * obedient agents and ten minutes of virtual time:
 *
 * - 10,000 tasks that nobody can place, while every second a node goes or comes back, so that reasons change;
 * - 500 tasks that died on one worker;
 * - a service of 20 replicas whose tasks end as soon as they have begun.
 *
 * Prints the share of a processor that the loops use of those ten minutes, the writes that the log would take, and the
 * memory of the process.
 */
import { performance } from 'node:perf_hooks';
import { NodeState, TaskState } from '#gen/swarm/v1/objects.ts';
import { LoopCluster, type LoopClusterOptions } from '#test/manager/loops/loop-cluster.ts';
import { inState, node, pendingTask, revision, type SpecOptions, service, spec } from '#test/manager/loops/objects.ts';

const NODES = 300;
const SPAN_MS = 600_000;
const SHARE_MAX = 0.2;
const MEMORY_MB_MAX = 300;
/** 200 a second. */
const WRITES_MAX = 120_000;

function clusterOf(options: LoopClusterOptions = {}): LoopCluster {
  const cluster = new LoopCluster(options);
  for (let i = 1; i <= NODES; i++) cluster.create('node', node(`n${i}`));
  return cluster;
}

function declare(cluster: LoopCluster, id: string, options: SpecOptions): void {
  const declared = spec({ name: id, ...options });
  cluster.create('service', service(id, declared));
  cluster.create('revision', revision(id, 1, declared));
}

function measure(name: string, cluster: LoopCluster, live: () => void): void {
  cluster.events.length = 0;
  const before = process.cpuUsage();
  const began = performance.now();
  live();
  const { user, system } = process.cpuUsage(before);
  const share = (user + system) / 1000 / SPAN_MS;
  const writes = cluster.events.length;
  cluster.events.length = 0;
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  const megabytes = (heapUsed + external) / 2 ** 20;
  const missed = share > SHARE_MAX || megabytes > MEMORY_MB_MAX || writes > WRITES_MAX;
  if (missed) process.exitCode = 1;
  console.log(
    `${name}: ${(100 * share).toFixed(2)} % of a core (goal ${100 * SHARE_MAX}), ${writes} writes (goal ${WRITES_MAX}), ` +
      `${megabytes.toFixed(0)} MB (goal ${MEMORY_MB_MAX}), took ${((performance.now() - began) / 1000).toFixed(1)} s${missed ? '  MISSED' : ''}`,
  );
}

function pending(): void {
  const cluster = clusterOf();
  declare(cluster, 'stuck', { replicas: 10_000, constraints: ['node.labels.moon == full'] });
  cluster.settle();
  measure('10,000 tasks that nobody can place', cluster, () => {
    for (let second = 0; second < SPAN_MS / 1000; second++) {
      cluster.setNodeState(`n${1 + (second >> 1)}`, second % 2 === 0 ? NodeState.DOWN : NodeState.READY);
      cluster.nowMs += 1000;
      cluster.settle();
    }
  });
}

function dead(): void {
  const cluster = clusterOf();
  declare(cluster, 'web', { replicas: 1 });
  for (let number = 0; number < 500; number++) {
    const task = pendingTask(`dead${number}`, 'web', { nodeId: 'n1', desiredState: TaskState.SHUTDOWN });
    cluster.create('task', inState(task, TaskState.FAILED));
  }
  measure('500 dead tasks on a worker', cluster, () => cluster.run(SPAN_MS));
  console.log(`  of which ${cluster.tasks('web').length - cluster.wanted('web').length} are left`);
}

function crashing(): void {
  const cluster = clusterOf({ fate: () => ({ afterMs: 10, state: TaskState.FAILED }) });
  declare(cluster, 'crash', { replicas: 20, restart: { condition: 3, delayMs: 0, maxAttempts: 0, windowMs: 0 } });
  measure('20 replicas in a crash loop', cluster, () => cluster.run(SPAN_MS));
  console.log(`  with ${cluster.tasks('crash').length} tasks kept`);
}

pending();
dead();
crashing();
