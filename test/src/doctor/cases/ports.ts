/** Ports of this host, and those of managers. */
import type { Case } from './case.ts';

export const PORT_CASES: readonly Case[] = [
  { check: 'cluster-port', name: 'a free port', facts: {}, says: /^OK 0.0.0.0:2377\/tcp is free/ },
  {
    check: 'cluster-port',
    name: 'a port in use',
    facts: {
      ports: { 'tcp 2377': 'EADDRINUSE' },
      programs: {
        'ss -H -l -n -p -t sport = :2377': 'LISTEN 0 4096 *:2377 *:* users:(("dockerd",pid=812,fd=20))\n',
      },
    },
    says: /^FAIL 0.0.0.0:2377\/tcp is in use by dockerd \(pid 812\) -> stop it, or choose another port with --listen-addr/,
  },
  {
    check: 'cluster-port',
    name: 'a port in use on a host that may become a worker',
    facts: { ports: { 'tcp 2377': 'EADDRINUSE' } },
    context: { purpose: 'join', manager: undefined },
    says: /^WARN 0.0.0.0:2377\/tcp is in use ->/,
  },
  {
    check: 'cluster-port',
    name: 'an address of another host',
    facts: { ports: { 'tcp 2377': 'EADDRNOTAVAIL' } },
    context: { listen: { host: '192.0.2.99', port: 2377 } },
    says: /^FAIL 192.0.2.99 is not an address of this host/,
  },
  {
    check: 'cluster-port',
    name: 'its own port',
    facts: { ports: { 'tcp 2377': 'EADDRINUSE' } },
    context: { purpose: 'doctor', serving: true },
    says: /^OK this daemon serves/,
  },
  {
    check: 'data-path-port',
    name: 'another swarm',
    facts: { ports: { 'udp 4789': 'EADDRINUSE' } },
    says: /^FAIL 4789\/udp is in use by a VXLAN device of the kernel: another swarm .*--data-path-port/,
  },
  {
    check: 'data-path-port',
    name: 'its own networks',
    facts: { ports: { 'udp 4789': 'EADDRINUSE' } },
    context: { purpose: 'doctor' },
    says: /^OK 4789\/udp is held by the kernel, for networks of this node/,
  },
  {
    check: 'data-path-port',
    name: 'networks of an earlier membership',
    facts: { ports: { 'udp 4789': 'EADDRINUSE' } },
    context: { purpose: 'join', ownNetworksLeft: async () => Promise.resolve(true) },
    says: /^OK 4789\/udp is held by the kernel, for networks that this host was on before/,
  },
  { check: 'manager-port', name: 'no managers', facts: {}, context: { purpose: 'doctor' }, says: undefined },
  {
    check: 'manager-port',
    name: 'a manager in reach',
    facts: {},
    context: { purpose: 'join', managers: [{ host: '192.0.2.1', port: 2377 }] },
    says: /^OK 1 manager reached, the farthest in 1.5 ms/,
  },
  ...(
    [
      ['ECONNREFUSED', /^FAIL \[fd00::1\]:2377: refused: nothing listens there -> check the address/],
      ['ETIMEDOUT', /^FAIL .* no answer: a firewall drops .* -> open the manager's port/],
      ['EHOSTUNREACH', /^FAIL .* no route to it/],
      ['ENOTFOUND', /^FAIL .* the name does not resolve -> give the manager's address/],
      ['EPROTO', /^FAIL .* not reached \(EPROTO\)/],
    ] as const
  ).map(([error, says]) => ({
    check: 'manager-port',
    name: `a manager that cannot be reached: ${error}`,
    facts: { connections: { 'fd00::1:2377': error } },
    context: { purpose: 'join', managers: [{ host: 'fd00::1', port: 2377 }] } as const,
    says,
  })),
  {
    check: 'manager-port',
    name: 'one manager of two',
    facts: { connections: { 'a:1': 'ECONNREFUSED' } },
    context: {
      purpose: 'join',
      managers: [
        { host: 'a', port: 1 },
        { host: 'b', port: 1 },
      ],
    },
    says: /^WARN a:1: refused.*another manager/,
  },
];
