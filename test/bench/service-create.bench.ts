/**
 * What a user waits for: `service create --replicas 50` on one node until all of them run, with limits on memory, CPU
 * and processes. Peer: Docker's swarm mode (docker.io) in a network namespace of its own, with the same image, where it
 * is installed. Rounds alternate; medians are compared. Also the memory of an idle agent and of each container.
 */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { promisify } from 'node:util';
import { ContainerSpec, ResourceRequirements, Resources, ServiceSpec, TaskSpec } from '#gen/swarm/v1/specs.ts';
import { BenchDaemon, COMMAND, IMAGE, median, until } from './service/bench-daemon.ts';
import { DockerSwarm } from './service/docker-swarm.ts';

const REPLICAS = 50;
const ROUNDS = 3;
const PEER_RATIO_MIN = 10;
const MEMORY_PER_CONTAINER_MB_MAX = 3;
const IDLE_AGENT_MB_MAX = 110;
/** A daemon that is idle still sends heartbeats: less than 2 % of a processor. */
const IDLE_TICKS_MAX = 10;
const IDLE_LOOK_MS = 5_000;
const run = promisify(execFile);

/** Processor time that the process has used, in ticks of 10 ms. */
function ticksOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // After the name in parentheses, which may hold anything: state is field 3, utime and stime are 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

/** Resolves when the process uses next to nothing of a processor from one look to the next. */
async function idle(pid: number): Promise<void> {
  let before = Number.NEGATIVE_INFINITY;
  const isIdle = (): boolean => {
    const now = ticksOf(pid);
    const used = now - before;
    before = now;
    return used <= IDLE_TICKS_MAX;
  };
  await until('the process to be idle', isIdle, IDLE_LOOK_MS);
}

function residentMb(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0';
  return Number(kilobytes) / 1024;
}

/** Of processes that share libraries each counts its share: what goes away when they do. */
function proportionalMb(pid: number): number {
  const kilobytes = /^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? '0';
  return Number(kilobytes) / 1024;
}

function processesWith(words: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').includes(words);
      } catch {
        return false;
      }
    });
}

class Starling extends BenchDaemon {
  /** Milliseconds from the request until every replica runs. */
  async round(): Promise<number> {
    const limits = Resources.create({ cpuNanos: 1e9, memoryBytes: 64 << 20, pids: 100 });
    const container = ContainerSpec.create({ image: IMAGE, args: COMMAND });
    const spec = ServiceSpec.create({
      name: 'bench',
      mode: { kind: 'replicated', value: { replicas: REPLICAS } },
      task: TaskSpec.create({ container, resources: ResourceRequirements.create({ limits }) }),
    });
    const began = performance.now();
    await this.client.control.createService({ spec });
    await until('all replicas', async () => (await this.#running()) === REPLICAS, 5);
    return performance.now() - began;
  }

  async #running(): Promise<number> {
    return (await this.client.control.getService({ reference: 'bench' })).counts?.running ?? 0;
  }

  async clear(): Promise<void> {
    await this.client.control.removeService({ reference: 'bench' });
    await until('the removal', async () => (await this.client.node.getInfo({})).containersTotal === 0, 100);
  }
}

class DockerPeer extends DockerSwarm {
  async round(): Promise<number> {
    const limits = ['--limit-cpu', '1', '--limit-memory', '64m', '--limit-pids', '100'];
    const began = performance.now();
    await this.docker(
      'service',
      'create',
      '-d',
      '-q',
      '--no-resolve-image',
      '--name',
      'bench',
      '--replicas',
      String(REPLICAS),
      ...limits,
      IMAGE,
      ...COMMAND,
    );
    const all = async (): Promise<boolean> =>
      (await this.docker('service', 'ls', '--format', '{{.Replicas}}')) === `${REPLICAS}/${REPLICAS}`;
    await until("Docker's replicas", all, 5);
    return performance.now() - began;
  }

  async clear(): Promise<void> {
    await this.docker('service', 'rm', 'bench');
    await until("Docker's removal", async () => (await this.docker('ps', '-aq')) === '', 300);
  }
}

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'slb-'));
  await writeFile(join(folder, 'README'), 'made by a benchmark, which removes it');
  const manager = new Starling(folder, 'm');
  const worker = new Starling(folder, 'w');
  const docker = await run('dockerd', ['--version']).then(
    () => new DockerPeer(folder),
    () => undefined,
  );
  try {
    await Promise.all([manager.ready(), worker.ready()]);
    const init = await manager.client.node.initSwarm({
      listenAddress: '127.0.0.1:22377',
      advertiseAddress: '127.0.0.1:22377',
      skipPreflight: true,
    });
    await manager.loadImage();
    await docker?.ready();
    // Warm both: code that runs for the first time, and the kernel's caches.
    await manager.round();
    await manager.clear();
    const own: number[] = [];
    const peer: number[] = [];
    let perContainerMb = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const before = residentMb(manager.pid);
      own.push(await manager.round());
      const monitors = processesWith(`${folder}/m-run`).filter((pid) => pid !== manager.pid);
      const monitorsMb = monitors.reduce((sum, pid) => sum + proportionalMb(pid), 0);
      perContainerMb = (residentMb(manager.pid) - before + monitorsMb) / REPLICAS;
      await manager.clear();
      if (docker !== undefined) {
        peer.push(await docker.round());
        await docker.clear();
      }
    }
    console.log(
      `service create --replicas ${REPLICAS} until all run: ${median(own).toFixed(0)} ms (${own.map((ms) => ms.toFixed(0)).join(', ')})`,
    );
    if (docker === undefined) console.log('Docker: no peer, docker.io is not installed (apt-get install docker.io)');
    else {
      const ratio = median(peer) / median(own);
      console.log(
        `Docker's swarm mode: ${median(peer).toFixed(0)} ms (${peer.map((ms) => ms.toFixed(0)).join(', ')}); ratio ${ratio.toFixed(1)} (goal ${PEER_RATIO_MIN})`,
      );
    }
    console.log(`memory per container: ${perContainerMb.toFixed(2)} MB (goal ${MEMORY_PER_CONTAINER_MB_MAX})`);
    await worker.client.node.joinSwarm({
      remoteAddresses: ['127.0.0.1:22377'],
      token: init.workerToken,
      skipPreflight: true,
    });
    await idle(worker.pid);
    console.log(
      `idle agent: ${residentMb(worker.pid).toFixed(0)} MB resident (goal ${IDLE_AGENT_MB_MAX}); manager after the rounds ${residentMb(manager.pid).toFixed(0)} MB`,
    );
  } finally {
    await docker?.destroy();
    await worker.destroy();
    await manager.destroy();
    await rm(folder, { recursive: true, force: true });
  }
}

await main();
