/**
 * One swarm of real daemons for all end-to-end tests: a lab of a manager and three workers, each with a busybox image.
 * It starts with the first file of its process that asks for it and goes after the last test of the run, leaving nothing.
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { SwarmError } from '#common/errors.ts';
import type { TaskView } from '#gen/swarm/v1/control.ts';
import { type Node, NodeState, type Task, TaskState, TaskStateNames } from '#gen/swarm/v1/objects.ts';
import { connectLocal } from '#src/client/local.ts';
import type { SwarmClient } from '#src/client/swarm-client.ts';
import { Lab, type LabOptions } from '#src/lab/lab.ts';
import type { LabHost } from '#src/lab/lab-host.ts';
import type { CommandOptions, CommandResult } from '#src/lab/run-command.ts';
import { busyboxArchive } from '#test/fixtures/busybox-image.ts';
import { sharedLabName } from '#test/support/shared-labs.ts';

export const MANAGER = 'm1';
export const WORKERS = ['w1', 'w2', 'w3'] as const;
/** On every host. Nobody looks outside for it: the name has no registry that could answer. */
export const IMAGE = 'localhost/busybox:e2e';
/** A program that ends at once when it is asked to. */
export const SLEEP = ['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 1000 & wait $!; done'] as const;

/** For what should take a second or two: a busy machine may need ten times as long, a hang is found all the same. */
export const SOON_MS = 20_000;
const POLL_MS = 50;
const START_MS = 120_000;
/** Lines of each daemon that are shown after a failure. */
const COMPLAINTS = 20;

/** How many hosts, and what is special about them. */
export type ClusterSize = {
  /** Hosts that run real containers have the image. */
  readonly image?: boolean;
} & Pick<LabOptions, 'managers' | 'workers' | 'formSwarm' | 'daemon' | 'diskMegabytes' | 'clocks'>;

export class Cluster {
  readonly lab: Lab;
  /** The manager that commands and questions go to. */
  entrance: string = MANAGER;
  readonly #clients = new Map<string, SwarmClient>();

  private constructor(lab: Lab) {
    this.lab = lab;
  }

  /** Hosts with the image, one swarm of them unless `formSwarm` is false. The caller takes it down. */
  static async start(name: string, size: ClusterSize): Promise<Cluster> {
    await Lab.remove(name);
    const cluster = new Cluster(await Lab.up({ name, formSwarm: true, ...size }));
    try {
      if (size.image !== false) await Promise.all(cluster.lab.hosts.map((host) => cluster.loadImage(host.name)));
      return cluster;
    } catch (error) {
      await cluster.down();
      throw error;
    }
  }

  async down(): Promise<void> {
    this.close();
    await this.lab.down();
  }

  /** Lets go of the swarm, which stays. */
  close(): void {
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }

  host(name: string): LabHost {
    return this.lab.host(name);
  }

  /** A client of the host's daemon. */
  client(host: string = this.entrance): SwarmClient {
    const known = this.#clients.get(host);
    if (known !== undefined) return known;
    const client = connectLocal(this.host(host).paths.socket);
    this.#clients.set(host, client);
    return client;
  }

  async loadImage(host: string, name: string = IMAGE): Promise<void> {
    await this.loadArchive(host, await busyboxArchive({ name }));
  }

  async loadArchive(host: string, path: string): Promise<readonly string[]> {
    async function* chunks(): AsyncGenerator<{ chunk: Uint8Array }> {
      for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) yield { chunk };
    }
    const { images } = await this.client(host).images.loadImage(chunks());
    return images.flatMap((image) => image.names);
  }

  /** Runs `swarm ARGS` on the manager. */
  swarm(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return this.on(this.entrance, args, options);
  }

  /** Runs `swarm ARGS` on a host. No command of ours may ever show where in our code something went wrong. */
  async on(host: string, args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    const result = await this.lab.swarm(host, args, options);
    assert.doesNotMatch(result.stdout + result.stderr, /^\s+at .*:\d+:\d+\)?$/m, 'no stack trace reaches a user');
    return result;
  }

  /** Its standard output; a command that fails fails the test. */
  async must(args: readonly string[], options: CommandOptions = {}): Promise<string> {
    return this.mustOn(this.entrance, args, options);
  }

  async mustOn(host: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
    const { exitCode, stdout, stderr } = await this.on(host, args, options);
    assert.equal(exitCode, 0, `swarm ${args.join(' ').slice(0, 500)}: ${stderr}${stdout}`);
    return stdout;
  }

  /** Its standard error; a command that succeeds fails the test. */
  async refused(args: readonly string[], exitCode = 1, host = this.entrance): Promise<string> {
    const result = await this.on(host, args);
    assert.equal(result.exitCode, exitCode, `swarm ${args.join(' ').slice(0, 200)}: ${result.stderr}${result.stdout}`);
    assert.notEqual(result.stderr, '');
    return result.stderr;
  }

  spawn(host: string, args: readonly string[]): Promise<ChildProcess> {
    return this.lab.spawn(host, ['swarm', ...args], { stdio: 'pipe' });
  }

  /** A detached service of containers that wait. Extra arguments come before the image. */
  async createService(name: string, replicas: number, flags: readonly string[] = []): Promise<string> {
    const base = ['service', 'create', '-d', '--name', name, '--replicas', String(replicas)];
    return (await this.must([...base, ...flags, IMAGE, ...SLEEP])).trim();
  }

  async tasks(service: string): Promise<readonly Task[]> {
    return (await this.taskViews(service)).map((view) => view.task as Task);
  }

  async taskViews(service: string): Promise<readonly TaskView[]> {
    const views: TaskView[] = [];
    for await (const page of this.client().control.listTasks({ names: [`${service}.`] }))
      views.push(...page.tasks.filter((view) => view.serviceName === service));
    return views;
  }

  /** Tasks that run and shall run. */
  async running(service: string): Promise<readonly Task[]> {
    return (await this.tasks(service)).filter(isRunning);
  }

  async nodes(): Promise<ReadonlyMap<string, Node>> {
    return this.nodesSeenFrom(this.entrance);
  }

  /** Host name -> node, as the manager on that host knows it. */
  async nodesSeenFrom(host: string, timeoutMs = SOON_MS): Promise<ReadonlyMap<string, Node>> {
    const nodes = new Map<string, Node>();
    for await (const page of this.client(host).control.listNodes({}, { timeoutMs }))
      for (const node of page.nodes) {
        const name = node.description?.hostname ?? node.id;
        // A host that joined again is its newest node; what it was before may still be listed.
        if ((nodes.get(name)?.createdAtMs ?? 0) <= node.createdAtMs) nodes.set(name, node);
      }
    return nodes;
  }

  async nodeId(host: string): Promise<string> {
    const node = (await this.nodes()).get(host);
    assert.ok(node, `${host} is a node`);
    return node.id;
  }

  /** Host name -> how many tasks of the service run there. */
  async spread(service: string): Promise<Readonly<Record<string, number>>> {
    const names = new Map([...(await this.nodes())].map(([name, node]) => [node.id, name]));
    const counts: Record<string, number> = {};
    for (const task of await this.running(service)) {
      const name = names.get(task.nodeId) ?? task.nodeId;
      counts[name] = (counts[name] ?? 0) + 1;
    }
    return counts;
  }

  /** Waits until exactly so many tasks of the service run, and no other is on its way or has yet to stop. */
  async settled(service: string, replicas: number, timeoutMs = SOON_MS): Promise<readonly Task[]> {
    return this.until(
      () => this.tasks(service),
      (tasks) => {
        const running = tasks.filter(isRunning);
        const others = tasks.filter((task) => !isRunning(task) && !hasEnded(task));
        return running.length === replicas && others.length === 0 && new Set(running.map(place)).size === replicas;
      },
      `${replicas} tasks of ${service} to run`,
      timeoutMs,
    ).then((tasks) => tasks.filter(isRunning));
  }

  /** Looks until what `read` says is as wanted; the timeout's message has the last it said. */
  async until<T>(read: () => Promise<T>, wanted: (value: T) => boolean, what: string, timeoutMs = SOON_MS): Promise<T> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const value = await read();
      if (wanted(value)) return value;
      if (performance.now() >= deadline)
        throw new SwarmError({
          code: 'deadline',
          reason: 'timeout',
          message: `timed out after ${timeoutMs} ms waiting for ${what}; last seen: ${show(value)}`,
        });
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  async nodeState(host: string, state: NodeState, timeoutMs = SOON_MS): Promise<void> {
    await this.until(
      async () => (await this.nodes()).get(host)?.status?.state,
      (found) => found === state,
      `${host} to be ${state}`,
      timeoutMs,
    );
  }

  /** Removes services and waits until nothing of them is left in the swarm. */
  async remove(...services: readonly string[]): Promise<void> {
    await this.must(['service', 'rm', ...services]);
    for (const service of services)
      await this.until(
        () => this.tasks(service),
        (tasks) => tasks.length === 0,
        `the tasks of ${service} to go`,
        3 * SOON_MS,
      );
  }

  /** What the daemons had to complain about lately, for who looks into a failure. */
  async complaints(): Promise<string> {
    let text = '';
    for (const { name, paths } of this.lab.hosts) {
      const lines = (await readFile(paths.log, 'utf8')).split('\n').filter((line) => !line.startsWith('{"level":30'));
      text += lines
        .slice(-COMPLAINTS)
        .map((line) => line && `${name}: ${line.slice(0, 1000)}\n`)
        .join('');
    }
    return text;
  }

  /** All services that there are, away; every host on, its daemon up, its node ready: as the next file expects it. */
  async restore(): Promise<void> {
    await this.lab.undoFaults();
    for (const host of this.lab.hosts) await this.lab.start(host.name);
    await this.removeAll();
    for (const host of this.lab.hosts) await this.nodeState(host.name, NodeState.READY);
  }

  /** Removes all services that there are. */
  async removeAll(): Promise<void> {
    const names = await this.serviceNames();
    if (names.length > 0) await this.remove(...names);
  }

  async serviceNames(): Promise<readonly string[]> {
    const names: string[] = [];
    for await (const page of this.client().control.listServices({}))
      names.push(...page.services.map((view) => view.service?.spec?.name ?? ''));
    return names;
  }
}

let shared: Promise<Cluster> | undefined;

/** The swarm that the files of a run share. Give it back as it was: `restore()`. */
export function sharedCluster(): Promise<Cluster> {
  shared ??= Cluster.start(sharedLabName(), { managers: 1, workers: WORKERS.length });
  return shared;
}

/** Prepares a `describe` of tests on the shared swarm. */
export function useCluster(suite: Mocha.Suite): () => Cluster {
  let cluster: Cluster | undefined;
  suite.timeout(90_000);
  suite.beforeAll(async function () {
    this.timeout(START_MS);
    cluster = await sharedCluster();
  });
  suite.afterEach(async function () {
    if (this.currentTest?.state === 'failed') process.stderr.write((await cluster?.complaints()) ?? '');
  });
  suite.afterAll(async () => {
    await cluster?.restore();
    cluster?.close();
  });
  return () => {
    assert.ok(cluster, 'the swarm is up');
    return cluster;
  };
}

export function isRunning(task: Task): boolean {
  return task.desiredState === TaskState.RUNNING && task.status?.state === TaskState.RUNNING;
}

export function hasEnded(task: Task): boolean {
  return (task.status?.state ?? TaskState.NEW) > TaskState.RUNNING;
}

/** What a service has one task of: a slot, or a node. */
export function place(task: Task): string {
  return task.slot > 0 ? String(task.slot) : task.nodeId;
}

function show(value: unknown): string {
  if (Array.isArray(value) && value.some((one) => (one as Partial<Task>).status !== undefined))
    return value.map((task) => describeTask(task as Task)).join('; ');
  return JSON.stringify(value);
}

export function describeTask(task: Task): string {
  const { status, slot, desiredState, id } = task;
  const state = `${TaskStateNames[status?.state ?? 0]} for ${TaskStateNames[desiredState]}`;
  return `${id.slice(0, 6)} slot ${slot} ${state} ${status?.error ?? ''}${task.holdReason}`.trim();
}
