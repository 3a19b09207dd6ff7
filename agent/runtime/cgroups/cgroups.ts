/** The seam to the kernel's resource groups: one interface over v2 and v1. */
import type { CgroupLayout } from './layout.ts';
import type { CgroupStatistics } from './statistics.ts';

/** Undefined leaves a value alone; `null` lifts the limit. */
export interface CgroupLimits {
  readonly memoryBytes?: number | null;
  readonly pids?: number | null;
  readonly cpuQuotaMicros?: number | null;
  readonly cpuPeriodMicros?: number;
}

export interface CgroupSupport {
  /** A limit of memory and swap together. */
  readonly swap: boolean;
  readonly swappiness: boolean;
  /** To wait, out of memory, instead of being killed. */
  readonly oomKillDisable: boolean;
  /** Weights and rates of disks. */
  readonly blockIoWeight: boolean;
  readonly blockIoRate: boolean;
}

export interface Cgroups {
  readonly layout: CgroupLayout;
  /** Makes the group that containers' groups will lie in, with every controller that can be had. Idempotent. */
  prepareParent(path: string): Promise<void>;
  /** Undefined when the group does not exist. */
  statistics(path: string): Promise<CgroupStatistics | undefined>;
  /** Processes that the kernel killed for want of memory; undefined when the group does not exist or cannot tell. */
  oomKills(path: string): Promise<number | undefined>;
  /** Pids in the group and in groups below. */
  processes(path: string): Promise<readonly number[]>;
  /** Stops every process; resolves once all stand still, rejects with `timeout` when they do not. */
  freeze(path: string, timeoutMs: number): Promise<void>;
  /** Lets them run again. Not being frozen, or not existing, is no error. */
  thaw(path: string): Promise<void>;
  isFrozen(path: string): Promise<boolean>;
  /** SIGKILL to all processes, with no way for a fork to slip through. Does not wait for them to be gone. */
  killAll(path: string): Promise<void>;
  update(path: string, limits: CgroupLimits): Promise<void>;
  /** Moves a process into the group, which must exist. */
  join(path: string, pid: number): Promise<void>;
  /** Removes the group in every hierarchy; false when processes in it still live. Not existing is no error. */
  remove(path: string): Promise<boolean>;
  /** What groups below `parent` can be told. */
  support(parent: string): CgroupSupport;
  /** Names of the groups directly below, in whichever hierarchy. */
  children(path: string): Promise<readonly string[]>;
}
