/** Scaling to nothing and back, again and again: what is left of it on any host is a leak. */
import assert from 'node:assert/strict';
import type { Cluster } from './cluster.ts';
import { type Footprint, footprintOf } from './footprint.ts';

const REPLICAS = 8;
/** Removal is finished a moment after the task is gone; ready namespaces are made again in the background. */
const QUIET_MS = 30_000;
/** Equal footprints in a row, at the pace of the cluster's polls, that count as quiet. */
const QUIET_READINGS = 10;

async function footprints(cluster: Cluster): Promise<Readonly<Record<string, Footprint>>> {
  const entries = cluster.lab.hosts.map(async (host) => [host.name, await footprintOf(host)] as const);
  return Object.fromEntries(await Promise.all(entries));
}

/** Of a node in a swarm, there from its first network on. */
const RESOLVER = /^\d+ starling-resolver\s*$/;

/** As it is once nothing moves: no process but the daemons and their resolvers, and the same several times in a row. */
async function quietFootprints(cluster: Cluster): Promise<Readonly<Record<string, Footprint>>> {
  let last = '';
  let times = 0;
  return cluster.until(
    async () => {
      const found = await footprints(cluster);
      const text = JSON.stringify(found);
      times =
        text === last && Object.values(found).every(({ processes }) => processes.every((one) => RESOLVER.test(one)))
          ? times + 1
          : 0;
      last = text;
      return found;
    },
    () => times >= QUIET_READINGS,
    'every host to be quiet',
    QUIET_MS,
  );
}

export async function scaleToNothingAndBack(cluster: Cluster, cycles: number): Promise<void> {
  await cluster.createService('cycle', REPLICAS, ['--restart-delay', '0s']);
  await cluster.settled('cycle', REPLICAS);
  await cluster.must(['service', 'scale', '-d', 'cycle=0']);
  await cluster.settled('cycle', 0);
  await cluster.until(
    () => cluster.tasks('cycle'),
    (tasks) => tasks.length === 0,
    'the first tasks to go',
  );
  const before = await quietFootprints(cluster);
  for (let cycle = 0; cycle < cycles; cycle++) {
    await cluster.must(['service', 'scale', '-d', `cycle=${REPLICAS}`]);
    await cluster.settled('cycle', REPLICAS);
    await cluster.must(['service', 'scale', '-d', 'cycle=0']);
    await cluster.until(
      () => cluster.tasks('cycle'),
      (tasks) => tasks.length === 0,
      'the tasks to go',
    );
  }
  const same = (after: Readonly<Record<string, Footprint>>): boolean =>
    JSON.stringify(after) === JSON.stringify(before);
  await cluster
    .until(() => footprints(cluster), same, 'nothing to be left', QUIET_MS)
    .catch(async () => assert.deepEqual(await footprints(cluster), before));
  await cluster.remove('cycle');
}
