/**
 * What an overlay network costs. Throughput and round trip between two hosts (network namespaces on one bridge) over our
 * routed VXLAN, against a plain VXLAN with bridges between the same hosts, and through a service address, in turns. Then
 * what changes cost: ten thousand services at once, one endpoint among them, a task on two networks. Needs root.
 */

import { performance } from 'node:perf_hooks';
import type { NetworkView } from '#agent/discovery/index.ts';
import { runTool } from '#agent/network/overlay/kernel/run-tool.ts';
import { touchedBy } from '#agent/network/overlay/network-view.ts';
import { elementsText } from '#agent/network/overlay/repair-router.ts';
import { RouterModel } from '#agent/network/overlay/router-model.ts';
import { countChainsText, routerTableText } from '#agent/network/overlay/router-table.ts';
import { NetworkChange, NetworkEndpoint, NetworkService } from '#gen/swarm/v1/networks.ts';
import { Hosts, VXLAN_PORT } from '#test/agent/network/overlay/hosts.ts';

const ROUNDS = 7;
const ROUND_MS = 1000;
const TRIPS = 3000;
const SERVICES = 10_000;
const REPLICAS = 3;
const CHANGES = 200;
const ATTACHMENTS = 50;
const PLAIN_NUMBER = 9000;

if (process.getuid?.() !== 0) {
  console.log('skipped: network namespaces need root');
  process.exit();
}

function middle(values: readonly number[], share = 0.5): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

function verdict(ok: boolean): string {
  return ok ? '' : '  MISSED';
}

/** A task's namespace on a bridge of its host, with a VXLAN port to the other host, as `ip` makes them. */
async function plainTask(hosts: Hosts, host: number, other: number): Promise<string> {
  const task = hosts.makeTaskNamespace(`plain${host}`);
  const [here, there] = [hosts.underlayAddress(host), hosts.underlayAddress(other)];
  const run = async (namespace: string, ...lines: readonly string[]): Promise<void> => {
    const { exitCode, stderr } = await runTool(namespace, ['ip', '-batch', '-'], `${lines.join('\n')}\n`);
    if (exitCode !== 0) throw new Error(stderr);
  };
  await run(
    hosts.hostPath(host),
    'link add plain type bridge',
    'link set plain up',
    `link add vxplain mtu 1450 type vxlan id ${PLAIN_NUMBER} dstport ${VXLAN_PORT} local ${here} remote ${there}`,
    'link set vxplain master plain up',
    `link add p0 mtu 1450 type veth peer name eth0 mtu 1450 netns ${task}`,
    'link set p0 master plain up',
  );
  await run(task, 'link set lo up', `addr add 10.99.0.${host}/24 dev eth0`, 'link set eth0 up');
  return task;
}

async function traffic(): Promise<void> {
  const hosts = await Hosts.make({ count: 2 });
  try {
    await hosts.restoreAll();
    hosts.network({ id: 'red', vni: 4097, subnets: ['10.0.1.0/24'] });
    hosts.service('web', 'red', ['10.0.1.2']);
    await hosts.add({ id: 'client', host: 1, networks: { red: ['10.0.1.10'] } });
    await hosts.add({ id: 'server', host: 2, networks: { red: ['10.0.1.20'] }, service: 'web' });
    const [ours, server] = [hosts.inTask('client'), hosts.inTask('server')];
    const [plain, plainServer] = [
      hosts.program(await plainTask(hosts, 1, 2)),
      hosts.program(await plainTask(hosts, 2, 1)),
    ];
    for (const one of [server, plainServer]) {
      await one.call('serve', 'server', 80);
      await one.call('serveCounting', 81);
    }
    const paths = [
      ['plain bridged VXLAN', plain, '10.99.0.2'],
      ['overlay, by address', ours, '10.0.1.20'],
      ['overlay, by service address', ours, '10.0.1.2'],
    ] as const;
    const rates = paths.map((): number[] => []);
    const trips = paths.map((): number[] => []);
    for (let round = 0; round < ROUNDS; round++)
      for (const [index, [, from, address]] of paths.entries()) {
        rates[index]?.push(await from.call('throughput', address, 81, ROUND_MS));
        trips[index]?.push(middle(await from.call('roundTrips', address, 80, TRIPS)));
      }
    const [base = 1, overlay = 0, vip = 0] = rates.map((one) => middle(one));
    const [baseTrip = 0, overlayTrip = 0] = trips.map((one) => middle(one));
    for (const [index, [name]] of paths.entries()) {
      const rate = middle(rates[index] ?? []);
      console.log(
        `${name.padEnd(30)} ${(rate / 1e9).toFixed(2)} Gbit/s (${(rate / base).toFixed(2)}), round trip ${middle(trips[index] ?? []).toFixed(0)} us p50`,
      );
    }
    console.log(
      `overlay / plain ${(overlay / base).toFixed(3)} (goal 0.95)${verdict(overlay >= 0.95 * base)}, ` +
        `${(overlayTrip - baseTrip).toFixed(0)} us more (goal 15)${verdict(overlayTrip - baseTrip <= 15)}, ` +
        `service address / address ${(vip / overlay).toFixed(3)} (goal 0.95)${verdict(vip >= 0.95 * overlay)}`,
    );
  } finally {
    await hosts.destroy();
  }
}

const address = (index: number): string => `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`;

/** Ten thousand services with three backends each, on other nodes. */
function manyServices(base: NetworkView): NetworkView {
  const services = new Map<string, NetworkService>();
  const endpoints = new Map(base.endpoints);
  for (let index = 0; index < SERVICES; index++) {
    const serviceId = `service${index}`;
    services.set(serviceId, NetworkService.create({ serviceId, addresses: [address(0x10000 + index)] }));
    for (let replica = 0; replica < REPLICAS; replica++) {
      const taskId = `task${index}-${replica}`;
      const addresses = [address(0x200000 + REPLICAS * index + replica)];
      endpoints.set(taskId, NetworkEndpoint.create({ taskId, serviceId, nodeId: 'node2', addresses, serving: true }));
    }
  }
  return { ...base, services, endpoints };
}

async function changes(): Promise<void> {
  const hosts = await Hosts.make({ count: 2 });
  try {
    await hosts.restoreAll();
    hosts.network({ id: 'red', vni: 4097, subnets: ['10.0.0.0/8'] });
    for (const host of [1, 2]) await hosts.add({ id: `one${host}`, host, networks: { red: [address(100 + host)] } });
    const base = hosts.views(1).get('red');
    if (base === undefined) throw new Error('the network is on the host');
    const node = hosts.node(1);

    // The maps alone, as text through nft and as we do it.
    const text: number[] = [];
    const model = new RouterModel('node1');
    const underlay = {
      address: '172.31.0.1',
      port: VXLAN_PORT,
      mtu: 1500,
      peerAddress: () => '172.31.0.2',
      peerMtu: () => 1500,
    };
    model.update(manyServices(base), underlay);
    const script = `${routerTableText({ subnets: [] })}${countChainsText([REPLICAS])}${elementsText(model)}`;
    const scratch = hosts.makeTaskNamespace('scratch');
    for (let round = 0; round < 3; round++) {
      const begin = performance.now();
      await runTool(scratch, ['nft', '-f', '-'], script);
      text.push(performance.now() - begin);
    }
    const maps: number[] = [];
    const whole: number[] = [];
    for (let round = 0; round < 5; round++) {
      await node.apply(new Map([['red', base]]));
      const groups = [...new RouterModel('node1').update(manyServices(base), underlay).groups];
      const namespace = await hosts.openRouter(1, 'net-4097');
      let begin = performance.now();
      await namespace.changeElements(groups);
      maps.push(performance.now() - begin);
      await namespace.changeElements(
        groups.map((group) => group.map(({ set, key }) => ({ set, key, action: 'delete' }) as const)),
      );
      await namespace.close();
      const many = new Map([['red', manyServices(base)]]);
      begin = performance.now();
      await node.apply(many);
      whole.push(performance.now() - begin);
    }
    console.log(
      `${SERVICES} services with ${REPLICAS} backends: maps ${middle(maps).toFixed(0)} ms (goal 150)${verdict(middle(maps) <= 150)}, ` +
        `the same as text through nft ${middle(text).toFixed(0)} ms; with all routes ${middle(whole).toFixed(0)} ms`,
    );

    const view = manyServices(base);
    await node.apply(new Map([['red', view]]));
    const each: number[] = [];
    const endpoints = new Map(view.endpoints);
    for (let change = 0; change < CHANGES; change++) {
      const taskId = `task${change >> 1}-1`;
      const endpoint = endpoints.get(taskId);
      if (endpoint === undefined) continue;
      const value = { ...endpoint, serving: change % 2 === 1 };
      endpoints.set(taskId, value);
      const touched = touchedBy([NetworkChange.create({ networkId: 'red', item: { kind: 'endpoint', value } })]);
      const begin = performance.now();
      await node.apply(new Map([['red', { ...view, endpoints }]]), touched);
      each.push(performance.now() - begin);
    }
    console.log(
      `one endpoint among them: ${middle(each).toFixed(2)} ms p50 (goal 2)${verdict(middle(each) <= 2)}, ${middle(each, 0.99).toFixed(2)} ms p99`,
    );
  } finally {
    await hosts.destroy();
  }
}

async function attachments(): Promise<void> {
  const hosts = await Hosts.make({ count: 1 });
  try {
    await hosts.restoreAll();
    for (const [index, id] of ['red', 'blue'].entries())
      hosts.network({ id, vni: 4097 + index, subnets: [`10.0.${index}.0/24`] });
    const attach: number[] = [];
    const detach: number[] = [];
    for (let index = 0; index < ATTACHMENTS; index++) {
      const id = `task${index}`;
      const networks = { red: [`10.0.0.${10 + index}`], blue: [`10.0.1.${10 + index}`] };
      hosts.tasks.set(id, { id, host: 1, networks });
      await hosts.sync();
      hosts.makeTaskNamespace(id);
      const begin = performance.now();
      await hosts.attach({ id, host: 1, networks });
      attach.push(performance.now() - begin);
    }
    for (let index = 0; index < ATTACHMENTS; index++) {
      const begin = performance.now();
      await hosts.node(1).detach(`task${index}`);
      detach.push(performance.now() - begin);
    }
    console.log(
      `a task on two networks: attached in ${middle(attach).toFixed(1)} ms p50 (goal 10)${verdict(middle(attach) <= 10)}, ` +
        `${middle(attach, 0.95).toFixed(1)} ms p95; detached in ${middle(detach).toFixed(1)} ms`,
    );
  } finally {
    await hosts.destroy();
  }
}

await attachments();
await changes();
await traffic();
