/** A table of a network in a few bytes, so that leader and agent can tell whether they have the same. */
import { hash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { TableDigest } from '#gen/swarm/v1/doctor.ts';
import { NetworkEndpoint, NetworkPeer, NetworkService, NetworkTable } from '#gen/swarm/v1/networks.ts';

export interface DigestedTable {
  readonly table: NetworkTable;
  readonly peers: ReadonlyMap<string, NetworkPeer>;
  readonly services: ReadonlyMap<string, NetworkService>;
  readonly endpoints: ReadonlyMap<string, NetworkEndpoint>;
}

/** A millisecond or two of work. */
const ENTRIES_PER_TURN = 250;
const HASH_BYTES = 16;

/** The order of entries counts for nothing. Of a table that changes meanwhile it is neither before nor after. */
export async function networkDigest({ table, peers, services, endpoints }: DigestedTable): Promise<TableDigest> {
  const total = Buffer.alloc(HASH_BYTES);
  const options = Object.entries(table.driverOptions).toSorted(([left], [right]) => (left < right ? -1 : 1));
  add(total, 'table', NetworkTable.encode({ ...table, driverOptions: Object.fromEntries(options) }));
  const entries = [
    ...Array.from(peers.values(), (peer) => ['peer', NetworkPeer, peer] as const),
    ...Array.from(services.values(), (service) => ['service', NetworkService, service] as const),
    ...Array.from(endpoints.values(), (endpoint) => ['endpoint', NetworkEndpoint, endpoint] as const),
  ];
  const counts = { peers: peers.size, services: services.size, endpoints: endpoints.size };
  for (const [at, [kind, codec, value]] of entries.entries()) {
    if (at % ENTRIES_PER_TURN === ENTRIES_PER_TURN - 1) await nextTurn();
    add(total, kind, encode(codec, value));
  }
  return TableDigest.create({ ...counts, hash: Uint8Array.from(total) });
}

function encode<T>(codec: { encode(value: T): Uint8Array }, value: T): Uint8Array {
  return codec.encode(value);
}

function add(total: Buffer, kind: string, bytes: Uint8Array): void {
  const one = hash('sha256', Buffer.concat([Buffer.from(`${kind} `), bytes]), 'buffer');
  for (let at = 0; at < HASH_BYTES; at++) total[at] = (total[at] ?? 0) ^ (one[at] ?? 0);
}

export function sameDigest(left: TableDigest, right: TableDigest): boolean {
  return Buffer.compare(left.hash, right.hash) === 0;
}
