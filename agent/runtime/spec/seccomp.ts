/**
 * The system call filter. The rules come from the profile that the system's container packages install, which is more
 * liberal than Docker's; a table of ours makes it as strict. Pure.
 */
import { SwarmError } from '#common/errors.ts';
import type { SeccompProfile, SeccompProfileRule } from '#common/seccomp-profile.ts';
import type { OciSeccomp, OciSeccompRule } from './oci-spec.ts';

export type SeccompArchitecture = 'amd64' | 'arm64';

export interface SeccompRequest {
  readonly architecture: SeccompArchitecture;
  /** Also filter, instead of kill, the calls of 32-bit programs. Costs 24 ms at each create. */
  readonly with32Bit: boolean;
  /** With CAP_. */
  readonly capabilities: readonly string[];
  /** "6.18.44-...": some rules ask for a minimum. */
  readonly kernelRelease: string;
}

const ALLOW = 'SCMP_ACT_ALLOW';
const ERRNO = 'SCMP_ACT_ERRNO';
const EPERM = 1;
const ENOSYS = 38;
const AF_VSOCK = 40;
/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. */
const CLONE_NEW_ANY = 0x7e020000;

/** Calls that only holders of one of the capabilities may make; nobody else gets to that code in the kernel. */
const NEEDS_CAPABILITY: Readonly<Record<string, readonly string[]>> = {
  acct: ['CAP_SYS_PACCT'],
  bpf: ['CAP_SYS_ADMIN', 'CAP_BPF'],
  chroot: ['CAP_SYS_CHROOT'],
  clock_settime: ['CAP_SYS_TIME'],
  clock_settime64: ['CAP_SYS_TIME'],
  delete_module: ['CAP_SYS_MODULE'],
  fanotify_init: ['CAP_SYS_ADMIN'],
  finit_module: ['CAP_SYS_MODULE'],
  fsconfig: ['CAP_SYS_ADMIN'],
  fsmount: ['CAP_SYS_ADMIN'],
  fsopen: ['CAP_SYS_ADMIN'],
  fspick: ['CAP_SYS_ADMIN'],
  get_mempolicy: ['CAP_SYS_NICE'],
  init_module: ['CAP_SYS_MODULE'],
  ioperm: ['CAP_SYS_RAWIO'],
  iopl: ['CAP_SYS_RAWIO'],
  kcmp: ['CAP_SYS_PTRACE'],
  lookup_dcookie: ['CAP_SYS_ADMIN'],
  mbind: ['CAP_SYS_NICE'],
  mount: ['CAP_SYS_ADMIN'],
  mount_setattr: ['CAP_SYS_ADMIN'],
  move_mount: ['CAP_SYS_ADMIN'],
  open_by_handle_at: ['CAP_DAC_READ_SEARCH'],
  open_tree: ['CAP_SYS_ADMIN'],
  perf_event_open: ['CAP_SYS_ADMIN', 'CAP_PERFMON'],
  pidfd_getfd: ['CAP_SYS_PTRACE'],
  process_madvise: ['CAP_SYS_PTRACE'],
  quotactl: ['CAP_SYS_ADMIN'],
  quotactl_fd: ['CAP_SYS_ADMIN'],
  reboot: ['CAP_SYS_BOOT'],
  set_mempolicy: ['CAP_SYS_NICE'],
  set_mempolicy_home_node: ['CAP_SYS_NICE'],
  setdomainname: ['CAP_SYS_ADMIN'],
  sethostname: ['CAP_SYS_ADMIN'],
  setns: ['CAP_SYS_ADMIN'],
  settimeofday: ['CAP_SYS_TIME'],
  stime: ['CAP_SYS_TIME'],
  syslog: ['CAP_SYS_ADMIN', 'CAP_SYSLOG'],
  umount: ['CAP_SYS_ADMIN'],
  umount2: ['CAP_SYS_ADMIN'],
  unshare: ['CAP_SYS_ADMIN'],
  vhangup: ['CAP_SYS_TTY_CONFIG'],
};

/** Calls for no container: keys are not namespaced, and the others have a record of holes or serve no program. */
const NEVER: readonly string[] = [
  'add_key',
  'io_uring_enter',
  'io_uring_register',
  'io_uring_setup',
  'kexec_file_load',
  'kexec_load',
  'keyctl',
  'pivot_root',
  'query_module',
  'request_key',
  'userfaultfd',
];

function kernelAtLeast(release: string, minimum: string): boolean {
  const [major = 0, minor = 0] = release.split('.').map((part) => Number.parseInt(part, 10));
  const [wantedMajor = 0, wantedMinor = 0] = minimum.split('.').map((part) => Number.parseInt(part, 10));
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}

function applies(rule: SeccompProfileRule, request: SeccompRequest): boolean {
  const { includes, excludes } = rule;
  const has = new Set(request.capabilities);
  if (includes?.arches?.includes(request.architecture) === false && includes.arches.length > 0) return false;
  if (excludes?.arches?.includes(request.architecture) === true) return false;
  if (includes?.caps?.every((capability) => has.has(capability)) === false) return false;
  if (excludes?.caps?.some((capability) => has.has(capability)) === true) return false;
  if (includes?.minKernel !== undefined && includes.minKernel !== '')
    return kernelAtLeast(request.kernelRelease, includes.minKernel);
  return true;
}

/** Why a call is withheld from holders of these capabilities: the errno it then answers with; undefined if it is not. */
function withheld(name: string, capabilities: ReadonlySet<string>): number | undefined {
  if (NEVER.includes(name)) return EPERM;
  // Its flags lie in memory, out of the filter's sight. "No such call" makes C libraries fall back to clone.
  if (name === 'clone3') return capabilities.has('CAP_SYS_ADMIN') ? undefined : ENOSYS;
  const needed = NEEDS_CAPABILITY[name];
  return needed === undefined || needed.some((capability) => capabilities.has(capability)) ? undefined : EPERM;
}

function architectures(profile: SeccompProfile, request: SeccompRequest): readonly string[] {
  const native = request.architecture === 'amd64' ? 'SCMP_ARCH_X86_64' : 'SCMP_ARCH_AARCH64';
  if (!request.with32Bit) return [native];
  const entry = profile.archMap?.find((candidate) => candidate.architecture === native);
  return [native, ...(entry?.subArchitectures ?? [])];
}

/** Allowed calls whose arguments matter, in place of the profile's rules for them. */
function argumentRules(capabilities: ReadonlySet<string>): readonly OciSeccompRule[] {
  const vsock = (op: string) => [{ index: 0, value: AF_VSOCK, op }];
  const rules: OciSeccompRule[] = [
    // The host's own channel to its hypervisor is no network of a container.
    { names: ['socket'], action: ALLOW, args: vsock('SCMP_CMP_NE') },
    { names: ['socket'], action: ERRNO, errnoRet: EPERM, args: vsock('SCMP_CMP_EQ') },
  ];
  if (capabilities.has('CAP_SYS_ADMIN')) return [...rules, { names: ['clone'], action: ALLOW }];
  const noNamespace = { index: 0, value: CLONE_NEW_ANY, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' };
  return [...rules, { names: ['clone'], action: ALLOW, args: [noNamespace] }];
}

const WITH_OWN_RULES: ReadonlySet<string> = new Set(['clone', 'socket']);

function callsOf(rule: SeccompProfileRule): readonly string[] {
  return rule.names ?? (rule.name === undefined ? [] : [rule.name]);
}

function ruleOf(rule: SeccompProfileRule, names: readonly string[]): OciSeccompRule {
  return {
    names,
    action: rule.action,
    ...(rule.errnoRet === undefined || rule.errnoRet === null ? {} : { errnoRet: rule.errnoRet }),
    ...(rule.args === undefined || rule.args === null || rule.args.length === 0 ? {} : { args: rule.args }),
  };
}

/** The filter for one set of capabilities. Throws `precondition` for a profile that allows what it does not name. */
export function buildSeccomp(profile: SeccompProfile, request: SeccompRequest): OciSeccomp {
  if (profile.defaultAction !== ERRNO && !profile.defaultAction.startsWith('SCMP_ACT_KILL'))
    throw new SwarmError({
      code: 'precondition',
      reason: 'preflight',
      message: `the seccomp profile allows what it does not name (default action ${profile.defaultAction})`,
      hint: 'use a profile that names what is allowed, such as that of the package containers-common',
    });
  const capabilities = new Set(request.capabilities);
  const refused = new Map<string, number>();
  for (const name of [...NEVER, 'clone3', ...Object.keys(NEEDS_CAPABILITY)]) {
    const errno = withheld(name, capabilities);
    if (errno !== undefined) refused.set(name, errno);
  }
  const rules: OciSeccompRule[] = [];
  for (const rule of profile.syscalls) {
    if (!applies(rule, request)) continue;
    const names = callsOf(rule).filter((name) => !refused.has(name) && !WITH_OWN_RULES.has(name));
    if (names.length > 0) rules.push(ruleOf(rule, names));
  }
  const refusedWith = (errno: number): readonly string[] =>
    [...refused].filter(([, code]) => code === errno).map(([name]) => name);
  const refusals = [EPERM, ENOSYS]
    .map((errno): OciSeccompRule => ({ names: refusedWith(errno), action: ERRNO, errnoRet: errno }))
    .filter((rule) => rule.names.length > 0);
  return {
    defaultAction: profile.defaultAction,
    // For calls younger than the profile: programs then do without them.
    ...(profile.defaultAction === ERRNO ? { defaultErrnoRet: ENOSYS } : {}),
    architectures: architectures(profile, request),
    syscalls: [...rules, ...argumentRules(capabilities), ...refusals],
  };
}

/** The filter of a profile that the service brings itself: exactly what it says. */
export function buildCustomSeccomp(profile: SeccompProfile, request: SeccompRequest): OciSeccomp {
  const named = profile.architectures ?? [];
  return {
    defaultAction: profile.defaultAction,
    ...(profile.defaultErrnoRet === undefined ? {} : { defaultErrnoRet: profile.defaultErrnoRet }),
    architectures: named.length > 0 ? named : architectures(profile, request),
    syscalls: profile.syscalls.filter((rule) => applies(rule, request)).map((rule) => ruleOf(rule, callsOf(rule))),
  };
}
