/**
 * Goal: the real program behaves in a real shell: streams, exit codes, pipes that close, Ctrl-C. Method: bin/swarm from
 * source as a child process, on a socket with the fixture's swarm.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type SocketDaemon, startSocketDaemon } from './support/socket-daemon.ts';
import { swarmFixture } from './swarm-fixture.ts';

const SWARM = join(import.meta.dirname, '../../../bin/swarm');

interface Ended {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number | null;
  readonly signal: string | null;
}

async function run(
  program: string,
  words: readonly string[],
  onOutput?: (text: string, kill: (signal: NodeJS.Signals) => void) => void,
): Promise<Ended> {
  const child = spawn(program, words, { env: { ...process.env, STARLING_FROM_SOURCE: '1' } });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += String(chunk);
    onOutput?.(stdout, (signal) => child.kill(signal));
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += String(chunk);
  });
  const [exitCode, signal] = (await once(child, 'close')) as [number | null, string | null];
  return { stdout, stderr, exitCode, signal };
}

describe('cli: the program', function () {
  this.timeout(20_000);

  let daemon: SocketDaemon | undefined;

  before(async () => {
    daemon = await startSocketDaemon(swarmFixture(Date.now()));
  });

  after(async () => {
    await daemon?.close();
  });

  const socket = (): string => daemon?.socket ?? '';

  it('lists over its socket', async () => {
    const { stdout, stderr, exitCode } = await run(SWARM, ['--socket', socket(), 'service', 'ls', '-q']);
    assert.equal(stderr, '');
    assert.equal(exitCode, 0);
    assert.equal(stdout.trim().split('\n').length, 4);
  });

  it('says in one line, with the way out, that there is no daemon', async () => {
    const { stdout, stderr, exitCode } = await run(SWARM, ['-H', 'unix:///nowhere/swarm.sock', 'service', 'ls']);
    assert.deepEqual([stdout, exitCode], ['', 1]);
    assert.match(stderr, /^cannot reach swarmd at \/nowhere\/swarm\.sock: [^\n]+\nHint: [^\n]+\n$/);
  });

  it('ends with 125 for a bad flag', async () => {
    const { stderr, exitCode } = await run(SWARM, ['service', 'ls', '--bogus']);
    assert.equal(exitCode, 125);
    assert.match(stderr, /^unknown flag: --bogus\n/);
  });

  it('has --env-file for itself: Node.js takes neither the flag nor what is in the file', async () => {
    const words = ['--socket', socket(), 'service', 'create', '-d', '--no-resolve-image', '--name', 'enved'];
    const absent = await run(SWARM, [...words, '--env-file', '/nowhere/env', 'busybox']);
    assert.equal(absent.exitCode, 1);
    assert.match(absent.stderr, /^open \/nowhere\/env: no such file or directory\n/);
    const directory = await mkdtemp(join(tmpdir(), 'starling-env-file-'));
    try {
      const file = join(directory, 'env');
      await writeFile(file, 'NODE_OPTIONS=--no-such-option\nSTARLING_SOCKET=/nowhere/swarm.sock\n');
      const { stderr, exitCode } = await run(SWARM, [...words, '--env-file', file, 'busybox']);
      assert.deepEqual([stderr, exitCode], ['', 0]);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });

  it('ends quietly when its reader has gone', async () => {
    const script = `"${SWARM}" --socket "${socket()}" service ps --no-trunc web web | true; echo "\${PIPESTATUS[0]}"`;
    const { stdout, stderr } = await run('bash', ['-c', script]);
    assert.equal(stderr, '');
    assert.match(stdout, /^(?:0|141)\n$/);
  });

  it('leaves the service running on Ctrl-C', async () => {
    let isInterrupted = false;
    const { stdout, stderr, exitCode } = await run(
      SWARM,
      [
        '--socket',
        socket(),
        'service',
        'update',
        '--publish-rm',
        '80',
        '--publish-rm',
        '81',
        '--publish-rm',
        '53/udp',
        'web',
      ],
      (text, kill) => {
        if (!isInterrupted && text.includes('out of 3 tasks')) kill('SIGINT');
        isInterrupted = text.includes('out of 3 tasks');
      },
    );
    assert.equal(stderr, '');
    assert.equal(exitCode, 0);
    assert.match(
      stdout,
      /^web\noverall progress: 0 out of 3 tasks\n[^]*Operation continuing in background\.\nUse `swarm service ps web` to check progress\.\n$/,
    );
  });
});
