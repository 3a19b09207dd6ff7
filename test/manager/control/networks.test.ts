/**
 * Goal: networks, and services on them, are taken as Docker takes them; what cannot work is refused in words that name the
 * field, the value, the rule and the way out. Method: the real API on a plain store; every rule has an example against it.
 */
import assert from 'node:assert/strict';
import {
  NetworkAttachment,
  Node,
  NodeStatus,
  ServiceEndpoint,
  Task,
  TaskState,
  TaskStatus,
  VirtualAddress,
} from '#gen/swarm/v1/objects.ts';
import { IpamSpec, NetworkSpec, PublishMode } from '#gen/swarm/v1/specs.ts';
import { caller, ipam, listed, ports, refused, Swarm, serviceSpec } from './networks-support.ts';

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
