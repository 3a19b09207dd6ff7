/** Goal: commands run in containers within their bounds. Method: real containers, whose processes are counted. */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { findProgram } from '#agent/runtime/index.ts';
import { SwarmError } from '#common/errors.ts';
import { eventually } from '#test/support/eventually.ts';
import { skipBecause } from '#test/support/skip-because.ts';
import { describeInside } from './inside.ts';
import { processesMentioning, TestRuntime } from './test-runtime.ts';

const BOUNDS = { timeoutMs: 20_000, outputBytesMax: 4096 };

describeInside(import.meta.filename, 'runtime: commands in a container', () => {
  let under: TestRuntime;
  let id: string;
  before(async () => {
    under = await TestRuntime.make();
    id = await under.start(['/bin/sleep', '1000'], {
      spec: { env: ['WHO=me'], workingDirectory: '/tmp', user: 'user' },
    });
  });
  after(() => under.remove());

  it('see what the first process sees, and give their exit code and both of their outputs', async () => {
    const shell = (line: string) => under.runtime.exec(id, { ...BOUNDS, command: ['/bin/sh', '-c', line] });
    const result = await shell('echo $WHO $(pwd) $(id -u); echo wrong >&2; exit 7');
    assert.equal(result.exitCode, 7);
    assert.deepEqual(result.output.trim().split('\n').sort(), ['me /tmp 1000', 'wrong']);
    assert.match((await shell('grep CapEff /proc/self/status')).output, /0000000000000000/);
  });

  it('that are not there say so', async () => {
    const result = await under.runtime.exec(id, { ...BOUNDS, command: ['/bin/nothing'] });
    assert.notEqual(result.exitCode, 0);
    assert.match(result.output, /nothing/);
  });

  it('are cut short at the limit of their output, and do not stop for it', async () => {
    const result = await under.runtime.exec(id, {
      ...BOUNDS,
      command: ['/bin/sh', '-c', 'yes | head -c 1000000; exit 3'],
    });
    assert.equal(result.output.length, 4096);
    assert.equal(result.exitCode, 3);
  });

  it('that take too long are killed with all that they have started', async () => {
    const result = await under.runtime.exec(id, {
      command: ['/bin/sh', '-c', 'echo begun; sleep 500 & sh -c "sleep 501; :"'],
      timeoutMs: 700,
      outputBytesMax: 4096,
    });
    assert.equal(result.exitCode, undefined);
    assert.equal(result.output, 'begun\n');
    // What is dead already waits for the container's first process, which here reaps nobody.
    const processes = async () => (await under.runtime.exec(id, { ...BOUNDS, command: ['/bin/ps'] })).output;
    assert.match(await processes(), /sleep 1000/);
    await eventually('nothing of it is left', async () => !/sleep 50/.test(await processes()));
  });

  it('hang for themselves: others are not held up by as many as may begin at once', async () => {
    const giveUp = new AbortController();
    const hang = () =>
      under.runtime.exec(id, { ...BOUNDS, timeoutMs: 60_000, command: ['/bin/sleep', '500'] }, giveUp.signal);
    const hanging = Array.from({ length: 12 }, hang);
    assert.equal((await under.runtime.exec(id, { ...BOUNDS, command: ['/bin/true'] })).exitCode, 0);
    giveUp.abort();
    for (const one of await Promise.all(hanging)) assert.equal(one.exitCode, undefined);
  });

  it('end with the container', async () => {
    const other = await under.start(['/bin/sleep', '1000']);
    const running = under.runtime.exec(other, { ...BOUNDS, timeoutMs: 60_000, command: ['/bin/sleep', '500'] });
    // A process of the program itself: one that the runtime has not made into it yet ends with an error of the runtime.
    const programs = async () => (await under.runtime.exec(other, { ...BOUNDS, command: ['/bin/ps'] })).output;
    await eventually('it runs', async () => /\/bin\/sleep 500/.test(await programs()));
    await under.runtime.kill(other);
    assert.equal((await running).exitCode, 137);
    await assert.rejects(under.runtime.exec(other, { ...BOUNDS, command: ['/bin/true'] }), SwarmError);
    await under.runtime.remove(other);
  });

  it('are the same with runc: words, exit code, and an end in time', async function () {
    if ((await findProgram('runc')) === undefined) skipBecause(this, 'no runc here');
    const other = await TestRuntime.make({ runtimeName: 'runc' });
    try {
      const container = await other.start(['/bin/sleep', '1000'], { spec: { env: ['WHO=me'] } });
      const shell = (line: string, timeoutMs: number) =>
        other.runtime.exec(container, { command: ['/bin/sh', '-c', line], timeoutMs, outputBytesMax: 2000 });
      assert.deepEqual(await shell('echo $WHO; exit 7', 20_000), { exitCode: 7, output: 'me\n' });
      assert.deepEqual(await shell('echo begun; sleep 500; :', 1500), { exitCode: undefined, output: 'begun\n' });
      const processes = async () => (await shell('ps', 20_000)).output;
      await eventually('nothing of it is left', async () => !/sleep 500/.test(await processes()));
    } finally {
      await other.remove();
    }
  });

  it('flood for as long as they may, and are remembered up to the limit of their output', async () => {
    const other = await under.start(['/bin/sleep', '1000']);
    const before = process.memoryUsage().rss;
    const result = await under.runtime.exec(other, { command: ['/bin/yes'], timeoutMs: 1000, outputBytesMax: 4096 });
    assert.equal(result.exitCode, undefined);
    assert.equal(result.output.length, 4096);
    assert.ok(process.memoryUsage().rss - before < 64 * 1024 * 1024, 'the flood is not kept');
    await under.runtime.remove(other);
  });

  it('leave no descriptor and no process on the host, however they end', async () => {
    const other = await under.start(['/bin/sleep', '1000']);
    const lines = ['true', 'exit 3', 'no-such-program', 'yes | head -c 100000', 'sleep 600 & exit 0', 'sleep 601'];
    const all = () =>
      Promise.all(
        lines.map((line) =>
          under.runtime.exec(other, { command: ['/bin/sh', '-c', line], timeoutMs: 800, outputBytesMax: 1024 }),
        ),
      );
    const bundle = under.runtime.context.paths.bundle(other);
    const helpers = async () => (await processesMentioning(`${bundle}/exec-`)).length;
    await all();
    await eventually('the runs of the runtime are over', async () => (await helpers()) === 0);
    const before = (await readdir('/proc/self/fd')).length;
    for (let round = 0; round < 4; round++) await all();
    await eventually('the runs of the runtime are over', async () => (await helpers()) === 0);
    await eventually('descriptors are closed', async () => (await readdir('/proc/self/fd')).length <= before);
    await under.runtime.remove(other);
  });

  it('leave nothing in the bundle but what the next of them needs', async () => {
    for (let round = 0; round < 5; round++) await under.runtime.exec(id, { ...BOUNDS, command: ['/bin/true'] });
    const files = await readdir(`${under.runDirectory}/c/${id}`);
    assert.equal(files.filter((name) => name.endsWith('.pid')).length, 0);
    assert.ok(files.filter((name) => /^exec-\d+\.json$/.test(name)).length <= 8);
  });
});
