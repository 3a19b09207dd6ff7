/**
 * Goal: no end of the agent, of a monitor or of the machine loses a container or leaves one behind. Method: agents in
 * processes of their own are killed in the middle of their work, and a new one has to find what is there.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { MOUNT_FLAGS, mount, unmount } from '#agent/kernel/mount.ts';
import { readProcess } from '#agent/kernel/process-status.ts';
import type { ContainerRecord } from '#agent/runtime/index.ts';
import { mountsBelow, parseMountInfo } from '#agent/runtime/mount-info.ts';
import { eventually } from '#test/support/eventually.ts';
import type { AgentOrder } from './agent-process.ts';
import { describeInside } from './inside.ts';
import { processesMentioning, TestRuntime } from './test-runtime.ts';

const AGENT = fileURLToPath(new URL('./agent-process.ts', import.meta.url));

/** An agent that has the runtime of `under`, which has to be closed meanwhile. */
class Agent {
  readonly #process: ChildProcess;
  readonly #said = new Set<string>();

  private constructor(process: ChildProcess) {
    this.#process = process;
    if (process.stdout !== null) createInterface({ input: process.stdout }).on('line', (line) => this.#said.add(line));
  }

  static async start(under: TestRuntime): Promise<Agent> {
    under.runtime.close();
    const agent = new Agent(
      spawn(process.execPath, [AGENT, under.stateDirectory, under.runDirectory, under.cgroupParent], {
        stdio: ['pipe', 'pipe', 'inherit'],
      }),
    );
    await agent.says('ready');
    return agent;
  }

  order(order: AgentOrder): void {
    this.#process.stdin?.write(`${JSON.stringify(order)}\n`);
  }

  async says(line: string): Promise<void> {
    await eventually(`the agent says ${line}`, () => this.#said.has(line), { timeoutMs: 15_000 });
  }

  async kill(): Promise<void> {
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await ended;
  }
}

function recordOf(under: TestRuntime, id: string): ContainerRecord {
  return under.runtime.inspect(id)?.record ?? assert.fail(`no container ${id}`);
}

/** The pid of its first process, by what is on the disk. */
async function initOf({ stateDirectory }: TestRuntime, id: string): Promise<number> {
  const text = await readFile(join(stateDirectory, 'containers', id, 'record.json'), 'utf8');
  const { state } = JSON.parse(text) as ContainerRecord;
  assert.ok(state.phase === 'running', state.phase);
  return state.init.pid;
}

function running(under: TestRuntime, id: string) {
  const { state } = recordOf(under, id);
  assert.ok(state.phase === 'running' || state.phase === 'created', state.phase);
  return state;
}

/** Who has died may wait long for the machine's init to reap it. */
async function hasDied(pid: number): Promise<boolean> {
  const found = readProcess(pid);
  return found === undefined || found.state === 'Z';
}

async function mountsOf(under: TestRuntime): Promise<readonly string[]> {
  return mountsBelow(parseMountInfo(await readFile('/proc/self/mountinfo', 'utf8')), under.directory);
}

describeInside(import.meta.filename, 'runtime: recovery', () => {
  let under: TestRuntime;

  beforeEach(async () => {
    under = await TestRuntime.make({ config: { monitorGraceMs: 50, killTimeoutMs: 5000 } });
  });
  afterEach(() => under.remove());

  it('adopts what lives after kill -9 of the agent, and hears of what ended meanwhile', async () => {
    const agent = await Agent.start(under);
    const living = under.request([
      '/bin/sh',
      '-c',
      "trap 'exit 9' TERM; n=0; while :; do n=$((n+1)); echo $n; sleep 0.02; done",
    ]);
    const ending = under.request(['/bin/sh', '-c', "trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done"]);
    const waiting = under.request(['/bin/sh', '-c', 'echo late; exit 3']);
    agent.order({ request: living, start: true });
    agent.order({ request: ending, start: true });
    agent.order({ request: waiting, start: false });
    for (const { id } of [living, ending, waiting]) await agent.says(`done ${id}`);
    await eventually('its trap is set', async () => (await under.output(ending.id)) !== '');
    await agent.kill();
    process.kill(await initOf(under, ending.id), 'SIGTERM');
    await eventually('one ends meanwhile', async () =>
      (await readdir(join(under.runDirectory, 'exits'))).includes(ending.id),
    );

    const report = await under.reopen();
    assert.deepEqual(report.adopted.toSorted(), [living.id, waiting.id].toSorted());
    assert.deepEqual(report.ended, [ending.id]);
    assert.deepEqual(report.swept, []);
    assert.equal((await under.runtime.wait(ending.id)).code, 5);

    const lines = (await under.output(living.id)).trim().split('\n').map(Number);
    assert.deepEqual(
      lines,
      lines.map((_line, index) => index + 1),
      'no line of the log is missing',
    );
    await eventually(
      'it goes on printing',
      async () => (await under.output(living.id)).split('\n').length > lines.length + 3,
    );
    assert.equal((await under.runtime.stop(living.id)).code, 9);

    assert.equal(recordOf(under, waiting.id).state.phase, 'created');
    await under.runtime.start(waiting.id);
    assert.equal((await under.runtime.wait(waiting.id)).code, 3);
    assert.equal(await under.output(waiting.id), 'late\n');
  });

  it('knows a container as started when the agent died before it could note it', async () => {
    const request = under.request(['/bin/sleep', '1000']);
    await under.runtime.create(request);
    const created = JSON.stringify(recordOf(under, request.id));
    await under.runtime.start(request.id);
    await writeFile(join(under.stateDirectory, 'containers', request.id, 'record.json'), created);
    await under.reopen();
    assert.equal(recordOf(under, request.id).state.phase, 'running');
  });

  it('removes what an agent left half made', async () => {
    for (const delayMs of [0, 8, 16, 30, 60]) {
      const agent = await Agent.start(under);
      const requests = Array.from({ length: 8 }, () => under.request(['/bin/sleep', '1000']));
      for (const request of requests) agent.order({ request, start: true });
      await agent.says(`making ${requests[0]?.id}`);
      await pause(delayMs); // the moment is what varies: every step of what takes some 50 ms is met
      await agent.kill();
      const report = await under.reopen();
      for (const id of report.adopted) assert.ok(['created', 'running'].includes(recordOf(under, id).state.phase));
      for (const { record } of under.runtime.list()) await under.runtime.remove(record.id);
      assert.deepEqual(await readdir(join(under.stateDirectory, 'containers')), []);
      await eventually('nothing is left', async () => (await processesMentioning(under.directory)).length === 0);
      assert.deepEqual(await under.runtime.context.cgroups.children(under.cgroupParent), []);
      assert.deepEqual(await mountsOf(under), []);
    }
  });

  it('kills and reports a container whose monitor was killed', async () => {
    const id = await under.start(['/bin/sleep', '1000']);
    const { init, monitor } = running(under, id);
    process.kill(monitor.pid, 'SIGKILL');
    const ended = await under.runtime.wait(id);
    assert.equal(ended.code, 137);
    assert.match(ended.error ?? '', /conmon/);
    await eventually('its process is gone', () => hasDied(init.pid));
  });

  it('also when the monitor was killed while no agent was there', async () => {
    const id = await under.start(['/bin/sleep', '1000']);
    const { monitor } = running(under, id);
    under.runtime.close();
    process.kill(monitor.pid, 'SIGKILL');
    await eventually('the monitor is gone', () => hasDied(monitor.pid));
    await under.reopen();
    assert.match((await under.runtime.wait(id)).error ?? '', /conmon/);
  });

  it('reports the exit of a container that was killed while no agent was there', async () => {
    const id = await under.start(['/bin/sleep', '1000']);
    const { init } = running(under, id);
    under.runtime.close();
    process.kill(init.pid, 'SIGKILL');
    await eventually('its process is gone', () => hasDied(init.pid));
    await under.reopen();
    assert.equal((await under.runtime.wait(id)).code, 137);
  });

  it('reports an end without witnesses', async () => {
    const id = await under.start(['/bin/sleep', '1000']);
    const { init, monitor } = running(under, id);
    under.runtime.close();
    process.kill(monitor.pid, 'SIGKILL');
    process.kill(init.pid, 'SIGKILL');
    await eventually('both are gone', () => hasDied(init.pid));
    await under.reopen();
    const ended = await under.runtime.wait(id);
    assert.deepEqual([ended.code, ended.error], [255, 'the container ended while nobody watched it']);
  });

  for (const runDirectoryStays of [false, true])
    it(`reports all as lost after a reboot that ${runDirectoryStays ? 'left' : 'emptied'} the run directory`, async () => {
      const ids = [await under.start(['/bin/sleep', '1000']), await under.start(['/bin/sleep', '1000'])];
      const states = ids.map((id) => running(under, id));
      under.runtime.close();
      // What a reboot does: processes, mounts and cgroups go without a word.
      for (const { init, monitor } of states) {
        process.kill(monitor.pid, 'SIGKILL');
        process.kill(init.pid, 'SIGKILL');
      }
      for (const { init } of states) await eventually('it is gone', () => hasDied(init.pid));
      for (const target of await mountsOf(under)) await unmount(target);
      await under.runtime.context.cgroups.remove(under.cgroupParent);
      if (!runDirectoryStays) await rm(under.runDirectory, { recursive: true });

      const report = await under.reopen({ bootId: 'another-boot' });
      assert.deepEqual(report.adopted, []);
      assert.deepEqual(report.ended.toSorted(), ids.toSorted());
      for (const id of ids) {
        assert.equal((await under.runtime.wait(id)).error, 'the node was restarted');
        await under.runtime.release(id);
        await under.runtime.remove(id);
      }
      assert.deepEqual(await readdir(join(under.stateDirectory, 'containers')), []);
      assert.equal((await under.shell('echo again')).output, 'again\n');
    });

  it('never signals a stranger that has got the pid of a container', async () => {
    const id = await under.start(['/bin/true']);
    await under.runtime.wait(id);
    const record = recordOf(under, id);
    under.runtime.close();
    const own = readProcess(process.pid) ?? assert.fail();
    const stranger = { pid: process.pid, startTicks: own.startTicks - 1 };
    const stale = { ...record, state: { phase: 'running', init: stranger, monitor: stranger, startedAtMs: 0 } };
    await writeFile(join(under.stateDirectory, 'containers', id, 'record.json'), JSON.stringify(stale));
    await rm(join(under.runDirectory, 'exits', id), { force: true });
    await under.reopen();
    assert.equal((await under.runtime.wait(id)).code, 255);
    await under.runtime.remove(id);
  });

  it('sweeps strays, and leaves those of another agent alone', async () => {
    const { cgroups, cgroupTag } = under.runtime.context;
    const stray = join(under.stateDirectory, 'containers/stray');
    await mkdir(join(stray, 'm'), { recursive: true });
    await mount({ source: 'none', target: join(stray, 'm'), type: 'tmpfs', flags: MOUNT_FLAGS.noDevices });
    await mkdir(join(under.runDirectory, 'c/stray'));
    await writeFile(join(under.runDirectory, 'exits/stray2'), '0');
    await cgroups.prepareParent(`${under.cgroupParent}/${cgroupTag}-stray3`);
    await cgroups.prepareParent(`${under.cgroupParent}/deadbeef-foreign`);
    await mkdir(join(under.stateDirectory, 'containers/torn'));
    await writeFile(join(under.stateDirectory, 'containers/torn/record.json'), '{"version":1,"id":"to');
    const living = await under.start(['/bin/sleep', '1000']);

    const report = await under.reopen();
    assert.deepEqual(report.swept.toSorted(), ['stray', 'stray2', 'stray3', 'torn']);
    assert.deepEqual(report.adopted, [living]);
    assert.deepEqual(
      await cgroups.children(under.cgroupParent),
      [`${cgroupTag}-${living}`, 'deadbeef-foreign'].toSorted(),
    );
    assert.deepEqual(await mountsOf(under), [join(under.runDirectory, 'c', living, 'm')]);
    await cgroups.remove(`${under.cgroupParent}/deadbeef-foreign`);
  });

  it('gives up a container whose processes do not die, and takes it away when they do', async () => {
    await under.remove();
    under = await TestRuntime.make({ config: { killTimeoutMs: 200, stuckRetryMs: 100, freezeTimeoutMs: 50 } });
    const id = await under.start(['/bin/sleep', '1000']);
    const { cgroups, paths } = under.runtime.context;
    // A frozen parent holds its children whatever their own state: like a disk that does not answer.
    await cgroups.freeze(under.cgroupParent, 1000);
    try {
      const ended = await under.runtime.kill(id);
      assert.match(ended.error ?? '', /do not die/);
      await under.runtime.remove(id);
      assert.equal(under.runtime.inspect(id)?.stuck, true);
      await stat(paths.container(id));
    } finally {
      await cgroups.thaw(under.cgroupParent);
    }
    await eventually('it is removed after all', () => under.runtime.inspect(id) === undefined);
    await assert.rejects(stat(paths.container(id)), { code: 'ENOENT' });
  });
});
