/** Goal: nodes say what they have and what comes of their packets. Method: two hosts of namespaces, damaged. */
import assert from 'node:assert/strict';
import { DEFAULT_NETWORK_DOCTOR_CONFIG } from '#agent/network/doctor/config.ts';
import { NetworkDoctor } from '#agent/network/doctor/network-doctor.ts';
import { NetlinkKernel } from '#agent/network/overlay/kernel/netlink-kernel.ts';
import { SeededRandom } from '#common/random.ts';
import { systemClock } from '#common/system/clock.ts';
import { CheckedNetwork, NetworkCheck, type NetworkCheckReport, type NetworkState } from '#gen/swarm/v1/doctor.ts';
import { networkDigest, sameDigest } from '#proto/network-digest.ts';
import { Hosts } from '../overlay/hosts.ts';
import { drop, NET, undrop, VNI } from '../probe/ways.ts';

const CONFIG = {
  ...DEFAULT_NETWORK_DOCTOR_CONFIG,
  probe: { ...DEFAULT_NETWORK_DOCTOR_CONFIG.probe, retryMs: 60, windowMs: 600 },
  echoRetryMs: 50,
};

describe('agent: the doctor of networks', function () {
  this.timeout(30_000);
  let hosts: Hosts;

  before(async () => {
    hosts = await Hosts.make({ count: 2, config: { eventDelayMs: 3_600_000 } });
    await hosts.restoreAll();
    hosts.network({ id: NET, vni: VNI, subnets: ['10.0.1.0/24'] });
    for (const host of [1, 2]) await hosts.add({ id: `task${host}`, host, networks: { [NET]: [`10.0.1.1${host}`] } });
  });

  after(() => hosts?.destroy());
  afterEach(() => undrop(hosts));

  /** What both hosts report of one check. */
  async function examined(settled: () => Promise<void> = async () => {}): Promise<readonly NetworkCheckReport[]> {
    return Promise.all(
      [1, 2].map((host) => {
        const node = hosts.node(host);
        const doctor = new NetworkDoctor({
          networks: {
            survey: (networkId) => node.survey(networkId),
            ways: (networkId) => node.ways(networkId),
            differences: async () => [],
            handshakeAges: async () => new Map(),
            underlayDevice: async () => 'eth0',
          },
          repairs: () => [],
          hostPath: hosts.hostPath(host),
          config: CONFIG,
          clock: systemClock,
          random: new SeededRandom(host),
        });
        const networks = [CheckedNetwork.create({ networkId: NET, peerIds: [`node${3 - host}`] })];
        const check = NetworkCheck.create({ id: 'a-check-of-networks-12345', budgetMs: 2000, networks });
        return doctor.examine(check, { views: hosts.views(host), settled });
      }),
    );
  }

  const stateOf = (report: NetworkCheckReport | undefined): NetworkState => {
    const [state] = report?.networks ?? [];
    assert.ok(state !== undefined);
    return state;
  };

  it('all is well: the table as declared, no difference, every packet back', async () => {
    const view = hosts.views(1).get(NET);
    assert.ok(view !== undefined);
    const declared = await networkDigest(view);
    for (const report of await examined()) {
      assert.ok(report.applied);
      const { known, digest, problem, differences, paths, mtu } = stateOf(report);
      assert.deepEqual([known, problem, differences, mtu], [true, '', [], 1450]);
      assert.ok(digest !== undefined && sameDigest(digest, declared));
      assert.equal(paths[0]?.answered.length, 4, JSON.stringify(paths));
      assert.equal(paths[0]?.underlay, undefined, 'nobody is asked past VXLAN without need');
    }
  });

  it('a deleted route and a blocked port, each for what it is', async () => {
    const router = await new NetlinkKernel().open(hosts.routerPath(1, `net-${VNI}`));
    const route = (await router.items()).find((item) => item.kind === 'route' && item.destination === '10.0.1.12/32');
    assert.ok(route !== undefined);
    await router.change([{ do: 'delete', item: route }]);
    await router.close();
    await drop(hosts, 'udp dport 4789');
    const [one, two] = await examined();
    assert.deepEqual(stateOf(one).differences, ['route to 10.0.1.12/32']);
    assert.deepEqual(stateOf(two).differences, []);
    for (const report of [one, two]) {
      const [path] = stateOf(report).paths;
      assert.deepEqual([path?.answered, path?.heard], [[], []]);
      assert.deepEqual(
        [path?.underlay?.answers, path?.underlay?.answersFull, path?.underlay?.port],
        [true, true, 4789],
      );
    }
    await hosts.node(1).reconcile();
  });

  it('what is told and never applied is said, and holds up nothing', async () => {
    const never = (): Promise<void> => new Promise(() => {});
    const began = performance.now();
    const [report] = await examined(() => Promise.race([never(), Promise.reject(new Error('late'))]));
    assert.equal(report?.applied, false);
    assert.match(report?.problem ?? '', /not all applied/);
    assert.ok(performance.now() - began < 4000);
  });

  it('tables with the same entries have the same digest, in whatever order; others another', async () => {
    const view = hosts.views(1).get(NET);
    assert.ok(view !== undefined);
    const turned = { ...view, endpoints: new Map([...view.endpoints].toReversed()) };
    assert.ok(sameDigest(await networkDigest(view), await networkDigest(turned)));
    const less = { ...view, endpoints: new Map([...view.endpoints].slice(1)) };
    assert.ok(!sameDigest(await networkDigest(view), await networkDigest(less)));
  });
});
