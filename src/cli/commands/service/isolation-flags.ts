/** Flags of how a container is set apart from its node: devices, profiles, namespaces, names. Create, update and run. */
import { type ContainerSpec, SeccompMode, SecurityOptions } from '#gen/swarm/v1/specs.ts';
import { type AnyFlag, boolFlag, type Flag, type FlagValues, listFlag, stringFlag, valueFlag } from '../../flags.ts';
import { type KeyValue, option, toRecord } from '../../values/key-values.ts';
import {
  device,
  deviceRule,
  namespaceMode,
  SECURITY_WORDS,
  type SecurityOption,
  securityOption,
  securityOptionName,
} from '../../values/option-values.ts';
import { sizeBytes } from '../../values/scalars.ts';

const IPC_MODES = ['none', 'private', 'shareable', 'host'];
const CGROUP_MODES = ['private', 'host'];

export const PRIVILEGED = boolFlag({ name: 'privileged', usage: 'Give extended privileges to the containers' });
export const SHM_SIZE = valueFlag({ name: 'shm-size', type: 'bytes', usage: 'Size of /dev/shm', parse: sizeBytes });
export const DOMAINNAME = stringFlag({ name: 'domainname', usage: 'Container NIS domain name' });
export const RUNTIME = stringFlag({ name: 'runtime', usage: 'OCI runtime of the nodes to use for the containers' });

function namespaceFlag(name: string, what: string, words: readonly string[]): Flag<string> {
  const usage = `${what} namespace to use (${words.map((word) => JSON.stringify(word)).join(', ')})`;
  return valueFlag({ name, type: 'string', usage, completions: words, parse: namespaceMode(name, words) });
}

export const PID = namespaceFlag('pid', 'PID', ['host']);
export const IPC = namespaceFlag('ipc', 'IPC', IPC_MODES);
export const UTS = namespaceFlag('uts', 'UTS', ['host']);
export const USERNS = namespaceFlag('userns', 'User', ['host']);
export const CGROUPNS = namespaceFlag('cgroupns', 'Cgroup', CGROUP_MODES);

export const DEVICE = listFlag({ name: 'device', usage: 'Add a device of the node to the containers', parse: device });
export const DEVICE_CGROUP_RULE = listFlag({
  name: 'device-cgroup-rule',
  usage: 'Add a rule to the cgroup allowed devices list',
  parse: deviceRule,
});
export const SECURITY_OPT = listFlag({
  name: 'security-opt',
  usage: 'Security options (seccomp=, apparmor=, label=, systempaths=unconfined, no-new-privileges)',
  completions: SECURITY_WORDS,
  parse: securityOption,
});
export const ANNOTATION = listFlag({
  name: 'annotation',
  usage: 'Add an annotation to the containers (passed through to the OCI runtime)',
  parse: option,
});

const DEVICE_ADD = { ...DEVICE, name: 'device-add', usage: 'Add or update a device of the node' };
const DEVICE_RM = listFlag({ name: 'device-rm', usage: 'Remove a device by its path in the container' });
const DEVICE_CGROUP_RULE_ADD = { ...DEVICE_CGROUP_RULE, name: 'device-cgroup-rule-add' };
const DEVICE_CGROUP_RULE_RM = listFlag({
  name: 'device-cgroup-rule-rm',
  usage: 'Remove a rule from the cgroup allowed devices list',
  parse: deviceRule,
});
const SECURITY_OPT_ADD = { ...SECURITY_OPT, name: 'security-opt-add', usage: 'Add or update a security option' };
const SECURITY_OPT_RM = listFlag({
  name: 'security-opt-rm',
  usage: 'Remove a security option by its name (seccomp, apparmor, label, label=type, ...)',
  parse: securityOptionName,
});
const ANNOTATION_ADD = { ...ANNOTATION, name: 'annotation-add', usage: 'Add or update an annotation' };
const ANNOTATION_RM = listFlag({ name: 'annotation-rm', usage: 'Remove an annotation by its key' });

const SCALARS: readonly AnyFlag[] = [PRIVILEGED, SHM_SIZE, DOMAINNAME, RUNTIME, PID, IPC, UTS, USERNS, CGROUPNS];

/** Of `service create` and `swarm run`. */
export const ISOLATION_FLAGS: readonly AnyFlag[] = [...SCALARS, DEVICE, DEVICE_CGROUP_RULE, SECURITY_OPT, ANNOTATION];

export const ISOLATION_UPDATE_FLAGS: readonly AnyFlag[] = [
  ...SCALARS,
  DEVICE_ADD,
  DEVICE_RM,
  DEVICE_CGROUP_RULE_ADD,
  DEVICE_CGROUP_RULE_RM,
  SECURITY_OPT_ADD,
  SECURITY_OPT_RM,
  ANNOTATION_ADD,
  ANNOTATION_RM,
];

type Isolation = Pick<
  ContainerSpec,
  | 'privileged'
  | 'shmSizeBytes'
  | 'domainname'
  | 'runtime'
  | 'pidMode'
  | 'ipcMode'
  | 'utsMode'
  | 'usernsMode'
  | 'cgroupnsMode'
  | 'devices'
  | 'deviceCgroupRules'
  | 'security'
  | 'noNewPrivileges'
  | 'annotations'
>;

/** What flags say, over what was there before; `ContainerSpec.create()` for a new one. */
function scalarsOf(
  flags: FlagValues,
  before: ContainerSpec,
): Omit<Isolation, 'devices' | 'deviceCgroupRules' | 'security' | 'noNewPrivileges' | 'annotations'> {
  return {
    privileged: flags.value(PRIVILEGED) ?? before.privileged,
    shmSizeBytes: flags.value(SHM_SIZE) ?? before.shmSizeBytes,
    domainname: flags.value(DOMAINNAME) ?? before.domainname,
    runtime: flags.value(RUNTIME) ?? before.runtime,
    pidMode: flags.value(PID) ?? before.pidMode,
    ipcMode: flags.value(IPC) ?? before.ipcMode,
    utsMode: flags.value(UTS) ?? before.utsMode,
    usernsMode: flags.value(USERNS) ?? before.usernsMode,
    cgroupnsMode: flags.value(CGROUPNS) ?? before.cgroupnsMode,
  };
}

type Security = Pick<Isolation, 'security' | 'noNewPrivileges'>;

/** Later options win over earlier ones of the same name. Nothing is written where nothing was ever asked for. */
function withOptions(before: Security, options: readonly SecurityOption[]): Security {
  let { noNewPrivileges } = before;
  let security = before.security ?? SecurityOptions.create();
  for (const one of options)
    if (one.kind === 'no-new-privileges') noNewPrivileges = one.value;
    else security = withOption(security, one);
  return { noNewPrivileges, security: orNothing(security) };
}

function withOption(
  security: SecurityOptions,
  one: Exclude<SecurityOption, { readonly kind: 'no-new-privileges' }>,
): SecurityOptions {
  switch (one.kind) {
    case 'seccomp':
      return { ...security, seccomp: one.mode, seccompProfile: one.profile };
    case 'apparmor':
      return { ...security, apparmor: one.name };
    case 'label':
      return { ...security, selinuxLabels: { ...security.selinuxLabels, [one.key]: one.value } };
    case 'systempaths':
      return { ...security, systemPathsUnconfined: true };
  }
}

function orNothing(security: SecurityOptions): SecurityOptions | undefined {
  return SecurityOptions.encode(security).length === 0 ? undefined : security;
}

function withoutOptions(before: Security, names: readonly string[]): Security {
  let { noNewPrivileges } = before;
  let security = before.security ?? SecurityOptions.create();
  for (const name of names) {
    if (name === 'no-new-privileges') noNewPrivileges = false;
    if (name === 'seccomp') security = { ...security, seccomp: SeccompMode.UNSPECIFIED, seccompProfile: '' };
    if (name === 'apparmor') security = { ...security, apparmor: '' };
    if (name === 'systempaths') security = { ...security, systemPathsUnconfined: false };
    if (name === 'label') security = { ...security, selinuxLabels: {} };
    if (name.startsWith('label='))
      security = { ...security, selinuxLabels: without(security.selinuxLabels, [name.slice(6)]) };
  }
  return { noNewPrivileges, security: orNothing(security) };
}

function without(map: Readonly<Record<string, string>>, keys: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(map).filter(([key]) => !keys.includes(key)));
}

/** Of a new service, or a container of `swarm run`. */
export function isolationOf(flags: FlagValues, empty: ContainerSpec): Isolation {
  return {
    ...scalarsOf(flags, empty),
    devices: flags.list(DEVICE),
    deviceCgroupRules: flags.list(DEVICE_CGROUP_RULE),
    ...withOptions(empty, flags.list(SECURITY_OPT)),
    annotations: toRecord(flags.list<KeyValue>(ANNOTATION)),
  };
}

/** Of a service that is there: what is removed goes first, as with Docker's own flags. */
export function changedIsolation(flags: FlagValues, before: ContainerSpec): Isolation {
  const place = (one: ContainerSpec['devices'][number]): string => one.pathInContainer || one.pathOnHost;
  const added = flags.list(DEVICE_ADD);
  const gone = new Set([...flags.list(DEVICE_RM), ...added.map(place)]);
  const rules = new Set(flags.list(DEVICE_CGROUP_RULE_RM));
  const kept = before.deviceCgroupRules.filter((rule) => !rules.has(rule));
  return {
    ...scalarsOf(flags, before),
    devices: [...before.devices.filter((one) => !gone.has(place(one))), ...added],
    deviceCgroupRules: [...new Set([...kept, ...flags.list(DEVICE_CGROUP_RULE_ADD)])],
    ...withOptions(withoutOptions(before, flags.list(SECURITY_OPT_RM)), flags.list(SECURITY_OPT_ADD)),
    annotations: {
      ...without(before.annotations, flags.list(ANNOTATION_RM)),
      ...toRecord(flags.list<KeyValue>(ANNOTATION_ADD)),
    },
  };
}
