/**
 * Goal: the filter is at least as strict as Docker's. Method: the system's own profile goes through the converter, and
 * the answer for each call that Docker's documentation names is looked up in what comes out.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { capabilitiesOfMask } from '#agent/runtime/spec/capabilities.ts';
import type { OciSeccomp } from '#agent/runtime/spec/oci-spec.ts';
import { buildSeccomp, type SeccompRequest } from '#agent/runtime/spec/seccomp.ts';
import { SwarmError } from '#common/errors.ts';
import type { SeccompProfile } from '#common/seccomp-profile.ts';
import { skipBecause } from '#test/support/skip-because.ts';

const PROFILE = '/usr/share/containers/seccomp.json';
const DEFAULTS = capabilitiesOfMask('00000000a80425fb');

/** "Significant syscalls blocked by the default profile" of Docker's manual, as far as Linux still has them. */
const BLOCKED = `acct add_key bpf clock_settime delete_module finit_module get_mempolicy init_module ioperm iopl kcmp
  kexec_file_load kexec_load keyctl lookup_dcookie mbind mount move_pages nfsservctl open_by_handle_at perf_event_open
  pivot_root quotactl reboot request_key set_mempolicy setns settimeofday stime swapon swapoff sysfs umount umount2 unshare
  uselib userfaultfd ustat vm86 vm86old io_uring_setup io_uring_enter io_uring_register fsopen fsmount move_mount open_tree
  mount_setattr pidfd_getfd syslog sethostname setdomainname fanotify_init vhangup`.split(/\s+/);

const REQUEST: SeccompRequest = {
  architecture: 'amd64',
  with32Bit: false,
  capabilities: DEFAULTS,
  kernelRelease: '6.1.0',
};

/** What happens to a call without looking at its arguments: its rules without argument conditions, else the default. */
function verdict(filter: OciSeccomp, name: string): string {
  const rules = filter.syscalls.filter((rule) => rule.names.includes(name) && rule.args === undefined);
  const actions = new Set(rules.map((rule) => `${rule.action} ${rule.errnoRet ?? ''}`.trim()));
  assert.ok(actions.size <= 1, `${name} has contradicting rules: ${[...actions].join(', ')}`);
  const [action] = actions;
  return action ?? `${filter.defaultAction} ${filter.defaultErrnoRet}`;
}

describe('runtime: seccomp', () => {
  let profile: SeccompProfile;

  before(async function () {
    const text = await readFile(PROFILE, 'utf8').catch(() => undefined);
    if (text === undefined) skipBecause(this, `no ${PROFILE} on this machine`);
    profile = JSON.parse(text) as SeccompProfile;
  });

  it('refuses all that Docker refuses', () => {
    const filter = buildSeccomp(profile, REQUEST);
    for (const name of BLOCKED) assert.doesNotMatch(verdict(filter, name), /ALLOW/, name);
    for (const name of ['unshare', 'mount', 'keyctl', 'setns'])
      assert.equal(verdict(filter, name), 'SCMP_ACT_ERRNO 1', name);
    assert.equal(verdict(filter, 'clone3'), 'SCMP_ACT_ERRNO 38');
    assert.equal(verdict(filter, 'a_call_of_the_future'), 'SCMP_ACT_ERRNO 38');
  });

  it('allows what programs live on', () => {
    const filter = buildSeccomp(profile, REQUEST);
    for (const name of [
      'read',
      'write',
      'openat',
      'execve',
      'futex',
      'epoll_wait',
      'chroot',
      'mknod',
      'statx',
      'arch_prctl',
    ])
      assert.equal(verdict(filter, name), 'SCMP_ACT_ALLOW', name);
  });

  it('lets clone make threads, not namespaces', () => {
    const rules = (capabilities: readonly string[]) =>
      buildSeccomp(profile, { ...REQUEST, capabilities }).syscalls.filter((rule) => rule.names.includes('clone'));
    assert.deepEqual(rules(DEFAULTS), [
      {
        names: ['clone'],
        action: 'SCMP_ACT_ALLOW',
        args: [{ index: 0, value: 0x7e020000, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }],
      },
    ]);
    assert.deepEqual(rules([...DEFAULTS, 'CAP_SYS_ADMIN']), [{ names: ['clone'], action: 'SCMP_ACT_ALLOW' }]);
  });

  it('opens with each capability what belongs to it, and no more', () => {
    const withCapability = (name: string) => buildSeccomp(profile, { ...REQUEST, capabilities: [...DEFAULTS, name] });
    for (const [capability, call] of [
      ['CAP_SYS_ADMIN', 'mount'],
      ['CAP_SYS_ADMIN', 'unshare'],
      ['CAP_SYS_TIME', 'clock_settime'],
      ['CAP_SYS_NICE', 'mbind'],
      ['CAP_SYS_BOOT', 'reboot'],
      ['CAP_SYSLOG', 'syslog'],
      ['CAP_SYS_MODULE', 'init_module'],
    ] as const) {
      assert.equal(verdict(withCapability(capability), call), 'SCMP_ACT_ALLOW', `${capability} ${call}`);
      assert.doesNotMatch(verdict(withCapability('CAP_SYS_TTY_CONFIG'), call), /ALLOW/, call);
    }
    assert.doesNotMatch(verdict(withCapability('CAP_SYS_ADMIN'), 'keyctl'), /ALLOW/);
  });

  it('filters one architecture, all of the machine when asked', () => {
    assert.deepEqual(buildSeccomp(profile, REQUEST).architectures, ['SCMP_ARCH_X86_64']);
    assert.deepEqual(buildSeccomp(profile, { ...REQUEST, with32Bit: true }).architectures, [
      'SCMP_ARCH_X86_64',
      'SCMP_ARCH_X86',
      'SCMP_ARCH_X32',
    ]);
    assert.deepEqual(buildSeccomp(profile, { ...REQUEST, architecture: 'arm64' }).architectures, ['SCMP_ARCH_AARCH64']);
    assert.ok(!JSON.stringify(buildSeccomp(profile, { ...REQUEST, architecture: 'arm64' })).includes('arch_prctl'));
  });

  it('keeps conditions on arguments and on kernels', () => {
    const rule = (extra: object) => ({
      defaultAction: 'SCMP_ACT_ERRNO',
      syscalls: [{ names: ['x'], action: 'SCMP_ACT_ALLOW', ...extra }],
    });
    const names = (extra: object) => buildSeccomp(rule(extra), REQUEST).syscalls.flatMap((one) => one.names);
    assert.ok(names({ includes: { minKernel: '4.8' } }).includes('x'));
    assert.ok(!names({ includes: { minKernel: '6.2' } }).includes('x'));
    assert.ok(!names({ excludes: { caps: ['CAP_CHOWN'] } }).includes('x'));
    assert.ok(!names({ excludes: { arches: ['amd64'] } }).includes('x'));
    assert.ok(names({ includes: {}, excludes: {} }).includes('x'));
    const personality = buildSeccomp(profile, REQUEST).syscalls.filter((one) => one.names.includes('personality'));
    assert.ok(personality.length > 0 && personality.every((one) => one.args !== undefined));
  });

  it('refuses a profile that allows what it does not name', () => {
    assert.throws(() => buildSeccomp({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [] }, REQUEST), SwarmError);
  });
});
