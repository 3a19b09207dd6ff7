/**
 * Figures of the codec against protobufjs' reflection (which compiles the same kind of code at run time), in one
 * process: `node test/proto/codec.bench.ts`.
 */
import { join } from 'node:path';
import protobuf from 'protobufjs';
import { NodeDescription, Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { ServiceSpec } from '#gen/swarm/v1/specs.ts';
import type { Codec } from '#proto/codec.ts';

const root = new protobuf.Root();
const directory = join(import.meta.dirname, '../../proto');
root.resolvePath = (_origin, target) => join(directory, target);
root.loadSync(['swarm/v1/objects.proto', 'swarm/v1/specs.proto']);

function thousandsPerSecond(run: () => unknown): number {
  const measure = (durationMs: number): number => {
    let count = 0;
    const start = performance.now();
    while (performance.now() - start < durationMs) {
      for (let index = 0; index < 200; index++) run();
      count += 200;
    }
    return count / (performance.now() - start);
  };
  measure(300);
  return Math.max(measure(400), measure(400), measure(400));
}

function compare<T extends object>(codec: Codec<T>, message: T): void {
  const type = root.lookupType(codec.typeName);
  const bytes = codec.encode(message);
  const buffer = Buffer.from(bytes);
  const reflected = type.decode(buffer);
  const figures = [
    ['encode', () => codec.encode(message), () => type.encode(reflected).finish()],
    ['decode', () => codec.decode(bytes), () => type.decode(buffer)],
  ] as const;
  for (const [what, ours, theirs] of figures) {
    const own = thousandsPerSecond(ours);
    const other = thousandsPerSecond(theirs);
    console.log(
      `${codec.typeName} (${bytes.length} B) ${what}: ${own.toFixed(0)} k/s, protobufjs ${other.toFixed(0)} k/s, ratio ${(own / other).toFixed(2)}`,
    );
  }
  const spread = thousandsPerSecond(() => ({ ...message, id: 'x' }));
  const create = thousandsPerSecond(() => codec.create(message));
  console.log(`${codec.typeName} spread: ${spread.toFixed(0)} k/s, create: ${create.toFixed(0)} k/s`);
}

const id = 'abcdefghijklmnopqrstuvwxy';
compare(
  Task,
  Task.decode(
    Task.encode(
      Task.create({
        id,
        version: 123456,
        createdAtMs: 1_760_000_000_000,
        updatedAtMs: 1_760_000_000_500,
        serviceId: id,
        revision: 7,
        slot: 3,
        nodeId: id,
        desiredState: TaskState.RUNNING,
      }),
    ),
  ),
);
const labels = Object.fromEntries(
  Array.from({ length: 8 }, (_value, index) => [`com.example.key-${index}`, `v${index}`]),
);
compare(
  NodeDescription,
  NodeDescription.create({
    hostname: 'worker-1',
    conditions: [{ type: 'disk-pressure', message: 'the disk of /var/lib is 91 % full', sinceMs: 1_760_000_000_000 }],
    engine: {
      version: '0.1.0',
      labels,
      runtimes: { crun: '1.8.1', runc: '1.1.5' },
      kernelVersion: '6.18.0',
      operatingSystem: 'Debian 12',
      cgroupVersion: '2',
      capabilities: ['overlay', 'seccomp', 'cgroup.pids'],
    },
    featureLevel: 1,
  }),
);
compare(ServiceSpec, ServiceSpec.create({ name: 'web', labels, mode: { kind: 'replicated', value: { replicas: 3 } } }));
