/** Networks in real daemons: made with the swarm, declared on any manager, set up by whoever leads, and held back by older releases. */
import assert from 'node:assert/strict';
import { type Network, type Service, type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import {
  ContainerSpec,
  EndpointSpec,
  IpamSpec,
  IpamSubnet,
  NetworkAttachmentSpec,
  NetworkSpec,
  PortConfig,
  ServiceSpec,
  TaskSpec,
} from '#gen/swarm/v1/specs.ts';
import { FEATURE_LEVEL } from '#src/swarmd/version.ts';
import { type DaemonProcess, until } from './support/daemon-process.ts';
import { Managers, SOON_MS } from './support/managers.ts';

const DEADLINE = { timeoutMs: 10_000 };

async function networks(host: DaemonProcess): Promise<readonly Network[]> {
  const found: Network[] = [];
  for await (const page of host.control.listNetworks({}, DEADLINE)) found.push(...page.networks);
  return found;
}

async function named(host: DaemonProcess, name: string): Promise<Network> {
  const network = (await networks(host)).find(({ spec }) => spec?.name === name);
  assert.ok(network !== undefined, `network ${name} is there`);
  return network;
}

async function tasks(host: DaemonProcess): Promise<readonly Task[]> {
  const found: Task[] = [];
  for await (const page of host.control.listTasks({}, DEADLINE))
    found.push(...page.tasks.flatMap(({ task }) => task ?? []));
  return found;
}

function declared(name: string, network: string): ServiceSpec {
  return ServiceSpec.create({
    name,
    mode: { kind: 'replicated', value: { replicas: 3 } },
    task: TaskSpec.create({
      container: ContainerSpec.create({ image: 'busybox' }),
      networks: [NetworkAttachmentSpec.create({ network })],
    }),
    endpoint: EndpointSpec.create({ ports: [PortConfig.create({ targetPort: 80 })] }),
  });
}

describe('networks of daemons', function () {
  this.timeout(60_000);
  let managers: Managers;
  let failed = false;
  beforeEach(async () => {
    managers = await Managers.create();
  });
  afterEach(async function () {
    failed ||= this.currentTest?.state === 'failed';
    await managers.destroy(failed);
  });

  it('are set up from the pools of the swarm, declared on any manager, and stay as they are under another leader', async () => {
    const one = await managers.daemon('one');
    await assert.rejects(one.init({ defaultAddressPools: ['10.40.0.0/26'] }), /smaller than one network/);
    await one.init({ defaultAddressPools: ['10.40.0.0/16'] });
    const two = await managers.daemon('two');
    await two.join((await one.tokens()).manager, one.address);
    await managers.voters(one, ['one', 'two']);
    await until('every node to have its number', SOON_MS, async () => {
      const indexes = (await two.nodes()).map(({ index }) => index).sort((a, b) => a - b);
      assert.deepEqual(indexes, [1, 2]);
    });
    const ingress = await named(two, 'ingress');
    assert.equal(ingress.vni, 4096);
    assert.equal(ingress.subnets[0]?.subnet, '10.40.0.0/17');
    await two.control.createNetwork({ spec: NetworkSpec.create({ name: 'web' }) }, DEADLINE);
    const { service } = await two.control.createService(
      { spec: declared('api', 'web'), queryRegistry: false },
      DEADLINE,
    );
    const before = await settled(two, service);
    const leader = await managers.leader(one);
    const other = leader === one ? two : one;
    await leader.stop();
    await leader.start();
    await managers.voters(other, ['one', 'two']);
    const after = await settled(other, service);
    assert.deepEqual(after.endpoint, before.endpoint, 'nothing was given anew');
    // Simulated containers end with their daemon: those of the other one are the same tasks.
    for (const [id, addresses] of after.addresses)
      assert.deepEqual(addresses, before.addresses.get(id) ?? addresses, `task ${id} keeps its addresses`);
    const { network, usage } = await until('addresses of ended tasks to be given back', SOON_MS, async () => {
      const found = await other.control.getNetwork({ reference: 'web' }, DEADLINE);
      assert.equal(found.usage?.users.length, 4);
      return found;
    });
    assert.ok(network !== undefined);
    assert.equal(network?.subnets[0]?.subnet, '10.40.128.0/24');
    assert.deepEqual(
      usage?.subnets.map(({ used, total }) => [used, total]),
      [[4, 253]],
    );
    await assert.rejects(two.control.removeNetwork({ reference: 'web' }, DEADLINE), /in use by service api/);
    const subnets = [IpamSubnet.create({ subnet: '10.99.0.0/24' })];
    const spec = NetworkSpec.create({ ...network.spec, ipam: IpamSpec.create({ ...network.spec?.ipam, subnets }) });
    await other.control.updateNetwork({ id: network.id, version: network.version, spec }, DEADLINE);
    await until('the network to grow', SOON_MS, async () => {
      assert.deepEqual(
        (await named(two, 'web')).subnets.map(({ subnet }) => subnet),
        ['10.40.128.0/24', '10.99.0.0/24'],
      );
    });
  });

  it('come with the level that allows them, once the last manager has it', async () => {
    const one = await managers.daemon('one');
    await one.stop();
    one.featureLevel = 2;
    await one.start();
    await one.init();
    const two = await managers.daemon('two');
    await two.join((await one.tokens()).manager, one.address);
    await managers.voters(one, ['one', 'two']);
    const spec = NetworkSpec.create({ name: 'web' });
    // Whoever is asked, and whoever leads: an older release among the managers could not read it.
    for (const host of [one, two]) {
      assert.deepEqual(await networks(host), []);
      await assert.rejects(host.control.createNetwork({ spec }, DEADLINE), /network: needs feature level 3/);
      assert.deepEqual(
        (await host.nodes()).map(({ index }) => index),
        [0, 0],
      );
    }
    await one.stop();
    one.featureLevel = undefined;
    await one.start();
    await managers.voters(two, ['one', 'two']);
    await until('the ingress network to come', SOON_MS, async () => {
      assert.equal(await two.clusterLevel(), FEATURE_LEVEL);
      assert.equal((await named(two, 'ingress')).subnets[0]?.subnet, '10.0.0.0/16');
      assert.deepEqual(
        (await two.nodes()).map(({ index }) => index).toSorted((a, b) => a - b),
        [1, 2],
      );
    });
    await two.control.createNetwork({ spec }, DEADLINE);
  });

  /** What the service and its live tasks have been given, once they have. */
  function settled(host: DaemonProcess, service: Service | undefined) {
    return until('tasks to have their addresses', SOON_MS, async () => {
      const found = await host.control.getService({ reference: service?.id ?? '' }, DEADLINE);
      const all = (await tasks(host)).filter(({ status }) => status?.state === TaskState.RUNNING);
      const addresses = new Map(all.map(({ id, networks: given }) => [id, given.map((one) => one.addresses)]));
      assert.equal(all.length, 3);
      for (const [id, given] of addresses) assert.equal(given.length, 2, `task ${id} is on the network and on ingress`);
      assert.equal(found.service?.endpoint?.problem, '');
      return { endpoint: found.service.endpoint, addresses };
    });
  }
});
