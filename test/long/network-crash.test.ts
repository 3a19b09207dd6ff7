/**
 * Goal: a daemon that is killed at any moment of attaching or detaching a task leaves nothing that the next one does not
 * clean up, and nothing that keeps the task from being attached again. Method: a host with all that a daemon has for
 * networks, killed at random moments; what the kernel and the run directory hold is compared with what was there before.
 */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { instanceNames } from '#agent/network/instance.ts';
import { randomInt, SeededRandom } from '#common/random.ts';
import {
  ClusterHosts,
  hostAddress,
  INGRESS,
  STRANGER_ADDRESS,
  type TestTask,
} from '#test/agent/network/cluster/cluster-hosts.ts';
import { eventually } from '#test/support/eventually.ts';
import { difference, lines, type Place, stateOf } from '#test/support/network-state.ts';

const ROUNDS = Number(process.env['STARLING_CRASHES'] ?? 18);
/** Attaching takes some milliseconds, on a busy machine ten times as long. */
const MOMENT_MS = 30;
const RED = { id: 'red', vni: 4097, subnet: '10.0.1.0/24' } as const;
const KEEPER: TestTask = { id: 'keeper', host: 1, networks: { red: '10.0.1.10' } };
const CRASHED: TestTask = {
  id: 'crashed',
  host: 1,
  service: 'web',
  networks: { red: '10.0.1.11', [INGRESS]: '10.0.0.11' },
  ports: [{ protocol: 'tcp', publishedPort: 9090, targetPort: 80 }],
};

describe('long: daemons killed while they attach and detach', function () {
  this.timeout(600_000);
  let hosts: ClusterHosts;

  before(async () => {
    hosts = await ClusterHosts.make(1, [RED]);
    hosts.services = [{ id: 'web', addresses: { red: '10.0.1.2' }, ports: [{ publishedPort: 8080, targetPort: 80 }] }];
    await hosts.add(KEEPER);
  });

  after(() => hosts?.destroy());

  /** Without the namespaces that are kept ready: of those there is one, under any number. */
  function footprint(): string {
    const network = `${hosts.runDirectory(1)}/network`;
    const names = instanceNames(hosts.instance(1));
    const ours = new RegExp(`${names.hostLink}|lookup ${names.routingTable}|table ${names.routingTable}`);
    const places: readonly Place[] = [
      { path: hosts.hostPath(1), owns: (line) => ours.test(line) },
      { path: `${network}/ns/gateway`, owns: (line) => !/\bg\d+\b/.test(line) },
      { path: `${network}/overlay/ns/net-${RED.vni}`, owns: () => true },
    ];
    const cables = lines(`${network}/ns/gateway`, 'ip -o link').filter((line) => /^\d+: g\d+@/.test(line)).length;
    return [
      `${readdirSync(`${network}/ns`).length} namespaces, ${cables} cables`,
      `records: ${readdirSync(`${network}/tasks`).join()}; ${readdirSync(`${network}/overlay/tasks`).join()}`,
      ...places.map((place) => stateOf(place).replaceAll(/^g\d+,.*\n/gm, '')),
    ].join('\n');
  }

  async function assertServed(): Promise<void> {
    const task = hosts.inTask(CRASHED.id);
    const stranger = hosts.process(hosts.hostPath(0));
    await task.call('serve', 'web', '0.0.0.0', 80);
    for (const port of [8080, 9090])
      assert.equal(await stranger.call('ask', hostAddress(1), port), `web ${STRANGER_ADDRESS}`);
    await Promise.all([task.kill(), stranger.kill()]);
  }

  it(`${ROUNDS} times`, async () => {
    const seed = Number(process.env['STARLING_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
    const random = new SeededRandom(seed);
    await hosts.add(CRASHED);
    await assertServed();
    await hosts.daemon(1).call('detach', CRASHED.id);
    hosts.forget(CRASHED.id);
    await hosts.restart(1, [KEEPER.id]);
    await hosts.daemon(1).call('reconcile');
    const whole = footprint();
    for (let round = 0; round < ROUNDS; round++) {
      const what = (['attach', 'detach', 'attach and again'] as const)[round % 3];
      await hosts.declare(CRASHED);
      if (what === 'detach') await hosts.attach(CRASHED);
      const daemon = hosts.daemon(1);
      const dying = what === 'detach' ? daemon.call('detach', CRASHED.id) : hosts.attach(CRASHED);
      const done = dying.catch(() => undefined);
      await pause(randomInt(random, MOMENT_MS)); // the moment of the crash
      await daemon.kill();
      await done;
      if (what === 'attach and again') {
        await hosts.restart(1, [KEEPER.id, CRASHED.id]);
        await hosts.attach(CRASHED);
        await assertServed();
        await hosts.daemon(1).call('detach', CRASHED.id);
      }
      hosts.forget(CRASHED.id);
      await hosts.restart(1, [KEEPER.id]);
      let state = '';
      await eventually(
        () => `nothing to be left; seed ${seed}, round ${round}, killed in ${what}:\n${difference(whole, state)}`,
        async () => {
          await hosts.daemon(1).call('reconcile');
          state = footprint();
          return state === whole;
        },
        { timeoutMs: 20_000, everyMs: 200 },
      );
    }
  });
});
