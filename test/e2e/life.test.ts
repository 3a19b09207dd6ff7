/**
 * Goal: the life of services and nodes, as a user at the command line sees it: created, followed, updated, scaled,
 * removed; drained, gone and back. Method: the commands themselves on a swarm of a manager and three workers.
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { NodeState } from '#gen/swarm/v1/objects.ts';
import { exitCodeOf } from '#src/lab/run-command.ts';
import { type Cluster, IMAGE, MANAGER, SLEEP, SOON_MS, useCluster, WORKERS } from './support/cluster.ts';
import { footprintOf } from './support/footprint.ts';

/** The same programs under another name. */
const NEXT_IMAGE = 'localhost/busybox:e2e-next';
/** On no host, and in no registry that answers. */
const ABSENT_IMAGE = 'localhost/busybox:e2e-absent';
const HOSTS = [MANAGER, ...WORKERS] as const;
/** Counts aloud, and ends at once when it is asked to. */
const COUNT = ['sh', '-c', 'trap "exit 0" TERM; while :; do echo line $((i += 1)); sleep 0.5 & wait $!; done'] as const;
/** How long a new task of an update is watched: the default of five seconds is for users. */
const QUICK_UPDATE = ['--update-monitor', '200ms'] as const;

describe('e2e: life', function () {
  const cluster = useCluster(this);

  before(async () => {
    await Promise.all(HOSTS.map((host) => cluster().loadImage(host, NEXT_IMAGE)));
  });

  afterEach(async () => {
    await cluster().removeAll();
  });

  describe('swarm', () => {
    it('cannot be begun on a node that is in one', async () => {
      for (const alias of [['init'], ['swarm', 'init']])
        for (const host of [MANAGER, 'w1'])
          assert.match(
            await cluster().refused(alias, 1, host),
            /^Error response from daemon: This node is already part/,
          );
    });

    it('says its token, by either name of the command', async () => {
      const token = await cluster().must(['swarm', 'join-token', '-q', 'worker']);
      assert.match(token, /^SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25}\n$/);
      assert.equal(await cluster().must(['join-token', '-q', 'worker']), token);
    });
  });

  describe('service create', () => {
    it('shows the id, how far it is, and that it has converged', async () => {
      const flags = ['--name', 'shown', '--replicas', '3', ...QUICK_UPDATE];
      const lines = (await cluster().must(['service', 'create', ...flags, IMAGE, ...SLEEP])).trimEnd().split('\n');
      const [id = ''] = lines;
      assert.match(id, /^[0-9a-z]{25}$/);
      assert.equal(lines[1], 'overall progress: 0 out of 3 tasks');
      assert.ok(lines.includes('overall progress: 3 out of 3 tasks'), lines.join('\n'));
      assert.ok(lines.includes('verify: Waiting 1 seconds to verify that tasks are stable...'), lines.join('\n'));
      assert.equal(lines.at(-1), `verify: Service ${id} converged`);
      assert.equal((await cluster().running('shown')).length, 3);
    });

    it('ends with Ctrl-C and leaves the service to itself', async () => {
      // Held back by a label that no node has yet, so that it is surely not done.
      const flags = ['--name', 'patient', '--constraint', 'node.labels.life==yes', '--replicas', '2'];
      const create = new Running(
        await cluster().spawn(MANAGER, ['service', 'create', ...flags, ...QUICK_UPDATE, IMAGE, ...SLEEP]),
      );
      await create.shows(cluster(), /overall progress: 0 out of 2 tasks\n/);
      assert.equal(await create.interrupt(), 0);
      const [id = ''] = create.stdout.split('\n');
      assert.ok(
        create.stdout.endsWith(
          `\nOperation continuing in background.\nUse \`swarm service ps ${id}\` to check progress.\n`,
        ),
        create.stdout,
      );
      await cluster().must(['node', 'update', '--label-add', 'life=yes', 'w2']);
      try {
        await cluster().settled('patient', 2);
        assert.deepEqual(await cluster().spread('patient'), { w2: 2 });
      } finally {
        await cluster().must(['node', 'update', '--label-rm', 'life', 'w2']);
      }
    });
  });

  describe('service logs', () => {
    beforeEach(async () => {
      const flags = ['-d', '--name', 'loud', '--replicas', '8'];
      await cluster().must(['service', 'create', ...flags, IMAGE, ...COUNT]);
      await cluster().settled('loud', 8);
    });

    it('has every line of every task, wherever it runs', async () => {
      assert.deepEqual(await cluster().spread('loud'), { m1: 2, w1: 2, w2: 2, w3: 2 });
      const written = await cluster().until(
        async () => linesOf(await cluster().must(['service', 'logs', 'loud'])),
        (lines) => lines.size === 8 && [...lines.values()].every((numbers) => numbers.length >= 3),
        'three lines of each task',
      );
      const places = (
        await cluster().must(['service', 'ps', '--format', '{{.Name}}.{{.ID}}@{{.Node}}', 'loud'])
      ).trim();
      assert.deepEqual([...written.keys()].toSorted(), places.split('\n').toSorted());
      for (const [task, numbers] of written)
        assert.deepEqual(numbers, upTo(numbers.length), `${task}: in order, none lost`);
      for (const [task, numbers] of linesOf(await cluster().must(['service', 'logs', '--tail', '1', 'loud']))) {
        assert.equal(numbers.length, 1, task);
        assert.ok(Number(numbers[0]) >= 3, 'the last one, not the first');
      }
    });

    it('is followed until Ctrl-C', async () => {
      const logs = new Running(await cluster().spawn(MANAGER, ['service', 'logs', '--follow', '--tail', '1', 'loud']));
      await cluster().until(
        async () => linesOf(logs.stdout),
        (lines) => lines.size === 8 && [...lines.values()].every((numbers) => numbers.length >= 4),
        'news of all tasks',
      );
      assert.equal(await logs.interrupt(), 130);
      assert.equal(logs.stderr, '');
      for (const [task, numbers] of linesOf(logs.stdout)) {
        const [first = 0] = numbers;
        assert.deepEqual(numbers, upTo(numbers.length, first), `${task}: in order, none lost, none twice`);
      }
    });
  });

  describe('service update', () => {
    it('brings all tasks to another image', async () => {
      await cluster().createService('fresh', 4, QUICK_UPDATE);
      await cluster().settled('fresh', 4);
      const output = await cluster().must(['service', 'update', '--image', NEXT_IMAGE, 'fresh']);
      // How far it gets is a matter of luck: as in Docker, the command ends as soon as the update is complete.
      assert.match(output, /^fresh\noverall progress: 0 out of 4 tasks\n/);
      const rows = await taskRows(cluster(), 'fresh');
      const slots = [1, 2, 3, 4].map((slot) => `fresh.${slot}`);
      assert.deepEqual(
        rows.filter(({ state }) => state === 'Running').map(({ name, image }) => `${name} ${image}`),
        slots.map((name) => `${name} ${NEXT_IMAGE}`),
      );
      assert.deepEqual(
        rows.filter(({ state }) => state === 'Shutdown').map(({ name, image }) => `${name} ${image}`),
        slots.map((name) => `${name} ${IMAGE}`),
        'the history has the old ones',
      );
      assert.equal(await updateState(cluster(), 'fresh'), 'completed');
    });

    it('stops at an image that is nowhere, says why, and leaves the rest running', async () => {
      await cluster().createService('stuck', 4, QUICK_UPDATE);
      const old = new Set((await cluster().settled('stuck', 4)).map((task) => task.id));
      const why = await cluster().refused(['service', 'update', '--image', ABSENT_IMAGE, 'stuck']);
      assert.match(why, /service update paused: update paused due to failure or early termination of task \w{25}: \S/);
      assert.equal(await updateState(cluster(), 'stuck'), 'paused');
      const pretty = await cluster().must(['service', 'inspect', '--pretty', 'stuck']);
      assert.match(
        pretty,
        / State:\s+paused\n[^]* Message:\s+update paused due to .*registry localhost cannot be reached/,
      );

      // One task at a time, the old one stopped first: three have not been touched, and stay so.
      const running = await cluster().running('stuck');
      assert.equal(running.length, 3);
      for (const task of running) assert.ok(old.has(task.id), 'it has run all the time');
      const rows = await taskRows(cluster(), 'stuck');
      const rejected = rows.filter(({ state }) => state === 'Rejected');
      assert.ok(rejected.length > 0, JSON.stringify(rows));
      for (const { image, error } of rejected) {
        assert.equal(image, ABSENT_IMAGE);
        assert.match(error, /registry localhost cannot be reached/);
      }

      // The way out: another update.
      await cluster().must(['service', 'update', '--image', NEXT_IMAGE, 'stuck']);
      assert.equal((await cluster().settled('stuck', 4)).length, 4);
      assert.equal(await updateState(cluster(), 'stuck'), 'completed');
    });
  });

  it('service scale goes up and down, and service rm leaves nothing on any node', async () => {
    const before = await containersOf(cluster());
    await cluster().createService('many', 2);
    await cluster().settled('many', 2);
    for (const replicas of [9, 1, 4, 0, 5]) {
      await cluster().must(['service', 'scale', '-d', `many=${replicas}`]);
      await cluster().settled('many', replicas);
    }
    assert.notDeepEqual(await containersOf(cluster()), before);
    await cluster().remove('many');
    await cluster().until(
      () => containersOf(cluster()),
      (now) => JSON.stringify(now) === JSON.stringify(before),
      'the containers to go',
    );
  });

  describe('node', () => {
    it('has one task of a global service, but for the time that it is drained', async () => {
      const flags = ['-d', '--name', 'everywhere', '--mode', 'global'];
      await cluster().must(['service', 'create', ...flags, IMAGE, ...SLEEP]);
      const all = { m1: 1, w1: 1, w2: 1, w3: 1 };
      await cluster().settled('everywhere', 4);
      assert.deepEqual(await cluster().spread('everywhere'), all);
      await withDrained(cluster(), 'w1', async () => {
        await cluster().settled('everywhere', 3);
        assert.deepEqual(await cluster().spread('everywhere'), { m1: 1, w2: 1, w3: 1 });
      });
      await cluster().settled('everywhere', 4);
      assert.deepEqual(await cluster().spread('everywhere'), all);
    });

    it('gives its tasks away when it is drained, and takes new ones when it is active again', async () => {
      await cluster().createService('moving', 8);
      const before = await cluster().settled('moving', 8);
      const w3 = await cluster().nodeId('w3');
      await withDrained(cluster(), 'w3', async () => {
        const after = await cluster().settled('moving', 8);
        const counts = await cluster().spread('moving');
        assert.equal(counts['w3'], undefined);
        assert.deepEqual(countsOf(counts), [2, 3, 3]);
        const kept = new Set(after.map((task) => task.id));
        for (const task of before) assert.equal(kept.has(task.id), task.nodeId !== w3, 'only those of w3 moved');
        assert.match(await cluster().must(['node', 'ls']), /w3\s+Ready\s+Drain/);
      });
      assert.equal((await cluster().spread('moving'))['w3'], undefined, 'nothing moves back by itself');
      await cluster().must(['service', 'scale', '-d', 'moving=10']);
      await cluster().settled('moving', 10);
      assert.equal((await cluster().spread('moving'))['w3'], 2);
    });

    it('leaves with its containers and without a ghost, and joins again as the node that it was', async () => {
      await cluster().createService('lasting', 8);
      await cluster().settled('lasting', 8);
      const oldId = await cluster().nodeId('w3');
      assert.match(await cluster().refused(['node', 'rm', 'w3']), /node \w+ is not down and can't be removed/);

      assert.equal(await cluster().mustOn('w3', ['leave']), 'Node left the swarm.\n');
      const { processes, cgroups, mounts } = await footprintOf(cluster().host('w3'));
      assert.deepEqual({ processes, cgroups, mounts }, { processes: [], cgroups: [], mounts: [] });
      assert.equal((await cluster().nodes()).has('w3'), false);
      await cluster().until(
        () => cluster().spread('lasting'),
        (counts) => countsOf(counts).join() === '2,3,3',
        'the others to have taken its tasks',
      );

      const token = (await cluster().must(['swarm', 'join-token', '-q', 'worker'])).trim();
      const address = cluster().host('w3').address;
      const remote = `${cluster().host(MANAGER).address}:2377`;
      const joined = await cluster().mustOn('w3', ['join', '--token', token, '--advertise-addr', address, remote]);
      assert.equal(joined, 'This node joined a swarm as a worker.\n');
      await cluster().nodeState('w3', NodeState.READY);
      assert.equal(await cluster().nodeId('w3'), oldId);

      await cluster().must(['service', 'scale', '-d', 'lasting=10']);
      await cluster().settled('lasting', 10);
      assert.equal((await cluster().spread('lasting'))['w3'], 2, 'it works as before');
    });
  });
});

/** A command that goes on, and what it has said. */
class Running {
  stdout = '';
  stderr = '';
  readonly #child: ChildProcess;
  readonly #ended: Promise<number>;

  constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    this.#ended = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => resolve(exitCodeOf(code, signal)));
    });
  }

  async shows(cluster: Cluster, pattern: RegExp): Promise<void> {
    await cluster.until(
      async () => this.stdout,
      (text) => pattern.test(text),
      String(pattern),
    );
  }

  /** Ctrl-C; the exit code. One that does not end is killed, which no test takes for an answer. */
  async interrupt(): Promise<number> {
    this.#child.kill('SIGINT');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), SOON_MS);
    return this.#ended.finally(() => clearTimeout(timer));
  }
}

/** Task -> the numbers that it has counted to, as the log has them. */
function linesOf(logs: string): ReadonlyMap<string, readonly number[]> {
  const lines = new Map<string, number[]>();
  // What follows the last line break has not come to its end yet.
  for (const line of logs.split('\n').slice(0, -1)) {
    const [, task = '', number] = /^(\S+) +\| line (\d+)$/.exec(line) ?? assert.fail(`not a line of ours: ${line}`);
    const numbers = lines.get(task) ?? [];
    numbers.push(Number(number));
    lines.set(task, numbers);
  }
  return lines;
}

function upTo(length: number, first = 1): readonly number[] {
  return Array.from({ length }, (_, i) => first + i);
}

interface TaskRow {
  readonly name: string;
  readonly image: string;
  /** Its first word: `Running`. */
  readonly state: string;
  readonly error: string;
}

/** What `service ps` says, in order of names. */
async function taskRows(cluster: Cluster, service: string): Promise<readonly TaskRow[]> {
  const format = '{{.Name}};{{.Image}};{{.CurrentState}};{{.Error}}';
  const output = await cluster.must(['service', 'ps', '--no-trunc', '--format', format, service]);
  return output
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [name = '', image = '', state = '', error = ''] = line.split(';');
      return { name, image, state: state.split(' ')[0] ?? '', error };
    })
    .toSorted((a, b) => a.name.localeCompare(b.name));
}

async function updateState(cluster: Cluster, service: string): Promise<string> {
  return (await cluster.must(['service', 'inspect', '--format', '{{.UpdateStatus.State}}', service])).trim();
}

/** How many tasks the nodes have, fewest first. */
function countsOf(spread: Readonly<Record<string, number>>): readonly number[] {
  return Object.values(spread).toSorted((a, b) => a - b);
}

/** What is there of containers, host by host. */
async function containersOf(cluster: Cluster): Promise<readonly unknown[]> {
  return Promise.all(
    HOSTS.map(async (host) => {
      const { processes, cgroups, mounts, files } = await footprintOf(cluster.host(host));
      return { processes, cgroups, mounts, files };
    }),
  );
}

/** The node is active again afterwards, whatever happens. */
async function withDrained(cluster: Cluster, node: string, work: () => Promise<void>): Promise<void> {
  await cluster.must(['node', 'update', '--availability', 'drain', '--wait', '--timeout', '60s', node], {
    timeoutMs: 90_000,
  });
  try {
    await work();
  } finally {
    await cluster.must(['node', 'update', '--availability', 'active', node]);
  }
}
