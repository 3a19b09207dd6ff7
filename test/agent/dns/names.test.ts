/**
 * Goal: every name of Swarm's is answered with the right addresses, and only to those who share a network with whom it
 * names; nobody takes a name that is somebody else's (class 23 of the reliability cases). Method: tables in, questions
 * through the whole handler, parsed answers out.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseHostAddress, parseReverseName, parseSubnet, subnetContains } from '#agent/dns/book/host-address.ts';
import { NetworkChange, NetworkChanges, NetworkChangesType } from '#gen/swarm/v1/networks.ts';
import {
  addressesOf,
  askerOf,
  bookOf,
  changesOf,
  Dns,
  endpointOf,
  handling,
  type NetworkInput,
  question,
  serviceOf,
} from './support.ts';

const ON_FRONT = '10.255.0.1';
const ON_BACK = '10.255.0.2';
const ON_BOTH = '10.255.0.3';
const STRANGER = '10.255.0.9';

const FRONT: NetworkInput = {
  name: 'front',
  services: [
    { name: 'web', aliases: ['www', 'shared'], addresses: ['10.0.1.2', 'fd00:1::2'], ports: ['80/tcp', '53/udp'] },
    { name: 'Api', aliases: ['shared'], addresses: ['10.0.1.3'] },
    { name: 'db', ports: ['5432/tcp'] },
  ],
  endpoints: [
    { id: 'web1aaaaaaaaaaaaaaaaaaaaa', service: 'web', slot: 1, addresses: ['10.0.1.11', 'fd00:1::11'] },
    { id: 'web2aaaaaaaaaaaaaaaaaaaaa', service: 'web', slot: 2, addresses: ['10.0.1.12'] },
    { id: 'web3aaaaaaaaaaaaaaaaaaaaa', service: 'web', slot: 3, addresses: ['10.0.1.13'], serving: false },
    { id: 'db1aaaaaaaaaaaaaaaaaaaaaa', service: 'db', slot: 1, addresses: ['10.0.1.21'], hostname: 'primary' },
    { id: 'db2aaaaaaaaaaaaaaaaaaaaaa', service: 'db', slot: 2, addresses: ['10.0.1.22'], hostname: 'replica' },
    { id: 'run1aaaaaaaaaaaaaaaaaaaaa', addresses: ['10.0.1.31'], aliases: ['tool'], containerName: 'debugger' },
  ],
};
const BACK: NetworkInput = {
  name: 'back',
  subnets: ['10.0.2.0/24'],
  services: [
    { name: 'web', addresses: ['10.0.2.2'] },
    { name: 'store', addresses: ['10.0.2.3'] },
  ],
  endpoints: [{ id: 'web1aaaaaaaaaaaaaaaaaaaaa', service: 'web', slot: 1, addresses: ['10.0.2.11'] }],
};
const ASKERS = [askerOf(ON_FRONT, ['front']), askerOf(ON_BACK, ['back']), askerOf(ON_BOTH, ['front', 'back'])];

describe('dns: names', () => {
  const { ask, handler } = handling({ book: bookOf([FRONT, BACK], ASKERS) });
  const lookUp = async (from: string, name: string, type = Dns.TYPE.A as number): Promise<readonly string[]> =>
    addressesOf(await ask(from, question(name, { type })));

  const CASES: readonly (readonly [name: string, addresses: readonly string[]])[] = [
    ['web', ['10.0.1.2']],
    ['WEB', ['10.0.1.2']],
    ['web.', ['10.0.1.2']],
    ['api', ['10.0.1.3']],
    ['www', ['10.0.1.2']],
    ['shared', ['10.0.1.2', '10.0.1.3']],
    ['tasks.web', ['10.0.1.11', '10.0.1.12']],
    ['tasks.www', ['10.0.1.11', '10.0.1.12']],
    ['tasks.db', ['10.0.1.21', '10.0.1.22']],
    ['db', ['10.0.1.21', '10.0.1.22']],
    ['1.web', ['10.0.1.11']],
    ['3.web', ['10.0.1.13']],
    ['2.db', ['10.0.1.22']],
    ['web.2.web2aaaaaaaaaaaaaaaaaaaaa', ['10.0.1.12']],
    ['web2aaaaaaaa', ['10.0.1.12']],
    ['web3aaaaaaaaaaaaaaaaaaaaa', ['10.0.1.13']],
    ['primary', ['10.0.1.21']],
    ['debugger', ['10.0.1.31']],
    ['tool', ['10.0.1.31']],
    ['web.front', ['10.0.1.2']],
    ['tasks.web.front', ['10.0.1.11', '10.0.1.12']],
    ['1.web.FRONT', ['10.0.1.11']],
  ];
  for (const [name, addresses] of CASES)
    it(`${name} is ${addresses.join(' and ')}`, async () => {
      assert.deepEqual(await lookUp(ON_FRONT, name), addresses);
    });

  it('IPv6 addresses come to who asks for them', async () => {
    assert.deepEqual(await lookUp(ON_FRONT, 'web', Dns.TYPE.AAAA), ['fd00:1::2']);
    assert.deepEqual(await lookUp(ON_FRONT, 'tasks.web', Dns.TYPE.AAAA), ['fd00:1::11']);
    assert.deepEqual(await lookUp(ON_FRONT, 'web', Dns.TYPE.ANY), ['10.0.1.2', 'fd00:1::2']);
  });

  it('a service on two networks answers with the addresses of those that the asker is on', async () => {
    assert.deepEqual(await lookUp(ON_BACK, 'web'), ['10.0.2.2']);
    assert.deepEqual(await lookUp(ON_BOTH, 'web'), ['10.0.1.2', '10.0.2.2']);
    assert.deepEqual(await lookUp(ON_BOTH, '1.web'), ['10.0.1.11', '10.0.2.11']);
    assert.deepEqual(await lookUp(ON_BOTH, 'web.back'), ['10.0.2.2']);
  });

  it('names of other networks are not answered, and a stranger is refused', async () => {
    assert.deepEqual(await lookUp(ON_FRONT, 'store'), []);
    assert.deepEqual(await lookUp(ON_FRONT, 'web.back'), []);
    assert.deepEqual(await lookUp(ON_BACK, 'db'), []);
    const refused = await ask(STRANGER, question('web'));
    assert.equal(refused.header.rcode, Dns.RCODE.REFUSED);
    assert.deepEqual(refused.answers, []);
  });

  it("an address that passes to another container takes the new one's networks", async () => {
    const book = bookOf([FRONT, BACK], [askerOf(STRANGER, ['front'])]);
    const { ask: askAgain } = handling({ book });
    assert.deepEqual(addressesOf(await askAgain(STRANGER, question('store'))), []);
    book.setAsker({ ...askerOf(STRANGER, ['back']), taskId: 'successor' });
    book.removeAsker(`asker-${STRANGER}`);
    assert.deepEqual(addressesOf(await askAgain(STRANGER, question('store'))), ['10.0.2.3']);
  });

  it('answers live 5 seconds at most', async () => {
    for (const name of ['web', 'tasks.web', 'db', '1.web', 'shared']) {
      const { answers } = await ask(ON_FRONT, question(name));
      assert.ok(answers.length > 0 && answers.every((answer) => answer.ttl <= 5), name);
    }
  });

  it('every task comes first now and then', async () => {
    const firsts = new Set<string>();
    for (let round = 0; round < 100; round++)
      firsts.add((await ask(ON_FRONT, question('tasks.web'))).answers[0]?.address ?? '');
    assert.deepEqual([...firsts].toSorted(), ['10.0.1.11', '10.0.1.12']);
  });

  it('SRV names the service, or its tasks, and brings the addresses along', async () => {
    for (const name of ['_80._tcp.web', '_http._tcp.web', '_HTTP._TCP.WEB', '_80._tcp.www', '_80._tcp.web.front']) {
      const { answers, additionals } = await ask(ON_FRONT, question(name, { type: Dns.TYPE.SRV }));
      assert.deepEqual(
        answers.map(({ target, port }) => `${target}:${port}`),
        ['web:80'],
        name,
      );
      assert.deepEqual(additionals.map(({ address = '' }) => address).toSorted(), ['10.0.1.2', 'fd00:1::2'], name);
    }
    const tasks = await ask(ON_FRONT, question('_domain._udp.tasks.web', { type: Dns.TYPE.SRV }));
    assert.deepEqual(tasks.answers.map(({ target, port }) => `${target}:${port}`).toSorted(), [
      'web.1.web1aaaaaaaaaaaaaaaaaaaaa:53',
      'web.2.web2aaaaaaaaaaaaaaaaaaaaa:53',
    ]);
    const database = await ask(ON_FRONT, question('_postgresql._tcp.db', { type: Dns.TYPE.SRV }));
    assert.equal(database.answers.length, 2);
    for (const { target = '' } of database.answers) assert.equal((await lookUp(ON_FRONT, target)).length, 1);
    const one = await ask(ON_FRONT, question('_5432._tcp.2.db', { type: Dns.TYPE.SRV }));
    assert.deepEqual(
      one.answers.map(({ target }) => target),
      ['db.2.db2aaaaaaaaaaaaaaaaaaaaaa'],
    );
  });

  it('SRV of a port, protocol or service that is not there is NXDOMAIN', async () => {
    for (const name of ['_81._tcp.web', '_80._udp.web', '_nonsense._tcp.web', '_80._x.web']) {
      const { header, authorities } = await ask(ON_FRONT, question(name, { type: Dns.TYPE.SRV }));
      assert.equal(header.rcode, Dns.RCODE.NXDOMAIN, name);
      assert.deepEqual(
        authorities.map(({ name: zone }) => zone),
        ['web'],
        name,
      );
    }
  });

  it('PTR names the service of a virtual address and the container of a task', async () => {
    const pointers = async (from: string, name: string): Promise<readonly (string | undefined)[]> =>
      (await ask(from, question(name, { type: Dns.TYPE.PTR }))).answers.map(({ domain }) => domain);
    assert.deepEqual(await pointers(ON_FRONT, '2.1.0.10.in-addr.arpa'), ['web.front']);
    assert.deepEqual(await pointers(ON_FRONT, '12.1.0.10.in-addr.arpa'), ['web.2.web2aaaaaaaaaaaaaaaaaaaaa.front']);
    const ipv6 = `1.1.${'0.'.repeat(22)}1.0.0.0.0.0.d.f.ip6.arpa`;
    assert.deepEqual(await pointers(ON_FRONT, ipv6), ['web.1.web1aaaaaaaaaaaaaaaaaaaaa.front']);
    assert.deepEqual(await pointers(ON_BACK, '2.1.0.10.in-addr.arpa'), []);
    // The name that it says resolves.
    assert.deepEqual(await lookUp(ON_FRONT, 'web.2.web2aaaaaaaaaaaaaaaaaaaaa.front'), ['10.0.1.12']);
  });

  it('an address of our subnets that nobody has is NXDOMAIN, and asked nobody else', async () => {
    const before = handler.counts.forwarded;
    const { header, authorities } = await ask(ON_FRONT, question('99.1.0.10.in-addr.arpa', { type: Dns.TYPE.PTR }));
    assert.equal(header.rcode, Dns.RCODE.NXDOMAIN);
    assert.equal(authorities[0]?.name, '1.0.10.in-addr.arpa');
    assert.equal(handler.counts.forwarded, before);
  });

  it('a name that exists without an address of the family is an empty NOERROR with a SOA record', async () => {
    for (const [name, type] of [
      ['api', Dns.TYPE.AAAA],
      ['web', Dns.TYPE.MX],
      ['web', 65],
      ['tasks.db', Dns.TYPE.AAAA],
      ['_80._tcp.web', Dns.TYPE.A],
      ['2.1.0.10.in-addr.arpa', Dns.TYPE.A],
    ] as const) {
      const { header, answers, authorities } = await ask(ON_FRONT, question(name, { type }));
      assert.equal(header.rcode, Dns.RCODE.NOERROR, name);
      assert.equal(answers.length, 0, name);
      assert.deepEqual(
        authorities.map((one) => [one.name, one.type]),
        [[name, Dns.TYPE.SOA]],
        name,
      );
      assert.ok((authorities[0]?.minimum ?? 99) <= 5);
    }
  });

  it('a service without a task that serves exists, with no address', async () => {
    const book = bookOf(
      [
        {
          name: 'front',
          services: [{ name: 'db' }],
          endpoints: [{ id: 't', service: 'db', addresses: ['10.0.1.5'], serving: false }],
        },
      ],
      [askerOf(ON_FRONT, ['front'])],
    );
    const { header, answers } = await handling({ book }).ask(ON_FRONT, question('db'));
    assert.deepEqual([header.rcode, answers.length], [Dns.RCODE.NOERROR, 0]);
  });

  it('tasks of unknown services and slots that are not there are NXDOMAIN with a SOA record, asked nobody else', async () => {
    const before = handler.counts.forwarded;
    for (const [name, zone] of [
      ['tasks.nobody', 'tasks'],
      ['9.web', 'web'],
      ['0.web', 'web'],
    ] as const) {
      const { header, authorities } = await ask(ON_FRONT, question(name));
      assert.equal(header.rcode, Dns.RCODE.NXDOMAIN, name);
      assert.equal(authorities[0]?.name, zone, name);
    }
    assert.equal(handler.counts.forwarded, before);
  });

  it('while a slot changes hands the task that serves has its name', async () => {
    const book = bookOf(
      [
        {
          name: 'front',
          services: [{ name: 'web', addresses: ['10.0.1.2'] }],
          endpoints: [
            { id: 'old', service: 'web', slot: 1, addresses: ['10.0.1.11'], serving: true },
            { id: 'new', service: 'web', slot: 1, addresses: ['10.0.1.12'], serving: false },
          ],
        },
      ],
      [askerOf(ON_FRONT, ['front'])],
    );
    const { ask: askSlot } = handling({ book });
    assert.deepEqual(addressesOf(await askSlot(ON_FRONT, question('1.web'))), ['10.0.1.11']);
  });

  it('the ingress network has no names', async () => {
    const ingress: NetworkInput = { ...FRONT, name: 'ingress', ingress: true };
    const book = bookOf([ingress, BACK], [askerOf(ON_FRONT, ['ingress', 'back'])]);
    assert.deepEqual(addressesOf(await handling({ book }).ask(ON_FRONT, question('db'))), []);
  });
});

describe('dns: names are not taken away', () => {
  const VICTIM = { name: 'db', addresses: ['10.0.1.2'], aliases: ['data'] };
  const TASK = { id: 'victimtaskaaaaaaaaaaaaaaaa', service: 'db', slot: 1, addresses: ['10.0.1.11'] };
  const NAMES = ['db', 'tasks.db', '1.db', 'db.1.victimtaskaaaaaaaaaaaaaaaa', 'victimtaskaa', 'tasks.data'];

  for (const name of NAMES)
    it(`${name}: neither as alias nor as host name of another`, async () => {
      const attack: NetworkInput = {
        name: 'front',
        services: [VICTIM, { name: 'evil', addresses: ['10.0.1.66'], aliases: [name] }],
        endpoints: [
          TASK,
          { id: 'eviltask', service: 'evil', addresses: ['10.0.1.67'], aliases: [name], hostname: name },
        ],
      };
      const { ask } = handling({ book: bookOf([attack], [askerOf(ON_FRONT, ['front'])]) });
      for (const address of addressesOf(await ask(ON_FRONT, question(name))))
        assert.ok(['10.0.1.2', '10.0.1.11'].includes(address), `${name} led to ${address}`);
      assert.equal((await ask(ON_FRONT, question(name))).answers.length, 1);
    });

  for (const name of [...NAMES, 'data'])
    it(`${name}: nor by a container of swarm run`, async () => {
      const container = {
        id: 'evilrun',
        addresses: ['10.0.1.68'],
        containerName: name,
        aliases: [name],
        hostname: name,
      };
      const attack: NetworkInput = { name: 'front', services: [VICTIM], endpoints: [TASK, container] };
      const { ask } = handling({ book: bookOf([attack], [askerOf(ON_FRONT, ['front'])]) });
      const [address, ...more] = addressesOf(await ask(ON_FRONT, question(name)));
      assert.deepEqual(more, []);
      assert.ok(address === '10.0.1.2' || address === '10.0.1.11', `${name} led to ${address}`);
    });

  it('nor from a network that the victim is not on, to somebody who is on both', async () => {
    const home: NetworkInput = { name: 'front', services: [VICTIM], endpoints: [TASK] };
    const elsewhere: NetworkInput = {
      name: 'back',
      subnets: ['10.0.2.0/24'],
      services: [{ name: 'evil', addresses: ['10.0.2.66'], aliases: NAMES }],
    };
    for (const order of [
      ['front', 'back'],
      ['back', 'front'],
    ]) {
      const { ask } = handling({ book: bookOf([elsewhere, home], [askerOf(ON_FRONT, order)]) });
      for (const name of NAMES)
        assert.ok(!addressesOf(await ask(ON_FRONT, question(name))).includes('10.0.2.66'), name);
    }
  });

  it('tasks.<anything> is never an alias', async () => {
    const attack: NetworkInput = {
      name: 'front',
      services: [{ name: 'evil', addresses: ['10.0.1.66'], aliases: ['tasks.later', 'tasks.example.com'] }],
    };
    const { ask } = handling({ book: bookOf([attack], [askerOf(ON_FRONT, ['front'])]) });
    for (const name of ['tasks.later', 'tasks.example.com'])
      assert.deepEqual(addressesOf(await ask(ON_FRONT, question(name))), []);
  });
});

describe('dns: name book', () => {
  it('items one by one, in any order and with removals, give what the final tables give', () => {
    const names = ['web', 'db', 'cache'];
    const step = fc.oneof(
      fc.record({
        kind: fc.constant('service' as const),
        name: fc.constantFrom(...names),
        remove: fc.boolean(),
        aliases: fc.subarray(['x', 'y', 'web']),
        last: fc.integer({ min: 2, max: 9 }),
      }),
      fc.record({
        kind: fc.constant('endpoint' as const),
        id: fc.constantFrom('t1', 't2', 't3', 't4'),
        service: fc.constantFrom(...names),
        slot: fc.integer({ min: 1, max: 2 }),
        remove: fc.boolean(),
        serving: fc.boolean(),
        hostname: fc.constantFrom('', 'x', 'h'),
        last: fc.integer({ min: 11, max: 14 }),
      }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const services = new Map<string, ReturnType<typeof serviceOf>>();
        const endpoints = new Map<string, ReturnType<typeof endpointOf>>();
        const grown = bookOf([{ name: 'front' }], [askerOf(ON_FRONT, ['front'])]);
        for (const one of steps) {
          const item =
            one.kind === 'service'
              ? ({
                  kind: 'service',
                  value: serviceOf({ name: one.name, aliases: one.aliases, addresses: [`10.0.1.${one.last}`] }),
                } as const)
              : ({ kind: 'endpoint', value: endpointOf({ ...one, addresses: [`10.0.1.${one.last}`] }) } as const);
          if (item.kind === 'service') {
            if (one.remove) services.delete(item.value.serviceId);
            else services.set(item.value.serviceId, item.value);
          } else if (one.remove) endpoints.delete(item.value.taskId);
          else endpoints.set(item.value.taskId, item.value);
          const change = NetworkChange.create({ networkId: 'net-front', remove: one.remove, item });
          grown.applyNetworks(
            NetworkChanges.create({ type: NetworkChangesType.INCREMENTAL, version: 8, changes: [change] }),
          );
        }
        const made = bookOf([{ name: 'front' }], [askerOf(ON_FRONT, ['front'])]);
        const networkId = 'net-front';
        const changes = [
          ...[...services.values()].map((value) =>
            NetworkChange.create({ networkId, item: { kind: 'service', value } }),
          ),
          ...[...endpoints.values()].map((value) =>
            NetworkChange.create({ networkId, item: { kind: 'endpoint', value } }),
          ),
        ];
        made.applyNetworks(NetworkChanges.create({ type: NetworkChangesType.INCREMENTAL, version: 8, changes }));
        const view = (book: typeof grown): unknown => {
          const [network] = book.networks;
          assert.ok(network);
          return ['web', 'db', 'cache', 'x', 'y', 'h', 't1', '1.web', '2.db', 'tasks.web', 'tasks.x'].map((name) => {
            const found = network.find(name);
            const owners = found?.targets.map((target) =>
              target.kind === 'endpoint'
                ? target.endpoint.message.taskId
                : `${target.kind} ${target.service.message.name}`,
            );
            return [name, found?.rank, owners?.toSorted()];
          });
        };
        assert.deepEqual(view(grown), view(made));
      }),
      { numRuns: 300 },
    );
  });

  it('a complete set of tables takes the place of the last one', async () => {
    const book = bookOf([FRONT, BACK], ASKERS);
    book.applyNetworks(changesOf(BACK));
    const { ask } = handling({ book });
    assert.deepEqual(addressesOf(await ask(ON_BOTH, question('db'))), []);
    assert.deepEqual(addressesOf(await ask(ON_BOTH, question('store'))), ['10.0.2.3']);
  });

  it('a service that becomes dnsrr leaves no virtual address behind', async () => {
    const book = bookOf([FRONT], ASKERS);
    const value = serviceOf({ name: 'web' });
    const change = NetworkChange.create({ networkId: 'net-front', item: { kind: 'service', value } });
    book.applyNetworks(NetworkChanges.create({ type: NetworkChangesType.INCREMENTAL, version: 8, changes: [change] }));
    const { ask } = handling({ book });
    assert.deepEqual(addressesOf(await ask(ON_FRONT, question('web'))), ['10.0.1.11', '10.0.1.12']);
    const pointer = await ask(ON_FRONT, question('2.1.0.10.in-addr.arpa', { type: Dns.TYPE.PTR }));
    assert.equal(pointer.answers.length, 0);
  });
});

describe('dns: addresses', () => {
  it('reads what is an address and nothing else', () => {
    assert.deepEqual([...(parseHostAddress('10.0.0.1')?.bytes ?? [])], [10, 0, 0, 1]);
    assert.equal(parseHostAddress('fe80::1%eth0')?.key, parseHostAddress('FE80:0:0::0:1')?.key);
    assert.equal(parseHostAddress('::ffff:1.2.3.4')?.bytes.length, 16);
    for (const bad of [
      '',
      '1.2.3',
      '1.2.3.256',
      '01.2.3.4',
      ':::',
      '1::2::3',
      '1:2:3:4:5:6:7',
      '1:2:3:4:5:6:7:8:9',
      'web',
    ])
      assert.equal(parseHostAddress(bad), undefined, bad);
  });

  it('knows what a subnet contains', () => {
    const subnet = parseSubnet('10.0.1.128/25');
    const address = parseHostAddress('10.0.1.200');
    const outside = parseHostAddress('10.0.1.100');
    assert.ok(subnet && address && outside);
    assert.deepEqual([subnetContains(subnet, address), subnetContains(subnet, outside)], [true, false]);
    assert.equal(parseSubnet('10.0.1.0'), undefined);
    assert.equal(parseSubnet('10.0.1.0/33'), undefined);
  });

  it('reads reverse names of whole addresses only', () => {
    assert.equal(parseReverseName('4.3.2.1.in-addr.arpa')?.key, '1.2.3.4');
    for (const bad of ['3.2.1.in-addr.arpa', '4.3.2.1', 'a.3.2.1.in-addr.arpa', '1.ip6.arpa'])
      assert.equal(parseReverseName(bad), undefined, bad);
  });
});
