/** Goal: children start, talk, end and leak nothing, whatever they do. Method: real programs. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { closeDescriptor, hasErrno, libcFunction } from '#agent/kernel/libc.ts';
import { ProcessHandle } from '#agent/kernel/pidfd.ts';
import { parseProcessStat, readBootId, readCommandLine, readProcess } from '#agent/kernel/process-status.ts';
import { runProcess } from '#agent/kernel/run-process.ts';
import { startProcess } from '#agent/kernel/spawn.ts';
import { SwarmError } from '#common/errors.ts';

const ENV = { PATH: '/usr/bin:/bin' };

function shell(script: string, timeoutMs = 5000) {
  return runProcess({ file: '/bin/sh', args: ['-c', script], env: ENV, timeoutMs, outputBytesMax: 1000 });
}

describe('kernel: posix_spawn', () => {
  it('passes arguments, environment and directory, and nothing of our own', async () => {
    const run = await runProcess({
      file: '/bin/sh',
      args: ['-c', 'echo "$0|$1|$A|$HOME"; pwd', 'zero', 'a b\n"$c"'],
      env: { ...ENV, A: 'ü' },
      directory: '/usr',
      timeoutMs: 5000,
      outputBytesMax: 1000,
    });
    assert.equal(run.stdout, 'zero|a b\n"$c"|ü|\n/usr\n');
  });

  it('gives exit codes, and signals as 128 and more', async () => {
    assert.equal((await shell('exit 7')).exitCode, 7);
    assert.equal((await shell('kill -9 $$')).exitCode, 137);
    assert.equal((await shell('echo out; echo err >&2')).stderr, 'err\n');
  });

  it('gives children no descriptor but those asked for, and none of ours that lacks close-on-exec', async () => {
    // As a descriptor that we inherited from a careless parent.
    const careless = libcFunction<[number]>('dup', 'int', ['int'])(1);
    const listed = await shell('ls /proc/self/fd');
    closeDescriptor(careless);
    // 3 is ls reading the directory.
    assert.deepEqual(listed.stdout.trim().split('\n'), ['0', '1', '2', '3']);
  });

  it('resets the signals that Node ignores or blocks', async () => {
    const { stdout } = await shell('grep -E "SigBlk|SigIgn" /proc/self/status');
    const ignored = BigInt(`0x${/SigIgn:\s*(\w+)/.exec(stdout)?.[1] ?? 'f'}`);
    assert.match(stdout, /SigBlk:\s*0{16}/);
    assert.equal(ignored & (1n << 12n), 0n, 'SIGPIPE is not ignored');
  });

  it('writes to and reads from pipes at any number', async () => {
    const child = startProcess({
      file: '/bin/sh',
      args: ['-c', 'cat <&4 >&3'],
      env: ENV,
      descriptors: ['null', 'null', 'null', 'read', 'write'],
    });
    let text = '';
    child.pipes[3]?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    const closed = new Promise((resolve) => child.pipes[3]?.once('close', resolve));
    child.pipes[4]?.end('through the child');
    assert.deepEqual(await child.ended, { exitCode: 0, signal: undefined });
    await closed;
    assert.equal(text, 'through the child');
  });

  it('reports programs that cannot be started', () => {
    const start = (file: string) => () => startProcess({ file, args: [], env: {}, descriptors: ['null', 'read'] });
    assert.throws(start('/no/such/program'), (error) => hasErrno(error, 'ENOENT'));
    assert.throws(start('/etc/passwd'), (error) => hasErrno(error, 'EACCES'));
  });

  it('kills what takes too long, and does not wait for grandchildren that hold the pipes', async () => {
    await assert.rejects(shell('sleep 100', 50), (error) => error instanceof SwarmError && error.reason === 'timeout');
    const begin = performance.now();
    assert.equal((await shell('sleep 3 & echo $!')).exitCode, 0);
    assert.ok(performance.now() - begin < 2000);
  });

  it('keeps only so much of the output', async () => {
    const run = await shell('head -c 100000 /dev/zero | tr "\\0" x');
    assert.equal(run.stdout.length, 1000);
    assert.equal(run.exitCode, 0);
  });

  it('leaves no zombie and no descriptor', async () => {
    await shell('true');
    const before = (await readdir('/proc/self/fd')).length;
    await Promise.all(Array.from({ length: 30 }, () => shell('true')));
    assert.ok((await readdir('/proc/self/fd')).length <= before + 1);
    const children = await readFile(`/proc/self/task/${process.pid}/children`, 'utf8');
    for (const pid of children.split(' ').filter((one) => one !== ''))
      assert.notEqual(readProcess(Number(pid))?.state, 'Z');
  });
});

describe('kernel: pidfd', () => {
  it('sees the end of a process that is not our child', async () => {
    const { stdout } = await shell('sleep 1000 >/dev/null 2>&1 & echo $!');
    const handle = ProcessHandle.open(Number(stdout));
    process.kill(Number(stdout), 'SIGKILL');
    await handle?.ended;
    assert.notEqual(readProcess(Number(stdout))?.state, 'S');
    assert.equal(handle?.signal(15), false);
    handle?.close();
  });

  it('opens the very process or none', async () => {
    const own = readProcess(process.pid) ?? assert.fail();
    const handle = ProcessHandle.openExact(process.pid, own.startTicks);
    assert.equal(handle?.signal(0), true);
    handle?.close();
    assert.equal(handle?.signal(0), false);
    assert.equal(ProcessHandle.openExact(process.pid, own.startTicks + 1), undefined);
    assert.equal(ProcessHandle.open(2 ** 22 + 1), undefined);
  });
});

describe('kernel: process status', () => {
  it('reads stat lines with any command in them', () => {
    const rest = `S 1 ${Array.from({ length: 17 }, (_unused, index) => index + 5).join(' ')} 4711 0 0`;
    assert.deepEqual(parseProcessStat(`12 (a) b (c) ${rest}`), {
      pid: 12,
      command: 'a) b (c',
      state: 'S',
      parentPid: 1,
      startTicks: 4711,
    });
    assert.equal(parseProcessStat(''), undefined);
    assert.equal(parseProcessStat('12 (x)'), undefined);
  });

  it('knows our own', async () => {
    assert.equal(readProcess(process.pid)?.parentPid, process.ppid);
    assert.ok(readCommandLine(process.pid)?.some((argument) => argument.includes('mocha')));
    assert.match(await readBootId(), /^[0-9a-f-]{36}$/);
  });
});
