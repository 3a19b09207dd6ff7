/**
 * Goal: a task that goes gets no new connections, and those that it has live until they end or their time does. Method:
 * streams of a service from a task and from outside, while the service is scaled down.
 */
import assert from 'node:assert/strict';
import { TaskState } from '#gen/swarm/v1/objects.ts';
import { FABRIC } from '#src/lab/names.ts';
import { eventually } from '#test/support/eventually.ts';
import { IMAGE, MANAGER, SOON_MS, useCluster } from './support/cluster.ts';
import type { LoadOrigin } from './support/http-load/http-load.ts';
import { type StreamOrder, Streams, streamServer, TICK_MS } from './support/streams/streams.ts';

const NETWORK = 'streams';
const PORT = 7000;
const PUBLISHED_PORT = 18_094;
/** What connections have after their task was taken out. */
const DRAIN_MS = 6000;
const SHORT_TICKS = 25;
/** Longer than anybody waits. */
const ENDLESS_TICKS = 10_000;
/** Half of them go to each of two servers, or nearly so. */
const CONNECTIONS = 8;

describe('e2e: long connections', function () {
  const cluster = useCluster(this);
  const open: Streams[] = [];

  afterEach(() => {
    for (const streams of open.splice(0)) streams.close();
  });

  after(async () => {
    await cluster().until(
      () => cluster().swarm(['network', 'rm', NETWORK]),
      ({ exitCode }) => exitCode === 0,
      'the network to go',
    );
  });

  async function openFrom(origin: LoadOrigin, ticks: readonly number[]): Promise<Streams> {
    const hosts = origin.processId === undefined ? cluster().lab.hosts.map(({ address }) => address) : ['stream'];
    const port = origin.processId === undefined ? PUBLISHED_PORT : PORT;
    const order: StreamOrder = { hosts, port, nameserver: '127.0.0.11', ticks };
    const streams = await Streams.open(cluster().lab, origin, order);
    open.push(streams);
    return streams;
  }

  it('of a task that is removed go on until they end, or their time does; new ones go elsewhere', async () => {
    await cluster().must(['network', 'create', '--driver', 'overlay', NETWORK]);
    const flags = ['--network', NETWORK, '--publish', `${PUBLISHED_PORT}:${PORT}`, '--stop-grace-period', '1s'];
    const server = [...flags, '--drain', `${DRAIN_MS}ms`, IMAGE, ...streamServer(PORT)];
    await cluster().must(['service', 'create', '-d', '--name', 'stream', '--replicas', '2', ...server]);
    await cluster().createService('reader', 1, ['--network', NETWORK, '--constraint', `node.hostname==${MANAGER}`]);
    await cluster().settled('stream', 2);
    const [reader] = await cluster().settled('reader', 1);
    const processId = reader?.status?.container?.pid;
    assert.ok(processId);
    const origins: readonly LoadOrigin[] = [{ host: FABRIC }, { host: MANAGER, processId }];

    const ticks = Array.from({ length: 2 * CONNECTIONS }, (_, index) =>
      index % 2 === 0 ? SHORT_TICKS : ENDLESS_TICKS,
    );
    const all = await Promise.all(origins.map((origin) => openFrom(origin, ticks)));
    await cluster().must(['service', 'scale', '-d', 'stream=1']);
    const scaledMs = performance.now();
    const gone = (await cluster().tasks('stream')).find(({ desiredState }) => desiredState > TaskState.RUNNING);
    assert.ok(gone, 'a task is to stop');
    const leaving = gone.id.slice(0, 12);

    const again = Array.from({ length: CONNECTIONS }, () => 0);
    const serversOf = async (origin: LoadOrigin): Promise<readonly string[]> =>
      (await openFrom(origin, again)).events.map(({ server: name }) => name);
    for (const origin of origins)
      await eventually('new connections to go elsewhere', async () => !(await serversOf(origin)).includes(leaving));
    for (const origin of origins) assert.ok(!(await serversOf(origin)).includes(leaving));

    for (const streams of all) {
      const short = streams.countOf(leaving, SHORT_TICKS);
      const endless = streams.countOf(leaving, ENDLESS_TICKS);
      await eventually(
        () => `the streams of ${leaving} to end: ${JSON.stringify(streams.events)}`,
        () => streams.endsOf(leaving, ENDLESS_TICKS).length === endless,
        { timeoutMs: DRAIN_MS + SOON_MS },
      );
      assert.ok(short + endless > 0, 'the task that goes had connections');
      const ended = streams.endsOf(leaving, SHORT_TICKS);
      assert.equal(ended.length, short);
      assert.deepEqual(
        ended.filter(({ isWhole }) => !isWhole),
        [],
        'what ends in time is whole',
      );
      for (const { atMs } of streams.endsOf(leaving, ENDLESS_TICKS))
        assert.ok(atMs - scaledMs > DRAIN_MS - 2 * TICK_MS, `cut after ${Math.round(atMs - scaledMs)} ms`);
    }
    assert.equal((await cluster().settled('stream', 1)).length, 1);
  });
});
