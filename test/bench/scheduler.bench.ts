/**
 * How fast the scheduler decides, alone: pending tasks of one service and of many services, on clusters of several
 * sizes. Every decision is committed to an in-memory store and comes back as an event, as in the runner; the time of the
 * store itself is taken apart. Prints one line per shape: placements per second, whole time, and the longest slices in
 * time on the processor, so that other programs do not count; the collection of garbage does, most of which is the
 * store's.
 */
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { newId } from '#common/ids.ts';
import { SeededRandom } from '#common/random.ts';
import { Scheduler } from '#manager/scheduler/index.ts';
import type { Loop, StoreEvent } from '#manager/store/index.ts';
import { MemoryStore } from '#test/manager/loops/memory-store.ts';
import {
  create,
  GIB,
  node,
  pendingTask,
  revision,
  type SpecOptions,
  service,
  spec,
  T0,
} from '#test/manager/loops/objects.ts';

interface Shape {
  readonly name: string;
  readonly nodes: number;
  readonly tasks: number;
  readonly services: number;
  readonly spec?: SpecOptions;
  /** Seconds at most, and placements per second at least, that the project promises. */
  readonly secondsMax?: number;
  readonly perSecondMin?: number;
}

const SHAPES: readonly Shape[] = [
  { name: 'warm-up', nodes: 1000, tasks: 10_000, services: 1 },
  { name: '1 service', nodes: 1000, tasks: 10_000, services: 1, perSecondMin: 25_000 },
  { name: '1,000 services', nodes: 1000, tasks: 10_000, services: 1000, perSecondMin: 25_000 },
  { name: '10,000 services', nodes: 1000, tasks: 10_000, services: 10_000 },
  { name: '1 service', nodes: 1000, tasks: 100_000, services: 1, secondsMax: 8 },
  { name: '1 service', nodes: 5000, tasks: 100_000, services: 1, secondsMax: 8 },
  {
    name: '100 services, constraint',
    nodes: 5000,
    tasks: 100_000,
    services: 100,
    secondsMax: 8,
    spec: { constraints: ['node.labels.zone != z1'] },
  },
  {
    name: '1 service, reservations',
    nodes: 5000,
    tasks: 100_000,
    services: 1,
    secondsMax: 8,
    spec: { cpus: 0.1, memoryBytes: GIB / 16 },
  },
  {
    name: '1 service, spread over racks',
    nodes: 5000,
    tasks: 100_000,
    services: 1,
    secondsMax: 8,
    spec: { spread: ['node.labels.zone', 'node.labels.rack'] },
  },
  {
    name: '1 service, binpack',
    nodes: 5000,
    tasks: 100_000,
    services: 1,
    secondsMax: 8,
    spec: { cpus: 0.1, memoryBytes: GIB / 16, placement: { strategy: 2 } },
  },
  { name: '1 service', nodes: 100_000, tasks: 100_000, services: 1, secondsMax: 8 },
  { name: '1 service', nodes: 100_000, tasks: 1000, services: 1 },
];

function build(shape: Shape): { store: MemoryStore; loop: Loop; restoreMs: number } {
  const random = new SeededRandom(1);
  const store = new MemoryStore();
  const changes = [];
  for (let i = 0; i < shape.nodes; i++)
    changes.push(create('node', node(newId(random), { labels: { zone: `z${i % 5}`, rack: `r${i % 50}` } })));
  for (let i = 0; i < shape.services; i++) {
    const declared = spec({ name: `s${i}`, ...shape.spec });
    changes.push(create('service', service(`service${i}`, declared)));
    changes.push(create('revision', revision(`service${i}`, 1, declared)));
  }
  for (let i = 0; i < shape.tasks; i++)
    changes.push(create('task', pendingTask(newId(random), `service${i % shape.services}`, { slot: i + 1 })));
  store.commit(changes, T0);
  const loop = new Scheduler();
  const from = performance.now();
  loop.restore(store);
  return { store, loop, restoreMs: performance.now() - from };
}

/** Time that this thread has spent on a processor. */
function onProcessorMs(): number {
  return Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[0]) / 1e6;
}

function at(sorted: readonly number[], share: number): string {
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(1);
}

function run(shape: Shape): void {
  const { store, loop, restoreMs } = build(shape);
  let deciding = 0;
  const slices: number[] = [];
  let placed = 0;
  for (;;) {
    const usedMs = onProcessorMs();
    const from = performance.now();
    const plan = loop.plan(store, T0);
    deciding += performance.now() - from;
    slices.push(onProcessorMs() - usedMs);
    placed += plan.changes.length;
    const events: StoreEvent[] = [];
    for (const group of plan.changes) events.push(...(store.commit(group, T0) ?? []));
    const committed = performance.now();
    for (const event of events) loop.observe(event);
    deciding += performance.now() - committed;
    if (plan.changes.length === 0 && plan.more !== true) break;
  }
  if (shape.name === 'warm-up') return;
  slices.sort((a, b) => a - b);
  const seconds = deciding / 1000;
  const perSecond = Math.round(placed / seconds);
  const misses = [
    shape.secondsMax !== undefined && seconds > shape.secondsMax ? `more than ${shape.secondsMax} s` : '',
    shape.perSecondMin !== undefined && perSecond < shape.perSecondMin ? `less than ${shape.perSecondMin}/s` : '',
    placed < shape.tasks ? `only ${placed} placed` : '',
  ].filter((miss) => miss !== '');
  process.stdout.write(
    `${shape.nodes} nodes, ${shape.tasks} tasks, ${shape.name}: ${perSecond} placements/s, ${seconds.toFixed(2)} s, ` +
      `slice p50 ${at(slices, 0.5)} p99 ${at(slices, 0.99)} longest ${at(slices, 1)} ms, restore ${restoreMs.toFixed(0)} ms` +
      `${misses.length > 0 ? `  MISSED: ${misses.join(', ')}` : ''}\n`,
  );
  if (misses.length > 0) process.exitCode = 1;
}

for (const shape of SHAPES) run(shape);
