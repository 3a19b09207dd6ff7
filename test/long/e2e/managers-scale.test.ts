/**
 * Goal: much state and many tasks do not disturb those who hold the log. Method: a manager joins over a narrow wire while
 * the others work; a thousand replicas start while one of the machine's processors is kept busy.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ContainerSpec, ServiceSpec, TaskSpec } from '#gen/swarm/v1/specs.ts';
import { DEFAULT_DAEMON } from '#src/lab/lab.ts';
import { SOON_MS } from '#test/e2e/support/cluster.ts';
import { spreadOf, spreadText, tell } from '#test/e2e/support/figures.ts';
import { useManagers } from '#test/e2e/support/managers.ts';

const STATE_BYTES = 50_000_000;
/** Of one service; the store has it twice, in the service and in its revision. */
const SPEC_BYTES = 1_000_000;
const LABEL_BYTES = 50_000;
/** A fifth of a fast Ethernet: the state alone takes 20 s. */
const LINK_KBIT = 20_000;
const JOIN_MS = 240_000;
const REPLICAS = 1_000;
const BURST_MS = 240_000;

describe('long e2e: much state', function () {
  this.timeout(600_000);
  const managers = useManagers(this, { managers: 4, workers: 0, formSwarm: false, image: false });
  const cluster = () => managers().cluster;

  async function joinAsManager(host: string): Promise<void> {
    const token = (await cluster().mustOn('m1', ['join-token', '-q', 'manager'])).trim();
    const address = cluster().host(host).address;
    const args = ['join', '--token', token, '--advertise-addr', address, cluster().host('m1').address];
    const { exitCode, stderr } = await cluster().on(host, args, { timeoutMs: JOIN_MS });
    // The command waits a while, and then says that the rest takes longer.
    if (exitCode !== 0) assert.match(stderr, /it goes on in the background/);
  }

  it('50 MB of it join over a slow link; the leader stays and goes on working', async () => {
    const first = ['m1', 'm2', 'm3'];
    await cluster().mustOn('m1', ['init', '--advertise-addr', cluster().host('m1').address]);
    for (const host of ['m2', 'm3']) await joinAsManager(host);
    const leader = await managers().formed(first);
    const control = cluster().client('m1').control;
    for (let number = 0; number * 2 * SPEC_BYTES < STATE_BYTES; number++) {
      const text = randomBytes((SPEC_BYTES * 3) / 4).toString('base64');
      const labels: Record<string, string> = {};
      for (let at = 0; at < text.length; at += LABEL_BYTES) labels[`part-${at}`] = text.slice(at, at + LABEL_BYTES);
      const container = ContainerSpec.create({ image: 'localhost/none' });
      await control.createService({
        spec: ServiceSpec.create({
          name: `large-${number}`,
          labels,
          task: TaskSpec.create({ container }),
          mode: { kind: 'replicated', value: { replicas: 0 } },
        }),
      });
    }
    // What joins now gets a snapshot: the log does not reach back to the beginning.
    await cluster().mustOn('m1', ['update', '--snapshot-interval', '100']);
    const load = await managers().load({ managers: first.map((host) => cluster().host(host)), writesPerSecond: 50 });
    await load.more(60, 60_000);
    const raft = `${cluster().host(leader).paths.stateDirectory}/raft`;
    await cluster().lab.waitFor('a snapshot of it all', 60_000, async () => {
      const snapshots = (await readdir(raft)).filter((name) => name.endsWith('.snapshot'));
      const sizes = await Promise.all(snapshots.map(async (name) => (await stat(join(raft, name))).size));
      return Math.max(...sizes) > STATE_BYTES / 2;
    });
    // More than one is taken while the first is on its way, and the log forgets what comes before them.
    await cluster().mustOn('m1', ['update', '--snapshot-interval', '500']);
    const elections = await managers().elections();
    await cluster().lab.limitLink('m4', LINK_KBIT);
    const began = performance.now();
    const from = load.acknowledged.length;
    await joinAsManager('m4');
    await managers().formed(managers().names, JOIN_MS);
    tell(`joined after ${Math.round((performance.now() - began) / 1000)} s over ${LINK_KBIT / 1000} Mbit/s`);
    assert.equal(await managers().leader(['m4']), leader);
    assert.ok((await managers().elections()) <= elections + 1, 'the joiner alone has seen a term begin');
    const meanwhile = load.acknowledged.slice(from).map((write) => write.returnedMs - write.invokedMs);
    tell(`writes meanwhile, ${spreadText(spreadOf(meanwhile))}`);
    await cluster().lab.limitLink('m4', undefined);
    await load.finishWell();
    const { service } = await cluster().client('m4').control.getService({ reference: 'large-0' });
    assert.ok(Object.keys(service?.spec?.labels ?? {}).length > 10);
  });
});

describe('long e2e: a burst of tasks', function () {
  this.timeout(600_000);
  const managers = useManagers(this, {
    managers: 3,
    workers: 5,
    image: false,
    daemon: [DEFAULT_DAEMON, '--executor', 'simulated'],
  });
  const cluster = () => managers().cluster;

  it(`${REPLICAS} replicas start while a processor is busy, and no election takes place`, async () => {
    const leader = await managers().formed();
    const elections = await managers().elections();
    assert.ok(elections > 0, 'elections are counted');
    const busy = await cluster().lab.spawn('fabric', ['taskset', '--cpu-list', '0', 'sh', '-c', 'while :; do :; done']);
    try {
      const load = await managers().load({ writesPerSecond: 20 });
      await load.more(20, SOON_MS);
      const began = performance.now();
      const from = load.acknowledged.length;
      await cluster().createService('burst', REPLICAS);
      await cluster().until(
        async () => (await cluster().client().control.getService({ reference: 'burst' })).counts?.running,
        (running) => running === REPLICAS,
        `${REPLICAS} tasks to run`,
        BURST_MS,
      );
      tell(`${REPLICAS} tasks run after ${Math.round((performance.now() - began) / 100) / 10} s`);
      const meanwhile = load.acknowledged.slice(from).map((write) => write.returnedMs - write.invokedMs);
      tell(`writes meanwhile, ${spreadText(spreadOf(meanwhile))}`);
      assert.equal(await managers().elections(), elections, 'no election took place');
      assert.equal(await managers().formed(), leader);
      await load.finishWell();
    } finally {
      busy.kill('SIGKILL');
      await once(busy, 'exit');
    }
    await cluster().must(['service', 'rm', 'burst']);
  });
});
