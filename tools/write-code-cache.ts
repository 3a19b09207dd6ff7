/**
 * write-code-cache DIST: writes the bytecode of the command line's bundle for the loader (swarm-loader.cjs). The cache
 * is taken after some commands have run, for V8 compiles a function when it is first called; their daemon is a server
 * on a socket of a temporary directory, which has nothing to list.
 */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Script } from 'node:vm';
import { silentLogger } from '#common/log.ts';
import {
  ControlService,
  GetServiceResponse,
  ServiceListEntry,
  ServiceTaskCounts,
  TaskView,
} from '#gen/swarm/v1/control.ts';
import { GetInfoResponse, NodeService } from '#gen/swarm/v1/node.ts';
import { Node, NodeDescription, Service, Task, TaskState, TaskStatus } from '#gen/swarm/v1/objects.ts';
import { ContainerSpec, ReplicatedMode, ServiceSpec, TaskSpec } from '#gen/swarm/v1/specs.ts';
import type { ServiceDefinition } from '#proto/codec.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import { RpcServer } from '#proto/grpc/server.ts';

const COMMANDS: readonly (readonly string[])[] = [
  ['service', 'ls'],
  ['service', 'ps', 'web'],
  ['service', 'inspect', 'web'],
  [
    'service',
    'create',
    '--detach',
    '--name',
    'web',
    '--replicas',
    '3',
    '--publish',
    'mode=host,published=8,target=8',
    'web',
  ],
  ['service', 'update', '--detach', '--env-add', 'A=1', 'web'],
  ['service', 'scale', '--detach', 'web=3'],
  ['service', 'rm', 'web'],
  ['node', 'ls'],
  ['node', 'ls', '--format', '{{.Hostname}} {{json .Status}}'],
  ['info'],
  ['version'],
  ['service', 'create', '--help'],
  ['complete', '--', 'service', ''],
];

const container = ContainerSpec.create({ image: 'web:latest' });
const spec = ServiceSpec.create({
  name: 'web',
  mode: { kind: 'replicated', value: ReplicatedMode.create({ replicas: 1 }) },
  task: TaskSpec.create({ container }),
});
const service = Service.create({ id: 'web', spec, version: 1, revision: 1 });
const counts = ServiceTaskCounts.create({ running: 1, desired: 1 });
const node = Node.create({ id: 'n', description: NodeDescription.create({ hostname: 'host' }) });
const status = TaskStatus.create({ state: TaskState.RUNNING, timestampMs: 1 });
const task = TaskView.create({ task: Task.create({ id: 't', slot: 1, status }), serviceName: 'web', image: 'web' });

/** Answers of the methods that the commands use; any other method answers with its empty message. */
const ANSWERS: Readonly<Record<string, object>> = {
  listServices: { services: [ServiceListEntry.create({ service, counts })] },
  listNodes: { nodes: [node] },
  listTasks: { tasks: [task] },
  getService: GetServiceResponse.create({ service, counts }),
  createService: { service, warnings: [] },
  updateService: { service, warnings: [] },
  getInfo: GetInfoResponse.create({ nodeId: 'n' }),
};

function handlersOf<S extends ServiceDefinition>(definition: S): Handlers<S> {
  const entries = Object.entries(definition).map(([name, { response, responseStream }]) => {
    const answer: unknown = ANSWERS[name] ?? response.create();
    const unary = async (): Promise<unknown> => answer;
    const streaming = async function* (): AsyncGenerator<unknown> {
      yield answer;
    };
    return [name, responseStream ? streaming : unary];
  });
  return Object.fromEntries(entries) as Handlers<S>;
}

async function main(dist: string): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'swarm-code-cache-'));
  const server = new RpcServer({ trust: { kind: 'local' }, logger: silentLogger });
  const socket = join(directory, 'swarm.sock');
  try {
    server.addService(ControlService, handlersOf(ControlService));
    server.addService(NodeService, handlersOf(NodeService));
    await server.listenSocket(socket);
    await writeFile(join(dist, 'swarm.cache'), await bytecode(join(dist, 'swarm.bundle'), socket));
  } finally {
    await server.close();
    await rm(directory, { recursive: true });
  }
}

async function bytecode(bundle: string, socket: string): Promise<Uint8Array> {
  // Letter for letter what the loader compiles: V8 compares the lengths.
  const source = `(function (exports, require, module) {${readFileSync(bundle, 'latin1')}\n})`;
  const script = new Script(source, { filename: bundle });
  const module: { exports: { main?: () => Promise<void> } } = { exports: {} };
  const load = script.runInThisContext() as (exports: object, require: NodeJS.Require, module: object) => void;
  load(module.exports, createRequire(bundle), module);
  process.stdout.write = () => true;
  for (const words of COMMANDS) {
    process.argv = [process.execPath, bundle, '--socket', socket, ...words];
    await module.exports.main?.();
    if (process.exitCode !== 0) throw new Error(`swarm ${words.join(' ')}: exit ${process.exitCode}`);
  }
  return script.createCachedData();
}

const [, , dist] = process.argv;
if (dist === undefined) throw new Error('write-code-cache: name the directory of the bundle');
await main(dist);
