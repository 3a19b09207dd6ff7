/**
 * Goal: a shell is offered what fits, names of objects included, and typing cannot run anything. Method: the answers for
 * command lines, and bash itself with the printed script and the real program.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { SwarmError } from '#common/errors.ts';
import { bashScript } from '#src/cli/completion/bash-script.ts';
import { fakeApi, NOW_MS, runCli } from './support/run-cli.ts';
import { type SocketDaemon, startSocketDaemon } from './support/socket-daemon.ts';
import { swarmFixture } from './swarm-fixture.ts';

/** Values offered, then the directive. */
async function offered(...words: readonly string[]): Promise<readonly string[]> {
  const { stdout } = await runCli(['complete', '--', ...words]);
  return stdout
    .trim()
    .split('\n')
    .map((line) => line.split('\t')[0] ?? '');
}

describe('cli: completion', () => {
  it('offers commands and groups', async () => {
    assert.deepEqual(await offered('ser'), ['service', ':4']);
    assert.deepEqual(await offered('service', 'l'), ['logs', 'ls', ':4']);
    assert.deepEqual(await offered('swarm', 'join'), ['join', 'join-token', ':4']);
    assert.ok(!(await offered('')).includes('complete'));
  });

  it('offers flags and their values', async () => {
    assert.deepEqual(await offered('service', 'create', '--limit-'), [
      '--limit-cpu',
      '--limit-memory',
      '--limit-pids',
      ':4',
    ]);
    assert.deepEqual(await offered('service', 'create', '--restart-condition', ''), [
      'none',
      'on-failure',
      'any',
      ':4',
    ]);
    assert.deepEqual(await offered('service', 'create', '--restart-condition=o'), [
      '--restart-condition=on-failure',
      ':4',
    ]);
    assert.deepEqual(await offered('--so'), ['--socket', ':4']);
    assert.deepEqual(await offered('--socket', ''), [':0']);
    assert.ok(!(await offered('service', 'create', '--')).includes('--credential-spec'));
  });

  it('offers names that the daemon knows', async () => {
    assert.deepEqual(await offered('service', 'rm', 'api'), ['api10', 'api2', ':4']);
    assert.deepEqual(await offered('node', 'inspect', ''), ['self', 'alpha', 'beta', 'gamma', ':4']);
    assert.deepEqual(await offered('network', 'inspect', ''), [
      'ingress',
      'back',
      'spare',
      'bridge',
      'host',
      'none',
      ':4',
    ]);
    assert.deepEqual(await offered('service', 'create', '--network', 'b'), ['back', 'bridge', ':4']);
    assert.deepEqual(await offered('service', 'update', '--network-rm=s'), ['--network-rm=spare', ':4']);
    assert.deepEqual(await offered('service', 'ps', '-q', 'web', 'cap'), ['capable', ':4']);
    assert.deepEqual(await offered('--socket', '/x', 'service', 'update', '--detach', 'w'), ['web', ':4']);
    assert.deepEqual(await offered('join-token', ''), ['worker', 'manager', ':4']);
  });

  it('offers nothing where nothing more is taken, and files to the container’s command', async () => {
    assert.deepEqual(await offered('service', 'update', 'web', ''), [':4']);
    assert.deepEqual(await offered('service', 'create', 'busybox', 'c'), [':0']);
    assert.deepEqual(await offered('service', 'create', '--env-file', ''), [':0']);
  });

  it('offers nothing, quickly, without a daemon', async () => {
    const listServices = (): never => {
      throw new SwarmError({ code: 'unavailable', reason: 'daemon-unreachable', message: 'no daemon' });
    };
    const control = new Proxy(fakeApi(swarmFixture(NOW_MS)).control, { get: () => listServices });
    const { stdout } = await runCli(['complete', '--', 'service', 'rm', ''], { api: { control } });
    assert.equal(stdout, ':4\n');
  });
});

describe('cli: completion in bash', function () {
  this.timeout(20_000);

  let directory = '';
  let daemon: SocketDaemon | undefined;

  before(async () => {
    daemon = await startSocketDaemon(swarmFixture(NOW_MS));
    directory = await mkdtemp(join(tmpdir(), 'swarm-completion-'));
    await writeFile(join(directory, 'completion'), bashScript('swarm'));
    const start = join(import.meta.dirname, '../../../bin/swarm');
    await writeFile(join(directory, 'swarm'), `#!/bin/sh\nexec ${start} --socket ${daemon.socket} "$@"\n`);
    await chmod(join(directory, 'swarm'), 0o755);
  });

  after(async () => {
    await daemon?.close();
    await rm(directory, { recursive: true });
  });

  /** What bash would offer for the line. */
  async function replies(line: string): Promise<readonly string[]> {
    const script = `source completion; COMP_LINE=$1; COMP_POINT=\${#1}; _swarm_complete 2>errors; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout } = await promisify(execFile)('bash', ['-c', script, 'bash', line], {
      cwd: directory,
      env: { ...process.env, PATH: `${directory}${delimiter}${process.env.PATH ?? ''}` },
    });
    return stdout.trim().split('\n');
  }

  it('offers names', async () => {
    assert.deepEqual(await replies('swarm service rm api'), ['api10', 'api2']);
  });

  it('offers only what is missing behind a colon or an equals sign', async () => {
    assert.deepEqual(await replies('swarm service create --restart-condition=on'), ['on-failure']);
  });

  it('runs nothing of what was typed', async () => {
    await replies('swarm service rm $(touch ran) `touch ran` ; touch ran ');
    await assert.rejects(promisify(execFile)('test', ['-e', join(directory, 'ran')]));
  });
});
