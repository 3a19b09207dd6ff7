/**
 * Three durable managers on this machine, each a process with its log on the disk, against Debian's etcd in the same
 * run: entries of 256 bytes, mutual TLS everywhere, the same clients, all of which write to the leader. Rounds
 * alternate; medians are compared.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EtcdCluster, etcdVersion } from './raft/etcd-cluster.ts';
import { closedLoop, median, type PutTarget, percentile, type Rate } from './raft/load.ts';
import { OwnCluster } from './raft/own-cluster.ts';

const CLIENTS = 256;
const ROUNDS = 3;
const ROUND_MS = 4_000;
const WARM_UP_MS = 2_000;
/** Ours to etcd's: throughput at least, latency at most. */
const RATIO_GOAL = 1;

class Figures {
  readonly many: Rate[] = [];
  readonly one: Rate[] = [];
  /** Of all members together for one write of many clients, microseconds: says more than the rest on a busy machine. */
  readonly processorUs: number[] = [];
}

interface Cluster {
  processorMs(): Promise<number>;
}

async function measure(cluster: Cluster, target: PutTarget, figures: Figures): Promise<void> {
  figures.one.push(await closedLoop(target, 1, ROUND_MS));
  const before = await cluster.processorMs();
  const rate = await closedLoop(target, CLIENTS, ROUND_MS);
  figures.processorUs.push((((await cluster.processorMs()) - before) * 1000) / rate.latenciesMs.length);
  figures.many.push(rate);
}

const throughput = (rates: readonly Rate[]): number => median(rates.map(({ perSecond }) => perSecond));
const latencies = (rates: readonly Rate[]): number[] => rates.flatMap(({ latenciesMs }) => latenciesMs);

function report(name: string, { many, one, processorUs }: Figures): void {
  const milliseconds = (rates: readonly Rate[], share: number): string =>
    `${percentile(latencies(rates), share).toFixed(2)} ms`;
  const all = many.map(({ perSecond }) => Math.round(perSecond)).join(', ');
  console.log(
    `${name}: ${CLIENTS} clients ${Math.round(throughput(many))}/s (${all}), p50 ${milliseconds(many, 0.5)}, p99 ${milliseconds(many, 0.99)}, processor ${median(processorUs).toFixed(0)} us a write`,
  );
  console.log(`${name}: 1 client p50 ${milliseconds(one, 0.5)}, p99 ${milliseconds(one, 0.99)}`);
}

async function compare(): Promise<void> {
  const version = await etcdVersion();
  const directory = await mkdtemp(join(tmpdir(), 'starling-bench-raft-'));
  const own = new OwnCluster();
  const etcd = new EtcdCluster();
  try {
    await own.start(join(directory, 'own'));
    if (version !== undefined) await etcd.start(join(directory, 'etcd'));
    const ours = { cluster: own, target: await own.leader(), figures: new Figures() };
    const theirs =
      version === undefined ? undefined : { cluster: etcd, target: await etcd.leader(), figures: new Figures() };
    const both = theirs === undefined ? [ours] : [ours, theirs];
    for (const { target } of both) await closedLoop(target, CLIENTS, WARM_UP_MS);
    for (let round = 0; round < ROUNDS; round++)
      for (const { cluster, target, figures } of both) await measure(cluster, target, figures);
    report('three managers', ours.figures);
    if (theirs === undefined) {
      console.log('etcd: no peer, it is not installed (apt-get install etcd-server)');
      return;
    }
    report(`etcd ${version}`, theirs.figures);
    const faster = throughput(ours.figures.many) / throughput(theirs.figures.many);
    const slower = median(latencies(ours.figures.one)) / median(latencies(theirs.figures.one));
    console.log(`ours to etcd's: throughput ${faster.toFixed(2)} (goal ${RATIO_GOAL}, more is better)`);
    console.log(`ours to etcd's: latency ${slower.toFixed(2)} (goal ${RATIO_GOAL}, less is better)`);
    if (faster < RATIO_GOAL || slower > RATIO_GOAL) process.exitCode = 1;
  } finally {
    await Promise.allSettled([own.stop(), etcd.stop()]);
    await rm(directory, { recursive: true, force: true });
  }
}

await compare();
