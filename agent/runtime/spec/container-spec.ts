/** What to run, in the runtime's own words. Everything here is decided by users and images, and checked by the builder. */

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
  /** Unconfined only by an explicit choice. */
  readonly seccomp: 'default' | 'unconfined';
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
  },
  seccomp: 'default',
};

export const NO_IMAGE_DEFAULTS: ImageDefaults = {
  entrypoint: [],
  command: [],
  env: [],
  workingDirectory: undefined,
  user: undefined,
  stopSignal: undefined,
};
