/**
 * Goal: a lab's hosts are apart as machines are, wires can be cut, power can fail, and nothing is left in the end.
 * Method: labs of dummy daemons (dummy-daemon.ts); the kernel's own lists before and after.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { SwarmError } from '#common/errors.ts';
import { Lab } from '#src/lab/lab.ts';
import { FABRIC, hostPaths } from '#src/lab/names.ts';

const DUMMY = [process.execPath, fileURLToPath(new URL('./dummy-daemon.ts', import.meta.url))];
const CLI = fileURLToPath(new URL('../../../bin/lab', import.meta.url));

interface Answer {
  readonly hostname: string;
  readonly option: string;
  readonly pid: number;
  readonly stubborn: number;
  readonly boots: number;
  readonly bootId: string;
  readonly cgroupParent: string;
}

/** Everything on the machine that carries the lab's name. */
function traces(name: string): readonly string[] {
  const found = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(`/starling-lab/${name}/`));
  for (const root of ['/run/starling-lab', '/var/lib/starling-lab'])
    if (existsSync(`${root}/${name}`)) found.push(`${root}/${name}`);
  for (const hierarchy of readdirSync('/sys/fs/cgroup', { withFileTypes: true })) {
    if (!hierarchy.isDirectory()) continue;
    for (const group of readdirSync(`/sys/fs/cgroup/${hierarchy.name}`))
      if (group.startsWith(`starling-lab-${name}-`)) found.push(`${hierarchy.name}/${group}`);
  }
  return found;
}

/** Whether the process runs: one that nobody has waited for yet is dead. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

describe('lab', function () {
  this.timeout(60_000);
  const name = `t${process.pid.toString(36)}`;
  let lab: Lab;

  before(async () => {
    lab = await Lab.up({ name, managers: 1, workers: 2, daemon: DUMMY });
  });

  after(async () => {
    await Lab.remove(name);
    assert.deepEqual(traces(name), []);
  });

  /** What the daemon of `host` says, asked by its address from `from`. */
  async function ask(from: string, host: string, timeout = '2'): Promise<Answer | undefined> {
    const url = `http://${lab.host(host).address}:2377/`;
    const { exitCode, stdout } = await lab.exec(from, ['curl', '-s', '-m', timeout, url]);
    return exitCode === 0 ? (JSON.parse(stdout) as Answer) : undefined;
  }

  async function isCut(from: string, host: string): Promise<boolean> {
    return (await ask(from, host, '0.3')) === undefined;
  }

  async function wanted(from: string, host: string): Promise<Answer> {
    const answer = await ask(from, host);
    assert.ok(answer, `${from} reaches ${host}`);
    return answer;
  }

  it('gives every host its own name, address, daemon and cgroup', async () => {
    assert.deepEqual(
      lab.hosts.map((host) => `${host.name} ${host.address}`),
      ['m1 172.31.0.1', 'w1 172.31.1.1', 'w2 172.31.1.2'],
    );
    for (const { name: host } of lab.hosts) {
      const answer = await wanted(host, host);
      assert.deepEqual([answer.hostname, answer.option], [host, host]);
      assert.equal(answer.cgroupParent, `/starling-lab-${name}-${host}/containers`);
      assert.equal((await lab.exec(host, ['hostname'])).stdout.trim(), host);
    }
  });

  it('connects every host with every other, by address and by name, and the fabric with all', async () => {
    assert.equal((await wanted('m1', 'w2')).hostname, 'w2');
    assert.equal((await wanted('w2', 'm1')).hostname, 'm1');
    assert.equal((await wanted(FABRIC, 'w1')).hostname, 'w1');
    const byName = await lab.exec('w1', ['curl', '-s', '-m', '1', 'http://m1:2377/']);
    assert.match(byName.stdout, /"hostname":"m1"/);
  });

  it('runs commands with their input, output, exit code and the environment of the host', async () => {
    assert.deepEqual(await lab.exec('w1', ['cat'], { input: 'in' }), { exitCode: 0, stdout: 'in', stderr: '' });
    const failed = await lab.exec('w1', ['sh', '-c', 'echo "$LAB_HOST $STARLING_SOCKET" >&2; exit 42']);
    assert.equal(failed.exitCode, 42);
    assert.equal(failed.stderr.trim(), `w1 ${hostPaths(name, 'w1').socket}`);
    // What looks like shell stays text.
    assert.equal((await lab.exec('w1', ['echo', '$(id)', '; exit 3'])).stdout, '$(id) ; exit 3\n');
    await assert.rejects(lab.exec('w9', ['true']), /no host "w9".*/);
    await assert.rejects(lab.exec('w1', ['sleep', '60'], { timeoutMs: 100 }), /timed out after 100 ms/);
  });

  it('cuts two hosts from each other and nobody else', async () => {
    await lab.cut('w1', 'm1');
    assert.ok(await isCut('m1', 'w1'));
    assert.ok(await isCut('w1', 'm1'));
    assert.ok(await ask('w1', 'w2'));
    assert.ok(await ask('m1', 'w2'));
    assert.deepEqual(
      (await lab.status()).map((host) => host.cutFrom),
      [['w1'], ['m1'], []],
    );
    await lab.heal('m1', 'w1');
    await lab.heal('m1', 'w1');
    assert.ok(await ask('m1', 'w1'));
  });

  it('cuts a host from everybody', async () => {
    await lab.cut('w2');
    assert.ok(await isCut('m1', 'w2'));
    assert.ok(await isCut('w2', 'w1'));
    assert.ok(await isCut(FABRIC, 'w2'));
    assert.ok(await ask('w2', 'w2'));
    assert.ok(await ask('m1', 'w1'));
    await lab.heal();
    assert.ok(await ask(FABRIC, 'w2'));
    await assert.rejects(lab.cut('w1', 'w1'), /cut from itself/);
  });

  it('kills the daemon alone: its containers live, a start finds the run directory as it was', async () => {
    const before = await wanted('m1', 'w1');
    await lab.killDaemon('w1');
    assert.ok(await isCut('m1', 'w1'));
    assert.deepEqual([isAlive(before.pid), isAlive(before.stubborn)], [false, true]);
    await lab.start('w1');
    const after = await wanted('m1', 'w1');
    assert.deepEqual([after.boots, after.bootId], [before.boots + 1, before.bootId]);
  });

  it('power loss: every process dies, volatile things are lost, the state stays; a start is a new boot', async () => {
    const before = await wanted('m1', 'w1');
    const late = await lab.spawn('w1', ['sleep', '1000'], { stdio: 'ignore' });
    const lateEnded = once(late, 'exit');
    await lab.exec('w1', ['ip', 'addr', 'add', '10.77.0.1/32', 'dev', 'lo']);
    await lab.kill('w1');
    await lateEnded;
    assert.deepEqual([isAlive(before.pid), isAlive(before.stubborn)], [false, false]);
    assert.equal(existsSync(hostPaths(name, 'w1').volatile), false);
    assert.ok(await isCut('m1', 'w1'));
    assert.equal((await lab.status()).find((host) => host.name === 'w1')?.on, false);
    await assert.rejects(lab.exec('w1', ['true']), /the host w1 is off/);
    await lab.kill('w1');

    await lab.cut('w1', 'w2');
    await lab.start('w1');
    await lab.start('w1');
    const after = await wanted('m1', 'w1');
    assert.equal(after.boots, before.boots + 1);
    assert.notEqual(after.bootId, before.bootId);
    assert.ok(await isCut('w1', 'w2'), 'a wire does not mend by itself');
    assert.doesNotMatch((await lab.exec('w1', ['ip', 'addr'])).stdout, /10\.77/);
    await lab.heal();
  });

  it('power loss takes what was pinned in the host’s mounts, as networks of containers are', async () => {
    const pin = `${hostPaths(name, 'w2').runDirectory}/container`;
    const fabric = `/run/starling-lab/${name}/net/fabric`;
    const cable = ['ip', 'link', 'add', 'inside', 'type', 'veth', 'peer', 'name', 'probe', 'netns', fabric];
    for (const command of [
      ['touch', pin],
      ['unshare', `--net=${pin}`, 'true'],
      ['nsenter', `--net=${pin}`, ...cable],
    ])
      assert.deepEqual((await lab.exec('w2', command)).stderr, '');
    const links = async (): Promise<string> => (await lab.exec(FABRIC, ['ip', '-br', 'link'])).stdout;
    assert.match(await links(), /probe/);
    await lab.kill('w2');
    await lab.waitFor('the network of the container to go', 5000, async () => !/probe/.test(await links()));
    await lab.start('w2');
  });

  it('is found again by its name, and refuses to be made twice', async () => {
    assert.ok((await Lab.names()).includes(name));
    const again = await Lab.open(name);
    assert.deepEqual(
      (await again.status()).map((host) => host.daemonPid),
      (await lab.status()).map((host) => host.daemonPid),
    );
    await assert.rejects(Lab.up({ name, managers: 1, workers: 0, daemon: DUMMY }), (error) => {
      return error instanceof SwarmError && error.reason === 'duplicate-name';
    });
    assert.ok(await ask('m1', 'w1'), 'the refusal left the lab alone');
    await assert.rejects(Lab.open(`${name}x`), /there is no lab/);
  });

  it('leaves nothing when a daemon does not start, and shows what it said', async () => {
    const broken = `${name}b`;
    await assert.rejects(
      Lab.up({ name: broken, managers: 1, workers: 1, daemon: [...DUMMY, '--fail'] }),
      /daemon of \w+ did not start: it ended with exit code 7\s+the dummy was told to fail/,
    );
    assert.deepEqual(traces(broken), []);
  });

  it('goes also after the lab command was killed half way', async () => {
    const crashed = `${name}c`;
    const args = ['up', '--name', crashed, '--managers', '1', '--workers', '20', '--no-swarm'];
    const child = spawn(CLI, [...args, '--daemon', '/bin/true'], { stdio: 'ignore' });
    await lab.waitFor('the first hosts', 10_000, async () => existsSync(hostPaths(crashed, 'w2').network));
    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.notDeepEqual(traces(crashed), []);
    assert.equal(await Lab.remove(crashed), true);
    assert.deepEqual(traces(crashed), []);
    assert.equal(await Lab.remove(crashed), false);
  });
});
