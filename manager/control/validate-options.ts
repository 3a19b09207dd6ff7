/** The rules for how a container is set apart from its node: devices, namespaces, profiles, names. */

import { deviceAccess, parseDeviceRule } from '#common/device-rule.ts';
import { invalidField, SwarmError } from '#common/errors.ts';
import { capabilityName, namespaceOfSetting, ULIMITS } from '#common/kernel-names.ts';
import { LIMITS } from '#common/limits.ts';
import { parseSeccompProfile } from '#common/seccomp-profile.ts';
import {
  type ContainerSpec,
  type DeviceMapping,
  isSeccompMode,
  SeccompMode,
  type SecurityOptions,
  type TaskSpec,
} from '#gen/swarm/v1/specs.ts';
import { validateLabels } from './validate-labels.ts';

/** @throws SwarmError `too-many` */
export function atMost(field: string, count: number, limit: keyof typeof LIMITS, hint: string): void {
  if (count <= LIMITS[limit]) return;
  throw new SwarmError({
    code: 'invalid',
    reason: 'too-many',
    field,
    limit,
    message: `${field}: ${count}, the limit is ${LIMITS[limit]} (${limit})`,
    hint,
  });
}

/** An absolute path of the node or of the container. @throws SwarmError */
export function checkPath(field: string, path: string): void {
  if (!path.startsWith('/') || path.split('/').includes('..') || /[\0\n]/.test(path) || path.length > PATH_LENGTH)
    throw invalidField(
      field,
      `${field}: ${JSON.stringify(path.slice(0, 64))} is not an absolute path`,
      'begin it with /',
    );
}

const PATH_LENGTH = 4096;

function validateDevices({ devices, deviceCgroupRules }: ContainerSpec): void {
  const hint = 'name a directory of devices';
  atMost('device', devices.length, 'DEVICES_PER_SERVICE', hint);
  atMost('device-cgroup-rule', deviceCgroupRules.length, 'DEVICES_PER_SERVICE', 'use * for several numbers');
  const targets = new Set<string>();
  for (const device of devices) {
    validateDevice(device);
    const target = device.pathInContainer === '' ? device.pathOnHost : device.pathInContainer;
    if (targets.has(target))
      throw invalidField('device', `device: two devices at ${target}`, 'give each a path of its own');
    targets.add(target);
  }
  for (const rule of deviceCgroupRules)
    if (parseDeviceRule(rule) === undefined)
      throw invalidField(
        'device-cgroup-rule',
        `device-cgroup-rule: ${JSON.stringify(rule.slice(0, 64))} is not a rule`,
        'write "TYPE MAJOR:MINOR ACCESS", such as "c 189:* rmw"',
      );
}

function validateDevice({ pathOnHost, pathInContainer, permissions }: DeviceMapping): void {
  checkPath('device', pathOnHost);
  if (pathInContainer !== '') checkPath('device', pathInContainer);
  if (permissions !== '' && deviceAccess(permissions) === undefined)
    throw invalidField(
      'device',
      `device: ${JSON.stringify(permissions.slice(0, 16))} is no access to a device`,
      'use letters of rwm, each once',
    );
}

const SELINUX_KEYS: readonly string[] = ['user', 'role', 'type', 'level', 'disable'];

function securityOption(message: string, hint: string): SwarmError {
  return invalidField('security-opt', `security-opt: ${message}`, hint);
}

function validateSecurity({ seccomp, seccompProfile, apparmor, selinuxLabels }: SecurityOptions): void {
  if (!isSeccompMode(seccomp))
    throw securityOption(`the seccomp mode ${seccomp} is not known`, 'use one of this release');
  if (seccomp === SeccompMode.CUSTOM) validateProfile(seccompProfile);
  else if (seccompProfile !== '')
    throw securityOption('a seccomp profile is given, but not asked for', 'choose the mode custom, or leave it out');
  if (apparmor !== '' && !/^[A-Za-z0-9_./:-]{1,255}$/.test(apparmor))
    throw securityOption(`apparmor=${JSON.stringify(apparmor.slice(0, 64))} is not the name of a profile`, 'name one');
  for (const [key, value] of Object.entries(selinuxLabels)) {
    if (!SELINUX_KEYS.includes(key))
      throw securityOption(
        `label=${JSON.stringify(key.slice(0, 64))} is not known`,
        'use user, role, type, level or disable',
      );
    if (key !== 'disable' && !/^[A-Za-z0-9_.:,-]{1,255}$/.test(value))
      throw securityOption(
        `label=${key}:${JSON.stringify(value.slice(0, 64))} is not a label`,
        'write label=type:NAME',
      );
  }
}

function validateProfile(text: string): void {
  const size = Buffer.byteLength(text);
  if (size > LIMITS.SECCOMP_PROFILE_BYTES)
    throw new SwarmError({
      code: 'invalid',
      reason: 'too-large',
      field: 'security-opt',
      limit: 'SECCOMP_PROFILE_BYTES',
      message: `security-opt: the seccomp profile is ${size} bytes, the limit is ${LIMITS.SECCOMP_PROFILE_BYTES} (SECCOMP_PROFILE_BYTES)`,
      hint: 'leave out what no architecture of the swarm needs',
    });
  const parsed = parseSeccompProfile(text);
  if (!parsed.ok)
    throw securityOption(`the seccomp profile cannot be used: ${parsed.problem}`, 'see docs/container-options.md');
}

interface ModeRule {
  readonly field: string;
  readonly mode: (spec: ContainerSpec) => string;
  /** Beside "". */
  readonly known: readonly string[];
}

const MODES: readonly ModeRule[] = [
  { field: 'pid', mode: ({ pidMode }) => pidMode, known: ['host'] },
  { field: 'ipc', mode: ({ ipcMode }) => ipcMode, known: ['private', 'none', 'shareable', 'host'] },
  { field: 'uts', mode: ({ utsMode }) => utsMode, known: ['host'] },
  { field: 'userns', mode: ({ usernsMode }) => usernsMode, known: ['host'] },
  { field: 'cgroupns', mode: ({ cgroupnsMode }) => cgroupnsMode, known: ['private', 'host'] },
];

function validateNamespaces(spec: ContainerSpec): void {
  for (const { field, mode, known } of MODES) {
    const value = mode(spec);
    if (value !== '' && !known.includes(value))
      throw invalidField(
        field,
        `${field}: ${JSON.stringify(value.slice(0, 64))} is not a mode`,
        `use ${known.join(', ')}, or leave it out; tasks of a swarm join no other container's`,
      );
  }
  const named = spec.hostname === '' ? (spec.domainname === '' ? undefined : 'domainname') : 'hostname';
  if (spec.utsMode === 'host' && named !== undefined)
    throw invalidField(named, `${named}: with --uts host the names are those of the node`, 'leave one of them out');
  if (spec.ipcMode !== '' && spec.ipcMode !== 'private' && spec.ipcMode !== 'shareable' && spec.shmSizeBytes > 0)
    throw invalidField(
      'shm-size',
      `shm-size: with --ipc ${spec.ipcMode} there is none of its own`,
      'leave one of them out',
    );
}

function validateNames(spec: ContainerSpec): void {
  const { domainname, runtime, shmSizeBytes, groups } = spec;
  if (domainname !== '' && (domainname.length > 63 || !/^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(domainname)))
    throw invalidField(
      'domainname',
      `domainname: ${JSON.stringify(domainname.slice(0, 64))} is not a domain name`,
      'use up to 63 letters, digits, . and -',
    );
  if (runtime !== '' && !/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/.test(runtime))
    throw invalidField(
      'runtime',
      `runtime: ${JSON.stringify(runtime.slice(0, 64))} is not the name of a runtime`,
      'use crun, runc, or a name that the node gives one: swarmd --add-runtime NAME=PATH',
    );
  if (shmSizeBytes < 0) throw invalidField('shm-size', 'shm-size: must not be negative', 'leave it out for 64m');
  atMost('group', groups.length, 'GROUPS_PER_SERVICE', 'use fewer');
  for (const group of groups)
    if (!/^[A-Za-z0-9_.$-]{1,64}$/.test(group) || (/^\d+$/.test(group) && Number(group) > 2 ** 31 - 1))
      throw invalidField(
        'group',
        `group: ${JSON.stringify(group.slice(0, 64))} is not a group`,
        'use a name or a number up to 2147483647',
      );
  validateLabels('annotation', spec.annotations);
}

function validateKernel(task: TaskSpec, spec: ContainerSpec): void {
  for (const capability of [...spec.capabilityAdd, ...spec.capabilityDrop])
    if (capabilityName(capability) === undefined)
      throw invalidField(
        'capabilities',
        `capabilities: ${JSON.stringify(capability.slice(0, 64))} is not a capability`,
        'see capabilities(7) for the names, such as NET_ADMIN; ALL stands for every one',
      );
  for (const { name } of spec.ulimits)
    if (!ULIMITS.has(name))
      throw invalidField(
        'ulimits',
        `ulimit: ${JSON.stringify(name.slice(0, 64))} is not a limit`,
        `use ${[...ULIMITS.keys()].join(', ')}`,
      );
  const isHostNetwork = task.networks.some(({ network }) => network === 'host');
  for (const [name, value] of Object.entries(spec.sysctls)) validateSetting(spec, name, value, isHostNetwork);
}

function validateSetting(spec: ContainerSpec, name: string, value: string, isHostNetwork: boolean): void {
  const namespace = namespaceOfSetting(name);
  const shown = JSON.stringify(name.slice(0, 64));
  if (namespace === undefined)
    throw invalidField(
      'sysctls',
      `sysctl: ${shown} is not namespaced: it would change the host`,
      'use net.*, kernel.shm*, kernel.msg*, kernel.sem or fs.mqueue.*',
    );
  if (namespace === 'network' ? isHostNetwork : spec.ipcMode === 'host')
    throw invalidField(
      'sysctls',
      `sysctl: ${shown} would change the host, whose ${namespace} namespace is used`,
      'leave it out',
    );
  if (value === '' || /[\0\n]/.test(value) || value.length > 256)
    throw invalidField('sysctls', `sysctl: ${shown} has no value that fits one line`, 'write name=value');
}

/** @throws SwarmError for the first rule that the options break. */
export function validateOptions(task: TaskSpec, spec: ContainerSpec): void {
  validateDevices(spec);
  if (spec.security !== undefined) validateSecurity(spec.security);
  validateNamespaces(spec);
  validateNames(spec);
  validateKernel(task, spec);
}
