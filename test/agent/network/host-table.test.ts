/**
 * Goal: what is written to nftables is read back as the same elements, and nothing a user wrote can become a rule.
 * Method: real nftables in an empty namespace; the validation of ports against hostile input.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createNetworkNamespace, removeNetworkNamespace } from '#agent/kernel/netns.ts';
import { Nftables } from '#agent/kernel/nftables.ts';
import { checkPorts } from '#agent/network/check-ports.ts';
import {
  elementKey,
  elementValue,
  mapOf,
  nftFamily,
  type PortElement,
  parseElements,
} from '#agent/network/host-table.ts';
import { hostTableText } from '#agent/network/host-table-text.ts';
import type { HostPort } from '#agent/network/index.ts';
import { instanceNames } from '#agent/network/instance.ts';
import { ipv6Plan, taskAddress6 } from '#agent/network/ipv6.ts';
import { socketInodes } from '#agent/network/port-owner.ts';
import { SwarmError } from '#common/errors.ts';

const PLAN = {
  pool: { base: 0x0aff0000, length: 16 },
  hostAddress: 0xa9fe5000,
  gatewayAddress: 0xa9fe5001,
  mtu: 1500,
  forwardingIsOurs: true,
  forwarding6IsOurs: true,
  advertisedDevices: [],
  ingress: undefined,
};

describe('network: host table', () => {
  it('reads back the elements it wrote', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'starling-table-'));
    const namespace = createNetworkNamespace(join(directory, 'ns'));
    const nftables = Nftables.open(namespace);
    const names = instanceNames('test');
    try {
      const elements: readonly PortElement[] = [
        { port: { protocol: 'tcp', publishedPort: 8080, targetPort: 80 }, address: '10.255.0.1' },
        { port: { protocol: 'udp', publishedPort: 8080, targetPort: 80 }, address: '10.255.0.1' },
        { port: { protocol: 'sctp', publishedPort: 38412, targetPort: 38412 }, address: '10.255.0.3' },
        { port: { protocol: 'tcp', publishedPort: 8081, targetPort: 80, hostIp: '192.0.2.7' }, address: '10.255.0.2' },
        { port: { protocol: 'tcp', publishedPort: 8080, targetPort: 80 }, address: taskAddress6(names, 1) },
        {
          port: { protocol: 'udp', publishedPort: 53, targetPort: 5353, hostIp: '::' },
          address: taskAddress6(names, 2),
        },
        {
          port: { protocol: 'tcp', publishedPort: 8082, targetPort: 80, hostIp: '2001:db8::7' },
          address: taskAddress6(names, 70_000),
        },
      ];
      const contents = {
        names,
        plan: PLAN,
        ipv6: ipv6Plan(names),
        mark: 0x1000,
        elements,
        guardedDevices: { 4: ['eth0', 'wlan0.5'], 6: ['eth0'] },
        mesh: undefined,
      };
      await nftables.run('load', hostTableText(contents));
      // Loading it again, as a repair does, is the same.
      await nftables.run('load', hostTableText(contents));
      const found: string[] = [];
      for (const family of [4, 6] as const) {
        const command = `list table ${nftFamily(family)} ${names.hostTable}`;
        const listing = await nftables.listJson('list', command, { elements: true });
        found.push(...parseElements(listing).map((one) => `${one.map} ${one.key} ${one.value}`));
      }
      const wanted = elements.map((one) => `${mapOf(one.port)} ${elementKey(one.port)} ${elementValue(one)}`);
      assert.deepEqual(found.toSorted(), wanted.toSorted());
    } finally {
      await nftables.close();
      namespace.close();
      removeNetworkNamespace(join(directory, 'ns'));
      rmSync(directory, { recursive: true });
    }
  });

  it('refuses ports that are not ports, and addresses that are not addresses', () => {
    const good: HostPort = { protocol: 'tcp', publishedPort: 80, targetPort: 80 };
    const bad: readonly Partial<HostPort>[] = [
      { publishedPort: 65_536 },
      { publishedPort: -1 },
      { publishedPort: 1.5 },
      { publishedPort: Number.NaN },
      { targetPort: 0 },
      { hostIp: '10.0.0.1 } ; flush ruleset' },
      { hostIp: 'localhost' },
      { hostIp: '::1 } ; flush ruleset' },
      { hostIp: 'fe80::1%eth0' },
    ];
    for (const change of bad) {
      const refuse = (): unknown => checkPorts([{ ...good, ...change }]);
      assert.throws(
        refuse,
        (error) => error instanceof SwarmError && error.reason === 'bad-field',
        JSON.stringify(change),
      );
    }
    assert.throws(() => checkPorts([good, { ...good, hostIp: '127.0.0.1' }]), /published twice/);
  });

  it('tells every address from every one of a family and from a single one', () => {
    const port = { protocol: 'tcp', publishedPort: 80, targetPort: 80 } as const;
    for (const hostIp of [undefined, '']) assert.deepEqual(checkPorts([{ ...port, hostIp }]), [port]);
    assert.deepEqual(checkPorts([{ ...port, hostIp: '2001:DB8:0::7' }]), [{ ...port, hostIp: '2001:db8::7' }]);
    for (const [one, other] of [
      ['0.0.0.0', '::'],
      ['192.0.2.7', '::'],
      ['::1', '2001:db8::7'],
    ])
      checkPorts([
        { ...port, hostIp: one },
        { ...port, hostIp: other },
      ]);
    for (const [one, other] of [
      ['', '::'],
      ['0.0.0.0', '192.0.2.7'],
      ['::', '2001:db8::7'],
      ['2001:db8::7', '2001:db8:0::7'],
    ])
      assert.throws(() =>
        checkPorts([
          { ...port, hostIp: one },
          { ...port, hostIp: other },
        ]),
      );
  });

  it('finds listening sockets of a port in the kernel’s table', () => {
    const table = [
      '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode',
      '   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0',
      '   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0',
      '   2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0',
    ].join('\n');
    assert.deepEqual(socketInodes(table, { protocol: 'tcp', publishedPort: 8080 }), ['4711']);
  });
});
