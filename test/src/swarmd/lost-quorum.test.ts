/** What users see when a majority of the managers is gone, and how they go on. Real daemons, the real command line. */
import assert from 'node:assert/strict';
import { type Answer, swarm } from './support/command-line.ts';
import { DaemonProcess, freePort, until } from './support/daemon-process.ts';

const SOON_MS = 30_000;

describe('a lost quorum on the command line', function () {
  this.timeout(150_000);
  let daemons: DaemonProcess[] = [];

  before(async () => {
    daemons = [];
    const port = await freePort();
    for (const name of ['one', 'two', 'three']) {
      const one = await DaemonProcess.create({ name, host: `127.0.0.${daemons.length + 1}`, port });
      daemons.push(one);
      await one.start();
      const [first] = daemons;
      if (first === undefined || first === one) await one.init();
      else await one.join((await first.tokens()).manager, first.address);
    }
    await until('three managers', SOON_MS, async () => {
      const nodes = (await daemons[0]?.nodes()) ?? [];
      assert.equal(nodes.filter(({ managerStatus }) => managerStatus?.reachable && !managerStatus.learner).length, 3);
    });
    await daemons[0]?.write('before');
    await daemons[1]?.kill();
    await daemons[2]?.kill();
  });

  after(() => Promise.all(daemons.map((one) => one.destroy())));

  const survivor = (): DaemonProcess => daemons[0] as DaemonProcess;

  it('is told with who is missing and the way out, for reads and writes', async () => {
    const told = (answer: Answer): void => {
      assert.equal(answer.exitCode, 1);
      assert.equal(answer.stdout, '');
      assert.match(
        answer.stderr,
        /^Error response from daemon: The swarm does not have a leader: 2 of 3 managers cannot be reached from here \(127\.0\.0\.[23]:\d+, 127\.0\.0\.[23]:\d+\)[^\n]*\nHint: [^\n]*swarm init --force-new-cluster/,
      );
    };
    // The leader needs an election timeout to notice.
    await until('it to be noticed', SOON_MS, async () => told(await swarm(survivor(), ['service', 'ls'])));
    told(await swarm(survivor(), ['update', '--task-history-limit', '3']));
    told(await swarm(survivor(), ['snapshot', 'save', '-']));
    told(await swarm(survivor(), ['node', 'promote', 'x']));
    // What needs no quorum answers.
    const info = await swarm(survivor(), ['info']);
    assert.match(
      info.stdout,
      / Swarm: active\n[^]* Error: The swarm does not have a leader: 2 of 3 managers [^]* Is Manager: true\n/,
    );
  });

  it('is left behind with init --force-new-cluster', async () => {
    const { stdout, stderr, exitCode } = await swarm(survivor(), ['init', '--force-new-cluster']);
    assert.equal(exitCode, 0, stderr);
    assert.match(stdout, /^Swarm initialized: current node \([0-9a-z]{25}\) is now a manager\.\n/);
    assert.deepEqual(await survivor().labels(), ['before']);
    const managers = await swarm(survivor(), ['node', 'ls', '--format', '{{.Hostname}} {{.ManagerStatus}}']);
    assert.equal(managers.stdout, 'one Leader\nthree \ntwo \n');
    const refused = await swarm(survivor(), ['node', 'demote', 'one']);
    assert.equal(refused.exitCode, 1);
    assert.match(refused.stderr, /\nHint: /);
  });
});
