/** What a name, address or service port means to an asker. Pure; order and encoding of the answer are others' affair. */
import type { PortConfig } from '#gen/swarm/v1/specs.ts';
import { type HostAddress, parseReverseName } from './host-address.ts';
import type { Asker, NameBook } from './name-book.ts';
import { type Found, type NetworkNames, RANKS, TASKS_PREFIX, type Target } from './network-names.ts';
import { portOf, protocolOf } from './well-known-ports.ts';

/** How long clients may keep what they are told. */
export type Lifetime =
  | 'stable' // virtual addresses, which stay as long as their service
  | 'moving'; // addresses of tasks

export interface ServiceRecord {
  /** A name that resolves to the addresses. */
  readonly target: string;
  readonly port: number;
  readonly addresses: readonly HostAddress[];
}

export type NameAnswer =
  | { readonly kind: 'addresses'; readonly addresses: readonly HostAddress[]; readonly lifetime: Lifetime }
  | { readonly kind: 'services'; readonly records: readonly ServiceRecord[]; readonly lifetime: Lifetime }
  | { readonly kind: 'pointers'; readonly names: readonly string[] }
  /** In a zone of ours, and not there. */
  | { readonly kind: 'absent'; readonly zone: string }
  /** None of our names. */
  | { readonly kind: 'foreign' };

const FOREIGN: NameAnswer = { kind: 'foreign' };

interface Meaning {
  readonly network: NetworkNames;
  readonly target: Target;
}

/**
 * Of all networks that the asker is on the strongest claim counts, so that being on one more network never lets somebody
 * there take a name over. Equally strong ones all answer.
 */
function strongest(networks: readonly NetworkNames[], name: string): readonly Meaning[] {
  let best: readonly { readonly network: NetworkNames; readonly found: Found }[] = [];
  for (const network of networks) {
    const found = network.find(name);
    if (found === undefined) continue;
    const rank = best[0]?.found.rank;
    const order = rank === undefined ? -1 : RANKS.indexOf(found.rank) - RANKS.indexOf(rank);
    if (order < 0) best = [{ network, found }];
    else if (order === 0) best = [...best, { network, found }];
  }
  return best.flatMap(({ network, found }) => found.targets.map((target) => ({ network, target })));
}

/** As it stands, else as `<name>.<network>`, which Docker's users know. */
function meaningsOf(networks: readonly NetworkNames[], name: string): readonly Meaning[] {
  const direct = strongest(networks, name);
  if (direct.length > 0) return direct;
  for (const network of networks) {
    const suffix = `.${network.table.name.toLowerCase()}`;
    if (!name.endsWith(suffix)) continue;
    const qualified = strongest([network], name.slice(0, -suffix.length));
    if (qualified.length > 0) return qualified;
  }
  return [];
}

function servingAddresses({ network, target }: Meaning): readonly HostAddress[] {
  if (target.kind === 'endpoint')
    return target.always || target.endpoint.message.serving ? target.endpoint.addresses : [];
  return network.servingAddresses(target.service);
}

function isVirtual(target: Target): boolean {
  return target.kind === 'service' && target.service.addresses.length > 0;
}

function addressesOf(meaning: Meaning): readonly HostAddress[] {
  const { target } = meaning;
  return target.kind === 'service' && isVirtual(target) ? target.service.addresses : servingAddresses(meaning);
}

function lifetimeOf(meanings: readonly Meaning[]): Lifetime {
  return meanings.every(({ target }) => isVirtual(target)) ? 'stable' : 'moving';
}

/** Two networks may have the same subnet. */
function distinct(addresses: readonly HostAddress[]): readonly HostAddress[] {
  if (addresses.length < 2) return addresses;
  return [...new Map(addresses.map((address) => [address.key, address])).values()];
}

/** Addresses of the name, which is in lower case and without a dot at its end. */
export function answerName(book: NameBook, asker: Asker, name: string): NameAnswer {
  const networks = book.networksOf(asker);
  if (networks.length === 0) return FOREIGN;
  const meanings = meaningsOf(networks, name);
  const [only] = meanings;
  if (only === undefined) return absentOrForeign(networks, name);
  const addresses = meanings.length === 1 ? addressesOf(only) : distinct(meanings.flatMap(addressesOf));
  return { kind: 'addresses', addresses, lifetime: lifetimeOf(meanings) };
}

/**
 * What stands before the name of a service of ours, and one word behind `tasks.`, is asked nobody else. The dots matter:
 * `tasks.example.com` may well be somebody's host.
 */
function absentOrForeign(networks: readonly NetworkNames[], name: string): NameAnswer {
  const dot = name.indexOf('.');
  if (dot < 0) return FOREIGN;
  const head = name.slice(0, dot);
  const rest = name.slice(dot + 1);
  if (name.startsWith(TASKS_PREFIX) && !rest.includes('.')) return { kind: 'absent', zone: 'tasks' };
  if (/^\d+$/.test(head) && networks.some((network) => network.hasService(rest))) return { kind: 'absent', zone: rest };
  return FOREIGN;
}

/** `_80._tcp.web`, `_http._tcp.tasks.web`: where a service's port is served. */
export function answerServicePort(book: NameBook, asker: Asker, name: string): NameAnswer {
  const match = /^_([^.]+)\._([^.]+)\.(.+)$/.exec(name);
  const networks = book.networksOf(asker);
  if (match === null || networks.length === 0) return answerName(book, asker, name);
  const [, portText = '', protocolText = '', rest = ''] = match;
  const meanings = meaningsOf(networks, rest);
  if (meanings.length === 0) return absentOrForeign(networks, rest);
  const port = portOf(portText);
  const protocol = protocolOf(protocolText);
  const records: ServiceRecord[] = [];
  if (port !== undefined && protocol !== undefined)
    for (const meaning of meanings)
      if (portsOf(meaning).some((one) => one.targetPort === port && one.protocol === protocol))
        records.push(...serviceRecords(meaning, port));
  if (records.length === 0) return { kind: 'absent', zone: rest };
  return { kind: 'services', records, lifetime: lifetimeOf(meanings) };
}

/** A task has the ports of its service. */
function portsOf({ network, target }: Meaning): readonly PortConfig[] {
  if (target.kind !== 'endpoint') return target.service.message.ports;
  return network.services.get(target.endpoint.message.serviceId)?.message.ports ?? [];
}

function serviceRecords(meaning: Meaning, port: number): readonly ServiceRecord[] {
  const { network, target } = meaning;
  if (target.kind === 'endpoint') {
    const { message, addresses } = target.endpoint;
    return [{ target: message.containerName, port, addresses }];
  }
  if (isVirtual(target)) return [{ target: target.service.message.name, port, addresses: addressesOf(meaning) }];
  const records: ServiceRecord[] = [];
  for (const { message, addresses } of network.tasksOf(target.service))
    if (message.serving) records.push({ target: message.containerName, port, addresses });
  return records;
}

/** `4.1.0.10.in-addr.arpa`: who has the address, as `<name>.<network>`. */
export function answerAddress(book: NameBook, asker: Asker, name: string): NameAnswer {
  const networks = book.networksOf(asker);
  const address = networks.length === 0 ? undefined : parseReverseName(name);
  if (address === undefined) return answerName(book, asker, name);
  const names = networks.flatMap((network) =>
    network.namesOf(address).map((one) => `${one}.${network.table.name}`.toLowerCase()),
  );
  if (names.length > 0) return { kind: 'pointers', names: [...new Set(names)] };
  // What no other server can know is asked nobody else.
  if (networks.some((network) => network.hasAddress(address)))
    return { kind: 'absent', zone: name.slice(name.indexOf('.') + 1) };
  return FOREIGN;
}
