/** What to run, in the runtime's own words. Everything here is decided by users and images, and checked by the builder. */
import type { DeviceRule } from '#common/device-rule.ts';
import type { SeccompProfile } from '#common/seccomp-profile.ts';

export interface ContainerSpec {
  /** Replaces the image's entrypoint, and drops its command, when not empty. */
  readonly command: readonly string[];
  /** Replaces the image's command when not empty. */
  readonly args: readonly string[];
  /** NAME=value; a NAME alone removes it. Later ones win, and all win over the image's. */
  readonly env: readonly string[];
  /** Absolute. Undefined: the image's, else /. */
  readonly workingDirectory: string | undefined;
  /** user, uid, user:group or uid:gid. Undefined: the image's, else root. */
  readonly user: string | undefined;
  /** Names or numbers of further groups. */
  readonly groups: readonly string[];
  readonly hostname: string;
  readonly tty: boolean;
  readonly openStdin: boolean;
  readonly readOnly: boolean;
  /** An init process as PID 1, which reaps what its children leave behind. */
  readonly init: boolean;
  readonly mounts: readonly MountSpec[];
  readonly sysctls: Readonly<Record<string, string>>;
  readonly ulimits: readonly UlimitSpec[];
  readonly capabilityAdd: readonly string[];
  readonly capabilityDrop: readonly string[];
  readonly noNewPrivileges: boolean;
  /** -1000 to 1000. */
  readonly oomScoreAdjust: number;
  readonly shmBytes: number;
  readonly resources: ResourceLimits;
  /** Unconfined, or one's own, only by an explicit choice. */
  readonly seccomp: 'default' | 'unconfined' | SeccompProfile;
  /** Every capability and device that this machine has, and nothing filtered, masked or read-only. */
  readonly privileged: boolean;
  readonly devices: readonly DeviceSpec[];
  readonly deviceRules: readonly DeviceRule[];
  readonly namespaces: NamespaceChoice;
  /** Name of a profile that is loaded, or "unconfined"; empty: none is asked for. */
  readonly appArmorProfile: string;
  /** user, role, type, level, or disable; empty: none is asked for. */
  readonly seLinuxLabels: Readonly<Record<string, string>>;
  /** Nothing of /proc and /sys is masked or read-only. */
  readonly systemPathsUnconfined: boolean;
  /** Empty: none. */
  readonly domainName: string;
  readonly annotations: Readonly<Record<string, string>>;
  /** Name of one of the machine's OCI runtimes; undefined: the usual one. */
  readonly runtime: string | undefined;
}

/** `host` is shared with the machine; `none` is one's own without shared memory. */
export interface NamespaceChoice {
  readonly pid: 'own' | 'host';
  readonly ipc: 'own' | 'host' | 'none';
  readonly uts: 'own' | 'host';
  readonly cgroup: 'own' | 'host';
}

export interface DeviceSpec {
  /** Absolute path on the machine: a device, or a directory of devices. */
  readonly source: string;
  readonly target: string;
  /** Letters of "rwm". */
  readonly access: string;
  /** Given where it is there; otherwise its absence is an error. */
  readonly optional: boolean;
}

/** Undefined: no limit. */
export interface ResourceLimits {
  /** Billionths of a core. */
  readonly cpuNanos: number | undefined;
  /** Weight against others when the machine is busy, 2 to 262144; 1024 is usual. */
  readonly cpuShares: number | undefined;
  /** "0-3,5". */
  readonly cpuset: string | undefined;
  readonly memoryBytes: number | undefined;
  /** Memory and swap together; -1 is unlimited; undefined: as much as the memory limit, so no swap. */
  readonly memorySwapBytes: number | undefined;
  readonly pids: number | undefined;
  /** 0 to 100. */
  readonly swappiness: number | undefined;
  /** What it is pressed back to when the machine runs short of memory. */
  readonly memorySoftBytes: number | undefined;
  /** Out of memory, its processes wait. */
  readonly oomKillDisable: boolean;
  /** Memory nodes, "0-1". */
  readonly cpusetMemories: string | undefined;
  readonly blockIo: BlockIoLimits | undefined;
}

/** By device of the machine. */
export interface BlockIoLimits {
  /** 10 to 1000; undefined: the kernel's default. */
  readonly weight: number | undefined;
  readonly deviceWeights: readonly BlockIoValue[];
  /** Per second. */
  readonly readBytes: readonly BlockIoValue[];
  readonly writeBytes: readonly BlockIoValue[];
  readonly readOperations: readonly BlockIoValue[];
  readonly writeOperations: readonly BlockIoValue[];
}

export interface BlockIoValue {
  readonly path: string;
  readonly value: number;
}

export interface UlimitSpec {
  /** Lower case, without RLIMIT_: "nofile". */
  readonly name: string;
  /** -1 is unlimited. */
  readonly soft: number;
  readonly hard: number;
}

export type Propagation = 'rprivate' | 'private' | 'rshared' | 'shared' | 'rslave' | 'slave';

/** Volumes and binds are resolved to a directory or file of the host before they come here. */
export type MountSpec =
  | {
      readonly kind: 'bind';
      /** Absolute path on the host that exists. */
      readonly source: string;
      readonly target: string;
      readonly readOnly: boolean;
      readonly propagation: Propagation;
      readonly recursive: boolean;
    }
  | {
      readonly kind: 'tmpfs';
      readonly target: string;
      readonly readOnly: boolean;
      /** Undefined: half of the machine's memory. */
      readonly sizeBytes: number | undefined;
      /** Permission bits. */
      readonly mode: number;
      /** Further ones of the mount, which were checked: `exec`, `uid=1000`. They win over ours. */
      readonly options: readonly string[];
    };

/** What an image says about how to run it; the part of its configuration that the runtime reads. */
export interface ImageDefaults {
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly env: readonly string[];
  readonly workingDirectory: string | undefined;
  readonly user: string | undefined;
  readonly stopSignal: string | undefined;
}

/** A spec that changes nothing: for tests and as a base. 64 MiB of shared memory is Docker's default. */
export const EMPTY_CONTAINER_SPEC: ContainerSpec = {
  command: [],
  args: [],
  env: [],
  workingDirectory: undefined,
  user: undefined,
  groups: [],
  hostname: 'container',
  tty: false,
  openStdin: false,
  readOnly: false,
  init: false,
  mounts: [],
  sysctls: {},
  ulimits: [],
  capabilityAdd: [],
  capabilityDrop: [],
  noNewPrivileges: false,
  oomScoreAdjust: 0,
  shmBytes: 64 * 1024 * 1024,
  resources: {
    cpuNanos: undefined,
    cpuShares: undefined,
    cpuset: undefined,
    memoryBytes: undefined,
    memorySwapBytes: undefined,
    pids: undefined,
    swappiness: undefined,
    memorySoftBytes: undefined,
    oomKillDisable: false,
    cpusetMemories: undefined,
    blockIo: undefined,
  },
  seccomp: 'default',
  privileged: false,
  devices: [],
  deviceRules: [],
  namespaces: { pid: 'own', ipc: 'own', uts: 'own', cgroup: 'own' },
  appArmorProfile: '',
  seLinuxLabels: {},
  systemPathsUnconfined: false,
  domainName: '',
  annotations: {},
  runtime: undefined,
};

export const NO_IMAGE_DEFAULTS: ImageDefaults = {
  entrypoint: [],
  command: [],
  env: [],
  workingDirectory: undefined,
  user: undefined,
  stopSignal: undefined,
};
