/** Packets that the host does not forward, or does not let in. */
import type { Case } from './case.ts';

const chains = (...list: object[]): string =>
  JSON.stringify({ nftables: [{ metainfo: {} }, ...list.map((chain) => ({ chain }))] });
const FORWARD_DROP = { family: 'ip', table: 'filter', name: 'FORWARD', hook: 'forward', policy: 'drop' };

export const FIREWALL_CASES: readonly Case[] = [
  {
    check: 'ip-forward',
    name: 'on',
    facts: { files: { '/proc/sys/net/ipv4/ip_forward': '1\n' } },
    says: /^OK this host forwards/,
  },
  {
    check: 'ip-forward',
    name: 'off for ever',
    facts: { files: { '/proc/sys/net/ipv4/ip_forward': '0\n' }, unwritable: ['/proc/sys/net/ipv4/ip_forward'] },
    says: /^FAIL this host does not forward packets/,
  },
  {
    check: 'forward-policy',
    name: 'none but ours',
    facts: { programs: { 'nft -j list chains': chains({ ...FORWARD_DROP, table: 'starling_ab' }) } },
    says: /^OK/,
  },
  {
    check: 'forward-policy',
    name: 'a chain that accepts by default, and a bridge’s',
    facts: {
      programs: {
        'nft -j list chains': chains({ ...FORWARD_DROP, policy: 'accept' }, { ...FORWARD_DROP, family: 'bridge' }),
      },
    },
    says: /^OK no other firewall/,
  },
  {
    check: 'forward-policy',
    name: 'dockerd’s',
    facts: { programs: { 'nft -j list chains': chains(FORWARD_DROP), 'nft list ruleset': '' } },
    says: /^WARN ip filter FORWARD drops forwarded packets.*iptables -I FORWARD -i sl-\+ -j ACCEPT; iptables -I FORWARD -o sl-\+/,
  },
  {
    check: 'forward-policy',
    name: 'an administrator’s, in the words of nft',
    facts: {
      programs: {
        'nft -j list chains': chains({ ...FORWARD_DROP, family: 'inet', name: 'fwd' }),
        'nft list ruleset': 'table ip starling_x {\n iifname "sl-x" accept\n oifname "sl-x" accept\n}\n',
      },
    },
    says: /^WARN inet filter fwd drops .*iifname "sl-\*" accept; oifname "sl-\*" accept/,
  },
  {
    check: 'forward-policy',
    name: 'one that lets our links pass',
    facts: {
      programs: {
        'nft -j list chains': chains(FORWARD_DROP),
        'nft list ruleset':
          'table ip filter {\n chain FORWARD {\n  iifname "sl-*" counter packets 0 bytes 0 accept\n  oifname "sl-*" counter accept\n }\n}\n',
      },
    },
    says: /^OK ip filter FORWARD drops by default, and lets the links of this node pass/,
  },
  {
    check: 'forward-policy',
    name: 'one that lets them pass one way only',
    facts: {
      programs: {
        'nft -j list chains': chains(FORWARD_DROP),
        'nft list ruleset': 'table ip filter {\n iifname "sl-*" accept\n}\n',
      },
    },
    says: /^WARN/,
  },
  {
    check: 'forward-policy',
    name: 'the older iptables',
    facts: {
      files: { '/proc/net/ip_tables_names': 'nat\nfilter\n' },
      programs: {
        'nft -j list chains': chains(),
        'nft list ruleset': '',
        'iptables-legacy -S FORWARD': '-P FORWARD DROP\n',
        'iptables-legacy -S': '-P FORWARD DROP\n',
      },
    },
    says: /^WARN ip filter \(legacy\) FORWARD drops/,
  },
  { check: 'forward-policy', name: 'no nft', facts: {}, says: /^WARN could not be checked: nft cannot list/ },
  {
    check: 'input-policy',
    name: 'a closed host',
    facts: {
      programs: {
        'nft -j list chains': chains({ family: 'inet', table: 'f', name: 'in', hook: 'input', policy: 'drop' }),
      },
    },
    says: /^WARN inet f in drops incoming packets: other nodes need 2377\/tcp and 4789\/udp of this one -> allow/,
  },
];
