/** Real daemons on this machine, with simulated containers, each on a loopback address of its own. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { access, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SwarmError } from '#common/errors.ts';
import { ControlService } from '#gen/swarm/v1/control.ts';
import { type GetInfoResponse, InitSwarmRequest, JoinSwarmRequest, NodeService } from '#gen/swarm/v1/node.ts';
import type { Node } from '#gen/swarm/v1/objects.ts';
import { RootCaService } from '#gen/swarm/v1/rootca.ts';
import type { NodeRole } from '#gen/swarm/v1/specs.ts';
import { NodeSpec } from '#gen/swarm/v1/specs.ts';
import { createClient } from '#proto/grpc/client.ts';
import { SocketTransport } from '#proto/grpc/socket-transport.ts';

const ROOT = join(import.meta.dirname, '../../../..');
const READY_TIMEOUT_MS = 20_000;

/** A program as bin/ would start it: what was built starts in a third of the time that the source takes. */
export function programOf(built: string, source: string): string {
  const fromSource = process.env['STARLING_FROM_SOURCE'] !== undefined || !existsSync(join(ROOT, built));
  return join(ROOT, fromSource ? source : built);
}

export interface DaemonOptions {
  readonly name: string;
  /** A loopback address: 127.0.0.1, 127.0.0.2, ... */
  readonly host: string;
  readonly port: number;
}

/** One host: its directories stay while its daemon comes and goes. */
export class DaemonProcess {
  readonly name: string;
  readonly directory: string;
  address: string;
  /** Passes for a release of this feature level from the next start on. */
  featureLevel: number | undefined;
  #process: ChildProcess | undefined;
  #transport: SocketTransport | undefined;
  #output = '';

  private constructor(options: DaemonOptions, directory: string) {
    this.name = options.name;
    this.directory = directory;
    this.address = `${options.host}:${options.port}`;
  }

  static async create(options: DaemonOptions): Promise<DaemonProcess> {
    return new DaemonProcess(options, await mkdtemp(join(tmpdir(), `starling-${options.name}-`)));
  }

  get state(): string {
    return join(this.directory, 'state');
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** What it has logged since its last start. */
  get output(): string {
    return this.#output;
  }

  /** Starts it and waits until its socket answers. */
  async start(...more: string[]): Promise<void> {
    const run = join(this.directory, 'run');
    const flags = ['--state-dir', this.state, '--run-dir', run, '--executor', 'simulated', '--hostname', this.name];
    this.#output = '';
    const runtime = ['--disable-warning=ExperimentalWarning'];
    if (this.featureLevel !== undefined)
      runtime.push('--import', `data:text/javascript,globalThis.__STARLING_FEATURE_LEVEL__=${this.featureLevel}`);
    const child = spawn(
      process.execPath,
      [...runtime, programOf('dist/swarmd.mjs', 'src/swarmd/main.ts'), ...flags, ...more],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    this.#process = child;
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (data: Buffer) => {
        this.#output += data.toString();
      });
    this.#transport = new SocketTransport(join(run, 'swarm.sock'));
    await until(`${this.name} to be ready`, READY_TIMEOUT_MS, async () => {
      assert.equal(child.exitCode, null, `${this.name} has ended: ${this.#output}`);
      await this.info();
    });
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  /** When it ends by itself. */
  async ended(): Promise<number | null> {
    const child = this.#process;
    if (child === undefined) return null;
    if (child.exitCode === null) await once(child, 'exit');
    return child.exitCode;
  }

  async #end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    this.#transport?.close();
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill(signal);
    await exit;
  }

  /** Ends it and removes everything. */
  async destroy(): Promise<void> {
    await this.kill();
    await rm(this.directory, { recursive: true, force: true });
  }

  get #socket(): SocketTransport {
    assert.ok(this.#transport !== undefined, `${this.name} runs`);
    return this.#transport;
  }

  get node() {
    return createClient(NodeService, this.#socket);
  }

  get control() {
    return createClient(ControlService, this.#socket);
  }

  get rootCa() {
    return createClient(RootCaService, this.#socket);
  }

  info(): Promise<GetInfoResponse> {
    return this.node.getInfo({}, { timeoutMs: 5_000 });
  }

  init(more: Partial<InitSwarmRequest> = {}) {
    return this.node.initSwarm(
      InitSwarmRequest.create({
        listenAddress: this.address,
        advertiseAddress: this.address,
        skipPreflight: true,
        ...more,
      }),
      { timeoutMs: 60_000 },
    );
  }

  join(token: string, remote: string, more: Partial<JoinSwarmRequest> = {}) {
    return this.node.joinSwarm(
      JoinSwarmRequest.create({
        listenAddress: this.address,
        advertiseAddress: this.address,
        remoteAddresses: [remote],
        token,
        skipPreflight: true,
        ...more,
      }),
      { timeoutMs: 60_000 },
    );
  }

  leave(force = false) {
    return this.node.leaveSwarm({ force }, { timeoutMs: 60_000 });
  }

  async nodes(): Promise<readonly Node[]> {
    const found: Node[] = [];
    for await (const { nodes } of this.control.listNodes({}, { timeoutMs: 10_000 })) found.push(...nodes);
    return found;
  }

  async tokens(): Promise<{ readonly worker: string; readonly manager: string }> {
    const { cluster } = await this.control.getCluster({}, { timeoutMs: 10_000 });
    const tokens = cluster?.rootCa?.joinTokens;
    return { worker: tokens?.worker ?? '', manager: tokens?.manager ?? '' };
  }

  /** Asks for another role of the node with this host name. */
  async setRole(hostname: string, desiredRole: NodeRole): Promise<void> {
    for (;;) {
      const node = (await this.nodes()).find((one) => one.description?.hostname === hostname);
      assert.ok(node !== undefined, `${hostname} is a node`);
      const spec = { ...(node.spec ?? NodeSpec.create()), desiredRole };
      try {
        await this.control.updateNode({ id: node.id, version: node.version, spec }, { timeoutMs: 10_000 });
        return;
      } catch (thrown) {
        if (SwarmError.from(thrown).code !== 'conflict') throw thrown;
      }
    }
  }

  /** Something that every leader must have: a change of the cluster's spec. */
  async write(label: string): Promise<void> {
    for (;;) {
      const { cluster } = await this.control.getCluster({}, { timeoutMs: 10_000 });
      assert.ok(cluster?.spec !== undefined);
      try {
        const spec = { ...cluster.spec, labels: { ...cluster.spec.labels, [label]: '' } };
        await this.control.updateCluster({ version: cluster.version, spec }, { timeoutMs: 10_000 });
        return;
      } catch (thrown) {
        if (SwarmError.from(thrown).code !== 'conflict') throw thrown;
      }
    }
  }

  async clusterLevel(): Promise<number> {
    const { cluster } = await this.control.getCluster({}, { timeoutMs: 10_000 });
    return cluster?.featureLevel ?? 0;
  }

  async labels(): Promise<readonly string[]> {
    const { cluster } = await this.control.getCluster({}, { timeoutMs: 10_000 });
    return Object.keys(cluster?.spec?.labels ?? {}).sort();
  }

  has(...path: string[]): Promise<boolean> {
    return access(join(this.state, ...path)).then(
      () => true,
      () => false,
    );
  }

  read(...path: string[]): Promise<string> {
    return readFile(join(this.state, ...path), 'utf8');
  }
}

/** Repeats until it does not throw. @throws what it threw last, when the time is up */
export async function until<T>(what: string, timeoutMs: number, look: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      const result = await look();
      if (process.env['E_TIMES'])
        console.log(`      ${what}: ${Math.round(performance.now() - deadline + timeoutMs)} ms`);
      return result;
    } catch (thrown) {
      if (performance.now() > deadline)
        throw new Error(`waited ${timeoutMs} ms for ${what}: ${SwarmError.from(thrown).message}`, { cause: thrown });
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** A port that is free on all loopback addresses that tests use. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '0.0.0.0');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const { port } = address;
  server.close();
  await once(server, 'close');
  return port;
}
