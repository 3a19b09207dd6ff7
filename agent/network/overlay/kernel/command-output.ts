/** What `ip -j`, `bridge -j`, `nft` and `conntrack` print, as the types of the seam. */
import { canonicalAddress } from '../../../kernel/ip-address.ts';
import type { LinkState } from './network-kernel.ts';
import { type Device, type Item, LOCAL_TABLE, MAIN_TABLE, type RouteItem } from './operations.ts';

type Fields = Readonly<Record<string, unknown>>;

function records(text: string): readonly Fields[] {
  if (text.trim() === '') return [];
  const value: unknown = JSON.parse(text);
  // A table that does not exist is printed as an empty object.
  return Array.isArray(value) ? value.filter((one): one is Fields => typeof one === 'object' && one !== null) : [];
}

function text(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  return typeof value === 'string' ? value : undefined;
}

function number(fields: Fields, name: string): number | undefined {
  const value = fields[name];
  return typeof value === 'number' ? value : undefined;
}

function child(fields: Fields, name: string): Fields {
  const value = fields[name];
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

function texts(fields: Fields, name: string): readonly string[] {
  const value = fields[name];
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}

/** `ip -j -d link`. */
export function parseLinks(output: string): readonly LinkState[] {
  return records(output).map((fields) => {
    const info = child(fields, 'linkinfo');
    const data = child(info, 'info_data');
    const kind = text(info, 'info_kind');
    const isEthernet = text(fields, 'link_type') === 'ether';
    return {
      name: text(fields, 'ifname') ?? '',
      index: number(fields, 'ifindex') ?? 0,
      up: texts(fields, 'flags').includes('UP'),
      mtu: number(fields, 'mtu') ?? 0,
      kind,
      linkLayerAddress: isEthernet || text(fields, 'link_type') === 'loopback' ? text(fields, 'address') : undefined,
      vxlan:
        kind === 'vxlan'
          ? {
              vni: number(data, 'id') ?? 0,
              port: number(data, 'port') ?? 0,
              local: canonicalAddress(text(data, 'local') ?? text(data, 'local6') ?? '0.0.0.0'),
            }
          : undefined,
    };
  });
}

/** Devices by name, for what names them. */
export type Devices = ReadonlyMap<string, Device>;

function deviceOf(devices: Devices, name: string | undefined): Device {
  return devices.get(name ?? '') ?? { name: name ?? '', index: 0 };
}

/** `ip -j addr`. */
export function parseAddresses(output: string, devices: Devices): readonly Item[] {
  return records(output).flatMap((fields) => {
    const list = fields['addr_info'];
    const addresses = Array.isArray(list) ? (list as readonly Fields[]) : [];
    return addresses
      .filter((address) => text(address, 'scope') === 'global')
      .map((address): Item => {
        const local = canonicalAddress(text(address, 'local') ?? '');
        return {
          kind: 'address',
          device: deviceOf(devices, text(fields, 'ifname')),
          prefix: `${local}/${number(address, 'prefixlen') ?? 0}`,
        };
      });
  });
}

const TABLES: Readonly<Record<string, number>> = { main: MAIN_TABLE, local: LOCAL_TABLE, default: 253 };

function tableNumber(name: string | undefined): number {
  return name === undefined ? MAIN_TABLE : (TABLES[name] ?? Number(name));
}

function destination(name: string, ipv6: boolean): string {
  if (name === 'default') return ipv6 ? '::/0' : 'default';
  return name.includes('/') ? name : `${name}/${ipv6 ? 128 : 32}`;
}

/** `ip -j route show table all`, of one family. */
export function parseRoutes(output: string, ipv6: boolean, devices: Devices): readonly RouteItem[] {
  return records(output)
    .filter((fields) => text(fields, 'protocol') !== 'kernel')
    .filter((fields) => ['unicast', 'local', undefined].includes(text(fields, 'type')))
    .map((fields): RouteItem => {
      const local = text(fields, 'type') === 'local';
      const table = tableNumber(text(fields, 'table'));
      const gateway = text(fields, 'gateway');
      const source = text(fields, 'prefsrc');
      const metrics = fields['metrics'];
      const mtu = Array.isArray(metrics) ? number((metrics as readonly Fields[])[0] ?? {}, 'mtu') : undefined;
      return {
        kind: 'route',
        destination: destination(text(fields, 'dst') ?? '', ipv6),
        device: deviceOf(devices, text(fields, 'dev')),
        ...(table === (local ? LOCAL_TABLE : MAIN_TABLE) ? {} : { table }),
        ...(local ? { local } : {}),
        ...(gateway === undefined ? {} : { gateway: canonicalAddress(gateway) }),
        ...(mtu === undefined ? {} : { mtu }),
        ...(source === undefined ? {} : { preferredSource: canonicalAddress(source) }),
      };
    });
}

/** `ip -j neigh show nud permanent`. */
export function parseNeighbours(output: string, devices: Devices): readonly Item[] {
  return records(output).flatMap((fields): readonly Item[] => {
    const address = text(fields, 'dst');
    const linkLayerAddress = text(fields, 'lladdr');
    if (address === undefined || linkLayerAddress === undefined) return [];
    const device = deviceOf(devices, text(fields, 'dev'));
    return [{ kind: 'neighbour', device, address: canonicalAddress(address), linkLayerAddress }];
  });
}

/** `bridge -j fdb`. */
export function parseForwarding(output: string, devices: Devices): readonly Item[] {
  return records(output).flatMap((fields): readonly Item[] => {
    const node = text(fields, 'dst');
    const linkLayerAddress = text(fields, 'mac');
    if (node === undefined || linkLayerAddress === undefined) return [];
    const device = deviceOf(devices, text(fields, 'ifname'));
    return [{ kind: 'forwarding', device, linkLayerAddress, node: canonicalAddress(node) }];
  });
}

/** `ip -j rule`, of one family: those for a source. */
export function parseRules(output: string, ipv6: boolean): readonly Item[] {
  return records(output).flatMap((fields): readonly Item[] => {
    const source = text(fields, 'src');
    const priority = number(fields, 'priority');
    if (source === undefined || source === 'all' || priority === undefined) return [];
    const length = number(fields, 'srclen') ?? (ipv6 ? 128 : 32);
    const table = tableNumber(text(fields, 'table'));
    return [{ kind: 'rule', priority, source: `${canonicalAddress(source)}/${length}`, table }];
  });
}

/** `nft list set` or `list map`: keys with what they lead to, "" for nothing. */
export function parseElements(output: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const list = /elements = \{([^}]*)\}/.exec(output)?.[1] ?? '';
  for (const element of list.split(',')) {
    const [key = '', value = ''] = element.trim().split(' : ');
    if (key !== '') found.set(key, value.replace(/^goto /, ''));
  }
  return found;
}
