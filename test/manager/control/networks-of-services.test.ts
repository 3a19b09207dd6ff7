/** Goal: a service joins only networks, with addresses, aliases and ports, that it can have; the others are refused in words. */
import assert from 'node:assert/strict';
import { Service, ServiceEndpoint } from '#gen/swarm/v1/objects.ts';
import {
  EndpointMode,
  EndpointSpec,
  NetworkAttachmentSpec,
  PortConfig,
  PortProtocol,
  PublishMode,
  ServiceSpec,
  TrafficPolicy,
  UpdateConfig,
  UpdateOrder,
} from '#gen/swarm/v1/specs.ts';
import { caller, ports, refused, Swarm } from './networks-support.ts';

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
