/**
 * Goal: a container that is gone leaves nothing. Method: 50 containers are made and removed in every way there is;
 * mounts, cgroups, processes, files and our own descriptors are counted before and after.
 */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mountsBelow, parseMountInfo } from '#agent/runtime/mount-info.ts';
import { eventually } from '#test/support/eventually.ts';
import { describeInside } from './inside.ts';
import { processesMentioning, TestRuntime } from './test-runtime.ts';

interface Holdings {
  readonly mounts: readonly string[];
  readonly cgroups: readonly string[];
  readonly unified: readonly string[];
  readonly containers: readonly string[];
  readonly bundles: readonly string[];
  readonly runtimeStates: readonly string[];
  readonly exits: readonly string[];
  readonly processes: number;
}

async function holdings(under: TestRuntime): Promise<Holdings> {
  const { paths, cgroups } = under.runtime.context;
  const list = (directory: string) => readdir(directory).catch(() => []);
  return {
    mounts: mountsBelow(parseMountInfo(await readFile('/proc/self/mountinfo', 'utf8')), under.directory),
    cgroups: await cgroups.children(under.cgroupParent),
    unified: await list(join('/sys/fs/cgroup/unified', under.cgroupParent)),
    containers: await list(paths.containers),
    bundles: await list(paths.bundles),
    runtimeStates: await list(paths.runtimeRoot),
    exits: await list(paths.exits),
    processes: (await processesMentioning(under.directory)).length,
  };
}

const CYCLES = 50;

describeInside(import.meta.filename, 'runtime: leaks', () => {
  let under: TestRuntime;

  before(async () => {
    under = await TestRuntime.make();
  });
  after(() => under.remove());

  async function cycle(number: number): Promise<void> {
    const { runtime } = under;
    const request = under.request(['/bin/sleep', '1000']);
    const { id } = request;
    switch (number % 5) {
      case 0: // ends by itself
        await under.shell('echo x; echo y > /file', { id });
        await runtime.release(id);
        break;
      case 1: // is killed while it runs
        await runtime.create(request);
        await runtime.start(id);
        break;
      case 2: // is never started
        await runtime.create(request);
        break;
      case 3: // cannot be made
        await assert.rejects(runtime.create({ ...request, spec: { ...request.spec, command: ['/no/such'] } }));
        return;
      default: // is frozen
        await runtime.create(request);
        await runtime.start(id);
        await runtime.pause(id);
    }
    await runtime.remove(id);
    await runtime.remove(id); // idempotent
  }

  it(`${CYCLES} containers leave no mount, cgroup, process, file or descriptor`, async () => {
    for (let number = 0; number < 5; number++) await cycle(number);
    const before = await holdings(under);
    const descriptorsBefore = (await readdir('/proc/self/fd')).length;
    for (let start = 0; start < CYCLES; start += 10)
      await Promise.all(Array.from({ length: 10 }, (_unused, index) => cycle(start + index)));
    await eventually('the monitors are gone', async () => (await processesMentioning(under.directory)).length === 0);
    assert.deepEqual(await holdings(under), before);
    assert.deepEqual(before.containers, []);
    assert.deepEqual(before.cgroups, []);
    assert.deepEqual(before.unified, []);
    await eventually(
      'descriptors are closed',
      async () => (await readdir('/proc/self/fd')).length <= descriptorsBefore,
    );
    assert.deepEqual(under.runtime.list(), []);
  });
});
