/**
 * Goal: every fault does what it says to one host and nobody else, can be undone, and leaves nothing.
 * Method: a lab of dummy daemons with disks and clocks of their own; faults are seen from inside the hosts.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { findClockLibrary } from '#src/lab/host-clock.ts';
import { Lab } from '#src/lab/lab.ts';
import { FABRIC } from '#src/lab/names.ts';
import { runLab } from '#src/lab/program.ts';
import { labTraces } from '#test/e2e/support/footprint.ts';
import { skipBecause } from '#test/support/skip-because.ts';

const DUMMY = [process.execPath, fileURLToPath(new URL('./dummy-daemon.ts', import.meta.url))];
const DISK_MEGABYTES = 64;

describe('lab: faults', function () {
  this.timeout(60_000);
  const name = `f${process.pid.toString(36)}`;
  let lab: Lab;
  let clocks = false;
  /** Of killed processes that had a clock of their own. */
  const shared = (): readonly string[] => readdirSync('/dev/shm').filter((file) => file.includes('faketime'));
  const sharedBefore = shared();

  before(async () => {
    clocks = (await findClockLibrary()) !== undefined;
    lab = await Lab.up({ name, managers: 2, workers: 1, daemon: DUMMY, diskMegabytes: DISK_MEGABYTES, clocks });
  });

  afterEach(async () => {
    await lab.undoFaults();
  });

  after(async () => {
    await Lab.remove(name);
    assert.deepEqual(await labTraces(name), []);
    assert.deepEqual(shared(), sharedBefore);
  });

  async function ask(from: string, host: string, timeout = '2'): Promise<{ now: number; uptime: number } | undefined> {
    const url = `http://${lab.host(host).address}:2377/`;
    const { exitCode, stdout } = await lab.exec(from, ['curl', '-s', '-m', timeout, url]);
    return exitCode === 0 ? JSON.parse(stdout) : undefined;
  }

  /** How many of three datagrams from one host are seen to arrive at another. */
  async function arrive(from: string, to: string): Promise<number> {
    const seen = async (): Promise<number> => {
      const { stdout } = await lab.exec(to, ['cat', '/proc/net/snmp']);
      const [head = '', values = ''] = stdout.split('\n').filter((line) => line.startsWith('Udp:'));
      return Number(values.split(' ')[head.split(' ').indexOf('NoPorts')]);
    };
    const before = await seen();
    const { address } = lab.host(to);
    await lab.exec(from, ['bash', '-c', 'for i in 1 2 3; do echo x >"/dev/udp/$0/9"; done 2>/dev/null', address]);
    return (await seen()) - before;
  }

  it('cuts one way: what goes out of a host is lost, what comes in is not, and the other way round', async () => {
    assert.equal(await arrive('m1', 'm2'), 3); // they know each other's link addresses now
    await lab.cut('m1', undefined, 'out');
    assert.deepEqual([await arrive('m1', 'm2'), await arrive('m2', 'm1')], [0, 3]);
    assert.deepEqual(
      (await lab.status()).map((host) => host.cutFrom),
      [['* out'], [], []],
    );
    await lab.heal('m1');
    await lab.cut('m1', undefined, 'in');
    assert.deepEqual([await arrive('m1', 'm2'), await arrive('m2', 'm1')], [3, 0]);
    await lab.heal('m1');
    await lab.cut('m2', 'm1', 'in');
    assert.deepEqual([await arrive('m1', 'm2'), await arrive('m2', 'm1')], [0, 3]);
    assert.deepEqual(
      (await lab.status()).map((host) => host.cutFrom),
      [['m2 out'], ['m1 in'], []],
    );
    await lab.cut('m1', 'm2', 'in');
    assert.deepEqual(
      (await lab.status()).map((host) => host.cutFrom),
      [['m2'], ['m1'], []],
    );
    await lab.heal('m2', 'm1');
    assert.deepEqual(await lab.cuts(), []);
    assert.equal(await arrive('m1', 'm2'), 3);
  });

  it('a loose contact ends mended', async () => {
    const flapping = lab.flap('w1', { downMs: 20, upMs: 20 });
    await lab.waitFor('three cuts', 5000, async () => flapping.cuts >= 3);
    await flapping.stop();
    assert.deepEqual(await lab.cuts(), []);
    assert.ok(await ask('m1', 'w1'));
  });

  it('a paused daemon does not answer until it goes on, and can be killed', async () => {
    await lab.host('m1').daemon.pause();
    assert.equal(await ask('m2', 'm1', '0.3'), undefined);
    assert.deepEqual(
      (await lab.status()).map((host) => host.paused),
      [true, false, false],
    );
    await lab.host('m1').daemon.continue();
    assert.ok(await ask('m2', 'm1'));
    await lab.host('m1').daemon.pause();
    await lab.killDaemon('m1');
    await lab.start('m1');
    assert.ok(await ask('m2', 'm1'));
  });

  it('a narrow wire takes its time, both ways', async () => {
    const load = async (from: string, to: string): Promise<number> => {
      const began = performance.now();
      const { stdout } = await lab.exec(to, ['curl', '-s', `http://${lab.host(from).address}:2377/${400_000}`]);
      assert.equal(stdout.length, 400_000);
      return performance.now() - began;
    };
    await lab.limitLink('m2', 1600); // 400 kB in about 2 s, less the burst
    for (const [from, to] of [
      ['m1', 'm2'],
      ['m2', 'm1'],
    ] as const) {
      const tookMs = await load(from, to);
      assert.ok(tookMs > 1000, `${from} to ${to}: ${Math.round(tookMs)} ms`);
    }
    await lab.limitLink('m2', undefined);
    assert.doesNotMatch((await lab.exec(FABRIC, ['tc', 'qdisc', 'show'])).stdout, /tbf/);
    assert.doesNotMatch((await lab.exec('m2', ['tc', 'qdisc', 'show'])).stdout, /tbf/);
  });

  const write = async (host: string): Promise<number> =>
    (await lab.exec(host, ['sh', '-c', 'echo text >"$0/probe"', lab.host(host).paths.stateDirectory])).exitCode;

  it('a full disk is full for one host only, and its content stays through a loss of power', async () => {
    await lab.host('m1').disk.fill();
    assert.notEqual(await write('m1'), 0);
    assert.equal(await write('m2'), 0);
    await lab.host('m1').disk.free();
    assert.equal(await write('m1'), 0);
    await lab.kill('m1');
    await lab.start('m1');
    const { stdout } = await lab.exec('m1', ['cat', `${lab.host('m1').paths.stateDirectory}/probe`]);
    assert.equal(stdout, 'text\n');
  });

  it('a slow disk is slow for one host only, also for processes that come later', async () => {
    const sync = async (host: string): Promise<number> => {
      const file = `of=${lab.host(host).paths.stateDirectory}/slow`;
      const began = performance.now();
      await lab.exec(host, ['dd', 'if=/dev/zero', file, 'bs=4k', 'count=20', 'oflag=dsync', 'status=none']);
      return performance.now() - began;
    };
    await lab.host('m1').limitWrites(8);
    const [slow, quick] = [await sync('m1'), await sync('m2')];
    assert.ok(slow > 1000, `the slow one took ${Math.round(slow)} ms`);
    assert.ok(quick < 1000, `the other one took ${Math.round(quick)} ms`);
    await lab.host('m1').limitWrites(undefined);
    assert.ok((await sync('m1')) < 1000);
  });

  it('a squeezed host gets its share of a processor and no more', async () => {
    const spin = 'i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; times; cat /proc/self/cgroup';
    await lab.host('m1').limitProcessor(0.05);
    const began = performance.now();
    const { stdout } = await lab.exec('m1', ['sh', '-c', spin]);
    const tookMs = performance.now() - began;
    assert.match(stdout, new RegExp(`starling-lab-${name}-m1/host`));
    // Against the time on the processor: how long it would take unsqueezed depends on what else the machine does.
    const [, minutes, seconds] = /^(\d+)m([\d.]+)s/.exec(stdout) ?? assert.fail(stdout);
    const spentMs = (Number(minutes) * 60 + Number(seconds)) * 1000;
    assert.ok(spentMs > 10 && tookMs > 5 * spentMs, `${Math.round(tookMs)} ms for ${Math.round(spentMs)} ms of work`);
    await lab.host('m1').limitProcessor(undefined);
  });

  it('a clock jumps for one daemon only, and timers do not notice', async function () {
    if (!clocks) skipBecause(this, 'libfaketime is not installed');
    const first = await ask('m2', 'm1');
    await lab.host('m1').setClock(3600);
    let last: { now: number; uptime: number } | undefined;
    await lab.waitFor('the jump', 10_000, async () => {
      last = await ask('m2', 'm1');
      return last !== undefined && last.now > Date.now() + 3_500_000;
    });
    assert.ok((last?.uptime ?? 0) - (first?.uptime ?? 0) < 60, 'the monotonic clock goes on as before');
    assert.ok(Math.abs(((await ask('m1', 'm2'))?.now ?? 0) - Date.now()) < 60_000);
    await lab.host('m1').setClock(-3600);
    await lab.waitFor(
      'the jump back',
      10_000,
      async () => ((await ask('m2', 'm1'))?.now ?? 0) < Date.now() - 3_500_000,
    );
  });

  it('a host moves to another address, and the others find it by name', async () => {
    await lab.readdress('m2', '172.31.0.77');
    assert.equal(lab.host('m2').address, '172.31.0.77');
    assert.ok(await ask('m1', 'm2'));
    assert.equal((await lab.exec('m1', ['curl', '-s', '-m', '2', 'http://m2:2377/'])).exitCode, 0);
    assert.notEqual((await lab.exec('m1', ['curl', '-s', '-m', '0.3', 'http://172.31.0.2:2377/'])).exitCode, 0);
    await lab.kill('m2');
    await lab.start('m2');
    assert.ok(await ask('m1', 'm2'));
    for (const address of ['172.31.255.254', '10.0.0.1', 'there'])
      await assert.rejects(lab.readdress('m2', address), /not the address of a host/);
  });

  it('says what a host lacks, from the command line too', async () => {
    const silent = { out: () => {}, err: () => {} };
    const named = ['--name', name];
    assert.equal(await runLab(['pause', 'w1', ...named], silent), 0);
    assert.equal(await runLab(['limit', 'w1', '--cpu', '0.5', '--link', '1000', '--disk', '50', ...named], silent), 0);
    assert.equal(await runLab(['unlimit', 'w1', ...named], silent), 0);
    assert.equal(await runLab(['calm', ...named], silent), 0);
    assert.equal(
      (await lab.status()).some((host) => host.paused),
      false,
    );
    await assert.rejects(runLab(['limit', 'w1', ...named], silent), /limit what/);
    await assert.rejects(runLab(['limit', 'w1', '--cpu', 'much', ...named], silent), /--cpu: "much"/);
    await assert.rejects(runLab(['cut', 'w1', '--only', 'up', ...named], silent), /neither in nor out/);
    const text = readFileSync(new URL('../../../docs/lab.md', import.meta.url), 'utf8');
    for (const command of ['flap', 'limit', 'fill', 'clock', 'readdress', 'calm'])
      assert.match(text, new RegExp(command));
  });
});
