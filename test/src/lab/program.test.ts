/** Goal: the lab's command line says clearly what it will not do. Method: rubbish in; `up` to `down` once through. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { hostNames } from '#src/lab/names.ts';
import { HELP, runLab } from '#src/lab/program.ts';

const CLI = fileURLToPath(new URL('../../../bin/lab', import.meta.url));
const DUMMY = fileURLToPath(new URL('./dummy-daemon', import.meta.url));

async function run(...argv: readonly string[]): Promise<{ exitCode: number; out: string }> {
  let out = '';
  const exitCode = await runLab(argv, {
    out: (text) => {
      out += text;
    },
    err: () => {},
  });
  return { exitCode, out };
}

describe('lab: command line', () => {
  it('helps', async () => {
    assert.deepEqual(await run('--help'), { exitCode: 0, out: HELP });
    assert.equal((await run()).exitCode, 125);
    assert.equal((await run('up', '--help')).out, HELP);
  });

  it('refuses what it does not understand', async () => {
    const refusals: readonly (readonly [readonly string[], RegExp])[] = [
      [['dance'], /"dance" is not a command/],
      [['up', '--managers', '0'], /--managers: 0 is not 1 to 200/],
      [['up', '--workers', 'x'], /--workers: NaN is not 0 to 200/],
      [['up', '--name', 'a/b'], /--name: "a\/b" is not/],
      [['up', '--name', 'a-b'], /--name: "a-b" is not/],
      [['up', 'm1'], /"m1" is not expected/],
      [['up', '--colour'], /Unknown option '--colour'/],
      [['exec', '--name', 'none', 'm1'], /exec needs a host and a command/],
      [['exec', '--name', 'none', 'm1', 'true'], /there is no lab "none"/],
      [['ls', '--name', 'none'], /there is no lab "none"/],
      [['down', '--name', '../../etc'], /--name: .* is not/],
    ];
    for (const [argv, expected] of refusals) await assert.rejects(run(...argv), expected, argv.join(' '));
  });

  it('numbers hosts, managers first', () => {
    assert.deepEqual(
      hostNames(2, 1).map((host) => `${host.name} ${host.role} ${host.address}`),
      ['m1 manager 172.31.0.1', 'm2 manager 172.31.0.2', 'w1 worker 172.31.1.1'],
    );
  });

  it('takes a lab up, shows it, runs a command there with its exit code, and takes it down', function () {
    this.timeout(30_000);
    const name = `c${process.pid.toString(36)}`;
    const lab = (...args: readonly string[]) => spawnSync(CLI, args, { encoding: 'utf8' });
    try {
      const up = lab('up', '--name', name, '--managers', '1', '--workers', '1', '--no-swarm', '--daemon', DUMMY);
      assert.equal(up.status, 0, up.stderr);
      assert.match(
        up.stdout,
        /^HOST +ROLE +ADDRESS +STATE +DAEMON +PROCESSES +CUT FROM\nm1 +manager +172\.31\.0\.1 +on +\d+/,
      );
      assert.equal(lab('cut', '--name', name, 'm1', 'w1').status, 0);
      assert.match(lab('ls', '--name', name).stdout, /^w1 .* m1$/m);
      assert.equal(lab('exec', '--name', name, 'm1', 'sh', '-c', 'exit 9').status, 9);
      assert.equal(lab('exec', `--name=${name}`, 'm1', '--', 'hostname').stdout, 'm1\n');
      const unknown = lab('kill', '--name', name, 'w7');
      assert.equal(unknown.status, 125);
      assert.match(unknown.stderr, /^lab: the lab \w+ has no host "w7"\n {2}its hosts are m1, w1\n$/);
      const told = lab('up', '--name', `${name}t`, '--no-swarm', '--daemon', DUMMY, '--', '--fail');
      assert.match(told.stderr, /^lab: the daemon of m1 did not start: it ended with exit code 7/);
    } finally {
      assert.equal(lab('down', '--name', name).stderr, `lab ${name}: gone\n`);
    }
    assert.equal(lab('down', '--name', name).stderr, `lab ${name}: there was none\n`);
  });
});
