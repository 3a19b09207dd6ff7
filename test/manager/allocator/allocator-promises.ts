/** What the allocator promises, held against everything that is in the store. */
import assert from 'node:assert/strict';
import { parseIp, parsePrefix, prefixesOverlap, prefixHas } from '#common/ip.ts';
import { type Network, type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { PublishMode } from '#gen/swarm/v1/specs.ts';
import { isLive, rangeOf } from '#manager/allocator/index.ts';
import type { MemoryStore } from '#test/manager/loops/memory-store.ts';

/** Nothing is given twice, and all of it is from where it belongs. */
export function checkPromises(store: MemoryStore): void {
  checkNumbers(store);
  checkSubnets(store);
  const taken = new Map<string, string>();
  const take = (key: string, holder: string): void => {
    assert.ok(!taken.has(key), `${key} is given to ${taken.get(key)} and to ${holder}`);
    taken.set(key, holder);
  };
  for (const network of store.all('network'))
    for (const subnet of network.subnets)
      for (const address of new Set([subnet.gateway, ...Object.values(subnet.auxAddresses)]))
        if (address !== '') take(`${network.id} ${address}`, 'the network');
  for (const one of store.all('service'))
    for (const { network, addresses } of one.endpoint?.addresses ?? [])
      for (const address of addresses) take(`${network} ${address}`, one.id);
  for (const task of store.all('task')) {
    if (!isLive(task)) continue;
    for (const { network, addresses } of task.networks)
      for (const address of addresses) {
        take(`${network} ${address}`, task.id);
        checkInside(store, network, address, task);
      }
  }
}

function checkInside(store: MemoryStore, networkId: string, address: string, task: Task): void {
  const network = store.get('network', networkId);
  const ip = parseIp(address);
  assert.ok(ip !== undefined);
  if (network === undefined) return;
  const spec = store.revision(task.serviceId, task.revision)?.spec;
  const fixed = spec?.task?.networks.some((one) => one.addresses.includes(address)) ?? true;
  const inside = network.subnets.some((subnet) => {
    const range = rangeOf(subnet);
    if (range === undefined || range.family !== ip.family) return false;
    return fixed ? prefixHas(range.subnet, ip) : range.first <= ip.value && ip.value <= range.last;
  });
  assert.ok(inside, `${address} is none of network ${networkId}`);
}

function checkNumbers(store: MemoryStore): void {
  unique(
    'vni',
    [...store.all('network')].map(({ vni }) => vni).filter((vni) => vni > 0),
  );
  unique(
    'index',
    [...store.all('node')].map(({ index }) => index).filter((index) => index > 0),
  );
  const ports = [...store.all('service')].flatMap(({ id, endpoint }) => {
    const own = (endpoint?.ports ?? []).filter((port) => port.publishMode !== PublishMode.HOST);
    assert.ok(
      own.every((port) => port.publishedPort > 0),
      `an open port of ${id} was left open`,
    );
    return [...new Set(own.map((port) => `${port.publishedPort}/${port.protocol}`))];
  });
  unique('port', ports);
}

function checkSubnets(store: MemoryStore): void {
  const networks = [...store.all('network')].filter((one) => one.spec?.ipam?.options['overlap'] !== 'allow');
  const all = networks.flatMap(({ id, subnets }) =>
    subnets.map(({ subnet }) => ({ id, prefix: parsePrefix(subnet)?.prefix })),
  );
  for (const [place, a] of all.entries())
    for (const b of all.slice(place + 1))
      assert.ok(a.prefix && b.prefix && !prefixesOverlap(a.prefix, b.prefix), `subnets of ${a.id} and ${b.id} overlap`);
}

/** At rest who waits has to: what it waits for is really gone, and its network says so. */
export function checkRest(store: MemoryStore, nowMs: number): void {
  if ((store.cluster()?.featureLevel ?? 0) < 3) return;
  for (const one of store.all('node')) assert.ok(one.index > 0, `node ${one.id} has a number`);
  const waiting = new Set<string>();
  for (const task of store.all('task')) {
    if ((task.status?.state ?? TaskState.NEW) !== TaskState.NEW || task.desiredState > TaskState.RUNNING) continue;
    if (task.startNotBeforeMs > nowMs) continue;
    const error = task.status?.error ?? '';
    assert.notEqual(error, '', `task ${task.id} says what it waits for`);
    const full = /^network (\S+): no (IPv6 )?address left: (\d+) of \3 in use; grow it with/.exec(error);
    if (full === null)
      assert.match(error, /is not there|no ingress|still held by|none of its subnets|overlaps|no address pool/);
    else waiting.add(full[1] ?? '');
  }
  for (const one of store.all('service')) {
    const problem = one.endpoint?.problem ?? '';
    for (const [, name = ''] of problem.matchAll(/network (\S+): no (?:IPv6 )?address left/g)) waiting.add(name);
  }
  for (const network of store.all('network')) {
    const name = network.spec?.name ?? '';
    if (waiting.has(name)) assert.notEqual(network.problem, '', `network ${name} says that it is full`);
    else assert.doesNotMatch(network.problem, /no (IPv6 )?address left/);
    if (waiting.has(name) && network.subnets.length > 0) checkFull(store, network);
  }
}

function checkFull(store: MemoryStore, network: Network): void {
  const held = new Set<string>();
  for (const one of store.all('service')) {
    for (const { network: id, addresses } of one.endpoint?.addresses ?? [])
      if (id === network.id) for (const address of addresses) held.add(address);
    for (const attachment of one.spec?.task?.networks ?? [])
      if (attachment.network === network.id) for (const address of attachment.addresses) held.add(address);
  }
  for (const task of store.all('task'))
    if (isLive(task))
      for (const { network: id, addresses } of task.networks)
        if (id === network.id) for (const address of addresses) held.add(address);
  for (const subnet of network.subnets) {
    const range = rangeOf(subnet);
    if (range === undefined || range.family === 6) continue;
    const inside = [...held].filter((text) => {
      const value = parseIp(text)?.value ?? -1n;
      return range.first <= value && value <= range.last && !range.reserved.includes(value);
    });
    const total = Number(range.last - range.first) + 1 - range.reserved.length;
    assert.equal(inside.length, total, `${network.id} ${subnet.subnet} has room, but somebody waits`);
  }
}

function unique(what: string, items: readonly (string | number)[]): void {
  assert.equal(new Set(items).size, items.length, `a ${what} was given twice: ${items.join()}`);
}
