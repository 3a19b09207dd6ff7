/** Pools of addresses that the host has other uses for. */
import type { FakeFacts } from '../fake-host.ts';
import type { Case } from './case.ts';

const routes = (...list: object[]): FakeFacts => ({
  programs: { 'ip -j -4 route show table all': JSON.stringify(list), 'ip -j -6 route show table all': '[]' },
});

export const ADDRESS_POOL_CASES: readonly Case[] = [
  { check: 'address-pools', name: 'a join', facts: {}, context: { addressPools: undefined }, says: undefined },
  {
    check: 'address-pools',
    name: 'no collision',
    facts: routes({ dst: 'default', dev: 'eth0' }, { dst: '192.168.1.0/24', dev: 'eth0' }),
    says: /^OK 10.0.0.0\/8 is free on this host/,
  },
  {
    check: 'address-pools',
    name: 'a LAN within the pool',
    facts: routes(
      { dst: '10.20.0.0/16', dev: 'eth0', scope: 'link' },
      { dst: '10.20.0.5', dev: 'eth0', type: 'local', table: 'local' },
      { dst: '10.20.255.255', dev: 'eth0', type: 'broadcast' },
      { dst: '172.17.0.0/16', dev: 'docker0' },
    ),
    says: /^FAIL 10.0.0.0\/8 overlaps the route 10.20.0.0\/16 \(eth0\) -> .*such as --default-addr-pool 192.168.0.0\/16$/,
  },
  {
    check: 'address-pools',
    name: 'a VPN that takes all of a block',
    facts: routes({ dst: '10.0.0.0/8', dev: 'wg0' }),
    context: { addressPools: ['172.20.0.0/14', '10.9.0.0/16'] },
    says: /^FAIL 10.9.0.0\/16 overlaps the route 10.0.0.0\/8 \(wg0\)/,
  },
  {
    check: 'address-pools',
    name: 'our own networks',
    facts: routes({ dst: '10.255.0.0/24', dev: 'sl-abcdefgh' }),
    says: /^OK/,
  },
  {
    check: 'address-pools',
    name: 'a host in all private blocks: parts of them are offered',
    facts: routes(
      { dst: '10.0.0.0/9', dev: 'a' },
      { dst: '172.16.0.0/12', dev: 'b' },
      { dst: '192.168.0.0/16', dev: 'c' },
      { dst: '100.64.0.0/10', dev: 'd' },
    ),
    says: /--default-addr-pool 10.128.0.0\/9$/,
  },
  {
    check: 'address-pools',
    name: 'a host in the whole of all private blocks',
    facts: routes(
      ...['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10'].map((dst) => ({ dst, dev: 'a' })),
    ),
    says: /-> choose a pool that is free on all hosts: --default-addr-pool CIDR$/,
  },
  {
    check: 'address-pools',
    name: 'a swarm that exists: the pools are what they are',
    facts: routes({ dst: '10.1.0.0/16', dev: 'eth0' }),
    context: { purpose: 'doctor' },
    says: /^WARN 10.0.0.0\/8 overlaps .*choose --subnet/,
  },
  {
    check: 'address-pools',
    name: 'rubbish',
    facts: routes(),
    context: { addressPools: ['10.0.0.0/8', '10.0.0.0/33', 'x'] },
    says: /^FAIL "10.0.0.0\/33", "x" is not a block of addresses/,
  },
];
