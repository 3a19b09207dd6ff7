/**
 * Goal: a swarm whose managers are all lost comes back on one new host from a saved snapshot, with its workers, and
 * nothing of a bad file ever touches a host. Method: real daemons with simulated containers, the real command line.
 */
import assert from 'node:assert/strict';
import { readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Node, NodeState, type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { LogConfig, NodeRole } from '#gen/swarm/v1/specs.ts';
import { type Answer, swarm } from './support/command-line.ts';
import { DaemonProcess, freePort, until } from './support/daemon-process.ts';

const SOON_MS = 30_000;

describe('snapshots of a swarm', function () {
  this.timeout(180_000);
  let daemons: DaemonProcess[] = [];
  let port = 0;

  const daemon = async (name: string, host = `127.0.0.${daemons.length + 1}`): Promise<DaemonProcess> => {
    const one = await DaemonProcess.create({ name, host, port });
    daemons.push(one);
    await one.start();
    return one;
  };

  const done = async (on: DaemonProcess, ...words: string[]): Promise<string> => {
    const { stdout, stderr, exitCode } = await swarm(on, words);
    assert.equal(exitCode, 0, `${words.join(' ')}: ${stderr}`);
    return stdout;
  };

  const refused = async (on: DaemonProcess, ...words: string[]): Promise<Answer> => {
    const answer = await swarm(on, words);
    assert.equal(answer.exitCode, 1, answer.stdout);
    assert.match(answer.stderr, /\nHint: /);
    return answer;
  };

  const running = (on: DaemonProcess, node: string, count: number): Promise<readonly Task[]> =>
    until(`${count} tasks to run on ${node}`, SOON_MS, async () => {
      const { id } = (await on.nodes()).find(({ description }) => description?.hostname === node) as Node;
      const tasks: Task[] = [];
      for await (const page of on.control.listTasks({ nodeIds: [id] }, { timeoutMs: 5000 }))
        for (const { task } of page.tasks)
          if (task?.status?.state === TaskState.RUNNING && task.desiredState === TaskState.RUNNING) tasks.push(task);
      assert.equal(tasks.length, count);
      return tasks;
    });

  beforeEach(async () => {
    daemons = [];
    port = await freePort();
  });

  afterEach(async function () {
    if (this.currentTest?.state === 'failed')
      for (const one of daemons) console.error(`--- ${one.name}\n${one.output.split('\n').slice(-40).join('\n')}`);
    await Promise.all(daemons.map((one) => one.destroy()));
  });

  it('brings a swarm back on a new host after all of its managers were lost', async () => {
    const [one, two, three, worker] = [
      await daemon('one'),
      await daemon('two'),
      await daemon('three'),
      await daemon('worker'),
    ];
    await one.init();
    const tokens = await one.tokens();
    await two.join(tokens.manager, one.address);
    await three.join(tokens.manager, one.address);
    await worker.join(tokens.worker, one.address);
    await done(
      one,
      'service',
      'create',
      '--detach',
      '--name',
      'web',
      '--replicas',
      '4',
      '--constraint',
      'node.role==worker',
      'localhost/web:1',
    );
    const before = await running(one, 'worker', 4);
    const key = (await done(two, 'snapshot', 'key', '--quiet')).trim();
    assert.match(key, /^SWMSNP-1-[0-9a-z]{50}$/);
    assert.equal((await done(three, 'snapshot', 'key', '-q')).trim(), key);

    const file = join(three.directory, 'swarm.snapshot');
    assert.match(await done(three, 'snapshot', 'save', file), /^Saved the swarm to .*swarm\.snapshot \(.*\)\.\n/);
    const mode = (await stat(file)).mode & 0o777;
    assert.equal(mode, 0o600);
    const again = await refused(three, 'snapshot', 'save', file);
    assert.match(again.stderr, /swarm\.snapshot exists\nHint: .*--force/);
    await done(three, 'snapshot', 'save', '--force', file);
    const bytes = await readFile(file);
    assert.ok(!bytes.includes('web'), 'sealed');
    const inspected = JSON.parse(await done(worker, 'snapshot', 'inspect', '--key', key, '-o', 'json', file)) as {
      Counts: Record<string, number>;
      Managers: readonly { Hostname: string }[];
    };
    assert.deepEqual([inspected.Counts['Nodes'], inspected.Counts['Services']], [4, 1]);
    assert.deepEqual(inspected.Managers.map(({ Hostname }) => Hostname).sort(), ['one', 'three', 'two']);
    // What comes after the snapshot is lost with the managers.
    await done(one, 'service', 'create', '--detach', '--name', 'late', '--replicas', '0', 'localhost/late:1');
    for (const manager of [one, two, three]) await manager.kill();

    // A new host, at the address of one of the old ones: the worker finds it.
    const fresh = await daemon('fresh', '127.0.0.1');
    const keyFile = join(fresh.directory, 'key');
    await writeFile(keyFile, `${key}\n`);
    const addresses = ['--listen-addr', one.address, '--advertise-addr', one.address];
    const restored = await done(
      fresh,
      'snapshot',
      'restore',
      '--skip-preflight',
      '--key-file',
      keyFile,
      ...addresses,
      file,
    );
    assert.match(restored, /^Swarm default restored: current node \([0-9a-z]{25}\) is now its only manager\.\n/);
    assert.match(restored, /were managers and are workers now: (one|two|three), (one|two|three), (one|two|three)\./);

    const nodes = await fresh.nodes();
    assert.deepEqual(
      nodes.filter(({ role }) => role === NodeRole.MANAGER).map(({ description }) => description?.hostname),
      ['fresh'],
    );
    for (const name of ['one', 'two', 'three']) {
      const node = nodes.find(({ description }) => description?.hostname === name);
      assert.equal(node?.status?.state, NodeState.DOWN);
      assert.equal(node?.managerStatus, undefined);
    }
    assert.deepEqual(await fresh.tokens(), tokens);
    assert.match(await done(fresh, 'service', 'ls'), /web .* 4\/4|web/);
    assert.ok(!(await done(fresh, 'service', 'ls', '-q', '--filter', 'name=late')).trim());
    await until('the worker to be back', SOON_MS, async () => {
      const node = (await fresh.nodes()).find(({ description }) => description?.hostname === 'worker');
      assert.equal(node?.status?.state, NodeState.READY);
    });
    const after = await running(fresh, 'worker', 4);
    assert.deepEqual(after.map(({ id }) => id).sort(), before.map(({ id }) => id).sort(), 'the same tasks');

    // It writes, it survives a restart, others join with the old token and are promoted as ever.
    await fresh.write('restored');
    await fresh.kill();
    await fresh.start();
    await until('it to serve again', SOON_MS, async () => assert.deepEqual(await fresh.labels(), ['restored']));
    // A manager of before that comes back alone learns that it is none, and forgets its log.
    await two.start();
    await until('two to be a worker', SOON_MS, async () => {
      const node = (await fresh.nodes()).find(({ description }) => description?.hostname === 'two');
      assert.equal(node?.status?.state, NodeState.READY);
      assert.equal((await two.info()).role, NodeRole.WORKER);
      assert.equal(await two.has('raft'), false);
    });
    const next = await daemon('next');
    await next.join(tokens.worker, fresh.address);
    assert.equal(await done(fresh, 'node', 'promote', 'next'), 'Node next promoted to a manager in the swarm.\n');
    assert.match(await done(next, 'node', 'ls', '--filter', 'name=next'), /Reachable/);
    assert.equal((await done(next, 'snapshot', 'key', '-q')).trim(), key, 'the key is that of before');
    assert.equal(await done(fresh, 'node', 'demote', 'next'), 'Manager next demoted in the swarm.\n');
  });

  it('leaves a host alone whose file is bad, and one that is in a swarm', async () => {
    const one = await daemon('one');
    await one.init();
    const key = (await done(one, 'snapshot', 'key', '--quiet')).trim();
    const [file, cut] = [join(one.directory, 'a'), join(one.directory, 'b')];
    await done(one, 'snapshot', 'save', file);
    await done(one, 'snapshot', 'save', cut);
    await truncate(cut, (await stat(cut)).size - 50);
    const member = await swarm(one, ['snapshot', 'restore', '--key', key, file]);
    assert.match(member.stderr, /already part of a swarm/);
    const host = await daemon('host');
    const wrong = 'SWMSNP-1-'.padEnd(59, '1');
    const cases: readonly (readonly [words: readonly string[], message: RegExp])[] = [
      [['--key', key, cut], /\/b is damaged at offset \d+: it ends/],
      [['--key', wrong, file], /\/a was sealed with the key [0-9a-f]{16}, not with the one that was given/],
      [['--key', 'nonsense', file], /this is no snapshot key: it does not begin with SWMSNP-/],
      [['--key', key, join(one.state, 'node/node.crt')], /node\.crt is no saved snapshot/],
      [[file], /the snapshot key of the swarm that was saved is needed/],
    ];
    for (const [words, message] of cases) {
      const { stderr } = await refused(
        host,
        'snapshot',
        'restore',
        '--skip-preflight',
        '--advertise-addr',
        host.address,
        ...words,
      );
      assert.match(stderr, message);
      assert.equal(await host.has('raft'), false);
      assert.match(await done(host, 'info'), / Swarm: inactive/);
    }
    assert.match((await swarm(host, ['snapshot', 'save'])).stderr, /not a swarm manager/);
    await done(
      host,
      'snapshot',
      'restore',
      '--skip-preflight',
      '--key',
      key,
      '--listen-addr',
      host.address,
      '--advertise-addr',
      host.address,
      file,
    );
    assert.match(await done(host, 'node', 'ls'), /Leader/);
  });

  it('saves by itself on every manager, and says when it cannot', async () => {
    const [one, two] = [await daemon('one'), await daemon('two')];
    await one.init();
    await two.join((await one.tokens()).manager, one.address);
    await until('two managers', SOON_MS, async () => {
      const nodes = await two.nodes();
      assert.equal(nodes.filter(({ managerStatus }) => managerStatus?.reachable && !managerStatus.learner).length, 2);
    });
    await writeFile(join(two.state, 'snapshots'), 'in the way');
    await done(one, 'update', '--snapshot-save-interval', '6h', '--snapshot-save-keep', '2', '--max-snapshots', '3');
    const saved = await until('a file', SOON_MS, async () => {
      const names = await readdir(join(one.state, 'snapshots'));
      assert.equal(names.filter((name) => name.endsWith('.snapshot')).length, 1);
      return names[0] as string;
    });
    const key = (await done(one, 'snapshot', 'key', '--quiet')).trim();
    const page = await done(one, 'snapshot', 'inspect', '--key', key, join(one.state, 'snapshots', saved));
    assert.match(page, /Verified:\t\tyes\n[^]*Nodes:\t\t\t2\n/);
    await until('a warning', SOON_MS, async () => {
      const { stdout, stderr } = await swarm(two, ['info']);
      assert.match(stdout, / {2}Saved Snapshots:\n {3}Interval: 6h0m0s\n {3}Kept on Every Manager: 2\n/);
      assert.match(stdout, /Number of Old Snapshots to Retain: 3/);
      assert.match(stderr, /WARNING: no snapshot was saved to .*snapshots: /);
    });
    // The cluster works on, and its spec is where it was told.
    await two.write('still-writing');
    const { cluster } = await two.control.getCluster({}, { timeoutMs: 5000 });
    assert.deepEqual(cluster?.snapshotKey.length, 0, 'the key is in no answer');
    assert.deepEqual(
      cluster?.spec?.log,
      LogConfig.create({ snapshotInterval: 10_000, snapshotsKept: 3, saveIntervalMs: 6 * 3600 * 1000, savesKept: 2 }),
    );
  });
});
