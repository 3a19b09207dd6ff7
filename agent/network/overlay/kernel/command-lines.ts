/** Operations as lines for `ip -batch` and `bridge -batch`. */
import { AF_INET6, familyOf } from '../../../kernel/ip-address.ts';
import { type Device, type Item, type Operation, tableOf } from './operations.ts';

export interface CommandLine {
  /** `ip6` is ip with -6, for lines that do not show their family. */
  readonly tool: 'ip' | 'ip6' | 'bridge';
  readonly line: string;
  /** errno codes that mean the wanted state is already there. */
  readonly tolerate: readonly string[];
}

function ip(line: string, ...tolerate: readonly string[]): CommandLine {
  return { tool: 'ip', line, tolerate };
}

function rule(line: string, source: string, ...tolerate: readonly string[]): CommandLine {
  return { tool: familyOf(source) === AF_INET6 ? 'ip6' : 'ip', line, tolerate };
}

function bridge(line: string, ...tolerate: readonly string[]): CommandLine {
  return { tool: 'bridge', line, tolerate };
}

interface Described extends Device {
  readonly mtu?: number;
  readonly linkLayerAddress?: string;
}

function device({ name, index, mtu, linkLayerAddress }: Described): string {
  const parts = [`name ${name} index ${index}`];
  if (mtu !== undefined) parts.push(`mtu ${mtu}`);
  if (linkLayerAddress !== undefined) parts.push(`address ${linkLayerAddress}`);
  return parts.join(' ');
}

function setLine(item: Item): CommandLine {
  switch (item.kind) {
    case 'address': {
      const flags = item.prefixRoute === true ? '' : ' noprefixroute';
      const nodad = familyOf(item.prefix) === AF_INET6 ? ' nodad' : '';
      return ip(`addr add ${item.prefix} dev ${item.device.name}${flags}${nodad}`, 'EEXIST');
    }
    case 'route': {
      const parts = [`route replace ${item.local === true ? 'local ' : ''}${item.destination}`];
      if (item.gateway !== undefined) parts.push(`via ${item.gateway} onlink`);
      parts.push(`dev ${item.device.name} table ${tableOf(item)} proto static`);
      if (item.preferredSource !== undefined) parts.push(`src ${item.preferredSource}`);
      if (item.mtu !== undefined) parts.push(`mtu ${item.mtu}`);
      return ip(parts.join(' '));
    }
    case 'neighbour':
      return ip(`neigh replace ${item.address} lladdr ${item.linkLayerAddress} dev ${item.device.name} nud permanent`);
    case 'forwarding':
      return bridge(`fdb replace ${item.linkLayerAddress} dev ${item.device.name} dst ${item.node} self permanent`);
    case 'rule':
      return rule(`rule add from ${item.source} lookup ${item.table} priority ${item.priority}`, item.source, 'EEXIST');
  }
}

function deleteLine(item: Item): CommandLine {
  switch (item.kind) {
    case 'address':
      return ip(`addr del ${item.prefix} dev ${item.device.name}`, 'EADDRNOTAVAIL', 'ENODEV');
    case 'route': {
      const local = item.local === true ? 'local ' : '';
      return ip(`route del ${local}${item.destination} table ${tableOf(item)}`, 'ESRCH', 'ENOENT', 'EINVAL');
    }
    case 'neighbour':
      return ip(`neigh del ${item.address} dev ${item.device.name}`, 'ENOENT', 'ENODEV');
    case 'forwarding':
      return bridge(
        `fdb del ${item.linkLayerAddress} dev ${item.device.name} dst ${item.node} self`,
        'ENOENT',
        'ENODEV',
      );
    case 'rule':
      return rule(`rule del from ${item.source} lookup ${item.table} priority ${item.priority}`, item.source, 'ENOENT');
  }
}

export function commandLines(operation: Operation): readonly CommandLine[] {
  switch (operation.do) {
    case 'add-vxlan': {
      const { vni, port, local } = operation.vxlan;
      const settings = `type vxlan id ${vni} dstport ${port} local ${local} nolearning ttl 64`;
      return [ip(`link add ${device(operation.device)} netns ${operation.into} ${settings}`)];
    }
    case 'add-veth': {
      const { near, far, into } = operation;
      return [
        ip(`link add ${device(near)} type veth peer ${device(far)} netns ${into}`),
        ip(`link set dev ${near.name} up`),
      ];
    }
    case 'add-macvlan':
    case 'add-ipvlan': {
      const kind = operation.do === 'add-macvlan' ? 'macvlan' : 'ipvlan';
      const { parent, into, mode } = operation;
      return [ip(`link add link ${parent} ${device(operation.device)} netns ${into} type ${kind} mode ${mode}`)];
    }
    case 'delete-link':
      return [ip(`link del dev ${operation.name}`, 'ENODEV')];
    case 'set-up':
      return [ip(`link set dev ${operation.device.name} up`)];
    case 'set':
      return [setLine(operation.item)];
    case 'delete':
      return [deleteLine(operation.item)];
  }
}
