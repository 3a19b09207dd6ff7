/**
 * Goal: the gateway network never takes addresses that the host uses, and says what is in the way. Method: choose among
 * pools against made-up surveys of a host.
 */
import assert from 'node:assert/strict';
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
      ingress: { subnets: ['10.0.0.0/24'], nodeAddress: '192.0.2.4' },
    };
    const text = encodePlan(plan);
    assert.deepEqual(decodePlan(text), plan);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: text.length - 2 }), (end) => decodePlan(text.slice(0, end)) === undefined),
    );
    assert.equal(decodePlan('{"pool":"10.0.0.0/8"}'), undefined);
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
