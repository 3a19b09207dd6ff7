/**
 * Random histories for the allocator: networks, services, tasks and nodes come, change and go; leaders change; writes are
 * refused, or their outcome stays unknown for a while. What is true of the store at all times is checked with each commit.
 */
import assert from 'node:assert/strict';
import { parsePrefix } from '#common/ip.ts';
import { randomInt, SeededRandom } from '#common/random.ts';
import {
  Cluster,
  Network,
  type Node,
  NodeState,
  type Service,
  Task,
  TaskState,
  TaskStatus,
} from '#gen/swarm/v1/objects.ts';
import {
  EndpointMode,
  EndpointSpec,
  IpamSpec,
  IpamSubnet,
  NetworkAttachmentSpec,
  NetworkSpec,
  PortConfig,
  PortProtocol,
  PublishMode,
  type ServiceSpec,
} from '#gen/swarm/v1/specs.ts';
import { Allocator, type AllocatorConfig, isLive } from '#manager/allocator/index.ts';
import type { Change, ChangeGroup, TableName } from '#manager/store/index.ts';
import { MemoryStore } from '#test/manager/loops/memory-store.ts';
import { create, node, remove, revision, service, spec, T0, update } from '#test/manager/loops/objects.ts';
import { checkPromises, checkRest } from './allocator-promises.ts';

export const WIDE: AllocatorConfig = {
  groupsPerSlice: 1e6,
  looksPerSlice: 1e6,
  networksPerSlice: 1e6,
  scarceAbove: 0.9,
  scarceBelow: 0.8,
};
const NARROW: AllocatorConfig = { ...WIDE, groupsPerSlice: 3, looksPerSlice: 5, networksPerSlice: 2 };

export class AllocatorWorld {
  readonly store = new MemoryStore();
  nowMs = T0;
  readonly #random: SeededRandom;
  #live: Allocator;
  /** Restored a while ago; has only observed since. */
  #shadow = new Allocator(WIDE);
  /** Groups whose outcome is not known: in the log, before everything that is written after them. */
  #inFlight: ChangeGroup[] = [];
  #count = 0;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
    this.#live = new Allocator(this.#chance(2) ? NARROW : WIDE);
    this.#shadow.restore(this.store);
    const pools = this.#chance(2) ? ['10.0.0.0/26'] : ['10.0.0.0/27', '10.0.1.0/26', 'fd00::/56'];
    const level = this.#chance(4) ? 2 : 3;
    const cluster = Cluster.create({ id: 'c', featureLevel: level, defaultAddressPools: pools, subnetSize: 29 });
    this.commit([create('cluster', cluster)]);
    this.#addNetwork(true);
  }

  /** Nothing that was committed may break a promise. */
  commit(changes: ChangeGroup): boolean {
    const events = this.store.commit(changes, this.nowMs);
    if (events === undefined) return false;
    for (const event of events) {
      this.#live.observe(event);
      this.#shadow.observe(event);
    }
    checkPromises(this.store);
    return true;
  }

  step(): void {
    this.nowMs += randomInt(this.#random, 3) * 1000;
    const steps: readonly [number, () => void][] = [
      [2, () => this.#addNetwork(this.#chance(8))],
      [1, () => this.#growNetwork()],
      [1, () => this.#drop('network')],
      [3, () => this.#addService()],
      [2, () => this.#updateService()],
      [1, () => this.#removeService()],
      [8, () => this.#addTasks()],
      [4, () => this.#endTask()],
      [2, () => this.#stopTask()],
      [2, () => this.#drop('task')],
      [2, () => this.#addNode()],
      [1, () => this.#drop('node')],
      [1, () => this.#changeNode()],
      [1, () => this.#raiseLevel()],
      [12, () => this.#plan()],
      [2, () => this.changeLeader()],
      [2, () => this.#resolve(true)],
      [3, () => this.#checkLaw()],
      [3, () => this.settle()],
    ];
    let pick = randomInt(
      this.#random,
      steps.reduce((sum, [weight]) => sum + weight, 0),
    );
    for (const [weight, run] of steps) {
      pick -= weight;
      if (pick < 0) return run();
    }
  }

  /** All that can be given out is, and a new leader has nothing to add. */
  settle(): void {
    this.#resolve(true);
    this.#drain(this.#live);
    const restored = new Allocator(WIDE);
    restored.restore(this.store);
    assert.deepEqual(restored.plan(this.store, this.nowMs).changes, [], 'a new leader sees it the same');
    checkRest(this.store, this.nowMs);
  }

  /** Everything goes, and nothing is left of it in the allocator. */
  empty(): void {
    this.#resolve(true);
    for (const table of ['task', 'service', 'revision', 'network', 'node'] as const)
      for (const object of [...this.store.all(table)]) this.commit([remove(table, object)]);
    this.#live.plan(this.store, this.nowMs);
    assert.ok(this.#live.isIdle, 'nothing leaks');
    assert.ok(this.#shadow.isIdle, 'nothing leaks where nothing was decided');
  }

  changeLeader(): void {
    // What the old leader had on its way is lost, or was committed before the new one began.
    this.#resolve(this.#chance(2));
    this.#live = new Allocator(this.#chance(2) ? NARROW : WIDE);
    this.#live.restore(this.store);
  }

  #chance(of: number): boolean {
    return randomInt(this.#random, of) === 0;
  }

  #pick<T>(items: Iterable<T>): T | undefined {
    const all = [...items];
    return all[randomInt(this.#random, all.length)];
  }

  #newId(kind: string): string {
    return `${kind}${String(this.#count++).padStart(4, '0')}`;
  }

  #plan(): void {
    const { changes } = this.#live.plan(this.store, this.nowMs);
    const fate = randomInt(this.#random, 6);
    for (const group of changes) {
      const touched = new Set(this.#inFlight.flat().map(({ table, object }) => `${table}/${object.id}`));
      if (group.some(({ table, object }) => touched.has(`${table}/${object.id}`))) continue; // refused
      if (fate === 0 || this.#inFlight.length > 0) this.#inFlight.push(group);
      else if (fate === 1 && this.#chance(3)) this.#interfere(group);
      else this.commit(group);
    }
  }

  /** Somebody else writes one of the objects first. */
  #interfere(group: ChangeGroup): void {
    const change = this.#pick(group);
    const object = change && this.store.get(change.table, change.object.id);
    if (change !== undefined && object !== undefined) this.#write(update(change.table, object));
  }

  /** Writes of others come after those that are on their way, and are refused where they touch the same objects. */
  #write(...changes: Change[]): boolean {
    if (this.#inFlight.length > 0) this.#resolve(true);
    const fresh = changes.map((change) => {
      const version = this.store.get(change.table, change.object.id)?.version ?? 0;
      return { ...change, object: { ...change.object, version } } as Change;
    });
    return this.commit(fresh);
  }

  #resolve(committed: boolean): void {
    const groups = this.#inFlight;
    this.#inFlight = [];
    if (committed) for (const group of groups) assert.ok(this.commit(group), 'what is in the log is applied');
  }

  #drain(allocator: Allocator): void {
    for (let round = 0; round < 2000; round++) {
      const plan = allocator.plan(this.store, this.nowMs);
      if (plan.changes.length === 0 && plan.more !== true) return;
      for (const group of plan.changes) this.commit(group);
    }
    assert.fail('the allocator does not come to rest');
  }

  /** One that has only observed decides as one that is restored. */
  #checkLaw(): void {
    const restored = new Allocator(WIDE);
    restored.restore(this.store);
    const expected = restored.plan(this.store, this.nowMs);
    assert.deepEqual(this.#shadow.plan(this.store, this.nowMs), expected, 'restoring equals replaying');
    this.#shadow = new Allocator(WIDE);
    this.#shadow.restore(this.store);
  }

  // What may happen

  #addNetwork(ingress: boolean): void {
    if (ingress && [...this.store.all('network')].some((one) => one.spec?.ingress === true)) return;
    if (this.store.count('network') > 6) return;
    const id = this.#newId('net');
    const explicit = !ingress && this.#chance(2);
    const base = `10.${9 + randomInt(this.#random, 3)}.0.${8 * randomInt(this.#random, 4)}`;
    const subnets = explicit
      ? [
          IpamSubnet.create({
            subnet: `${base}/29`,
            ipRange: this.#chance(3) ? `${base}/30` : '',
            auxAddresses: this.#chance(3) ? { printer: base.replace(/\d+$/, (last) => String(Number(last) + 2)) } : {},
          }),
        ]
      : this.#chance(4)
        ? [IpamSubnet.create(), IpamSubnet.create()]
        : [];
    const networkSpec = NetworkSpec.create({
      name: ingress ? 'ingress' : id,
      driver: this.#chance(5) && !ingress ? 'macvlan' : 'overlay',
      ingress,
      ipv6: this.#chance(3),
      ipam: IpamSpec.create({ subnets, options: this.#chance(4) ? { overlap: 'allow' } : {} }),
    });
    this.#write(create('network', Network.create({ id, spec: networkSpec })));
  }

  #growNetwork(): void {
    const network = this.#pick(this.store.all('network'));
    if (network?.spec === undefined) return;
    const subnets = [...(network.spec.ipam?.subnets ?? [])];
    const [first] = network.subnets;
    const place = subnets.findIndex(({ subnet }) => subnet !== '' && subnet === first?.subnet);
    const old = subnets[place];
    const larger = old?.subnet.replace(/\.(\d+)\/29$/, (_, last) => `.${Number(last) & ~15}/28`);
    if (old !== undefined && larger !== undefined && larger !== old.subnet && this.#chance(2))
      subnets[place] = { ...old, subnet: larger, ipRange: '' };
    else subnets.push(IpamSubnet.create({ subnet: this.#chance(2) ? '' : `10.20.${randomInt(this.#random, 9)}.0/29` }));
    const ipam = IpamSpec.create({ ...network.spec.ipam, subnets });
    this.#write(update('network', { ...network, spec: { ...network.spec, ipam } }));
  }

  #serviceSpec(name: string): ServiceSpec {
    const networks = [...this.store.all('network')].filter((one) => one.spec?.ingress !== true && this.#chance(3));
    const fixed = this.#chance(5);
    const attachments = networks.slice(0, 3).map((one) => {
      const subnet = parsePrefix(one.subnets[0]?.subnet ?? '')?.prefix;
      const addresses =
        fixed && subnet?.family === 4
          ? [`${one.subnets[0]?.subnet.replace(/\d+\/\d+$/, '')}${Number(subnet.first & 255n) + 3}`]
          : [];
      return NetworkAttachmentSpec.create({ network: one.id, addresses });
    });
    const dnsrr = this.#chance(4);
    const ports = dnsrr
      ? []
      : Array.from({ length: randomInt(this.#random, 3) }, (_, index) =>
          PortConfig.create({
            targetPort: 80 + index,
            publishedPort: this.#chance(2) ? 0 : 30_000 + randomInt(this.#random, 4),
            protocol: this.#chance(3) ? PortProtocol.UDP : PortProtocol.TCP,
            publishMode: this.#chance(4) ? PublishMode.HOST : PublishMode.INGRESS,
          }),
        );
    const endpoint = EndpointSpec.create({ mode: dnsrr ? EndpointMode.DNSRR : EndpointMode.VIP, ports });
    return spec({ name, endpoint, task: { networks: attachments } });
  }

  #addService(): void {
    if (this.store.count('service') > 6) return;
    const id = this.#newId('svc');
    const declared = this.#serviceSpec(id);
    this.#write(create('service', service(id, declared)), create('revision', revision(id, 1, declared)));
  }

  #updateService(): void {
    const found = this.#pick(this.store.all('service'));
    if (found === undefined) return;
    const declared = this.#serviceSpec(found.id);
    const number = found.revision + 1;
    this.#write(
      update('service', { ...found, spec: declared, revision: number }),
      create('revision', revision(found.id, number, declared)),
    );
  }

  #removeService(): void {
    const found = this.#pick(this.store.all('service'));
    if (found === undefined) return;
    this.#write(update('service', { ...found, pendingDelete: true }));
    for (const task of [...this.store.tasksOfService(found.id)]) this.#write(remove('task', task));
    for (const one of [...this.store.revisionsOfService(found.id)]) this.#write(remove('revision', one));
    const now = this.store.get('service', found.id);
    if (now !== undefined) this.#write(remove('service', now));
  }

  #addTasks(): void {
    const found: Service | undefined = this.#pick(this.store.all('service'));
    if (found === undefined || this.store.count('task') > 60) return;
    for (let count = randomInt(this.#random, 4); count >= 0; count--) {
      const id = this.#newId('task');
      const status = TaskStatus.create({ state: TaskState.NEW, timestampMs: this.nowMs, message: 'created' });
      const held = this.#chance(8) ? { quickFailures: 3, startNotBeforeMs: this.nowMs + 5000 } : {};
      const nodeId = this.#pick(this.store.all('node'))?.id ?? '';
      const fields = {
        serviceId: found.id,
        revision: found.revision,
        slot: 1,
        nodeId,
        desiredState: TaskState.RUNNING,
      };
      this.#write(create('task', Task.create({ id, status, ...fields, ...held })));
    }
  }

  #endTask(): void {
    const task = this.#pick([...this.store.all('task')].filter((one) => stateOf(one) >= TaskState.PENDING));
    if (task === undefined) return;
    const state = isLive(task) && this.#chance(3) ? TaskState.RUNNING : TaskState.FAILED;
    if (state < stateOf(task)) return;
    this.#write(update('task', { ...task, status: TaskStatus.create({ ...task.status, state }) }));
  }

  #stopTask(): void {
    const task = this.#pick(this.store.all('task'));
    if (task !== undefined) this.#write(update('task', { ...task, desiredState: TaskState.SHUTDOWN }));
  }

  #drop(table: TableName): void {
    const object = this.#pick(this.store.all(table));
    if (object !== undefined) this.#write(remove(table, object));
  }

  #addNode(): void {
    const address = `10.0.0.${randomInt(this.#random, 64)}`;
    if (this.store.count('node') < 5) this.#write(create('node', node(this.#newId('node'), { address })));
  }

  #changeNode(): void {
    const found: Node | undefined = this.#pick(this.store.all('node'));
    if (found === undefined) return;
    const state = this.#chance(2) ? NodeState.DOWN : NodeState.READY;
    this.#write(update('node', { ...found, status: { ...found.status, state } as Node['status'] }));
  }

  #raiseLevel(): void {
    const cluster = this.store.cluster();
    if (cluster !== undefined) this.#write(update('cluster', { ...cluster, featureLevel: 3 }));
  }
}

function stateOf(task: Task): TaskState {
  return task.status?.state ?? TaskState.NEW;
}
