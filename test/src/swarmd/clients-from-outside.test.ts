/**
 * Goal: a program elsewhere runs the swarm with the bundle that it was given, whichever managers are there, until it is
 * revoked. Method: three real daemons on loopback; the command line with a configuration directory of its own; the
 * examples as a stranger would start them.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseCertificates } from '#certs/certificate.ts';
import { systemClock } from '#common/system/clock.ts';
import { connectEndpoint } from '#src/cli/contexts/connect-endpoint.ts';
import { runCommandLine } from '#src/cli/run.ts';
import type { Answer } from './support/command-line.ts';
import type { DaemonProcess } from './support/daemon-process.ts';
import { Managers } from './support/managers.ts';

const ROOT = join(import.meta.dirname, '../../..');
const TIMEOUT_MS = 90_000;

describe('clients from outside: on real managers', function () {
  this.timeout(240_000);
  let managers: Managers;
  let daemons: readonly DaemonProcess[];
  /** The other machine. */
  let home = '';

  before(async () => {
    managers = await Managers.create();
    daemons = await managers.cluster('m1', 'm2', 'm3');
    home = await mkdtemp(join(tmpdir(), 'starling-elsewhere-'));
  });
  after(async () => {
    await Promise.all(managers.daemons.map((daemon) => daemon.destroy()));
    await rm(home, { recursive: true, force: true });
  });

  const variables = () => ({ ...process.env, HOME: home, XDG_CONFIG_HOME: join(home, 'config') });

  async function run(program: string, words: readonly string[]): Promise<Answer> {
    const child = spawn(program, words, {
      cwd: home,
      env: { ...variables(), NODE: process.execPath },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: TIMEOUT_MS,
    });
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const)
      child[name].on('data', (data: Buffer) => {
        output[name] += data.toString();
      });
    const [exitCode] = (await once(child, 'close')) as [number | null];
    return { ...output, exitCode };
  }

  /** The command line on the other machine; in this process, where it starts at once. */
  async function there(words: readonly string[], input = ''): Promise<Answer> {
    const output = { stdout: '', stderr: '' };
    const stream = (name: 'stdout' | 'stderr') => ({
      write: (text: string | Uint8Array) => {
        output[name] += Buffer.from(text).toString();
      },
      isTerminal: false,
      columns: undefined,
    });
    const exitCode = await runCommandLine(words, {
      environment: {
        stdout: stream('stdout'),
        stderr: stream('stderr'),
        stdin: {
          isTerminal: false,
          chunks: async function* () {
            yield Buffer.from(input);
          },
        },
        variables: variables(),
        clock: systemClock,
        onInterrupt: () => () => {},
      },
      connect: connectEndpoint,
    });
    return { ...output, exitCode };
  }

  /** The command line on the machine of the daemon. */
  const swarm = (on: DaemonProcess, words: readonly string[]): Promise<Answer> =>
    there(['--socket', join(on.directory, 'run/swarm.sock'), ...words]);

  const daemon = (at: number): DaemonProcess => {
    const found = daemons[at];
    assert.ok(found !== undefined);
    return found;
  };

  async function must(answer: Promise<Answer>): Promise<string> {
    const { stdout, stderr, exitCode } = await answer;
    assert.equal(exitCode, 0, stderr);
    return stdout;
  }

  it('a bundle goes through a pipe, its key never through the daemon, and works from then on', async () => {
    const bundle = await must(swarm(daemon(0), ['client', 'create', 'ci', '--role', 'operator', '--output', '-']));
    const { key } = JSON.parse(bundle) as { key: string };
    for (const { output } of daemons) assert.ok(!output.includes(key.split('\n')[1] ?? '-'));
    assert.equal(await must(there(['context', 'import', 'prod', '-'], bundle)), 'prod\n');
    const directory = join(home, 'config/starling/contexts/prod');
    assert.equal((await stat(directory)).mode & 0o777, 0o700);
    assert.equal((await stat(join(directory, 'key.pem'))).mode & 0o777, 0o600);
    const names = await must(there(['--context', 'prod', 'node', 'ls', '--format', '{{.Hostname}}']));
    assert.deepEqual(names.trim().split('\n').toSorted(), ['m1', 'm2', 'm3']);
    await must(there(['context', 'use', 'prod']));
    await must(there(['service', 'create', '--name', 'web', '--detach', '--no-resolve-image', 'busybox']));
    assert.equal(await must(swarm(daemon(1), ['service', 'ls', '--format', '{{.Name}}'])), 'web\n');
    const inspected = await must(swarm(daemon(2), ['client', 'ls', '--format', '{{.Name}} {{.Role}} {{.CreatedBy}}']));
    assert.equal(inspected, 'ci operator root@m1\n');
  });

  it('says what does not work from elsewhere, and what the role may not', async () => {
    for (const words of [['leave'], ['init'], ['image', 'ls'], ['run', 'busybox', 'true'], ['snapshot', 'save', '-']]) {
      const { exitCode, stderr } = await there(words);
      assert.notEqual(exitCode, 0, words.join(' '));
      assert.match(stderr, /does not work over context "prod".*\nHint: log in to the machine/, words.join(' '));
    }
    const denied = await there(['client', 'create', 'x', '--output', join(home, 'x')]);
    assert.match(denied.stderr, /CreateClient is not for client \w+ of role operator/);
    await assert.rejects(stat(join(home, 'x')), 'no key is left behind');
    assert.match((await there(['node', 'demote', 'm3'])).stderr, /cannot change the role of a node/);
    assert.match((await there(['-H', 'tcp://10.0.0.1:2376', 'node', 'ls'])).stderr, /swarm client create NAME/);
  });

  it('the examples run as a stranger runs them', async () => {
    const bundle = join(home, 'robot');
    await must(swarm(daemon(0), ['client', 'create', 'robot', '--role', 'operator', '--output', bundle]));
    const examples = join(ROOT, 'examples/automation');
    const program = await must(run(process.execPath, [join(examples, 'automation.ts'), bundle]));
    assert.match(program, /node m1: NODE_ROLE_MANAGER, NODE_STATE_READY/);
    assert.match(program, /2 of 2 tasks run/);
    assert.match(program, /event: service automation-\d+ create by robot/);
    assert.match(program, /event: service automation-\d+ remove by robot/);
    const tour = await must(run('sh', [join(examples, 'tour.sh'), bundle]));
    assert.match(tour, /its task runs/);
    const [, , events] = tour.split(/^(?:create|events):$/m);
    assert.match(events ?? '', /"action":"create"/);
    const refused = await run(process.execPath, [join(examples, 'call.ts'), bundle, 'ClientService/CreateClient']);
    assert.match(refused.stderr, /is not for client .* \(gRPC status 7\)/);
    assert.equal(refused.exitCode, 1);
    const left = await must(swarm(daemon(0), ['service', 'ls', '--format', '{{.Name}}']));
    assert.equal(left, 'web\n');
  });

  it('renews by itself in the last third, with the same key, and goes on when the answer is late', async () => {
    await must(swarm(daemon(0), ['client', 'create', 'brief', '--expiry', '1h', '--output', join(home, 'brief')]));
    await must(there(['context', 'import', 'brief', join(home, 'brief')]));
    const file = (name: string) => readFile(join(home, 'config/starling/contexts/brief', name), 'utf8');
    const before = await file('cert.pem');
    // Dated back by an hour, it has half of its time behind it: nothing is due.
    await must(there(['--context', 'brief', 'service', 'ls']));
    assert.equal(await file('cert.pem'), before);
    await must(there(['context', 'renew', 'brief']));
    const after = await file('cert.pem');
    assert.notEqual(after, before);
    assert.equal(await file('key.pem'), await readFile(join(home, 'brief/key.pem'), 'utf8'));

    const serial = await must(swarm(daemon(0), ['client', 'inspect', '--format', '{{.Certificate.Serial}}', 'brief']));
    assert.equal(serial.trim(), parseCertificates(after)[0]?.serial);
    // The copy that did not renew is good, too.
    await must(there(['context', 'import', 'copy', join(home, 'brief')]));
    await must(there(['--context', 'copy', 'service', 'ls']));
    await must(there(['context', 'renew', 'copy']));
    assert.equal(await readFile(join(home, 'config/starling/contexts/copy/cert.pem'), 'utf8'), after);
    // An administrator's renewal ends both.
    await must(swarm(daemon(1), ['client', 'renew', 'brief', '--output', join(home, 'brief-2')]));
    for (const name of ['brief', 'copy'])
      assert.match((await there(['--context', name, 'service', 'ls'])).stderr, /has got another certificate/);
    await must(there(['context', 'import', '--force', 'brief', join(home, 'brief-2')]));
    await must(there(['--context', 'brief', 'service', 'ls']));
  });

  it('an administrator replaces the root from elsewhere, and is not shut out by that', async () => {
    const boss = join(home, 'boss');
    await must(swarm(daemon(0), ['client', 'create', 'boss', '--role', 'admin', '--output', boss]));
    await must(there(['context', 'import', 'boss', boss]));
    const before = await must(there(['--context', 'boss', 'ca']));
    const rotated = await there(['--context', 'boss', 'ca', '--rotate', '--quiet']);
    assert.deepEqual([rotated.exitCode, rotated.stderr.includes('boss')], [0, false], rotated.stderr);
    assert.notEqual(rotated.stdout, before);
    assert.equal(await must(there(['--context', 'boss', 'ca'])), rotated.stdout);
    // Who was not there meanwhile is told what a client can do, and nothing about nodes.
    const stranger = await there(['node', 'ls']);
    assert.match(stranger.stderr, /has been replaced since\nHint: .*swarm client renew/);
    assert.doesNotMatch(stranger.stderr, /swarm leave/);
    const renewed = await must(swarm(daemon(0), ['client', 'renew', 'ci', '--output', '-']));
    await must(there(['context', 'import', '--force', 'prod', '-'], renewed));
  });

  it('refuses a context that others can read, and one that is damaged', async () => {
    const key = join(home, 'config/starling/contexts/prod/key.pem');
    await chmod(key, 0o644);
    const open = await there(['node', 'ls']);
    assert.match(open.stderr, /key\.pem is open to other users \(mode 644\)\nHint: .*swarm client renew/);
    await chmod(key, 0o600);
    await must(there(['node', 'ls']));
  });

  it('goes on with the managers that are left, and is refused by all once it is revoked', async () => {
    const leader = await managers.leader(daemon(1));
    await leader.kill();
    const others = daemons.filter((one) => one !== leader);
    const [first] = others;
    assert.ok(first !== undefined);
    await managers.leader(first);
    await must(there(['service', 'update', '--detach', '--no-resolve-image', '--label-add', 'a=b', 'web']));
    assert.equal(
      await must(there(['service', 'ls', '--quiet'])),
      await must(swarm(first, ['service', 'ls', '--quiet'])),
    );
    await must(swarm(first, ['client', 'revoke', 'ci']));
    const revoked = await there(['service', 'ls']);
    assert.equal(revoked.exitCode, 1);
    assert.match(revoked.stderr, /it was revoked\nHint: .*swarm client create/);
    await must(there(['context', 'rm', '--force', 'prod']));
    assert.equal(await must(there(['context', 'show'])), 'default\n');
  });
});
