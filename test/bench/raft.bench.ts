/**
 * Three durable managers on this machine, each a process with its log on the disk, against Debian's etcd in the same
 * run: entries of 256 bytes, mutual TLS everywhere, the same clients, all of which write to the leader. Then snapshots
 * of a large state.
 *
 * Rounds are short and interleaved, so that what else uses the machine meets both; each of ours is compared with the one
 * of etcd's beside it, and the median of these ratios counts.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EtcdCluster, etcdVersion } from './raft/etcd-cluster.ts';
import { closedLoop, median, type PutTarget, percentile, type Rate } from './raft/load.ts';
import { OwnCluster } from './raft/own-cluster.ts';
import { benchSnapshots } from './raft/snapshots.ts';

const CLIENTS = 256;
const ROUNDS = 15;
const MANY_MS = 1_000;
const ONE_MS = 500;
/** Until what is used all the time has been compiled, as in a manager that has been up for a while. */
const WARM_UP_MS = 6_000;
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
  figures.one.push(await closedLoop(target, 1, ONE_MS));
  const before = await cluster.processorMs();
  const rate = await closedLoop(target, CLIENTS, MANY_MS);
  figures.processorUs.push((((await cluster.processorMs()) - before) * 1000) / rate.latenciesMs.length);
  figures.many.push(rate);
}

/** Ours to theirs, round by round. */
function ratios(ours: readonly Rate[], theirs: readonly Rate[], of: (rate: Rate) => number): readonly number[] {
  return ours.map((rate, round) => of(rate) / of(theirs[round] ?? rate));
}

function reportRatio(what: string, of: readonly number[], wish: string): void {
  const [low, middle, high] = [0.25, 0.5, 0.75].map((share) => percentile(of, share).toFixed(2));
  console.log(
    `ours to etcd's: ${what} ${middle} (goal ${RATIO_GOAL}, ${wish} is better; half of the rounds ${low} to ${high})`,
  );
}

const throughput = (rates: readonly Rate[]): number => median(rates.map(({ perSecond }) => perSecond));
const latencies = (rates: readonly Rate[]): number[] => rates.flatMap(({ latenciesMs }) => latenciesMs);

function report(name: string, { many, one, processorUs }: Figures): void {
  const milliseconds = (rates: readonly Rate[], share: number): string =>
    `${percentile(latencies(rates), share).toFixed(2)} ms`;
  const all = many.map(({ perSecond }) => Math.round(perSecond)).join(' ');
  console.log(
    `${name}: ${CLIENTS} clients ${Math.round(throughput(many))}/s (${all}), p50 ${milliseconds(many, 0.5)}, p99 ${milliseconds(many, 0.99)}, processor ${median(processorUs).toFixed(0)} us a write`,
  );
  console.log(`${name}: 1 client p50 ${milliseconds(one, 0.5)}, p99 ${milliseconds(one, 0.99)}`);
}

/** Prints the figures; false when one of them misses its goal. */
async function compare(directory: string): Promise<boolean> {
  const version = await etcdVersion();
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
      // Nobody always comes first.
      for (const { cluster, target, figures } of round % 2 === 0 ? both : both.toReversed())
        await measure(cluster, target, figures);
    report('three managers', ours.figures);
    if (theirs === undefined) {
      console.log('etcd: no peer, it is not installed (apt-get install etcd-server)');
      return true;
    }
    report(`etcd ${version}`, theirs.figures);
    const faster = ratios(ours.figures.many, theirs.figures.many, ({ perSecond }) => perSecond);
    const slower = ratios(ours.figures.one, theirs.figures.one, ({ latenciesMs }) => median(latenciesMs));
    reportRatio('throughput', faster, 'more');
    reportRatio('latency', slower, 'less');
    return median(faster) >= RATIO_GOAL && median(slower) <= RATIO_GOAL;
  } finally {
    await Promise.allSettled([own.stop(), etcd.stop()]);
  }
}

const directory = await mkdtemp(join(tmpdir(), 'starling-bench-raft-'));
try {
  const fast = await compare(directory);
  const smooth = await benchSnapshots(directory);
  if (!fast || !smooth) process.exitCode = 1;
} finally {
  await rm(directory, { recursive: true, force: true });
}
