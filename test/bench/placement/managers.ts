/**
 * Three managers as people run them: daemons of their own with their logs on the disk. The first one's log is founded
 * beforehand, with the nodes of simulated agents in it; the others join.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { IdentityStore } from '#agent/identity/index.ts';
import { systemRandom } from '#common/system/random.ts';
import { ClusterSpec, NodeAvailability } from '#gen/swarm/v1/specs.ts';
import { bootstrapCluster } from '#manager/ca/index.ts';
import { connectLocal } from '#src/client/local.ts';
import type { SwarmClient } from '#src/client/swarm-client.ts';
import { createDataKey } from '#src/swarmd/data-key.ts';
import { pathsOf } from '#src/swarmd/paths.ts';
import { FEATURE_LEVEL } from '#src/swarmd/version.ts';
import { eventually } from '#test/support/eventually.ts';
import type { AgentIdentity } from '../discovery/describe-agent.ts';
import { foundLog, issueAgents } from '../discovery/found-cluster.ts';

const root = join(import.meta.dirname, '../../..');
const PATIENCE = { timeoutMs: 120_000, everyMs: 200 };
/** A thousand agents on one machine have better things to do here. */
const HEARTBEAT_MS = 10_000;
const PROFILE = process.env['BENCH_PROFILE'];

export interface Memory {
  readonly heldBytes: number;
  readonly residentBytes: number;
}

export interface LongestTurn {
  readonly wallMs: number;
  readonly processorMs: number;
}

export class ManagerProcess {
  readonly client: SwarmClient;
  readonly #process: ChildProcess;

  constructor(folder: string, name: string) {
    const runDir = join(folder, `${name}-run`);
    this.#process = fork(
      join(root, 'src/swarmd/main.ts'),
      ['--state-dir', join(folder, name), '--run-dir', runDir, '--executor', 'simulated', '--log-level', 'error'],
      {
        execArgv: [
          '--expose-gc',
          `--max-semi-space-size=${process.env['BENCH_SEMI_MB'] ?? 16}`,
          // BENCH_PROFILE=DIR: where a manager's time goes, for who wants to make it less.
          ...(PROFILE === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${join(PROFILE, name)}`]),
          '--import',
          join(import.meta.dirname, 'memory-reporter.ts'),
        ],
        env: { ...process.env, UV_THREADPOOL_SIZE: '16', MALLOC_ARENA_MAX: '1' },
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      },
    );
    this.client = connectLocal(join(runDir, 'swarm.sock'));
  }

  async ready(): Promise<void> {
    const answers = async (): Promise<boolean> =>
      this.client.node.getInfo({}).then(
        () => true,
        () => false,
      );
    await eventually('a manager to answer', answers, PATIENCE);
  }

  async memory(): Promise<Memory> {
    const answer = once(this.#process, 'message');
    this.#process.send('memory');
    const [memory] = (await answer) as [Memory];
    return memory;
  }

  /** The longest that its loop was held up since it was asked for last. */
  async longestTurn(): Promise<LongestTurn> {
    const answer = once(this.#process, 'message');
    this.#process.send('loop');
    const [longest] = (await answer) as [LongestTurn];
    return longest;
  }

  /** As if its host had lost its power, but for what the kernel says to its peers. */
  async kill(): Promise<void> {
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await ended;
  }

  /** Processor time that it has used. */
  processorMs(): number {
    const stat = readFileSync(`/proc/${this.#process.pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10;
  }

  async close(): Promise<void> {
    this.client.close();
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGTERM');
    await ended;
  }
}

export interface Managers {
  readonly all: readonly ManagerProcess[];
  readonly leader: ManagerProcess;
  /** host:port of the leader. */
  readonly address: string;
  /** host:port of all. */
  readonly addresses: readonly string[];
  readonly clusterId: string;
  readonly agents: readonly AgentIdentity[];
}

export async function startManagers(
  folder: string,
  agentCount: number,
  heartbeatPeriodMs = HEARTBEAT_MS,
): Promise<Managers> {
  const ports = await freePorts(3);
  const addresses = ports.map((port) => `127.0.0.1:${port}`);
  const [address = ''] = addresses;
  const bootstrap = bootstrapCluster({
    nowMs: Date.now(),
    random: systemRandom,
    hostname: 'm1',
    // No task may come here: everything is to go to the simulated agents.
    availability: NodeAvailability.DRAIN,
    featureLevel: FEATURE_LEVEL,
    spec: ClusterSpec.create({ dispatcher: { heartbeatPeriodMs, replaceAfterMs: undefined } }),
  });
  const stage = (what: string): void => console.log(`${what} after ${(performance.now() / 1000).toFixed(1)} s`);
  const agents = issueAgents(bootstrap, agentCount);
  stage('certificates');
  const stateDir = join(folder, 'm1');
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const paths = pathsOf(stateDir, join(folder, 'm1-run'));
  const { current: dataKey } = await createDataKey(paths.dataKey);
  await foundLog(bootstrap, { directory: paths.log, dataKey, address }, agents);
  stage('log');
  const { node, identity } = bootstrap;
  await new IdentityStore(stateDir).install({
    privateKey: identity.keys.privateKey,
    certificatePem: identity.certificatePem,
    rootPem: identity.rootPem,
    managers: [{ nodeId: node.id, address }],
    addresses: { listen: address, advertise: address, dataPath: '' },
  });
  const all = ['m1', 'm2', 'm3'].map((name) => new ManagerProcess(folder, name));
  try {
    for (const manager of all) await manager.ready();
    stage('managers answer');
    await joinOthers(all, addresses, bootstrap.cluster.rootCa?.joinTokens?.manager ?? '');
    stage('joined');
  } catch (thrown) {
    for (const manager of all) await manager.close();
    throw thrown;
  }
  return { all, leader: all[0] as ManagerProcess, address, addresses, clusterId: bootstrap.cluster.id, agents };
}

/** One after the other, each with its vote before the next. */
async function joinOthers(all: readonly ManagerProcess[], addresses: readonly string[], token: string): Promise<void> {
  for (const [place, manager] of all.entries()) {
    if (place === 0) continue;
    const address = addresses[place] ?? '';
    await manager.client.node.joinSwarm({
      remoteAddresses: [addresses[0] ?? ''],
      token,
      listenAddress: address,
      advertiseAddress: address,
      availability: NodeAvailability.DRAIN,
      skipPreflight: true,
    });
    const voters = async (): Promise<boolean> => {
      let count = 0;
      for await (const { nodes } of (all[0] as ManagerProcess).client.control.listNodes({}))
        count += nodes.filter((node) => node.managerStatus !== undefined && !node.managerStatus.learner).length;
      return count === place + 1;
    };
    await eventually('the manager to have its vote', voters, PATIENCE);
  }
}

async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as { readonly port: number }).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}
