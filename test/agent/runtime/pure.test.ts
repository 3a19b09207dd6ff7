/** Goal: the small deciding parts of the runtime. Method: tables. */
import assert from 'node:assert/strict';
import { monitorArguments } from '#agent/runtime/conmon/arguments.ts';
import { createFailure } from '#agent/runtime/conmon/create-failure.ts';
import { helpedContainer } from '#agent/runtime/conmon/kill-helpers.ts';
import { describeConmon } from '#agent/runtime/conmon/probe-conmon.ts';
import { type ContainerRecord, moveTo, parseRecord } from '#agent/runtime/container-record.ts';
import { explainOutput, mayHaveFailedToStart } from '#agent/runtime/exit-diagnosis.ts';
import { Limiter } from '#agent/runtime/limiter.ts';
import { describeRuntime } from '#agent/runtime/oci-runtime.ts';
import { RuntimePaths } from '#agent/runtime/paths.ts';
import { checkOverlayPath, overlayData } from '#agent/runtime/rootfs/overlay-options.ts';
import { SwarmError } from '#common/errors.ts';

const RECORD: ContainerRecord = {
  version: 1,
  id: 'x',
  bootId: 'b',
  createdAtMs: 1,
  runtime: '/usr/bin/crun',
  cgroupPath: '/p/x',
  imageId: 'i',
  stopSignal: 15,
  stopGraceMs: 1,
  log: { driver: 'none', maxBytes: 1, maxFiles: 1 },
  labels: {},
  state: { phase: 'creating' },
};

describe('runtime: errors of the OCI runtimes', () => {
  for (const [text, reason, words] of [
    ['executable file `/nope` not found in $PATH: No such file or directory\n', 'command-not-found', /"\/cmd"/],
    [
      'time="2026-11-21T05:40:35Z" level=error msg="runc create failed: unable to start container process: exec: \\"/nope\\": stat /nope: no such file or directory"\n',
      'command-not-found',
      /"\/cmd"/,
    ],
    [
      'time="x" level=error msg="runc create failed: exec: \\"nope\\": executable file not found in $PATH"',
      'command-not-found',
      /cmd/,
    ],
    ['open executable: Permission denied', 'command-not-found', /may not be executed/],
    ['exec: "/bin/plain": permission denied', 'command-not-found', /may not be executed/],
    ['chdir: Not a directory', 'bad-field', /working directory/],
    ['mount `/nope` to `x`: No such file or directory', 'bad-field', /mount/],
    ['write /x: no space left on device', 'disk-full', /space/],
    ['open `/run/netns/nope`: No such file or directory', 'network-failed', /network/],
    ['something new', 'runtime-failed', /something new/],
    ['', 'runtime-failed', /without a word/],
  ] as const)
    it(`${JSON.stringify(text.slice(0, 50))} is ${reason}`, () => {
      const error = createFailure(text, '/cmd');
      assert.equal(error.reason, reason);
      assert.match(error.message, words);
    });

  it('explains starts that failed after the create', () => {
    assert.match(explainOutput('x stderr F exec container process `/j`: Exec format error') ?? '', /architecture/);
    assert.match(
      explainOutput('[FATAL tini (1)] exec /nope failed: No such file or directory') ?? '',
      /cannot run \/nope/,
    );
    // The init writes its last words one by one.
    const pieces = ['P [FATAL tini (7)] ', 'P exec /nope failed: No such file', 'F  or directory'];
    assert.equal(
      explainOutput(pieces.map((piece) => `2026-01-01T00:00:00+00:00 stderr ${piece}\n`).join('')),
      'cannot run /nope: No such file or directory',
    );
    assert.equal(explainOutput('anything else'), undefined);
    assert.deepEqual(
      [mayHaveFailedToStart(1, 10), mayHaveFailedToStart(1, 60_000), mayHaveFailedToStart(7, 10)],
      [true, false, false],
    );
  });
});

describe('runtime: the monitor', () => {
  const request = {
    id: 'x',
    runtime: '/usr/bin/crun',
    runtimeRoot: '/run/s/rt',
    bundle: '/run/s/c/x',
    exitDirectory: '/run/s/exits',
    logFile: '/state/x/log',
    logBytesMax: 100,
    tty: true,
    openStdin: false,
    canSkipSync: true,
  };

  it('is told everything by absolute paths', () => {
    const line = monitorArguments(request);
    assert.ok(line.includes('--terminal') && !line.includes('--stdin'));
    assert.equal(line[line.indexOf('--log-path') + 1], 'k8s-file:/state/x/log');
    assert.ok(monitorArguments({ ...request, logFile: undefined }).includes('none'));
  });

  it('is asked for what its version can', () => {
    assert.equal(describeConmon('/c', 'conmon version 2.1.6\ncommit: x')?.canSkipSync, true);
    assert.equal(describeConmon('/c', 'conmon version 2.0.25\n')?.canSkipSync, false);
    assert.equal(describeConmon('/c', 'something else'), undefined);
    assert.ok(!monitorArguments({ ...request, canSkipSync: false }).includes('--no-sync-log'));
  });

  it('is recognised, and so is a runtime at work', () => {
    const conmon = ['/usr/bin/conmon', ...monitorArguments(request)];
    assert.equal(helpedContainer(conmon, '/run/s/rt'), 'x');
    assert.equal(helpedContainer(conmon, '/run/other/rt'), undefined);
    assert.equal(
      helpedContainer(['/usr/bin/crun', '--root=/run/s/rt', 'create', '--bundle', '/b', 'y'], '/run/s/rt'),
      'y',
    );
    assert.equal(helpedContainer(['node', 'agent.js'], '/run/s/rt'), undefined);
  });
});

describe('runtime: records', () => {
  it('go one way', () => {
    const init = { pid: 1, startTicks: 1 };
    const created = moveTo(RECORD, { phase: 'created', init, monitor: init });
    const exit = { code: 0, oomKilled: false, finishedAtMs: 1, error: undefined };
    const exited = moveTo(created, { phase: 'exited', startedAtMs: undefined, exit });
    assert.throws(() => moveTo(exited, { phase: 'running', init, monitor: init, startedAtMs: 1 }), SwarmError);
    assert.throws(() => moveTo(created, { phase: 'created', init, monitor: init }), SwarmError);
    assert.deepEqual(parseRecord(JSON.stringify(exited)), JSON.parse(JSON.stringify(exited)));
  });

  it('that are none are not read', () => {
    for (const text of [
      '',
      '{}',
      'null',
      '[]',
      '{"version":2}',
      JSON.stringify({ ...RECORD, state: { phase: 'x' } }),
      JSON.stringify({ ...RECORD, version: 2 }),
    ])
      assert.equal(parseRecord(text), undefined, text);
  });
});

describe('runtime: the OCI runtime', () => {
  it('starts by FIFO only in versions that are known', () => {
    const describe_ = (text: string) => describeRuntime('/usr/bin/x', text).startProtocol;
    assert.equal(describe_('crun version 1.8.1\ncommit: x'), 'write-fifo');
    assert.equal(describe_('runc version 1.1.5+ds1\n'), 'read-fifo');
    assert.equal(describe_('crun version 1.18\n'), 'command');
    assert.equal(describe_('crun version 2.0\n'), 'command');
    assert.equal(describe_('kata-runtime  : 3.0\n'), 'command');
    assert.equal(describeRuntime('/usr/bin/x', 'junk').name, 'x');
  });

  it('is reported when it has known holes', () => {
    assert.equal(describeRuntime('/r', 'runc version 1.1.5+ds1').warnings.length, 1);
    assert.equal(describeRuntime('/r', 'runc version 1.2.7').warnings.length, 1);
    assert.equal(describeRuntime('/r', 'runc version 1.2.8').warnings.length, 0);
    assert.equal(describeRuntime('/r', 'runc version 1.10.0').warnings.length, 0);
  });
});

describe('runtime: paths', () => {
  it('are plain and short', () => {
    assert.throws(() => new RuntimePaths('/state', `/run/${'x'.repeat(60)}`), SwarmError);
    for (const path of ['relative', '/a b', '/a:b', '/a,b', '/', '', '/a/'])
      assert.throws(() => new RuntimePaths(path, '/run/s'), SwarmError, path);
    const paths = new RuntimePaths('/state', '/run/s');
    assert.throws(() => paths.container('../x'), SwarmError);
    assert.ok(
      Buffer.byteLength(`${new RuntimePaths('/s', `/run/${'x'.repeat(55)}`).bundle('x'.repeat(25))}/attach`) < 108,
    );
  });

  it('of layers go into mount options as they are', () => {
    assert.equal(
      overlayData({ lowers: ['/a', '/b'], upper: '/u', work: '/w' }, true),
      'lowerdir=/a:/b,upperdir=/u,workdir=/w,volatile',
    );
    assert.equal(checkOverlayPath('x', '/var/lib/starling'), undefined);
    for (const path of ['/a:b', '/a,b', 'a', '/a\\b']) assert.ok(checkOverlayPath('x', path) !== undefined);
  });
});

describe('runtime: limiter', () => {
  it('runs so many at once, in order, and passes failures on', async () => {
    const limiter = new Limiter(2, 10);
    let running = 0;
    let most = 0;
    const order: number[] = [];
    const work = (number: number) => async (): Promise<number> => {
      running++;
      most = Math.max(most, running);
      order.push(number);
      await new Promise((resolve) => setImmediate(resolve));
      running--;
      if (number === 3) throw new Error('three');
      return number;
    };
    const results = await Promise.allSettled([1, 2, 3, 4, 5].map((number) => limiter.run(work(number))));
    assert.equal(most, 2);
    assert.deepEqual(order, [1, 2, 3, 4, 5]);
    assert.deepEqual(
      results.map((one) => one.status),
      ['fulfilled', 'fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
    );
  });

  it('refuses when the line is full, and lets waiters go', async () => {
    const limiter = new Limiter(1, 1);
    let finish = (): void => {};
    const first = limiter.run(() => new Promise<void>((resolve) => (finish = resolve)));
    const controller = new AbortController();
    const second = limiter.run(async () => {}, controller.signal);
    await assert.rejects(
      limiter.run(async () => {}),
      (error) => error instanceof SwarmError && error.reason === 'too-many',
    );
    controller.abort();
    await assert.rejects(second, (error) => error instanceof SwarmError && error.code === 'cancelled');
    const third = limiter.run(async () => 3);
    finish();
    await first;
    assert.equal(await third, 3);
  });
});
