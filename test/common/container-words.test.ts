/** Goal: words of options mean what the kernel and Docker mean by them. Method: examples, and any text. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { isCpuList } from '#common/cpu-list.ts';
import { deviceAccess, parseDeviceRule } from '#common/device-rule.ts';
import { capabilityName, namespaceOfSetting } from '#common/kernel-names.ts';
import { parseSeccompProfile } from '#common/seccomp-profile.ts';

describe('words of container options', () => {
  it('rules of devices', () => {
    assert.deepEqual(parseDeviceRule('c 189:* wmr'), { type: 'c', major: 189, minor: undefined, access: 'rwm' });
    assert.deepEqual(parseDeviceRule('a *:* r'), { type: 'a', major: undefined, minor: undefined, access: 'r' });
    for (const text of [
      '',
      'c 1:2',
      'd 1:2 r',
      'c 1:2 rr',
      'c 1:2 x',
      'c 9999:1 r',
      'c  1:2 r',
      'c 1:2 r\n',
      'c -1:2 r',
    ])
      assert.equal(parseDeviceRule(text), undefined, text);
    assert.deepEqual([deviceAccess('mr'), deviceAccess(''), deviceAccess('rr')], ['rm', undefined, undefined]);
  });

  it('lists of processors', () => {
    for (const text of ['0', '0-3', '0,2-3,7', '8191']) assert.ok(isCpuList(text), text);
    for (const text of ['', '3-1', '0;1', '0-', ',', '9999', '0-3-5', '-1']) assert.ok(!isCpuList(text), text);
  });

  it('capabilities and settings', () => {
    assert.deepEqual([capabilityName('cap_net_admin'), capabilityName('ALL')], ['NET_ADMIN', 'ALL']);
    assert.equal(capabilityName('ROOT'), undefined);
    assert.deepEqual(
      ['net.core.somaxconn', 'kernel.shmmax', 'fs.mqueue.msg_max', 'kernel.panic', 'net..x', 'net.a/../b'].map(
        namespaceOfSetting,
      ),
      ['network', 'ipc', 'ipc', undefined, undefined, undefined],
    );
  });

  it('seccomp profiles, with the place of what is wrong', async () => {
    const problem = (value: unknown): string => {
      const parsed = parseSeccompProfile(typeof value === 'string' ? value : JSON.stringify(value));
      return parsed.ok ? '' : parsed.problem;
    };
    const base = { defaultAction: 'SCMP_ACT_ALLOW' };
    const rule = { names: ['mount'], action: 'SCMP_ACT_ERRNO' };
    assert.equal(problem({ ...base, syscalls: [rule] }), '');
    assert.equal(problem(base), '', 'calls may be missing');
    for (const [value, place] of [
      ['{', /not JSON/],
      [[], /not an object/],
      [{}, /^defaultAction/],
      [{ ...base, listenerPath: '/x' }, /^listenerPath is not known/],
      [{ ...base, syscalls: [rule, { ...rule, action: 'ALLOW' }] }, /^syscalls\[1\]\.action/],
      [{ ...base, syscalls: [{ ...rule, action: 'SCMP_ACT_NOTIFY' }] }, /^syscalls\[0\]\.action/],
      [{ ...base, syscalls: [{ ...rule, names: ['a b'] }] }, /^syscalls\[0\]\.names/],
      [{ ...base, syscalls: [{ ...rule, args: [{ index: 9, value: 0, op: 'SCMP_CMP_EQ' }] }] }, /args\[0\]\.index/],
      [{ ...base, syscalls: [{ ...rule, includes: { caps: ['root'] } }] }, /includes\.caps/],
      [{ ...base, archMap: [{ architecture: 'x86' }] }, /^archMap\[0\]/],
    ] as const)
      assert.match(problem(value), place);
    const system = await readFile('/usr/share/containers/seccomp.json', 'utf8').catch(() => undefined);
    if (system !== undefined) assert.equal(problem(system), '');
  });

  it('no text and no JSON makes a profile that throws', () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => void parseSeccompProfile(text)));
  });
});
