/**
 * Goal: containers live as asked. Method: real containers of a busybox image, through every step of their life, with
 * each runtime that is installed.
 */
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mount, unmount } from '#agent/kernel/mount.ts';
import { EMPTY_CONTAINER_SPEC, findProgram } from '#agent/runtime/index.ts';
import { SwarmError } from '#common/errors.ts';
import { eventually } from '#test/support/eventually.ts';
import { skipBecause } from '#test/support/skip-because.ts';
import { describeInside } from './inside.ts';
import { TestRuntime } from './test-runtime.ts';

async function refusal(work: Promise<unknown>): Promise<SwarmError> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof SwarmError, String(error));
    return error;
  }
  assert.fail('it was not refused');
}

const MEMORY = EMPTY_CONTAINER_SPEC.resources;

describeInside(import.meta.filename, 'runtime: containers', () => {
  let under: TestRuntime;

  before(async () => {
    under = await TestRuntime.make();
  });
  after(() => under.remove());

  it('passes on output, environment, hostname and exit code', async () => {
    const ended = await under.shell('echo out; echo err >&2; echo $A-$HOME-$HOSTNAME; hostname; exit 7', {
      spec: { env: ['A=b'], hostname: 'web-1' },
    });
    assert.equal(ended.code, 7);
    assert.deepEqual(ended.output.trim().split('\n').toSorted(), ['b-/root-web-1', 'err', 'out', 'web-1']);
    assert.equal(ended.oomKilled, false);
    assert.equal(ended.error, undefined);
  });

  it('takes entrypoint, command, environment, directory and user from the image', async () => {
    const ended = await under.run([], {
      defaults: {
        entrypoint: ['/bin/sh', '-c'],
        command: ['echo $FROM; pwd; id -u; id -G'],
        env: ['FROM=image'],
        workingDirectory: '/made/here',
        user: 'user',
      },
    });
    assert.equal(ended.output, 'image\n/made/here\n1000\n1000 29 44\n');
  });

  it('waits between create and start', async () => {
    const request = under.request(['/bin/sh', '-c', 'echo started']);
    const view = await under.runtime.create(request);
    assert.equal(view.record.state.phase, 'created');
    assert.equal(await under.output(request.id), '');
    await under.runtime.start(request.id);
    await under.runtime.start(request.id); // idempotent
    await under.runtime.wait(request.id);
    assert.equal(await under.output(request.id), 'started\n');
  });

  it('refuses a second container with the same id', async () => {
    const id = await under.start(['/bin/sleep', '1000']);
    assert.equal((await refusal(under.runtime.create({ ...under.request(['/bin/true']), id }))).code, 'exists');
    await under.runtime.remove(id);
  });

  it('stops with the stop signal, and with SIGKILL after the grace period', async () => {
    const trap = (then: string) => [
      '/bin/sh',
      '-c',
      `trap '${then}' TERM USR1; echo ready; while :; do sleep 0.01; done`,
    ];
    const willing = await under.start(trap('exit 9'), { stopSignal: 10 });
    await eventually('the trap is set', async () => (await under.output(willing)).includes('ready'));
    assert.equal((await under.runtime.stop(willing)).code, 9);
    const deaf = await under.start(trap(':'));
    await eventually('the trap is set', async () => (await under.output(deaf)).includes('ready'));
    const begin = performance.now();
    assert.equal((await under.runtime.stop(deaf, 150)).code, 137);
    assert.ok(performance.now() - begin >= 150);
  });

  it('stops one that was never started', async () => {
    const request = under.request(['/bin/sleep', '1000']);
    await under.runtime.create(request);
    assert.equal((await under.runtime.stop(request.id)).code, 137);
  });

  it('limits memory and reports that it ran out', async () => {
    const ended = await under.shell('x=a; while :; do x=$x$x; done', {
      spec: { resources: { ...MEMORY, cpuNanos: undefined, memoryBytes: 16 << 20 } },
    });
    assert.equal(ended.code, 137);
    assert.equal(ended.oomKilled, true);
    assert.match(ended.error ?? '', /out of memory/);
  });

  it('does not take every SIGKILL for a lack of memory', async () => {
    const id = await under.start(['/bin/sleep', '1000'], {
      spec: { resources: { ...MEMORY, cpuNanos: undefined, memoryBytes: 16 << 20 } },
    });
    await under.runtime.signal(id, 9);
    const ended = await under.runtime.wait(id);
    assert.equal(ended.code, 137);
    assert.equal(ended.oomKilled, false);
  });

  it('limits processes', async () => {
    const ended = await under.shell('for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; wait', {
      spec: { resources: { ...MEMORY, cpuNanos: undefined, memoryBytes: undefined, pids: 5 } },
    });
    assert.match(ended.output, /can't fork/);
  });

  it('limits CPU time', async () => {
    const id = await under.start(['/bin/sh', '-c', 'while :; do :; done'], {
      spec: { resources: { ...MEMORY, cpuNanos: 0.2e9, memoryBytes: undefined } },
    });
    await eventually('it is throttled', async () => ((await under.runtime.statistics(id))?.throttledPeriods ?? 0) > 3);
    const statistics = await under.runtime.statistics(id);
    assert.ok((statistics?.cpuNanos ?? 0) > 0);
    assert.equal(statistics?.pids, 1);
    await under.runtime.remove(id);
  });

  it('says what is wrong with a command', async () => {
    await writeFile(join(under.layer, 'bin/garbage'), 'not a program', { mode: 0o755 });
    await writeFile(join(under.layer, 'bin/plain'), 'x', { mode: 0o644 });
    const missing = await refusal(under.run(['/no/such/program']));
    assert.equal(missing.reason, 'command-not-found');
    assert.match(missing.message, /"\/no\/such\/program"/);
    assert.equal((await refusal(under.run(['nosuch']))).reason, 'command-not-found');
    assert.equal((await refusal(under.run(['/bin/plain']))).reason, 'command-not-found');
    assert.equal((await refusal(under.run([]))).reason, 'command-not-found');
    assert.match((await under.run(['/bin/garbage'])).error ?? '', /exec format error/);
  });

  it('leaves nothing of a create that failed', async () => {
    const request = under.request(['/no/such/program']);
    await refusal(under.runtime.create(request));
    const { paths, cgroups } = under.runtime.context;
    assert.equal(under.runtime.inspect(request.id), undefined);
    for (const path of [paths.bundle(request.id), paths.container(request.id), `${paths.runtimeRoot}/${request.id}`])
      await assert.rejects(readFile(path), { code: 'ENOENT' });
    assert.deepEqual(
      (await cgroups.children(under.cgroupParent)).filter((name) => name.endsWith(`-${request.id}`)),
      [],
    );
  });

  it('cancels a create that waits for its turn', async () => {
    const controller = new AbortController();
    const others = [1, 2, 3, 4].map(() => under.runtime.create(under.request(['/bin/true'])));
    const request = under.request(['/bin/true']);
    const waiting = under.runtime.create(request, controller.signal);
    controller.abort();
    assert.equal((await refusal(waiting)).code, 'cancelled');
    await Promise.all(others);
    assert.equal(under.runtime.inspect(request.id), undefined);
  });

  it('mounts binds and tmpfs, parents before children', async () => {
    const host = join(under.directory, 'host');
    await mkdir(join(host, 'sub'), { recursive: true });
    await writeFile(join(host, 'file'), 'from the host\n');
    const bind = { kind: 'bind', propagation: 'rprivate', recursive: true } as const;
    const ended = await under.shell(
      'cat /data/file; touch /data/x 2>&1; touch /data/sub/y; df /scratch | tail -1; touch /scratch/z && echo ok',
      {
        spec: {
          mounts: [
            { ...bind, source: join(host, 'sub'), target: '/data/sub', readOnly: false },
            { ...bind, source: host, target: '/data', readOnly: true },
            { kind: 'tmpfs', target: '/scratch', readOnly: false, sizeBytes: 1 << 20, mode: 0o1777, options: [] },
          ],
        },
      },
    );
    const lines = ended.output.trim().split('\n');
    assert.equal(lines[0], 'from the host');
    assert.match(lines[1] ?? '', /Read-only file system/);
    assert.match(lines[2] ?? '', /\b1024\b/);
    assert.equal(lines[3], 'ok');
    await readFile(join(host, 'sub/y'));
  });

  it('makes the root read-only, injected files too', async () => {
    const files = { '/etc/hosts': '127.0.0.1 localhost\n' };
    const readOnly = await under.shell('touch /x; echo a >> /etc/hosts; cat /etc/hosts', {
      spec: { readOnly: true },
      files,
    });
    assert.equal(readOnly.output.match(/Read-only file system/g)?.length, 2);
    assert.match(readOnly.output, /localhost/);
    const writable = await under.shell('echo "::2 x" >> /etc/hosts; cat /etc/hosts', { files });
    assert.equal(writable.output, '127.0.0.1 localhost\n::2 x\n');
  });

  it('lets other users read what it injects, whatever umask the agent was started with', async () => {
    process.umask(0o077);
    await under.reopen();
    const ended = await under.shell('cat /etc/hosts; ls -ld / | cut -c1-10', {
      files: { '/etc/hosts': 'a\n' },
      spec: { user: '1000' },
    });
    assert.equal(ended.output, 'a\ndrwxr-xr-x\n');
  });

  it('runs an init that reaps and passes the exit code on', async () => {
    const orphan = 'orphan=$(sleep 0.01 >/dev/null & echo $!)';
    const reaped = 'for look in $(seq 500); do [ -e /proc/$orphan ] || break; sleep 0.01; done; [ -e /proc/$orphan ]';
    const ended = await under.shell(`cat /proc/1/comm; ${orphan}; ${reaped} && echo unreaped; exit 3`, {
      spec: { init: true },
    });
    assert.equal(ended.code, 3);
    assert.equal(ended.output, 'init\n');
    assert.match((await under.run(['/nope'], { spec: { init: true } })).error ?? '', /\/nope/);
  });

  it('gives a terminal when asked', async () => {
    const ended = await under.shell('test -t 1 && echo terminal $TERM', { spec: { tty: true } });
    assert.match(ended.output, /terminal xterm/);
  });

  it('sets sysctls, ulimits, shared memory, OOM score and groups', async () => {
    const ended = await under.shell(
      'cat /proc/sys/kernel/msgmax /proc/self/oom_score_adj; ulimit -n; ulimit -c; df /dev/shm | tail -1; id -G',
      {
        spec: {
          sysctls: { 'kernel.msgmax': '9000' },
          ulimits: [
            { name: 'nofile', soft: 77, hard: 88 },
            { name: 'core', soft: 0, hard: -1 },
          ],
          oomScoreAdjust: 250,
          shmBytes: 1 << 20,
          groups: ['video', '4242'],
        },
      },
    );
    const lines = ended.output.trim().split('\n');
    assert.deepEqual(lines.slice(0, 4), ['9000', '250', '77', '0']);
    assert.match(lines[4] ?? '', /\b1024\b/);
    assert.equal(lines[5], '0 44 4242');
  });

  it('pauses and resumes; a frozen container is stopped all the same', async () => {
    const printing = ['/bin/sh', '-c', "trap 'exit 4' TERM; while :; do echo x; sleep 0.01; done"];
    const [id, free] = [await under.start(printing), await under.start(printing)];
    await eventually('it prints', async () => (await under.output(id)).length > 0);
    await under.runtime.pause(id);
    assert.equal(under.runtime.inspect(id)?.paused, true);
    const before = await under.output(id);
    const { length } = await under.output(free);
    await eventually('the other one goes on printing', async () => (await under.output(free)).length >= length + 20);
    assert.ok((await under.output(id)).length - before.length <= 2, 'no more output while frozen');
    await under.runtime.resume(id);
    const resumed = await under.output(id);
    await eventually('it prints again', async () => (await under.output(id)).length > resumed.length + 4);
    await under.runtime.pause(id);
    assert.equal((await under.runtime.stop(id)).code, 4);
    const killed = await under.start(['/bin/sleep', '1000']);
    await under.runtime.pause(killed);
    assert.equal((await under.runtime.kill(killed)).code, 137);
  });

  it('counts the writable layer', async () => {
    const id = await under.start(['/bin/sh', '-c', 'dd if=/dev/zero of=/big bs=1M count=2; sleep 1000']);
    await eventually('it is written', async () => (await under.runtime.layerBytes(id)) >= 2 << 20);
    await under.runtime.remove(id);
  });

  it('stacks more layers than a mount call has room for', async () => {
    const layers: string[] = [];
    for (let number = 0; number < 180; number++) {
      const directory = join(under.directory, 'a-rather-long-name-for-a-directory-of-layers', `layer-${number}`);
      await mkdir(directory, { recursive: true });
      await writeFile(join(directory, `file-${number}`), '');
      layers.push(directory);
    }
    for (const count of [90, 180]) {
      const all = [...layers.slice(0, count), under.layer];
      const image = { ...under.request([]).image, layers: all };
      const ended = await under.shell('ls / | grep -c file-', { image });
      assert.equal(ended.output, `${count}\n`);
    }
  });

  it('stops all for a host that goes down', async () => {
    const onTerm = (what: string): Promise<string> =>
      under.start(['/bin/sh', '-c', `trap '${what}' TERM; echo ready; while :; do sleep 0.01; done`]);
    const ids = await Promise.all([1, 2, 3].map(() => onTerm('exit 5')));
    const deaf = await onTerm('');
    for (const id of [...ids, deaf]) await eventually('its trap is set', async () => (await under.output(id)) !== '');
    await under.runtime.stopAll(300, 2);
    for (const id of ids) assert.equal((await under.runtime.wait(id)).code, 5);
    assert.equal((await under.runtime.wait(deaf)).code, 137);
  });

  it('says so when the disk is full, and leaves nothing', async () => {
    const full = await TestRuntime.make({
      before: async (directory) => {
        await mkdir(join(directory, 'state'));
        const request = { source: 'none', target: join(directory, 'state'), type: 'tmpfs', flags: 0 };
        await mount({ ...request, data: 'size=1m,nr_inodes=40,mode=700' });
      },
    });
    try {
      const failures: SwarmError[] = [];
      for (let count = 0; count < 20 && failures.length === 0; count++)
        await full.start(['/bin/sleep', '1000']).catch((error: unknown) => {
          assert.ok(error instanceof SwarmError, String(error));
          failures.push(error);
        });
      assert.deepEqual([failures[0]?.reason, failures[0]?.code], ['disk-full', 'exhausted']);
      const living = full.runtime.list().map(({ record }) => record.id);
      assert.ok(living.length > 0);
      assert.deepEqual((await readdir(full.runtime.context.paths.containers)).toSorted(), living.toSorted());
      for (const id of living) await full.runtime.remove(id);
      assert.equal((await full.shell('echo works again')).output, 'works again\n');
    } finally {
      for (const { record } of full.runtime.list()) await full.runtime.remove(record.id);
      await unmount(full.stateDirectory);
      await full.remove();
    }
  });

  it('works with any OCI runtime, in the ways that the standard knows', async () => {
    const wrapper = join(under.directory, 'own-runtime');
    const script = '#!/bin/sh\n[ "$1" = --version ] && echo "own-runtime version 1" && exit\nexec crun "$@"\n';
    await writeFile(wrapper, script, { mode: 0o755 });
    const other = await TestRuntime.make({ runtimeName: wrapper });
    try {
      assert.equal(other.runtime.context.runtime.startProtocol, 'command');
      const ended = await other.shell('echo hello; exit 3');
      assert.deepEqual([ended.code, ended.output], [3, 'hello\n']);
      await other.runtime.release(ended.id);
      assert.deepEqual(await readdir(other.runtime.context.paths.runtimeRoot), []);
      assert.equal((await refusal(other.run(['/no/such']))).reason, 'command-not-found');
      const living = await other.start(['/bin/sleep', '1000']);
      assert.deepEqual((await other.reopen()).adopted, [living]);
    } finally {
      await other.remove();
    }
    assert.equal((await refusal(TestRuntime.make({ runtimeName: 'no-such-runtime' }))).reason, 'preflight');
  });

  it('works with runc too', async function (this: Mocha.Context) {
    if ((await findProgram('runc')) === undefined) skipBecause(this, 'runc is not installed');
    const other = await TestRuntime.make({ runtimeName: 'runc' });
    try {
      const ended = await other.shell('echo hello; grep -E "Seccomp:|CapBnd" /proc/self/status; exit 3');
      assert.equal(ended.code, 3);
      assert.match(ended.output, /^hello\nCapBnd:\s00000000a80425fb\nSeccomp:\s2\n$/);
      assert.equal((await refusal(other.run(['/no/such']))).reason, 'command-not-found');
      assert.equal((await refusal(other.run(['nosuch']))).reason, 'command-not-found');
      await writeFile(join(other.layer, 'bin/plain'), 'x', { mode: 0o644 });
      assert.equal((await refusal(other.run(['/bin/plain']))).reason, 'command-not-found');
    } finally {
      await other.remove();
    }
  });
});
