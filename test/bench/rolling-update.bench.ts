/**
 * What a user waits for: `service update --force` of 50 replicas, ten at a time, watched for a millisecond each, until the
 * update is complete. The task obeys SIGTERM. Peer: Docker's swarm mode (docker.io) in a network namespace of its own,
 * with the same image, where it is installed. Rounds alternate; medians are compared.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { promisify } from 'node:util';
import { UpdateState } from '#gen/swarm/v1/objects.ts';
import { ContainerSpec, ServiceSpec, TaskSpec, UpdateConfig } from '#gen/swarm/v1/specs.ts';
import { BenchDaemon, COMMAND, IMAGE, median, until } from './service/bench-daemon.ts';
import { DockerSwarm } from './service/docker-swarm.ts';

const REPLICAS = Number(process.env['BENCH_REPLICAS'] ?? 50);
const PARALLELISM = 10;
const ROUNDS = 3;
const PEER_RATIO_MIN = 5;
const run = promisify(execFile);

class Starling extends BenchDaemon {
  async create(): Promise<void> {
    const spec = ServiceSpec.create({
      name: 'bench',
      mode: { kind: 'replicated', value: { replicas: REPLICAS } },
      task: TaskSpec.create({ container: ContainerSpec.create({ image: IMAGE, args: COMMAND }) }),
      update: UpdateConfig.create({ parallelism: PARALLELISM, monitorMs: 1 }),
    });
    await this.client.control.createService({ spec });
    await until('all replicas', async () => (await this.#service()).counts?.running === REPLICAS, 20);
  }

  /** Milliseconds from the request until the update is complete. */
  async update(): Promise<number> {
    const { service } = await this.#service();
    if (service?.spec?.task === undefined) throw new Error('the service has gone');
    const task = { ...service.spec.task, forceUpdate: service.spec.task.forceUpdate + 1 };
    const began = performance.now();
    await this.client.control.updateService({
      id: service.id,
      version: service.version,
      spec: { ...service.spec, task },
    });
    await until(
      'the update',
      async () => {
        const { service: now, counts } = await this.#service();
        const { state, revision } = now?.updateStatus ?? {};
        return state === UpdateState.COMPLETED && revision === service.revision + 1 && counts?.running === REPLICAS;
      },
      5,
    );
    return performance.now() - began;
  }

  #service() {
    return this.client.control.getService({ reference: 'bench' });
  }
}

class DockerPeer extends DockerSwarm {
  async create(): Promise<void> {
    const update = ['--update-parallelism', String(PARALLELISM), '--update-monitor', '1ms', '--update-delay', '0s'];
    const flags = ['-d', '-q', '--no-resolve-image', '--name', 'bench', '--replicas', String(REPLICAS)];
    await this.docker('service', 'create', ...flags, ...update, IMAGE, ...COMMAND);
    await until("Docker's replicas", () => this.#allRun(), 50);
  }

  async update(): Promise<number> {
    const before = await this.#status();
    const began = performance.now();
    await this.docker('service', 'update', '-d', '-q', '--no-resolve-image', '--force', 'bench');
    await until(
      "Docker's update",
      async () => {
        const now = await this.#status();
        return now !== before && now.startsWith('completed') && (await this.#allRun());
      },
      5,
    );
    return performance.now() - began;
  }

  async remove(): Promise<void> {
    await this.docker('service', 'rm', 'bench').catch(() => '');
    await until("Docker's removal", async () => (await this.docker('ps', '-aq')) === '', 300).catch(() => {});
  }

  async #allRun(): Promise<boolean> {
    return (await this.docker('service', 'ls', '--format', '{{.Replicas}}')) === `${REPLICAS}/${REPLICAS}`;
  }

  /** With the time at which it began: two updates that are complete differ. */
  #status(): Promise<string> {
    const format = '{{with .UpdateStatus}}{{.State}} {{.StartedAt}}{{end}}';
    return this.docker('service', 'inspect', '--format', format, 'bench');
  }
}

async function main(folder: string): Promise<void> {
  await writeFile(join(folder, 'README'), 'made by a benchmark, which removes it');
  const own = new Starling(folder, 'm');
  const peer = await run('dockerd', ['--version']).then(
    () => new DockerPeer(folder),
    () => undefined,
  );
  try {
    await own.ready();
    const address = '127.0.0.1:22378';
    await own.client.node.initSwarm({ listenAddress: address, advertiseAddress: address, skipPreflight: true });
    await own.loadImage();
    await own.create();
    await peer?.ready();
    await peer?.create();
    await own.update(); // what runs for the first time is not compared
    const ours: number[] = [];
    const theirs: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      ours.push(await own.update());
      if (peer !== undefined) theirs.push(await peer.update());
    }
    const list = (values: readonly number[]): string => values.map((ms) => ms.toFixed(0)).join(', ');
    console.log(
      `update of ${REPLICAS} replicas, ${PARALLELISM} at a time: ${median(ours).toFixed(0)} ms (${list(ours)}); load ${loadavg()[0]?.toFixed(1)}`,
    );
    if (peer === undefined) {
      console.log('Docker: no peer, docker.io is not installed (apt-get install docker.io)');
      return;
    }
    const ratio = median(theirs) / median(ours);
    const missed = ratio < PEER_RATIO_MIN;
    if (missed) process.exitCode = 1;
    console.log(
      `Docker's swarm mode: ${median(theirs).toFixed(0)} ms (${list(theirs)}); ratio ${ratio.toFixed(1)} (goal ${PEER_RATIO_MIN})${missed ? '  MISSED' : ''}`,
    );
  } finally {
    await peer?.remove();
    await peer?.destroy();
    await own.client.control.removeService({ reference: 'bench' }).catch(() => undefined);
    await own.destroy();
  }
}

const folder = await mkdtemp(join(tmpdir(), 'srb-'));
try {
  await main(folder);
} finally {
  await rm(folder, { recursive: true, force: true });
}
