/**
 * Goal: what is given out is what was asked for, what waits says why, and what becomes free heals it at once. Method: one
 * allocator on an in-memory store; small networks, so that they run out.
 */
import assert from 'node:assert/strict';
import { SeededRandom } from '#common/random.ts';
import { Cluster, Network, NodeState, type Service, Task, TaskState, TaskStatus } from '#gen/swarm/v1/objects.ts';
import {
  EndpointMode,
  EndpointSpec,
  IpamSpec,
  IpamSubnet,
  NetworkAttachmentSpec,
  NetworkSpec,
  PortConfig,
  PortProtocol,
} from '#gen/swarm/v1/specs.ts';
import {
  Allocator,
  changesOfLevel,
  DEFAULT_ALLOCATOR_CONFIG,
  INGRESS_VNI,
  ingressNetwork,
} from '#manager/allocator/index.ts';
import type { Change, TableName, Tables } from '#manager/store/index.ts';
import { drain, MemoryStore } from '#test/manager/loops/memory-store.ts';
import {
  create,
  node,
  remove,
  revision,
  type SpecOptions,
  service,
  spec,
  T0,
  update,
} from '#test/manager/loops/objects.ts';

class Bench {
  readonly store = new MemoryStore();
  readonly allocator = new Allocator(DEFAULT_ALLOCATOR_CONFIG);
  #tasks = 0;

  constructor(cluster: Partial<Cluster> = {}) {
    this.write(create('cluster', Cluster.create({ id: 'c', featureLevel: 3, subnetSize: 24, ...cluster })));
  }

  write(...changes: readonly Change[]): void {
    const fresh = changes.map((change) => {
      const version = this.store.get(change.table, change.object.id)?.version ?? 0;
      return { ...change, object: { ...change.object, version } } as Change;
    });
    for (const event of this.store.commit(fresh, T0 + this.store.version) ?? assert.fail('refused'))
      this.allocator.observe(event);
  }

  settle(): void {
    drain(this.store, this.allocator, [this.allocator], T0);
  }

  get<Name extends TableName>(table: Name, id: string): Tables[Name] {
    return this.store.get(table, id) ?? assert.fail(`no ${table} ${id}`);
  }

  network(id: string, subnets: readonly string[] = [], fields: Partial<NetworkSpec> = {}): void {
    const ipam = IpamSpec.create({ subnets: subnets.map((subnet) => IpamSubnet.create({ subnet })) });
    const networkSpec = NetworkSpec.create({ name: id, driver: 'overlay', ipam, ...fields });
    const before = this.store.get('network', id);
    if (before === undefined) this.write(create('network', Network.create({ id, spec: networkSpec })));
    else this.write(update('network', { ...before, spec: networkSpec }));
  }

  /** A service, or the next revision of it. */
  service(id: string, networks: readonly Partial<NetworkAttachmentSpec>[], endpoint?: Partial<EndpointSpec>): void {
    const before: Service | undefined = this.store.get('service', id);
    const number = (before?.revision ?? 0) + 1;
    const options: SpecOptions = {
      name: id,
      task: { networks: networks.map((one) => NetworkAttachmentSpec.create(one)) },
      ...(endpoint === undefined ? {} : { endpoint: EndpointSpec.create(endpoint) }),
    };
    const declared = spec(options);
    const next = before === undefined ? service(id, declared) : { ...before, spec: declared, revision: number };
    this.write(
      before === undefined ? create('service', next) : update('service', next),
      create('revision', revision(id, number, declared)),
    );
  }

  task(serviceId: string, fields: Partial<Task> = {}): string {
    const id = `task${this.#tasks++}`;
    const status = TaskStatus.create({ state: TaskState.NEW });
    const { revision: number } = this.get('service', serviceId);
    const desiredState = TaskState.RUNNING;
    this.write(
      create('task', Task.create({ id, serviceId, revision: number, slot: 1, desiredState, status, ...fields })),
    );
    return id;
  }

  move(id: string, state: TaskState, fields: Partial<Task> = {}): void {
    const task = this.get('task', id);
    this.write(update('task', { ...task, status: TaskStatus.create({ ...task.status, state }), ...fields }));
  }

  stateOf(id: string): TaskState | undefined {
    return this.get('task', id).status?.state;
  }

  addresses(id: string): readonly string[] {
    return this.get('task', id).networks.flatMap(({ addresses }) => addresses);
  }

  vips(id: string): readonly string[] {
    return this.get('service', id).endpoint?.addresses.flatMap(({ addresses }) => addresses) ?? [];
  }
}

describe('allocator', () => {
  it('sets up ingress first in the pool, and other networks after it', () => {
    const bench = new Bench({ defaultAddressPools: ['10.0.0.0/8'] });
    bench.network('web');
    bench.write(create('network', ingressNetwork('ingress')));
    bench.settle();
    const ingress = bench.get('network', 'ingress');
    const web = bench.get('network', 'web');
    assert.equal(ingress.vni, INGRESS_VNI);
    assert.deepEqual(
      ingress.subnets.map(({ subnet }) => subnet.replace(/^fd[^/]+/, 'fd')),
      ['10.0.0.0/16', 'fd/64'],
    );
    assert.equal(web.vni, INGRESS_VNI + 1);
    assert.deepEqual(
      web.subnets.map(({ subnet, gateway }) => [subnet, gateway]),
      [['10.1.0.0/24', '10.1.0.1']],
    );
  });

  it('goes around subnets that are in use, that are asked for, and that nodes live in', () => {
    const bench = new Bench({ defaultAddressPools: ['10.0.0.0/21'] });
    bench.write(create('node', node('n1', { address: '10.0.1.5' })));
    bench.network('fixed', ['10.0.0.0/24']);
    bench.network('a');
    bench.network('b');
    bench.settle();
    assert.equal(bench.get('node', 'n1').index, 1);
    assert.deepEqual(
      ['fixed', 'a', 'b'].map((id) => bench.get('network', id).subnets[0]?.subnet),
      ['10.0.0.0/24', '10.0.2.0/24', '10.0.3.0/24'],
    );
  });

  it('says that no pool is left, on the network and on tasks, and goes on when one is', () => {
    const bench = new Bench({ defaultAddressPools: ['10.0.0.0/24'] });
    bench.network('one');
    bench.network('two');
    bench.service('web', [{ network: 'two' }]);
    const task = bench.task('web');
    bench.settle();
    assert.match(bench.get('network', 'two').problem, /^no address pool is left/);
    assert.match(bench.get('task', task).status?.error ?? '', /^network two: no address pool is left/);
    bench.write(remove('network', bench.get('network', 'one')));
    bench.settle();
    assert.equal(bench.get('network', 'two').problem, '');
    assert.equal(bench.stateOf(task), TaskState.PENDING);
    assert.equal(bench.get('task', task).status?.error, '');
  });

  it('gives each task an address of each family, and each service one for itself', () => {
    const bench = new Bench();
    bench.network('web', ['10.9.0.0/24', 'fd00:9::/64'], { ipv6: true });
    bench.service('api', [{ network: 'web' }]);
    const tasks = [bench.task('api'), bench.task('api')];
    bench.settle();
    const given = [...tasks.flatMap((id) => bench.addresses(id)), ...bench.vips('api')];
    assert.equal(new Set(given).size, 6);
    assert.equal(given.filter((address) => address.startsWith('10.9.0.')).length, 3);
    assert.equal(given.filter((address) => address.startsWith('fd00:9::')).length, 3);
  });

  it('says with counts that a network is full, and heals when a task ends or a subnet is added or grows', () => {
    const bench = new Bench();
    bench.network('web', ['10.9.0.0/29']);
    bench.service('api', [{ network: 'web' }]);
    const tasks = Array.from({ length: 6 }, () => bench.task('api'));
    bench.settle();
    const waiting = tasks.filter((id) => bench.stateOf(id) === TaskState.NEW);
    assert.equal(waiting.length, 2, 'the service and four tasks have addresses');
    for (const id of waiting)
      assert.match(
        bench.get('task', id).status?.error ?? '',
        /^network web: no address left: 5 of 5 in use; grow it with `swarm network update --subnet-add SUBNET web`$/,
      );
    assert.match(bench.get('network', 'web').problem, /^no address left: 5 of 5 in use/);
    bench.move(tasks.find((id) => bench.stateOf(id) === TaskState.PENDING) ?? '', TaskState.FAILED);
    bench.settle();
    assert.equal(waiting.filter((id) => bench.stateOf(id) === TaskState.NEW).length, 1);
    bench.network('web', ['10.9.0.0/28']);
    bench.settle();
    assert.ok(waiting.every((id) => bench.stateOf(id) === TaskState.PENDING));
    assert.equal(bench.get('network', 'web').problem, '');
    const more = Array.from({ length: 9 }, () => bench.task('api'));
    bench.settle();
    assert.match(bench.get('network', 'web').problem, /13 of 13 in use/);
    bench.network('web', ['10.9.0.0/28', '10.9.1.0/24']);
    bench.settle();
    assert.ok(more.every((id) => bench.stateOf(id) === TaskState.PENDING));
    assert.deepEqual(
      bench.get('network', 'web').subnets.map(({ gateway }) => gateway),
      ['10.9.0.1', '10.9.1.1'],
    );
  });

  it('warns before a network is full, and takes the warning back with room to spare', () => {
    const bench = new Bench();
    bench.network('web', ['10.9.0.0/27']);
    bench.service('api', [{ network: 'web' }], { mode: EndpointMode.DNSRR });
    const tasks = Array.from({ length: 27 }, () => bench.task('api'));
    bench.settle();
    assert.match(bench.get('network', 'web').problem, /^more than 80% of its addresses are in use; grow it/);
    for (const id of tasks.slice(0, 3)) bench.move(id, TaskState.FAILED);
    bench.settle();
    assert.match(bench.get('network', 'web').problem, /^more than 80%/);
    for (const id of tasks.slice(3, 8)) bench.move(id, TaskState.FAILED);
    bench.settle();
    assert.equal(bench.get('network', 'web').problem, '');
  });

  it('keeps reserved addresses to itself, and gives out those of the range only', () => {
    const bench = new Bench();
    const subnets = [
      IpamSubnet.create({
        subnet: '10.9.0.0/24',
        ipRange: '10.9.0.8/29',
        gateway: '10.9.0.9',
        auxAddresses: { printer: '10.9.0.10', elsewhere: '10.9.0.99' },
      }),
    ];
    bench.network('web', [], { ipam: IpamSpec.create({ subnets }) });
    bench.service('api', [{ network: 'web' }], { mode: EndpointMode.DNSRR });
    const tasks = Array.from({ length: 7 }, () => bench.task('api'));
    bench.settle();
    const given = tasks.flatMap((id) => bench.addresses(id)).toSorted();
    assert.deepEqual(given, [8, 11, 12, 13, 14, 15].map((last) => `10.9.0.${last}`).toSorted());
    assert.match(bench.get('network', 'web').problem, /6 of 6/);
  });

  it('gives a fixed address to one task after the other, and takes it from one whose node is lost', () => {
    const bench = new Bench();
    bench.write(create('node', node('n1')));
    bench.network('web', ['10.9.0.0/24']);
    bench.service('db', [{ network: 'web', addresses: ['10.9.0.5'] }]);
    const first = bench.task('db', { nodeId: 'n1' });
    bench.settle();
    assert.deepEqual(bench.addresses(first), ['10.9.0.5']);
    bench.move(first, TaskState.RUNNING, { desiredState: TaskState.SHUTDOWN });
    const second = bench.task('db');
    bench.settle();
    assert.equal(
      bench.get('task', second).status?.error,
      `network web: address 10.9.0.5 is still held by task ${first}`,
    );
    const lost = bench.get('node', 'n1');
    bench.write(update('node', { ...lost, status: { ...lost.status, state: NodeState.DOWN } as typeof lost.status }));
    bench.settle();
    assert.deepEqual(bench.addresses(second), ['10.9.0.5']);
    assert.deepEqual(bench.addresses(first), []);
  });

  it('takes a fixed address also from a task that is told to stop when its node is lost already', () => {
    const bench = new Bench();
    bench.network('web', ['10.9.0.0/24']);
    bench.service('db', [{ network: 'web', addresses: ['10.9.0.5'] }]);
    const first = bench.task('db', { nodeId: 'gone' });
    bench.settle();
    bench.move(first, TaskState.RUNNING);
    const second = bench.task('db');
    bench.settle();
    assert.equal(bench.stateOf(second), TaskState.NEW, 'it is still meant to run');
    bench.move(first, TaskState.RUNNING, { desiredState: TaskState.SHUTDOWN });
    bench.settle();
    assert.deepEqual(bench.addresses(second), ['10.9.0.5']);
  });

  it('an address that the first in the line cannot use is offered to the next', () => {
    const bench = new Bench();
    bench.network('one', ['10.8.0.0/29']);
    bench.network('two', ['10.9.0.0/29']);
    const mode = EndpointMode.DNSRR;
    bench.service('both', [{ network: 'one' }, { network: 'two' }], { mode });
    bench.service('only', [{ network: 'one' }], { mode });
    bench.service('other', [{ network: 'two' }], { mode });
    const users = Array.from({ length: 5 }, () => bench.task('only'));
    bench.settle();
    const first = bench.task('both');
    const second = bench.task('only');
    bench.settle();
    // By now the other network is full too, but the first one was found missing before.
    for (let count = 0; count < 5; count++) bench.task('other');
    bench.settle();
    bench.move(users[0] ?? '', TaskState.FAILED);
    bench.settle();
    assert.match(bench.get('task', first).status?.error ?? '', /^network two: no address left/);
    assert.equal(bench.stateOf(second), TaskState.PENDING);
  });

  it('keeps open ports through changes, goes around named ones, and gives back what is not published any more', () => {
    const bench = new Bench();
    bench.write(create('network', ingressNetwork('ingress')));
    const open = PortConfig.create({ targetPort: 80 });
    bench.service('a', [], { ports: [open] });
    bench.settle();
    const given = bench.get('service', 'a').endpoint?.ports[0]?.publishedPort ?? 0;
    assert.ok(given >= 30_000 && given <= 32_767);
    bench.service('a', [], { ports: [PortConfig.create({ targetPort: 443, publishedPort: 443 }), open] });
    bench.settle();
    assert.deepEqual(
      bench.get('service', 'a').endpoint?.ports.map((port) => port.publishedPort),
      [443, given],
    );
    bench.service('b', [], { ports: [PortConfig.create({ targetPort: 1, publishedPort: given })] });
    bench.settle();
    assert.equal(bench.get('service', 'b').endpoint?.problem, `port ${given}/tcp is already published by service a`);
    bench.service('a', []);
    bench.settle();
    assert.equal(bench.get('service', 'a').endpoint, undefined);
    assert.equal(bench.get('service', 'b').endpoint?.problem, '');
    assert.equal(bench.get('service', 'b').endpoint?.ports[0]?.publishedPort, given);
  });

  it('an open port is none that anybody declares', () => {
    const bench = new Bench();
    bench.write(create('network', ingressNetwork('ingress')));
    const [first, last, free] = [30_000, 32_767, 31_234];
    const declared: PortConfig[] = [];
    for (let port = first; port <= last; port++)
      if (port !== free) declared.push(PortConfig.create({ targetPort: 1, publishedPort: port }));
    bench.service('declares', [], { ports: declared });
    bench.service('open', [], { ports: [PortConfig.create({ targetPort: 80 })] });
    // Of another protocol: it keeps nobody away.
    const datagrams = PortConfig.create({ targetPort: 53, publishedPort: free, protocol: PortProtocol.UDP });
    bench.service('datagrams', [], { ports: [datagrams] });
    bench.settle();
    assert.equal(bench.get('service', 'declares').endpoint?.problem, '');
    assert.deepEqual(
      bench.get('service', 'open').endpoint?.ports.map((port) => port.publishedPort),
      [free],
    );
    assert.equal(bench.get('service', 'datagrams').endpoint?.problem, '');
    bench.service('too-many', [], { ports: [PortConfig.create({ targetPort: 80 })] });
    bench.settle();
    assert.match(bench.get('service', 'too-many').endpoint?.problem ?? '', /port/);
  });

  it('tasks with ports of the mesh are on ingress; without that network they say so', () => {
    const bench = new Bench();
    bench.service('web', [], { ports: [PortConfig.create({ targetPort: 80, publishedPort: 80 })] });
    const task = bench.task('web');
    bench.settle();
    assert.match(bench.get('task', task).status?.error ?? '', /^there is no ingress network/);
    bench.write(create('network', ingressNetwork('in')));
    bench.settle();
    assert.deepEqual(
      bench.get('task', task).networks.map(({ network, addresses }) => [network, addresses.length]),
      [['in', 2]],
    );
    assert.deepEqual(bench.vips('web'), [], 'ports need no address of the service');
  });

  it('the address of a service stays while tasks from before are on the network, and goes with dnsrr at once', () => {
    const bench = new Bench();
    bench.network('web', ['10.9.0.0/24']);
    bench.network('lan', ['10.8.0.0/24'], { driver: 'macvlan' });
    bench.service('api', [{ network: 'web' }, { network: 'lan' }]);
    const task = bench.task('api');
    bench.settle();
    assert.equal(bench.addresses(task).length, 2);
    const vips = bench.vips('api');
    assert.equal(vips.length, 1, 'there are no routers on a macvlan');
    bench.service('api', []);
    bench.settle();
    assert.deepEqual(bench.vips('api'), vips);
    bench.move(task, TaskState.SHUTDOWN);
    bench.settle();
    assert.deepEqual(bench.vips('api'), []);
    bench.service('api', [{ network: 'web' }]);
    bench.settle();
    assert.equal(bench.vips('api').length, 1);
    bench.service('api', [{ network: 'web' }], { mode: EndpointMode.DNSRR });
    bench.settle();
    assert.deepEqual(bench.vips('api'), []);
  });

  it('below its feature level passes tasks on and gives nothing; with the level comes ingress', () => {
    const bench = new Bench({ featureLevel: 2 });
    bench.write(create('node', node('n1')));
    bench.service('web', []);
    const task = bench.task('web');
    bench.settle();
    assert.equal(bench.stateOf(task), TaskState.PENDING);
    assert.equal(bench.get('node', 'n1').index, 0);
    const random = new SeededRandom(1);
    const together = changesOfLevel(bench.store, 3, random);
    assert.deepEqual(
      together.map(({ kind, table }) => [kind, table]),
      [['create', 'network']],
    );
    bench.write(update('cluster', { ...bench.get('cluster', 'c'), featureLevel: 3 }), ...together);
    bench.settle();
    assert.equal(bench.get('node', 'n1').index, 1);
    assert.equal([...bench.store.all('network')][0]?.vni, INGRESS_VNI);
    assert.deepEqual(changesOfLevel(bench.store, 4, random), []);
  });

  it('numbers of nodes are the lowest that are free', () => {
    const bench = new Bench();
    for (const id of ['a', 'b', 'c']) bench.write(create('node', node(id)));
    bench.settle();
    bench.write(remove('node', bench.get('node', 'b')));
    for (const id of ['d', 'e']) bench.write(create('node', node(id)));
    bench.settle();
    assert.deepEqual(
      ['a', 'c', 'd', 'e'].map((id) => bench.get('node', id).index),
      [1, 3, 2, 4],
    );
  });
});
