/**
 * The ports of one family that every node publishes, as this node does: a socket that reserves each, and the elements that lead it to
 * tasks. Whoever owns the host's table calls one at a time and brings the changes into the kernel.
 */
import { SwarmError } from '#common/errors.ts';
import { AF_INET6 } from '../../kernel/ip-address.ts';
import type { FlowFilter } from '../../kernel/netlink-conntrack.ts';
import type { ElementSet } from '../../kernel/nftables-elements.ts';
import { type Family, familiesOf, portsClash } from '../host-ports.ts';
import { type MeshElements, type MeshMap, meshChain, nftFamily, PROTOCOL_NUMBERS } from '../host-table.ts';
import { type ElementGroup, LoadBalancer } from '../overlay/load-balancer.ts';
import { holdPort, type PortHolder } from '../port-holder.ts';
import type { HostPort, PublishedAt } from '../task-network.ts';
import type { MeshPort } from './mesh-model.ts';

/** Chains are made for so many backends at first, and that many more at a time. */
const COUNT_STEP = 16;

interface Reservation {
  readonly port: MeshPort['port'];
  holder: PortHolder | undefined;
  /** Who has the port instead; undefined also where the node has no such address. */
  contestedBy: string | undefined;
  /** It led to tasks when this daemon started: it goes on to, whoever has the socket now. */
  readonly adopted: boolean;
}

export interface MeshPortChanges {
  readonly groups: readonly ElementGroup[];
  /** Datagrams that an earlier element, or none, has led elsewhere. */
  readonly stale: readonly FlowFilter[];
}

export type MeshSets = Readonly<Record<MeshMap, ElementSet>>;

function isBound(key: string): boolean {
  return key.split(' . ').length > 2;
}

function makeSets(table: string, family: Family): MeshSets {
  const common = { family: nftFamily(family), table } as const;
  const address = family === 4 ? 'ipv4' : 'ipv6';
  const value = family === 4 ? 'ipv4-port' : 'ipv6-port';
  const port = ['protocol', 'port'] as const;
  return {
    mesh: { ...common, name: 'mesh', key: port, value: 'goto' },
    mesh_eps: { ...common, name: 'mesh_eps', key: [...port, 'number'], value },
    mesh_bound: { ...common, name: 'mesh_bound', key: [address, ...port], value: 'goto' },
    mesh_bound_eps: { ...common, name: 'mesh_bound_eps', key: [address, ...port, 'number'], value },
  };
}

export class MeshPorts {
  readonly sets: MeshSets;
  readonly #family: Family;
  readonly #balancer: LoadBalancer;
  #wanted = new Map<string, MeshPort>();
  readonly #reservations = new Map<string, Reservation>();

  constructor(hostTable: string, family: Family) {
    this.#family = family;
    this.sets = makeSets(hostTable, family);
    const { mesh, mesh_eps, mesh_bound, mesh_bound_eps } = this.sets;
    this.#balancer = new LoadBalancer({
      setsFor: (key) => (isBound(key) ? { vips: mesh_bound, eps: mesh_bound_eps } : { vips: mesh, eps: mesh_eps }),
      chainOf: (count, key) => meshChain(isBound(key), count),
    });
  }

  /** Takes over what the kernel leads to tasks since before this daemon started. */
  adopt(elements: readonly ReadonlyMap<string, string>[]): void {
    for (const eps of elements) this.#balancer.adopt(eps);
    for (const key of this.#balancer.vips()) {
      const port = parseKey(key);
      if (port === undefined) continue;
      const backends = { 4: [], 6: [], [this.#family]: this.#balancer.backends(key) };
      this.#wanted.set(key, { port, backends });
      this.#reservations.set(key, { port, holder: undefined, contestedBy: undefined, adopted: true });
    }
  }

  /** Ports that are published otherwise from now on; with `whole`, there are no others. */
  async change(changed: ReadonlyMap<string, MeshPort | undefined>, whole: boolean): Promise<MeshPortChanges> {
    const ofFamily = ({ port }: MeshPort): boolean => familiesOf(port).includes(this.#family);
    const ports = new Map(
      Array.from(changed, ([key, port]) => [key, port !== undefined && ofFamily(port) ? port : undefined] as const),
    );
    if (whole) for (const key of this.#wanted.keys()) if (!ports.has(key)) ports.set(key, undefined);
    for (const [key, port] of ports) {
      if (port !== undefined) this.#wanted.set(key, port);
      else {
        this.#wanted.delete(key);
        await this.#reservations.get(key)?.holder?.release();
        this.#reservations.delete(key);
      }
    }
    await this.#reserve([...ports.keys()].filter((key) => this.#wanted.has(key)));
    return this.#balance(ports.keys());
  }

  /** Tries to reserve what could not be reserved so far. */
  async reserveAgain(): Promise<MeshPortChanges> {
    const missing = [...this.#wanted.keys()].filter((key) => this.#reservations.get(key)?.holder === undefined);
    await this.#reserve(missing);
    return this.#balance(missing);
  }

  /** Ports that are not published here, in words. */
  problems(): readonly string[] {
    return [...this.#reservations.values()].flatMap(({ contestedBy }) =>
      contestedBy === undefined ? [] : [contestedBy],
    );
  }

  /** Whether the mesh has this port, or the same one on another address that includes it. */
  clashesWith(port: PublishedAt): boolean {
    for (const { port: other, holder } of this.#reservations.values())
      if (holder !== undefined && familiesOf(port).includes(this.#family) && portsClash(other, port)) return true;
    return false;
  }

  async close(): Promise<void> {
    for (const { holder } of this.#reservations.values()) await holder?.release();
    this.#reservations.clear();
  }

  /** Chains are needed for up to so many backends. */
  chainsDue(): number {
    const largest = Math.max(1, ...this.#balancer.counts());
    return Math.ceil(largest / COUNT_STEP) * COUNT_STEP;
  }

  /** Every element that is due, by map. */
  elements(): Readonly<Record<MeshMap, ReadonlyMap<string, string>>> {
    // The balancer tells families apart by the address in a key, which most of these do not have.
    const halves = ([4, 6] as const).map((family) => this.#balancer.elements(family));
    const vips = new Map(halves.flatMap((half) => [...half.vips]));
    const eps = new Map(halves.flatMap((half) => [...half.eps]));
    const part = (all: ReadonlyMap<string, string>, wanted: (key: string) => boolean): ReadonlyMap<string, string> =>
      new Map([...all].filter(([key]) => wanted(key)));
    const isSlotBound = (key: string): boolean => isBound(key.slice(0, key.lastIndexOf(' . ')));
    return {
      mesh: part(vips, (key) => !isBound(key)),
      mesh_eps: part(eps, (key) => !isSlotBound(key)),
      mesh_bound: part(vips, isBound),
      mesh_bound_eps: part(eps, isSlotBound),
    };
  }

  /** For the text of the whole table. */
  tableElements(): MeshElements {
    const { mesh, mesh_eps, mesh_bound, mesh_bound_eps } = this.elements();
    const list = (elements: ReadonlyMap<string, string>, before = ''): readonly string[] =>
      Array.from(elements, ([key, value]) => `${key} : ${before}${value}`);
    return {
      chains: this.chainsDue(),
      elements: {
        mesh: list(mesh, 'goto '),
        mesh_eps: list(mesh_eps),
        mesh_bound: list(mesh_bound, 'goto '),
        mesh_bound_eps: list(mesh_bound_eps),
      },
    };
  }

  async #reserve(keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      const wanted = this.#wanted.get(key);
      if (wanted === undefined) continue;
      const { port } = wanted;
      const found = this.#reservations.get(key) ?? { port, holder: undefined, contestedBy: undefined, adopted: false };
      this.#reservations.set(key, found);
      if (found.holder !== undefined) continue;
      try {
        found.holder = await holdPort(port, [this.#family]);
        found.contestedBy = undefined;
      } catch (error) {
        const { reason, message } = SwarmError.from(error);
        // A port of an address that other nodes have is theirs to publish.
        found.contestedBy = reason === 'bad-field' ? undefined : message;
      }
    }
  }

  #balance(keys: Iterable<string>): MeshPortChanges {
    const groups: ElementGroup[] = [];
    const stale: FlowFilter[] = [];
    for (const key of keys) {
      const reservation = this.#reservations.get(key);
      const mayLead = reservation?.holder !== undefined || reservation?.adopted === true;
      const { changes, removed, woke } = this.#balancer.setBackends(
        key,
        mayLead ? (this.#wanted.get(key)?.backends[this.#family] ?? []) : [],
      );
      if (changes.length > 0) groups.push(changes);
      const port = reservation?.port ?? parseKey(key);
      if (port?.protocol !== 'udp') continue;
      const ipProtocol = PROTOCOL_NUMBERS.udp;
      // Datagrams have no end that would free them of a backend; connections of TCP stay with theirs.
      for (const backend of removed) stale.push({ ipProtocol, replySource: backend.split(' . ')[0] ?? '' });
      const family = this.#family === 6 ? { family: AF_INET6 } : {};
      if (woke) stale.push({ ...family, ipProtocol, replySourcePort: port.publishedPort });
    }
    return { groups, stale };
  }
}

const PROTOCOL_NAMES = new Map(Object.entries(PROTOCOL_NUMBERS).map(([name, number]) => [String(number), name]));

function parseKey(key: string): MeshPort['port'] | undefined {
  const parts = key.split(' . ');
  const [protocolNumber = '', publishedPort] = parts.slice(-2);
  const protocol = PROTOCOL_NAMES.get(protocolNumber) as HostPort['protocol'] | undefined;
  if (protocol === undefined) return undefined;
  const port = { protocol, publishedPort: Number(publishedPort) };
  return parts.length > 2 ? { ...port, hostIp: parts[0] } : port;
}
