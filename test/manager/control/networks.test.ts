/**
 * Goal: networks, and services on them, are taken as Docker takes them; what cannot work is refused in words that name the
 * field, the value, the rule and the way out. Method: the real API on a plain store; every rule has an example against it.
 */
import assert from 'node:assert/strict';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { ListNetworksRequest } from '#gen/swarm/v1/control.ts';
import {
  Cluster,
  Network,
  NetworkAttachment,
  Node,
  NodeStatus,
  Service,
  ServiceEndpoint,
  Task,
  TaskState,
  TaskStatus,
  VirtualAddress,
} from '#gen/swarm/v1/objects.ts';
import {
  ClusterSpec,
  ContainerSpec,
  EndpointMode,
  EndpointSpec,
  IpamSpec,
  IpamSubnet,
  NetworkAttachmentSpec,
  NetworkSpec,
  PortConfig,
  PortProtocol,
  PublishMode,
  ServiceSpec,
  TaskSpec,
  TrafficPolicy,
  UpdateConfig,
  UpdateOrder,
} from '#gen/swarm/v1/specs.ts';
import { ingressNetwork } from '#manager/allocator/index.ts';
import { ControlApi, validateNetworkDefaults } from '#manager/control/index.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';

const caller = { author: 'test' };

class Swarm {
  readonly view = new MemoryView();
  readonly api: ControlApi;

  constructor(featureLevel = 3) {
    const cluster = Cluster.create({ id: 'c', spec: ClusterSpec.create(), featureLevel });
    this.view.commit([{ kind: 'create', table: 'cluster', object: cluster }]);
    if (featureLevel >= 3) this.put({ ...ingressNetwork('ingress0'), vni: 4096, subnets: [subnet('10.0.0.0/16')] });
    this.api = new ControlApi({
      store: { view: () => this.view, decide: async (decide) => this.view.commit(decide(this.view)) },
      selfNodeId: () => 'self',
      members: () => [],
      random: new SeededRandom(1),
      images: { resolve: async () => undefined },
      tokens: () => '',
      now: () => 1,
      logger: silentLogger,
    });
  }

  put(object: Network): void {
    this.view.commit([{ kind: 'create', table: 'network', object }]);
  }

  /** A network as the allocator has set it up. */
  async network(name: string, cidr: string, fields: Partial<NetworkSpec> = {}): Promise<Network> {
    const { network } = await this.create(name, { ipam: ipam({ subnet: cidr }), ...fields });
    assert.ok(network);
    const ready = { ...network, subnets: [subnet(cidr)] };
    this.view.commit([{ kind: 'update', table: 'network', object: ready }]);
    return ready;
  }

  create(name: string, fields: Partial<NetworkSpec> = {}) {
    return this.api.createNetwork(caller, { spec: NetworkSpec.create({ name, ...fields }) });
  }

  service(name: string, networks: readonly Partial<NetworkAttachmentSpec>[], fields: Partial<ServiceSpec> = {}) {
    return this.api.createService(caller, { spec: serviceSpec(name, networks, fields), queryRegistry: false });
  }
}

function subnet(cidr: string): IpamSubnet {
  return IpamSubnet.create({ subnet: cidr, gateway: cidr.replace(/\.0\/\d+$/, '.1') });
}

function ipam(...subnets: readonly Partial<IpamSubnet>[]): IpamSpec {
  return IpamSpec.create({ subnets: subnets.map((one) => IpamSubnet.create(one)) });
}

function serviceSpec(
  name: string,
  networks: readonly Partial<NetworkAttachmentSpec>[],
  fields: Partial<ServiceSpec> = {},
): ServiceSpec {
  return ServiceSpec.create({
    name,
    mode: { kind: 'replicated', value: { replicas: 1 } },
    task: TaskSpec.create({
      container: ContainerSpec.create({ image: 'busybox' }),
      networks: networks.map((one) => NetworkAttachmentSpec.create(one)),
    }),
    ...fields,
  });
}

function ports(...configs: readonly Partial<PortConfig>[]): { endpoint: EndpointSpec } {
  return {
    endpoint: EndpointSpec.create({ ports: configs.map((one) => PortConfig.create({ targetPort: 80, ...one })) }),
  };
}

async function refused(work: Promise<unknown>, message: RegExp, reason?: string): Promise<void> {
  await assert.rejects(work, (thrown: unknown) => {
    const error = SwarmError.from(thrown);
    assert.match(error.message, message);
    assert.ok(error.hint !== undefined && error.hint !== '', 'says a way out');
    if (reason !== undefined) assert.equal(error.reason, reason);
    return true;
  });
}

async function listed(swarm: Swarm, request: Partial<ListNetworksRequest>): Promise<readonly string[]> {
  const names: string[] = [];
  for await (const { networks } of swarm.api.listNetworks(caller, ListNetworksRequest.create(request)))
    names.push(...networks.map(({ spec }) => spec?.name ?? ''));
  return names.sort();
}

describe('control API: networks', () => {
  it('keeps a network with its drivers named and its addresses in the one way', async () => {
    const swarm = new Swarm();
    const { network } = await swarm.create('web', {
      ipv6: true,
      ipam: ipam({ subnet: 'FD00:0:0:1::0/64', auxAddresses: { printer: 'fd00::1:0:0:0:9' } }),
    });
    assert.equal(network?.spec?.driver, 'overlay');
    assert.equal(network?.spec?.ipam?.driver, 'default');
    assert.equal(network?.spec?.ipam?.subnets[0]?.subnet, 'fd00:0:0:1::/64');
    assert.equal(network?.spec?.ipam?.subnets[0]?.auxAddresses['printer'], 'fd00:0:0:1::9');
  });

  const refusals: readonly [string, Partial<NetworkSpec>, RegExp][] = [
    ['a name with a slash', { name: 'a/b' }, /name.*"a\/b".*DNS/],
    ['the name of a network that nodes have', { name: 'bridge' }, /name: "bridge" is the name of a network/],
    ['an unknown driver', { driver: 'weave' }, /driver: "weave" is not a driver/],
    ['the driver host', { driver: 'host' }, /driver: "host"/],
    ['an unknown option', { driverOptions: { 'com.x': '1' } }, /opt: the driver overlay has no option "com.x"/],
    ['an option of another driver', { driverOptions: { parent: 'eth0' } }, /overlay has no option "parent"/],
    ['a parent that is a path', { driver: 'macvlan', driverOptions: { parent: '../eth0' } }, /parent=\.\.\/eth0/],
    ['a wrong mode', { driver: 'macvlan', driverOptions: { macvlan_mode: 'l2' } }, /macvlan_mode=l2 is not understood/],
    ['an MTU that is none', { driverOptions: { 'com.docker.network.driver.mtu': '99' } }, /mtu=99/],
    [
      'the identifier of ingress',
      { driverOptions: { 'com.docker.network.driver.overlay.vxlanid_list': '4096' } },
      /vxlanid_list=4096/,
    ],
    ['a second ingress network', { ingress: true }, /ingress: the swarm has an ingress network already: ingress/],
    ['an attachable ingress network', { ingress: true, attachable: true }, /cannot be attachable/],
    ['an internal ingress network', { ingress: true, internal: true }, /cannot be internal/],
    ['an ingress network of macvlan', { ingress: true, driver: 'macvlan' }, /cannot carry published ports/],
    ['another IPAM driver', { ipam: IpamSpec.create({ driver: 'dhcp' }) }, /ipam-driver: "dhcp"/],
    ['an unknown IPAM option', { ipam: IpamSpec.create({ options: { a: 'b' } }) }, /ipam-opt: a=b/],
    ['a subnet that is none', { ipam: ipam({ subnet: '10.300.0.0/16' }) }, /subnet: "10.300.0.0\/16" is not/],
    ['a subnet with host bits', { ipam: ipam({ subnet: '10.1.2.3/24' }) }, /subnet: 10.1.2.3\/24 has bits beyond/],
    ['a subnet without room', { ipam: ipam({ subnet: '10.1.2.0/31' }) }, /10.1.2.0\/31 has no room/],
    ['loopback', { ipam: ipam({ subnet: '127.1.0.0/16' }) }, /overlaps 127.0.0.0\/8/],
    ['IPv6 that is not asked for', { ipam: ipam({ subnet: 'fd00:1::/64' }) }, /fd00:1::\/64 is one of IPv6/],
    [
      'a gateway elsewhere',
      { ipam: ipam({ subnet: '10.1.0.0/24', gateway: '10.2.0.1' }) },
      /gateway: 10.2.0.1 is no address/,
    ],
    [
      'the network address as gateway',
      { ipam: ipam({ subnet: '10.1.0.0/24', gateway: '10.1.0.0' }) },
      /gateway: 10.1.0.0/,
    ],
    [
      'a range elsewhere',
      { ipam: ipam({ subnet: '10.1.0.0/24', ipRange: '10.2.0.0/25' }) },
      /ip-range: 10.2.0.0\/25 does not lie/,
    ],
    [
      'an auxiliary address elsewhere',
      { ipam: ipam({ subnet: '10.1.0.0/24', auxAddresses: { a: '10.2.0.9' } }) },
      /aux-address: 10.2.0.9/,
    ],
    [
      'an auxiliary address that is the gateway',
      { ipam: ipam({ subnet: '10.1.0.0/24', gateway: '10.1.0.9', auxAddresses: { a: '10.1.0.9' } }) },
      /10.1.0.9 is that of the gateway and of a/,
    ],
    ['a gateway without a subnet', { ipam: ipam({ gateway: '10.2.0.1' }) }, /without the subnet/],
    [
      'subnets that overlap',
      { ipam: ipam({ subnet: '10.1.0.0/24' }, { subnet: '10.1.0.128/25' }) },
      /of the network overlap/,
    ],
    [
      'a subnet of another network',
      { ipam: ipam({ subnet: '10.0.128.0/24' }) },
      /overlaps 10.0.0.0\/16 of network ingress/,
    ],
  ];
  for (const [what, fields, message] of refusals)
    it(`refuses ${what}`, async () => {
      const swarm = new Swarm();
      await refused(swarm.create('web', fields), message);
      assert.equal(swarm.view.count('network'), 1);
    });

  it('a name is given once, in whatever case', async () => {
    const swarm = new Swarm();
    await swarm.create('web');
    await refused(swarm.create('WEB'), /network with name WEB already exists/, 'duplicate-name');
  });

  it('two networks have addresses in common where one of them says so, and no service joins both', async () => {
    const swarm = new Swarm();
    const shared = { ...ipam({ subnet: '10.9.0.0/24' }), options: { overlap: 'allow' } };
    await swarm.network('one', '10.9.0.0/24');
    await swarm.network('two', '10.9.0.0/24', { ipam: shared });
    await refused(swarm.create('three', { ipam: ipam({ subnet: '10.9.0.0/25' }) }), /of network one/, 'address-pool');
    await refused(swarm.service('web', [{ network: 'one' }, { network: 'two' }]), /one \(10.9.0.0\/24\) and two/);
  });

  it('warns of a subnet that hides a node', async () => {
    const swarm = new Swarm();
    const node = Node.create({ id: 'n1', status: NodeStatus.create({ address: '10.5.0.7' }) });
    swarm.view.commit([{ kind: 'create', table: 'node', object: node }]);
    const { warnings } = await swarm.create('web', { ipam: ipam({ subnet: '10.5.0.0/24' }) });
    assert.match(warnings.join(), /subnet 10.5.0.0\/24 has the address of node n1/);
  });

  it('below feature level 3 there are none', async () => {
    const swarm = new Swarm(2);
    await refused(swarm.create('web'), /needs feature level 3/, 'feature-level');
    await refused(swarm.service('web', [{ network: 'host' }]), /network: needs feature level 3/, 'feature-level');
    await refused(swarm.service('web', [], ports({ publishedPort: 80 })), /publish: needs/, 'feature-level');
    await swarm.service('web', [], ports({ publishedPort: 80, publishMode: PublishMode.HOST }));
  });

  it('lists by name, label, driver, type, scope and use', async () => {
    const swarm = new Swarm();
    await swarm.create('web', { labels: { a: 'b' } });
    await swarm.create('lan', { driver: 'macvlan' });
    await swarm.service('api', [{ network: 'web' }]);
    assert.deepEqual(await listed(swarm, {}), ['ingress', 'lan', 'web']);
    assert.deepEqual(await listed(swarm, { names: ['we'] }), ['web']);
    assert.deepEqual(await listed(swarm, { labels: ['a=b'] }), ['web']);
    assert.deepEqual(await listed(swarm, { drivers: ['macvlan'] }), ['lan']);
    assert.deepEqual(await listed(swarm, { types: ['builtin'] }), []);
    assert.deepEqual(await listed(swarm, { scopes: ['swarm'], dangling: true }), ['lan']);
    assert.deepEqual(await listed(swarm, { dangling: false }), ['ingress', 'web']);
    await refused(listed(swarm, { types: ['other'] }), /type: "other" is not known/);
  });

  it('changes labels, adds subnets and lets them grow, and nothing else', async () => {
    const swarm = new Swarm();
    const network = await swarm.network('web', '10.9.0.0/24');
    const update = (fields: Partial<NetworkSpec>) => {
      const current = swarm.view.get('network', network.id) ?? network;
      const spec = NetworkSpec.create({ ...current.spec, ...fields });
      return swarm.api.updateNetwork(caller, { id: network.id, version: current.version, spec });
    };
    await update({ labels: { a: 'b' } });
    await update({ ipam: ipam({ subnet: '10.9.0.0/23' }, { subnet: '10.11.0.0/24' }) });
    const subnets = swarm.view.get('network', network.id)?.spec?.ipam?.subnets.map((one) => one.subnet);
    assert.deepEqual(subnets, ['10.9.0.0/23', '10.11.0.0/24']);
    await refused(update({ name: 'other' }), /name: cannot be changed \(web to other\)/, 'not-supported');
    await refused(update({ internal: true }), /internal: cannot be changed/);
    await refused(update({ ipam: ipam({ subnet: '10.9.0.0/23' }) }), /subnet: 10.11.0.0\/24 cannot be taken/, 'in-use');
    await refused(
      update({ ipam: ipam({ subnet: '10.9.0.0/24' }, { subnet: '10.11.0.0/24' }) }),
      /10.9.0.0\/23 cannot be/,
    );
    await refused(
      update({ ipam: ipam({ subnet: '10.9.0.0/23', gateway: '10.9.0.9' }, { subnet: '10.11.0.0/24' }) }),
      /gateway: 10.9.0.1 cannot be/,
    );
    await refused(
      swarm.api.updateNetwork(caller, { id: network.id, version: 1, spec: network.spec }),
      /out of sequence/,
      'out-of-sequence',
    );
  });

  it('is not removed while a service or a live task uses it, and says which', async () => {
    const swarm = new Swarm();
    const network = await swarm.network('web', '10.9.0.0/24');
    const { service } = await swarm.service('api', [{ network: 'web' }]);
    assert.ok(service);
    const remove = () => swarm.api.removeNetwork(caller, { reference: 'web' });
    await refused(remove(), /network web is in use by service api/, 'in-use');
    const attachment = NetworkAttachment.create({ network: network.id, addresses: ['10.9.0.7'] });
    const status = TaskStatus.create({ state: TaskState.RUNNING });
    const task = Task.create({
      id: 't1',
      serviceId: service.id,
      slot: 2,
      nodeId: 'n1',
      status,
      networks: [attachment],
    });
    const without = { ...service, spec: serviceSpec('api', []) };
    const addresses = [VirtualAddress.create({ network: network.id, addresses: ['10.9.0.5'] })];
    swarm.view.commit([
      { kind: 'create', table: 'task', object: task },
      { kind: 'update', table: 'service', object: { ...without, endpoint: ServiceEndpoint.create({ addresses }) } },
    ]);
    const { usage } = await swarm.api.getNetwork(caller, { reference: network.id.slice(0, 10) });
    assert.deepEqual(usage?.subnets, [{ subnet: '10.9.0.0/24', total: 253, used: 2 }]);
    assert.deepEqual(usage.nodeIds, ['n1']);
    assert.deepEqual(
      usage.users.map(({ serviceName, taskId, slot }) => [serviceName, taskId, slot]),
      [
        ['api', '', 0],
        ['api', 't1', 2],
      ],
    );
    await refused(remove(), /in use by task api\.2/, 'in-use');
    const ended = { ...task, version: 1, status: TaskStatus.create({ state: TaskState.SHUTDOWN }) };
    swarm.view.commit([
      { kind: 'update', table: 'task', object: { ...ended, version: swarm.view.get('task', 't1')?.version ?? 0 } },
    ]);
    assert.equal((await remove()).id, network.id);
  });

  it('ingress goes only when nothing is published by it, and comes back', async () => {
    const swarm = new Swarm();
    await swarm.service('web', [], ports({ publishedPort: 8080 }));
    const remove = () => swarm.api.removeNetwork(caller, { reference: 'ingress' });
    await refused(remove(), /network ingress is in use by service web/);
    const service = swarm.view.serviceByName('web');
    assert.ok(service);
    swarm.view.commit([{ kind: 'remove', table: 'service', object: service }]);
    await remove();
    await refused(swarm.service('web', [], ports({ publishedPort: 8080 })), /no ingress network/);
    await swarm.create('entry', { ingress: true });
    await swarm.service('web', [], ports({ publishedPort: 8080 }));
  });
});

describe('control API: networks of services', () => {
  type Refusal = readonly [string, readonly Partial<NetworkAttachmentSpec>[], Partial<ServiceSpec>, RegExp];
  const NETWORKS: readonly Refusal[] = [
    ['a network that is not there', [{ network: 'nope' }], {}, /network nope not found/],
    ['ingress', [{ network: 'ingress' }], {}, /cannot be attached to the ingress network "ingress"/],
    ['a network twice', [{ network: 'web' }, { network: 'WEB' }], {}, /web is joined twice/],
    ['host beside another', [{ network: 'host' }, { network: 'web' }], {}, /host cannot be joined together/],
    ['an alias on host', [{ network: 'host', aliases: ['x'] }], {}, /host takes no alias/],
    ['an alias that is no name', [{ network: 'web', aliases: ['a b'] }], {}, /alias "a b" is not a DNS name/],
    ['an option', [{ network: 'web', driverOptions: { x: 'y' } }], {}, /no driver option "x"/],
    ['an address that is none', [{ network: 'web', addresses: ['10.9'] }], {}, /"10.9" is not an IP address/],
    ['an address elsewhere', [{ network: 'web', addresses: ['10.8.0.9'] }], {}, /10.8.0.9 is in none of its subnets/],
    ['the gateway', [{ network: 'web', addresses: ['10.9.0.1'] }], {}, /10.9.0.1 is that of its gateway/],
    [
      'two addresses of a family',
      [{ network: 'web', addresses: ['10.9.0.8', '10.9.0.9'] }],
      {},
      /more than one address/,
    ],
    [
      'an address for several tasks',
      [{ network: 'web', addresses: ['10.9.0.8'] }],
      { mode: { kind: 'replicated', value: { replicas: 2 } } },
      /is for one task/,
    ],
    [
      'an address with start-first',
      [{ network: 'web', addresses: ['10.9.0.8'] }],
      { update: UpdateConfig.create({ order: UpdateOrder.START_FIRST }) },
      /start-first two tasks/,
    ],
    ['ports of the mesh on host', [{ network: 'host' }], ports({ publishedPort: 80 }), /mode ingress do not reach/],
    [
      'dnsrr with ports of the mesh',
      [],
      { endpoint: EndpointSpec.create({ mode: EndpointMode.DNSRR, ports: [PortConfig.create({ targetPort: 80 })] }) },
      /mode ingress cannot be used with dnsrr/,
    ],
    ['a negative drain', [], { endpoint: EndpointSpec.create({ drainMs: -1 }) }, /drain: must not be negative/],
    [
      'a policy in mode host',
      [],
      ports({ publishedPort: 80, publishMode: PublishMode.HOST, trafficPolicy: TrafficPolicy.LOCAL }),
      /traffic policy is for mode ingress/,
    ],
    [
      'a port twice',
      [],
      ports({ publishedPort: 80 }, { publishedPort: 80, targetPort: 81 }),
      /80\/tcp is published twice/,
    ],
    [
      'a port in both modes',
      [],
      ports({ publishedPort: 80 }, { publishedPort: 80, hostIp: '10.0.0.1', publishMode: PublishMode.HOST }),
      /80\/tcp is published twice/,
    ],
    [
      'a port of another service',
      [],
      ports({ publishedPort: 443 }),
      /port 443\/tcp is already in use by service taken as an ingress/,
    ],
    [
      'a port of the mesh for a node',
      [],
      ports({ publishedPort: 443, publishMode: PublishMode.HOST }),
      /port 443\/tcp is already in use by service taken/,
    ],
    ...[4789, 4790, 51_820].map(
      (publishedPort): Refusal => [
        `port ${publishedPort}/udp of the swarm itself`,
        [],
        ports({ publishedPort, protocol: PortProtocol.UDP, publishMode: PublishMode.HOST }),
        /is the swarm's own/,
      ],
    ),
    ['an open port that another was given', [], ports({ publishedPort: 30_001 }), /port 30001\/tcp is already in use/],
  ];
  for (const [what, networks, fields, message] of NETWORKS)
    it(`refuses ${what}`, async () => {
      const swarm = new Swarm();
      await swarm.network('web', '10.9.0.0/24');
      const { service } = await swarm.service('taken', [], ports({ publishedPort: 443 }, {}));
      const endpoint = ServiceEndpoint.create({
        ports: [PortConfig.create({ targetPort: 80, publishedPort: 30_001 })],
      });
      swarm.view.commit([{ kind: 'update', table: 'service', object: Service.create({ ...service, endpoint }) }]);
      await refused(swarm.service('api', networks, fields), message);
      assert.equal(swarm.view.count('service'), 1);
    });

  it('takes names for ids, aliases, addresses, sctp, open ports, and one port on two addresses', async () => {
    const swarm = new Swarm();
    const network = await swarm.network('web', '10.9.0.0/24');
    const fields = ports(
      { publishedPort: 80, hostIp: '10.0.0.1' },
      { publishedPort: 80, hostIp: '127.0.0.1' },
      { protocol: PortProtocol.SCTP, publishedPort: 80 },
      {},
      { targetPort: 81, publishMode: PublishMode.HOST },
    );
    const joined = [{ network: 'Web', aliases: ['db', 'db.local'], addresses: ['10.9.0.8'] }, { network: 'bridge' }];
    const { service } = await swarm.service('api', joined, fields);
    assert.deepEqual(
      service?.spec?.task?.networks.map((one) => one.network),
      [network.id, 'bridge'],
    );
  });

  it('two services do not declare one address, and who has it keeps it through updates', async () => {
    const swarm = new Swarm();
    await swarm.network('web', '10.9.0.0/24');
    const joined = [{ network: 'web', addresses: ['10.9.0.8'] }];
    const { service } = await swarm.service('one', joined);
    await refused(swarm.service('two', joined), /10.9.0.8 is that of service one/);
    assert.ok(service?.spec);
    const spec = { ...service.spec, labels: { a: 'b' } };
    await swarm.api.updateService(caller, { id: service.id, version: service.version, spec, queryRegistry: false });
    const more = { ...spec, mode: { kind: 'replicated' as const, value: { replicas: 3 } } };
    const version = swarm.view.get('service', service.id)?.version ?? 0;
    await refused(
      swarm.api.updateService(caller, { id: service.id, version, spec: more, queryRegistry: false }),
      /is for one task/,
    );
  });
});

describe('networks of a new swarm', () => {
  const check = (fields: Partial<Parameters<typeof validateNetworkDefaults>[0]>) => async () =>
    validateNetworkDefaults({ defaultAddressPools: [], subnetSize: 0, dataPathPort: 0, ...fields });

  it('take the defaults, several pools of both families, and other ports', async () => {
    await check({})();
    await check({
      defaultAddressPools: ['10.32.0.0/12', '192.168.0.0/16', 'fd00::/48'],
      subnetSize: 26,
      dataPathPort: 5789,
    })();
  });

  const wrong: readonly [string, Parameters<typeof check>[0], RegExp][] = [
    ['a port of another service', { dataPathPort: 80 }, /data-path-port: 80 is not between 1024 and 49151/],
    ['networks without room', { subnetSize: 31 }, /mask-length: 31 leaves/],
    ['a pool that is none', { defaultAddressPools: ['10.0.0.0'] }, /"10.0.0.0" is not a block/],
    ['a pool with host bits', { defaultAddressPools: ['10.1.0.0/8'] }, /10.1.0.0\/8 has bits beyond/],
    ['pools that overlap', { defaultAddressPools: ['10.0.0.0/8', '10.1.0.0/16'] }, /overlap/],
    ['a pool smaller than a network', { defaultAddressPools: ['10.1.0.0/26'] }, /smaller than one network of \/24/],
    ['a pool of everything', { defaultAddressPools: ['0.0.0.0/0'] }, /not of a size/],
  ];
  for (const [what, fields, message] of wrong)
    it(`are not ${what}`, () => refused(check(fields)(), message, 'bad-field'));
});
