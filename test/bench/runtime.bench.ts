/**
 * What the runtime adds to conmon and the OCI runtime. The same containers (busybox, one layer, limits on memory, CPU
 * and processes, seccomp, an empty network namespace) are started by a bare loop around conmon, with bundles and root
 * file systems made ahead, and by the runtime, which makes all of that itself. Rounds alternate, the medians are
 * compared. Needs root; everything it makes goes with its mount namespace.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { MOUNT_FLAGS, mount, unmount } from '#agent/kernel/mount.ts';
import { startMonitor } from '#agent/runtime/conmon/start-monitor.ts';
import { EMPTY_CONTAINER_SPEC, enterMountNamespace, removeMountNamespace } from '#agent/runtime/index.ts';
import { deleteContainer, startContainer } from '#agent/runtime/oci-runtime.ts';
import { LayerLinks } from '#agent/runtime/rootfs/layer-links.ts';
import { mountRootFileSystem, removeRootFileSystem } from '#agent/runtime/rootfs/root-file-system.ts';
import { type RequestChanges, TestRuntime } from '#test/agent/runtime/test-runtime.ts';

const IN_FLIGHT = 4;
const CONTAINERS = 50;
const ROUNDS = 5;
const RATIO_MAX = 2;
const EXTRA_MEMORY_MB_MAX = 3;
const DIRECTORY_VARIABLE = 'STARLING_BENCH_DIRECTORY';

const LIMITS: RequestChanges = {
  spec: {
    resources: {
      ...EMPTY_CONTAINER_SPEC.resources,
      cpuNanos: 1e9,
      memoryBytes: 64 << 20,
      pids: 100,
    },
  },
};

if (process.getuid?.() !== 0) {
  console.log('skipped: containers need root');
  process.exit();
}
const directory = process.env[DIRECTORY_VARIABLE] ?? (await mkdtemp(join(tmpdir(), 'starling-bench-')));
process.env[DIRECTORY_VARIABLE] = directory;
await enterMountNamespace(directory);

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

async function inFlight(count: number, limit: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: limit }, lane));
}

async function timed(work: () => Promise<void>): Promise<number> {
  const begin = performance.now();
  await work();
  return performance.now() - begin;
}

/** As /run is nearly everywhere: on both sides what does not outlive a boot costs no disk. */
async function onTmpfs(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  await mount({ source: 'none', target: path, type: 'tmpfs', flags: MOUNT_FLAGS.noDevices, data: 'mode=700' });
}

/** Bundles for the bare loop: config.json as the runtime wrote it, with paths of their own. */
async function prepareBare(under: TestRuntime): Promise<(index: number) => Promise<string>> {
  const { context } = under.runtime;
  const request = under.request(['/bin/sleep', '1000'], LIMITS);
  await under.runtime.create(request);
  const bundle = context.paths.bundle(request.id);
  const template = readFileSync(`${bundle}/config.json`, 'utf8');
  const oldRoot = `${bundle}/m`;
  await under.runtime.remove(request.id);
  const links = new LayerLinks(join(directory, 'l'));
  return async (index) => {
    const id = `bare${index}`;
    const base = join(directory, 'bare', id);
    const bundle = join(directory, 'bundles', id);
    for (const path of [base, bundle]) await mkdir(path, { recursive: true });
    const root = await mountRootFileSystem(base, bundle, [under.layer], links);
    const config = template.replaceAll(oldRoot, root).replaceAll(`-${request.id}"`, `-${id}"`);
    await writeFile(join(bundle, 'config.json'), config);
    return bundle;
  };
}

async function main(): Promise<void> {
  const under = await TestRuntime.make({ before: (made) => onTmpfs(join(made, 'run')) });
  const { runtime } = under;
  const { context } = runtime;
  const bareRoot = join(directory, 'rt');
  const exits = join(directory, 'exits');
  for (const path of [bareRoot, exits, join(directory, 'bundles')]) await onTmpfs(path);
  const makeBundle = await prepareBare(under);

  async function bareRound(limit: number, count: number): Promise<number> {
    const bundles: string[] = [];
    for (let index = 0; index < count; index++) bundles.push(await makeBundle(index));
    const elapsed = await timed(() =>
      inFlight(count, limit, async (index) => {
        const id = `bare${index}`;
        const request = {
          id,
          runtime: context.runtime.path,
          runtimeRoot: bareRoot,
          bundle: bundles[index] ?? '',
          exitDirectory: exits,
          logFile: join(directory, 'bare', id, 'log'),
          logBytesMax: 40_000_000,
          tty: false,
          openStdin: false,
          canSkipSync: context.conmon.canSkipSync,
        };
        await startMonitor(context.conmon.path, request, 'sleep', 60_000);
        await startContainer(context.runtime, bareRoot, id, 10_000);
      }),
    );
    for (const [index, bundle] of bundles.entries()) {
      await deleteContainer(context.runtime.path, bareRoot, `bare${index}`, true, 10_000);
      await context.cgroups.remove(`${context.cgroupParent}/${context.cgroupTag}-bare${index}`);
      await removeRootFileSystem(join(directory, 'bare', `bare${index}`), bundle);
      await rm(bundle, { recursive: true });
    }
    return elapsed;
  }

  let number = 0;
  async function ownRound(
    limit: number,
    count: number,
    each: number[] = [],
  ): Promise<{ start: number; remove: number }> {
    const ids: string[] = [];
    const start = await timed(() =>
      inFlight(count, limit, async () => {
        const request = { ...under.request(['/bin/sleep', '1000'], LIMITS), id: `own${number++}` };
        ids.push(request.id);
        const took = await timed(async () => {
          await runtime.create(request);
          await runtime.start(request.id);
        });
        each.push(took);
      }),
    );
    const remove = await timed(async () => {
      await Promise.all(ids.map((id) => runtime.remove(id)));
    });
    return { start, remove };
  }

  await bareRound(1, 5);
  await ownRound(1, 5);
  console.log(
    `${context.runtime.name} ${context.runtime.version}, start by ${context.runtime.startProtocol}, cgroups ${context.cgroups.layout.mode}`,
  );

  const sequential: number[] = [];
  const bareSequential: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    bareSequential.push((await bareRound(1, 20)) / 20);
    await ownRound(1, 20, sequential);
  }
  console.log(
    `create + start, one by one: p50 ${percentile(sequential, 0.5).toFixed(1)} ms, p99 ${percentile(sequential, 0.99).toFixed(1)} ms; bare ${percentile(bareSequential, 0.5).toFixed(1)} ms each`,
  );

  const bare: number[] = [];
  const own: number[] = [];
  const removal: number[] = [];
  const delays: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    bare.push(await bareRound(IN_FLIGHT, CONTAINERS));
    const loop = monitorEventLoopDelay({ resolution: 1 });
    loop.enable();
    // All at once: the runtime itself holds them to so many in flight.
    const { start, remove } = await ownRound(CONTAINERS, CONTAINERS);
    loop.disable();
    delays.push(loop.max / 1e6);
    own.push(start);
    removal.push(remove);
  }
  const ratio = percentile(own, 0.5) / percentile(bare, 0.5);
  console.log(
    `${CONTAINERS} containers, ${IN_FLIGHT} in flight: ${percentile(own, 0.5).toFixed(0)} ms (${(percentile(own, 0.5) / CONTAINERS).toFixed(1)} each); ` +
      `bare conmon and ${context.runtime.name} ${percentile(bare, 0.5).toFixed(0)} ms; ratio ${ratio.toFixed(2)} (at most ${RATIO_MAX})`,
  );
  console.log(
    `removal ${(percentile(removal, 0.5) / CONTAINERS).toFixed(1)} ms each; longest delay of the event loop ${percentile(delays, 0.5).toFixed(1)} ms`,
  );

  const extra = await memoryOf(under);
  const statisticsMs = await costOfStatistics(under);
  console.log(`statistics of one container: ${statisticsMs.toFixed(2)} ms`);
  for (const { record } of runtime.list()) await runtime.remove(record.id);
  await unmount(under.runDirectory);
  await under.remove();
  if (ratio > RATIO_MAX || extra > EXTRA_MEMORY_MB_MAX) process.exitCode = 1;
}

function smaps(pid: number | 'self'): { readonly rssKb: number; readonly pssKb: number } {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0);
  return { rssKb: field('Rss'), pssKb: field('Pss') };
}

/** Megabytes a container costs beside its own program: its monitor, and what we keep of it. */
async function memoryOf(under: TestRuntime): Promise<number> {
  globalThis.gc?.();
  const before = smaps('self').rssKb;
  await inFlight(CONTAINERS, IN_FLIGHT, async () => {
    await under.start(['/bin/sleep', '1000'], LIMITS);
  });
  globalThis.gc?.();
  const own = Math.max(0, smaps('self').rssKb - before) / CONTAINERS;
  const monitors = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        const line = readFileSync(`/proc/${name}/cmdline`, 'utf8');
        return line.includes('conmon') && line.includes(under.runDirectory);
      } catch {
        return false;
      }
    })
    .map((name) => smaps(Number(name)));
  const mean = (field: 'rssKb' | 'pssKb'): number =>
    monitors.reduce((sum, one) => sum + one[field], 0) / Math.max(1, monitors.length);
  const total = (mean('rssKb') + own) / 1024;
  console.log(
    `memory a container: conmon ${(mean('rssKb') / 1024).toFixed(2)} MB resident (${(mean('pssKb') / 1024).toFixed(2)} MB its share), ` +
      `agent ${(own / 1024).toFixed(2)} MB; together ${total.toFixed(2)} MB (at most ${EXTRA_MEMORY_MB_MAX})`,
  );
  return total;
}

async function costOfStatistics(under: TestRuntime): Promise<number> {
  const ids = under.runtime.list().map(({ record }) => record.id);
  const elapsed = await timed(async () => {
    for (const id of ids) await under.runtime.statistics(id);
  });
  return elapsed / Math.max(1, ids.length);
}

try {
  await main();
} finally {
  for (const name of ['rt', 'exits', 'bundles']) await unmount(join(directory, name));
  await removeMountNamespace(directory);
  await rm(directory, { recursive: true, force: true });
}
