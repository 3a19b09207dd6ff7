/**
 * What it costs to check a hundred containers every second, by command, by HTTP and by TCP: processor time of the agent
 * and of the OCI runtime's processes that it starts, and how long the event loop is held up. The peer of a command is the
 * same command started by the OCI runtime from a bare loop, four at a time. Needs root.
 */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { DEFAULT_HEALTH_CONFIG, runCheck, TaskProber } from '#agent/health/index.ts';
import { runProcess } from '#agent/kernel/run-process.ts';
import { enterMountNamespace, removeMountNamespace } from '#agent/runtime/index.ts';
import { type Check, healthPlan } from '#agent/tasks/index.ts';
import { systemClock } from '#common/system/clock.ts';
import { ContainerSpec, Probe, Probes } from '#gen/swarm/v1/specs.ts';
import { TestRuntime } from '#test/agent/runtime/test-runtime.ts';

const CONTAINERS = 100;
const SECONDS = 10;
const BARE_EXECS = 100;
const TICKS_PER_SECOND = 100;
const DIRECTORY_VARIABLE = 'STARLING_BENCH_DIRECTORY';

if (process.getuid?.() !== 0) {
  console.log('skipped: containers need root');
  process.exit();
}
const directory = process.env[DIRECTORY_VARIABLE] ?? (await mkdtemp(join(tmpdir(), 'starling-bench-')));
process.env[DIRECTORY_VARIABLE] = directory;
await enterMountNamespace(directory);

/** Seconds of processor time: of this process, and of its children that have ended. */
function processorTime(): { readonly own: number; readonly children: number } {
  const fields = readFileSync('/proc/self/stat', 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  const seconds = (index: number): number => Number(fields[index]) / TICKS_PER_SECOND;
  return { own: seconds(11) + seconds(12), children: seconds(13) + seconds(14) };
}

interface Cost {
  readonly checks: number;
  readonly own: number;
  readonly children: number;
  readonly loopP99Ms: number;
}

async function costOf(under: TestRuntime, ids: readonly string[], check: Check): Promise<Cost> {
  const [template] =
    healthPlan(ContainerSpec.create({ probes: Probes.create({ liveness: Probe.create({}) }) }), undefined) ?? [];
  let checks = 0;
  let failures = 0;
  const before = processorTime();
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const probers = ids.map(
    (id) =>
      new TaskProber({
        plan: [
          {
            ...(template ?? {
              initialDelayMs: 0,
              graceMs: 0,
              graceIntervalMs: 0,
              failureThreshold: 3,
              successThreshold: 1,
            }),
            role: 'liveness',
            check,
            intervalMs: 1000,
            timeoutMs: 10_000,
          },
        ],
        check: async (asked, timeoutMs, signal) => {
          checks++;
          const container = {
            exec: (request: Parameters<typeof under.runtime.exec>[1], aborted: AbortSignal) =>
              under.runtime.exec(id, request, aborted),
            networkNamespace: () => under.runtime.networkNamespace(id),
            addresses: [],
          };
          const outcome = await runCheck(container, asked, timeoutMs, DEFAULT_HEALTH_CONFIG, signal);
          if (!outcome.ok && failures++ === 0) console.log(`a check failed: ${outcome.message}`);
          return outcome;
        },
        clock: systemClock,
        config: DEFAULT_HEALTH_CONFIG,
        ranMs: 0,
        known: { health: undefined, isRunning: true },
        onReport: () => {},
      }),
  );
  await pause(SECONDS * 1000);
  for (const prober of probers) prober.stop();
  delay.disable();
  await pause(500);
  const after = processorTime();
  return {
    checks,
    own: after.own - before.own,
    children: after.children - before.children,
    loopP99Ms: delay.percentile(99) / 1e6,
  };
}

function show(what: string, { checks, own, children, loopP99Ms }: Cost): void {
  const share = ((own + children) / SECONDS) * 100;
  const each = ((own + children) / Math.max(1, checks)) * 1000;
  console.log(
    `${what.padEnd(8)} ${String(checks).padStart(5)} checks in ${SECONDS} s: ${share.toFixed(0)} % of a core` +
      ` (${each.toFixed(2)} ms each, ${((own / Math.max(1, checks)) * 1000).toFixed(2)} of them the agent's),` +
      ` event loop p99 ${loopP99Ms.toFixed(1)} ms`,
  );
}

const under = await TestRuntime.make();
const server = createServer((_request, response) => response.end('well'));
try {
  await new Promise<void>((resolve) => server.listen(0, resolve));
  const { port } = server.address() as AddressInfo;
  const ids: string[] = [];
  // The host's network: the server is here, and what is measured is the way to it.
  for (let count = 0; count < CONTAINERS; count++)
    ids.push(await under.start(['/bin/sleep', '1000'], { network: { kind: 'host' } }));
  const [first = ''] = ids;
  const { context } = under.runtime;
  await under.runtime.exec(first, { command: ['/bin/true'], timeoutMs: 10_000, outputBytesMax: 100 });
  const before = processorTime();
  let left = BARE_EXECS;
  const lane = async (): Promise<void> => {
    while (left-- > 0)
      await runProcess({
        file: context.runtime.path,
        args: [
          `--root=${context.paths.runtimeRoot}`,
          'exec',
          '--process',
          `${context.paths.bundle(first)}/exec-2.json`,
          first,
        ],
        env: {},
        timeoutMs: 10_000,
        outputBytesMax: 100,
      });
  };
  await Promise.all([lane(), lane(), lane(), lane()]);
  const after = processorTime();
  const bareMs = ((after.own - before.own + after.children - before.children) / BARE_EXECS) * 1000;
  console.log(`bare     ${context.runtime.name} exec: ${bareMs.toFixed(2)} ms of a processor each`);
  show('command', await costOf(under, ids, { kind: 'exec', command: ['/bin/true'] }));
  show('http', await costOf(under, ids, { kind: 'http', port, path: '/', isTls: false, host: '', headers: [] }));
  show('tcp', await costOf(under, ids, { kind: 'tcp', port }));
} finally {
  server.close();
  server.closeAllConnections();
  await under.remove();
  await removeMountNamespace(directory);
  await rm(directory, { recursive: true, force: true });
}
