/**
 * Goal: hundreds of tasks that begin, run, die and are removed at once on one node hold up neither its daemon nor the swarm
 * (moby#25784, moby#41289). Method: real containers on one worker of the lab; its session and its memory are looked at all
 * the while, and its daemon is killed with all the dead upon it.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { NodeState, type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { hasEnded, IMAGE, MANAGER, useCluster, WORKERS } from '#test/e2e/support/cluster.ts';
import { tell } from '#test/e2e/support/figures.ts';

const [HOME] = WORKERS;
const HERE = ['--constraint', `node.hostname==${HOME}`];
const RUNNING = 200;
/** Slots whose task and its one successor die: 500 dead tasks. */
const DYING = Number(process.env['DYING'] ?? 250);
const LONG_MS = 300_000;
/** A daemon that was started a moment ago uses 120. */
const MEMORY_MB_MAX = 400;

describe('long e2e: many tasks on one node', function () {
  const cluster = useCluster(this);
  this.timeout(900_000);

  async function memoryMb(host: string): Promise<number> {
    const status = await readFile(`/proc/${await cluster().host(host).daemon.pid()}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
  }

  /** The node stays READY, and the managers answer, until it is as wanted. */
  async function untilCalmly(
    wanted: (tasks: readonly Task[]) => boolean,
    service: string,
    what: string,
  ): Promise<void> {
    await cluster().until(
      async () => {
        assert.equal((await cluster().nodes()).get(HOME)?.status?.state, NodeState.READY, `${HOME} is heard`);
        return cluster().tasks(service);
      },
      wanted,
      what,
      LONG_MS,
    );
    for (const host of [MANAGER, HOME]) {
      const used = Math.round(await memoryMb(host));
      tell(`${host} uses ${used} MB`);
      assert.ok(used < MEMORY_MB_MAX, `${host} uses ${used} MB`);
    }
  }

  const count = (tasks: readonly Task[], state: TaskState): number =>
    tasks.filter(({ status }) => status?.state === state).length;

  it(`${RUNNING} begin at once, and go at once`, async () => {
    await cluster().createService('many', RUNNING, HERE);
    await untilCalmly((tasks) => count(tasks, TaskState.RUNNING) === RUNNING, 'many', `${RUNNING} tasks to run`);
    await cluster().must(['service', 'scale', '-d', 'many=0']);
    await untilCalmly((tasks) => tasks.length === 0, 'many', 'all of them to go');
    await cluster().remove('many');
  });

  it(`${2 * DYING} die; the daemon is killed and comes back with them, and works on`, async () => {
    await cluster().must([
      ...['service', 'create', '-d', '--name', 'dying', '--replicas', String(DYING), ...HERE],
      ...['--restart-condition', 'any', '--restart-max-attempts', '1', '--restart-delay', '0s'],
      ...[IMAGE, 'sh', '-c', 'echo these are my last words; exit 7'],
    ]);
    const allDead = (tasks: readonly Task[]): boolean => tasks.length === 2 * DYING && tasks.every(hasEnded);
    await untilCalmly(allDead, 'dying', `${2 * DYING} tasks to die`);
    const dead = new Set((await cluster().tasks('dying')).map(({ id }) => id));
    await cluster().lab.killDaemon(HOME);
    const began = performance.now();
    await cluster().lab.start(HOME);
    await cluster().nodeState(HOME, NodeState.READY, LONG_MS);
    tell(
      `with ${dead.size} dead tasks the daemon is back after ${Math.round((performance.now() - began) / 100) / 10} s`,
    );
    await cluster().createService('living', 3, HERE);
    await cluster().settled('living', 3);
    assert.deepEqual(new Set((await cluster().tasks('dying')).map(({ id }) => id)), dead, 'none of them ran again');
    await cluster().remove('dying', 'living');
  });
});
