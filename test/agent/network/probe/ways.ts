/** Two hosts with a network between them, and what can be wrong with the wire. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setLinkMtu } from '#agent/kernel/link-mtu.ts';
import { NetlinkSocket } from '#agent/kernel/netlink.ts';
import { NetworkNamespace } from '#agent/kernel/netns.ts';
import { Nftables } from '#agent/kernel/nftables.ts';
import { DEFAULT_PROBE_CONFIG, type ProbeConfig } from '#agent/network/probe/config.ts';
import { NetworkProbe } from '#agent/network/probe/network-probe.ts';
import { systemClock } from '#common/system/clock.ts';
import type { PathResult } from '#gen/swarm/v1/doctor.ts';
import { Hosts } from '../overlay/hosts.ts';

export const NET = 'red';
export const VNI = 4097;
const FABRIC_TABLE = 'damage';
const QUICK: ProbeConfig = { ...DEFAULT_PROBE_CONFIG, retryMs: 60, windowMs: 700 };

/** A task on the network on each host. */
export async function connectedHosts(count: number): Promise<Hosts> {
  const hosts = await Hosts.make({ count });
  await hosts.restoreAll();
  hosts.network({ id: NET, vni: VNI, subnets: ['10.0.1.0/24'] });
  for (let host = 1; host <= count; host++)
    await hosts.add({ id: `task${host}`, host, networks: { [NET]: [`10.0.1.${10 + host}`] } });
  return hosts;
}

async function inFabric(hosts: Hosts, work: (namespace: NetworkNamespace) => Promise<void>): Promise<void> {
  const namespace = NetworkNamespace.open(join(hosts.directory, 'fabric'));
  try {
    await work(namespace);
  } finally {
    namespace.close();
  }
}

/** Frames that match are lost between the hosts. */
export async function drop(hosts: Hosts, ...rules: readonly string[]): Promise<void> {
  await inFabric(hosts, async (namespace) => {
    const nftables = Nftables.open(namespace);
    const lines = ['type filter hook forward priority 0; policy accept;', ...rules.map((rule) => `${rule} drop`)];
    await nftables.run('damage', `table bridge ${FABRIC_TABLE} {\nchain c {\n${lines.join('\n')}\n}\n}`);
    await nftables.close();
  });
}

export async function undrop(hosts: Hosts): Promise<void> {
  await inFabric(hosts, async (namespace) => {
    const nftables = Nftables.open(namespace);
    await nftables.run('heal', `add table bridge ${FABRIC_TABLE}\ndelete table bridge ${FABRIC_TABLE}`);
    await nftables.close();
  });
}

/** The wire of a host carries no more. */
export async function narrow(hosts: Hosts, host: number, mtu: number): Promise<void> {
  await inFabric(hosts, async (namespace) => {
    const socket = NetlinkSocket.open(namespace);
    await socket.execute([setLinkMtu(100 + host, mtu)]);
    await socket.close();
  });
}

export function openProbe(hosts: Hosts, host: number, count: number, checkId: Uint8Array, mtu = 1450): NetworkProbe {
  const others = Array.from({ length: count }, (_, at) => at + 1).filter((one) => one !== host);
  return NetworkProbe.open({
    place: {
      netnsPath: hosts.routerPath(host, `net-${VNI}`),
      linkIndex: 2,
      nodeIndex: host,
      peers: new Map(others.map((one) => [`node${one}`, { index: one, mtu }])),
    },
    checkId,
    config: QUICK,
    clock: systemClock,
  });
}

/** What every host finds of every other: result of host 1 first. */
export async function probeAll(hosts: Hosts, count: number): Promise<readonly (readonly PathResult[])[]> {
  const checkId = randomBytes(16);
  const numbers = Array.from({ length: count }, (_, at) => at + 1);
  const probes = numbers.map((host) => openProbe(hosts, host, count, checkId));
  try {
    const peers = numbers.map((host) => `node${host}`);
    return await Promise.all(probes.map((probe) => probe.run(peers)));
  } finally {
    for (const probe of probes) probe.close();
  }
}
