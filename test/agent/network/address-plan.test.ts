/**
 * Goal: the gateway network never takes addresses that the host uses, and says what is in the way. Method: choose among
 * pools against made-up surveys of a host.
 */
import assert from 'node:assert/strict';
import { BlockList } from 'node:net';
import fc from 'fast-check';
import {
  type AddressPlan,
  chooseLinkPair,
  choosePool,
  decodePlan,
  encodePlan,
  type OccupiedPrefix,
} from '#agent/network/address-plan.ts';
import { instanceNames } from '#agent/network/instance.ts';
import { formatAddress, formatPrefix, parsePrefix } from '#agent/network/ipv4.ts';
import { ipv6Plan, taskAddress6 } from '#agent/network/ipv6.ts';
import { SwarmError } from '#common/errors.ts';

function occupied(text: string, by = 'eth0'): OccupiedPrefix {
  const prefix = parsePrefix(text);
  assert.ok(prefix);
  return { prefix, by };
}

function refusal(work: () => unknown): SwarmError {
  try {
    work();
  } catch (error) {
    if (error instanceof SwarmError) return error;
  }
  return assert.fail('not refused');
}

describe('network: address plan', () => {
  it('takes the first pool that meets nothing', () => {
    const pools = ['10.255.0.0/16', '10.254.0.0/16'];
    assert.equal(formatPrefix(choosePool(pools, [])), '10.255.0.0/16');
    assert.equal(formatPrefix(choosePool(pools, [occupied('10.255.7.0/24')])), '10.254.0.0/16');
  });

  it('names the pool, the route and its device when a pool collides', () => {
    const error = refusal(() => choosePool(['10.255.0.0/16'], [occupied('10.0.0.0/8', 'eth1')]));
    assert.equal(error.reason, 'address-pool');
    assert.match(error.message, /10\.255\.0\.0\/16 collides with 10\.0\.0\.0\/8 \(eth1\)/);
    assert.ok(error.hint);
  });

  it('refuses a pool that is not a network of a sensible size', () => {
    for (const pool of ['10.255.0.1/16', '10.0.0.0/4', '10.0.0.0/30', 'fd00::/64', 'rubbish'])
      assert.equal(refusal(() => choosePool([pool], [])).code, 'invalid', pool);
  });

  it('moves to the next link pair when the first is in use, and minds no zeroconf route', () => {
    const names = instanceNames('a');
    const first = chooseLinkPair(names, [occupied('169.254.0.0/16')]);
    assert.equal(first.hostAddress % 2, 0);
    assert.equal(first.gatewayAddress, first.hostAddress + 1);
    const second = chooseLinkPair(names, [occupied(`${formatAddress(first.gatewayAddress)}/32`)]);
    assert.notEqual(second.hostAddress, first.hostAddress);
  });

  it('survives being written and read, and is decided anew when damaged', () => {
    const plan: AddressPlan = {
      pool: { base: 0x0aff0000, length: 16 },
      hostAddress: 0xa9fe5000,
      gatewayAddress: 0xa9fe5001,
      mtu: 1450,
      forwardingIsOurs: true,
      forwarding6IsOurs: true,
      advertisedDevices: ['eth0', 'wlan0.5'],
      ingress: {
        subnets: ['10.0.0.0/24'],
        subnets6: ['fd00::/64'],
        nodeAddress: '192.0.2.4',
        nodeAddress6: '2001:db8::4',
      },
    };
    const text = encodePlan(plan);
    assert.deepEqual(decodePlan(text), plan);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: text.length - 2 }), (end) => decodePlan(text.slice(0, end)) === undefined),
    );
    assert.equal(decodePlan('{"pool":"10.0.0.0/8"}'), undefined);
    // Names of devices become parts of paths.
    const hostile = encodePlan({ ...plan, advertisedDevices: ['../../core', 'eth0'] });
    assert.deepEqual(decodePlan(hostile)?.advertisedDevices, ['eth0']);
  });

  it('reads the plan of a release before IPv6', () => {
    const before = {
      pool: '10.255.0.0/16',
      hostAddress: '169.254.80.0',
      gatewayAddress: '169.254.80.1',
      mtu: 1500,
      forwardingIsOurs: true,
      ingress: { subnets: ['10.0.0.0/24'] },
    };
    const plan = decodePlan(JSON.stringify(before));
    assert.deepEqual([plan?.forwarding6IsOurs, plan?.ingress?.subnets6], [false, []]);
  });

  it('gives every task an IPv6 address of its own, below a prefix of the daemon', () => {
    const names = instanceNames('a');
    const { prefix, hostAddress, gatewayAddress } = ipv6Plan(names);
    assert.match(prefix, /^fd[0-9a-f:]+::\/48$/);
    const range = new BlockList();
    range.addSubnet(prefix.split('/')[0] ?? '', 48, 'ipv6');
    const given = new Set([hostAddress, gatewayAddress]);
    for (const number of [1, 2, 65_535, 65_536, 16_777_214]) given.add(taskAddress6(names, number));
    assert.equal(given.size, 7);
    for (const address of given) assert.ok(range.check(address, 'ipv6'), address);
    assert.notEqual(ipv6Plan(instanceNames('b')).prefix, prefix);
  });

  it('gives instances names that fit the kernel and differ', () => {
    const tags = new Set<string>();
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 200 }), (instance) => {
        const names = instanceNames(instance);
        assert.match(names.hostLink, /^sl-[0-9a-v]{8}$/);
        assert.match(names.hostTable, /^starling_[0-9a-v]{8}$/);
        assert.ok(names.routingTable > 0x52ffffff && names.routingTable < 0x54000000);
        tags.add(names.tag);
      }),
    );
    assert.ok(tags.size > 50);
    for (const instance of ['', 'a'.repeat(5000)])
      assert.equal(refusal(() => instanceNames(instance)).reason, 'bad-field', instance);
  });
});
