/** config.json of one container, from what the user, the image and the machine say. Pure. */
import { invalidField } from '#common/errors.ts';
import type { ContainerSpec, ImageDefaults } from './container-spec.ts';
import { buildArguments, buildEnvironment } from './environment.ts';
import { capabilitiesFor, type MachineFacts } from './machine-facts.ts';
import { appArmorProfile, seLinuxLabels } from './mandatory-access.ts';
import { buildMounts, INIT_PATH, type InjectedFiles } from './mounts.ts';
import type { OciLinux, OciProcess, OciSeccomp, OciSpec } from './oci-spec.ts';
import { checkMountTarget, checkWorkingDirectory, cleanAbsolutePath } from './paths.ts';
import { buildResources, type DeviceFacts } from './resources.ts';
import { checkSysctls } from './sysctls.ts';
import { buildRlimits } from './ulimits.ts';
import type { ResolvedUser } from './users.ts';

export type NetworkChoice =
  | { readonly kind: 'namespace'; readonly path: string }
  /** A new, empty namespace: not even the loopback device is up. */
  | { readonly kind: 'none' }
  /** The host's own: its ports, devices and settings. */
  | { readonly kind: 'host' };

export interface OciSpecInput {
  readonly spec: ContainerSpec;
  readonly image: ImageDefaults;
  readonly user: ResolvedUser;
  /** Where the root file system is mounted. */
  readonly rootPath: string;
  readonly network: NetworkChoice;
  readonly cgroupPath: string;
  readonly files: InjectedFiles;
  /** Static init binary of the host; looked at when the spec asks for an init. */
  readonly initBinary: string | undefined;
  /** Undefined: unconfined. */
  readonly seccomp: OciSeccomp | undefined;
  readonly machine: MachineFacts;
  /** What the machine says about the devices that the spec names. */
  readonly devices: DeviceFacts;
}

export interface OciSpecResult {
  readonly oci: OciSpec;
  /** What was asked for and is not given, since this machine lacks it. */
  readonly warnings: readonly string[];
}

const MASKED_PATHS: readonly string[] = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
];
/** Not /sys/fs/cgroup: crun makes its hierarchies read-only after these, and a copy on top would hide that. */
const READONLY_PATHS: readonly string[] = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];
const HOSTNAME = /^[a-zA-Z0-9](?:[a-zA-Z0-9.-]{0,61}[a-zA-Z0-9])?$/;
const OOM_SCORE_LIMIT = 1000;

/** The mount targets as the kernel will see them, each checked; throws for two mounts at one place. */
export function cleanMounts(spec: ContainerSpec): ContainerSpec['mounts'] {
  const seen = new Set<string>();
  return spec.mounts.map((mount) => {
    const target = cleanAbsolutePath('mounts.target', mount.target);
    checkMountTarget('mounts.target', target);
    if (seen.has(target))
      throw invalidField(
        'mounts.target',
        `mounts.target: two mounts at ${target}`,
        'give each mount a target of its own',
      );
    seen.add(target);
    return { ...mount, target };
  });
}

/** The clean working directory of a container. */
export function workingDirectoryOf(spec: ContainerSpec, image: ImageDefaults): string {
  const chosen = spec.workingDirectory ?? image.workingDirectory ?? '';
  // Old images have relative ones; they have always meant those below the root.
  const absolute = spec.workingDirectory === undefined && !chosen.startsWith('/') ? `/${chosen}` : chosen;
  const path = cleanAbsolutePath('workingDirectory', absolute);
  checkWorkingDirectory(path);
  return path;
}

function buildProcess(input: OciSpecInput, warnings: string[]): OciProcess {
  const { spec, image, machine, user } = input;
  const capabilities = capabilitiesFor(spec, machine);
  for (const name of capabilities.withheld) warnings.push(`this machine cannot grant ${name}`);
  const { rlimits, lowered } = buildRlimits(spec.ulimits, machine.hardLimits);
  for (const name of lowered) warnings.push(`the limit ${name} was lowered to what this machine allows`);
  if (Math.abs(spec.oomScoreAdjust) > OOM_SCORE_LIMIT)
    throw invalidField('oomScoreAdjust', `oomScoreAdjust: ${spec.oomScoreAdjust} is out of range`, 'use -1000 to 1000');
  const oomScoreAdj = Math.max(spec.oomScoreAdjust, machine.lowestOomScoreAdjust);
  if (oomScoreAdj !== spec.oomScoreAdjust)
    warnings.push(`the OOM score was raised to ${oomScoreAdj}, the lowest that this machine allows`);
  const args = buildArguments(spec, image);
  return {
    terminal: spec.tty,
    user: { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids },
    args: spec.init ? [INIT_PATH, '--', ...args] : args,
    env: buildEnvironment(spec, image, user.home),
    cwd: workingDirectoryOf(spec, image),
    // No inheritable and no ambient ones: they would pass to programs that drop root (CVE-2022-24769).
    capabilities: {
      bounding: capabilities.granted,
      effective: capabilities.granted,
      permitted: capabilities.granted,
    },
    rlimits,
    noNewPrivileges: spec.noNewPrivileges,
    oomScoreAdj,
  };
}

function namespacesOf({ namespaces }: ContainerSpec, network: NetworkChoice): OciSpec['linux']['namespaces'] {
  return [
    ...(namespaces.pid === 'host' ? [] : [{ type: 'pid' }]),
    ...(namespaces.ipc === 'host' ? [] : [{ type: 'ipc' }]),
    ...(namespaces.uts === 'host' ? [] : [{ type: 'uts' }]),
    { type: 'mount' },
    ...(namespaces.cgroup === 'host' ? [] : [{ type: 'cgroup' }]),
    ...(network.kind === 'host'
      ? []
      : [{ type: 'network', ...(network.kind === 'none' ? {} : { path: network.path }) }]),
  ];
}

/** Both kinds of runtime set the domain name as a kernel setting; `domainname` itself is younger than they are. */
function sysctlsOf({ spec, network }: OciSpecInput): Readonly<Record<string, string>> {
  const own = { network: network.kind !== 'host', ipc: spec.namespaces.ipc !== 'host' };
  const sysctls = checkSysctls(spec.sysctls, own);
  if (spec.domainName === '') return sysctls;
  if (spec.namespaces.uts === 'host')
    throw invalidField('domainname', 'domainname: the names are those of the node', 'leave domainname or uts out');
  if (!HOSTNAME.test(spec.domainName))
    throw invalidField('domainname', `domainname: ${JSON.stringify(spec.domainName)} is not a domain name`);
  return { ...sysctls, 'kernel.domainname': spec.domainName };
}

/** Nothing is hidden from who may see it all. */
function hiddenPaths(spec: ContainerSpec): Pick<OciLinux, 'maskedPaths' | 'readonlyPaths'> {
  const isOpen = spec.privileged || spec.systemPathsUnconfined;
  return isOpen ? { maskedPaths: [], readonlyPaths: [] } : { maskedPaths: MASKED_PATHS, readonlyPaths: READONLY_PATHS };
}

/** Throws a SwarmError that names the field for everything that the kernel or the runtime would refuse later. */
export function buildOciSpec(input: OciSpecInput): OciSpecResult {
  const { spec, network, devices } = input;
  if (!HOSTNAME.test(spec.hostname))
    throw invalidField(
      'hostname',
      `hostname: ${JSON.stringify(spec.hostname)} is not a host name`,
      'use up to 63 letters, digits, - and .',
    );
  if (spec.init && input.initBinary === undefined)
    throw invalidField('init', 'init: no static init binary on this machine', 'install tini (tini-static)');
  const warnings: string[] = [];
  const labels = seLinuxLabels(spec, input.machine);
  const oci: OciSpec = {
    ociVersion: '1.0.2',
    process: { ...buildProcess(input, warnings), ...appArmorProfile(spec, input.machine), ...labels.process },
    root: { path: input.rootPath, readonly: spec.readOnly },
    ...(spec.namespaces.uts === 'host' ? {} : { hostname: spec.hostname }),
    ...(Object.keys(spec.annotations).length === 0 ? {} : { annotations: spec.annotations }),
    mounts: buildMounts({ ...spec, mounts: cleanMounts(spec) }, input.files, spec.init ? input.initBinary : undefined),
    linux: {
      namespaces: namespacesOf(spec, network),
      cgroupsPath: input.cgroupPath,
      ...(devices.nodes.length === 0 ? {} : { devices: devices.nodes }),
      resources: buildResources(spec.resources, input.machine.cgroups, devices),
      sysctl: sysctlsOf(input),
      ...hiddenPaths(spec),
      rootfsPropagation: 'rprivate',
      ...(input.seccomp === undefined ? {} : { seccomp: input.seccomp }),
      ...labels.linux,
    },
  };
  return { oci, warnings };
}
