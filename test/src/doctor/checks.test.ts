/**
 * What each check says of hosts that lack something, against a host made of texts as real programs print them. That the
 * real host is read rightly is shown in system.test.ts.
 */
import assert from 'node:assert/strict';
import { CHECKS } from '#src/doctor/index.ts';
import { ADDRESS_POOL_CASES } from './cases/address-pools.ts';
import { FIREWALL_CASES } from './cases/firewall.ts';
import { KERNEL_CASES } from './cases/kernel.ts';
import { MACHINE_CASES } from './cases/machine.ts';
import { PORT_CASES } from './cases/ports.ts';
import { PROGRAM_CASES } from './cases/programs.ts';
import { contextOf, fakeHost, say } from './fake-host.ts';

const CASES = [
  ...KERNEL_CASES,
  ...PROGRAM_CASES,
  ...MACHINE_CASES,
  ...PORT_CASES,
  ...ADDRESS_POOL_CASES,
  ...FIREWALL_CASES,
];

describe('doctor: checks', () => {
  for (const { check, name, facts, context, says } of CASES)
    it(`${check}: ${name}`, async () => {
      const said = await say(check, contextOf(fakeHost(facts), context));
      if (says === undefined) assert.equal(said, undefined);
      else assert.match(said ?? 'nothing', says);
    });

  it('have names of their own, and each has a case here or on the real host', () => {
    const names = CHECKS.map((check) => check.name);
    assert.equal(new Set(names).size, names.length);
    const covered = new Set(CASES.map((one) => one.check));
    assert.deepEqual(
      names.filter((name) => !covered.has(name)),
      ['veth', 'identity'],
    );
  });

  it('on a host that has nothing at all each say so, and none breaks', async () => {
    for (const { name } of CHECKS) {
      const said = await say(name, contextOf(fakeHost({}), { purpose: 'doctor' }));
      assert.match(said ?? 'OK', /^(OK|WARN|FAIL) ?/, name);
      assert.doesNotMatch(said ?? '', /undefined|\[object|NaN/, name);
    }
  });
});
