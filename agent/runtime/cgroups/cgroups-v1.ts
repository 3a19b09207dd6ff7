/** cgroup v1 (also hybrid): every controller has a hierarchy of its own, and a group is a path in all of them. */
import { mkdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { hasErrno } from '#agent/kernel/libc.ts';
import { SwarmError } from '#common/errors.ts';
import type { CgroupLimits, CgroupSupport, Cgroups } from './cgroups.ts';
import { childCgroups, processesOf, readCgroupFile, removeCgroup, writeCgroupFile } from './files.ts';
import { type CgroupLayout, cgroupDirectories } from './layout.ts';
import { type CgroupStatistics, parseBlkio, parseKeyed, parseNumber, parseV1Limit } from './statistics.ts';

const FREEZE_POLL_MS = 2;
/** Rounds of killing where there is no freezer: a fork bomb may outrun one, not all of them. */
const KILL_ROUNDS_WITHOUT_FREEZER = 5;
const FREEZE_BEFORE_KILL_MS = 500;

export class CgroupsV1 implements Cgroups {
  readonly layout: CgroupLayout;

  constructor(layout: CgroupLayout) {
    this.layout = layout;
  }

  /** The group's directory in one controller's hierarchy; undefined where the kernel lacks the controller. */
  #directory(controller: string, path: string): string | undefined {
    const mountPoint = this.layout.controllers.get(controller);
    return mountPoint === undefined ? undefined : mountPoint + path;
  }

  #read(controller: string, path: string, file: string): string | undefined {
    const directory = this.#directory(controller, path);
    return directory === undefined ? undefined : readCgroupFile(directory, file);
  }

  async prepareParent(path: string): Promise<void> {
    for (const directory of cgroupDirectories(this.layout, path)) await mkdir(directory, { recursive: true });
    // A new cpuset is empty, and processes cannot enter one that is: the runtime copies what the parent has.
    const cpuset = this.layout.controllers.get('cpuset');
    if (cpuset === undefined) return;
    let directory = cpuset;
    for (const segment of path.split('/').filter((part) => part !== '')) {
      const parent = directory;
      directory = `${directory}/${segment}`;
      for (const file of ['cpuset.cpus', 'cpuset.mems']) {
        const own = readCgroupFile(directory, file);
        if (own?.trim() === '') await writeCgroupFile(directory, file, readCgroupFile(parent, file)?.trim() ?? '');
      }
    }
  }

  async statistics(path: string): Promise<CgroupStatistics | undefined> {
    const read = (controller: string, file: string): string | undefined => this.#read(controller, path, file);
    const usage = read('memory', 'memory.usage_in_bytes');
    const cpu = read('cpuacct', 'cpuacct.usage');
    const pids = read('pids', 'pids.current');
    if (usage === undefined && cpu === undefined && pids === undefined) return undefined;
    const usageBytes = parseNumber(usage) ?? 0;
    const inactiveBytes = parseKeyed(read('memory', 'memory.stat') ?? '').get('total_inactive_file') ?? 0;
    const throttling = parseKeyed(read('cpu', 'cpu.stat') ?? '');
    return {
      cpuNanos: parseNumber(cpu) ?? 0,
      cpuUserNanos: parseNumber(read('cpuacct', 'cpuacct.usage_user')),
      cpuSystemNanos: parseNumber(read('cpuacct', 'cpuacct.usage_sys')),
      throttledPeriods: throttling.get('nr_throttled'),
      throttledNanos: throttling.get('throttled_time'),
      memoryBytes: Math.max(0, usageBytes - inactiveBytes),
      memoryUsageBytes: usageBytes,
      memoryPeakBytes: parseNumber(read('memory', 'memory.max_usage_in_bytes')),
      memoryLimitBytes: parseV1Limit(read('memory', 'memory.limit_in_bytes')),
      oomKills: (await this.oomKills(path)) ?? 0,
      pids: parseNumber(pids) ?? 0,
      pidsLimit: parseNumber(read('pids', 'pids.max')),
      ...parseBlkio(read('blkio', 'blkio.throttle.io_service_bytes_recursive') ?? ''),
    };
  }

  async oomKills(path: string): Promise<number | undefined> {
    const control = this.#read('memory', path, 'memory.oom_control');
    return control === undefined ? undefined : parseKeyed(control).get('oom_kill');
  }

  async processes(path: string): Promise<readonly number[]> {
    const found = new Set<number>();
    // One hierarchy would do, were it not for a create that failed half-way through them.
    for (const controller of ['pids', 'freezer', 'memory']) {
      const directory = this.#directory(controller, path);
      if (directory === undefined) continue;
      for (const pid of await processesOf(directory)) found.add(pid);
    }
    return [...found];
  }

  async freeze(path: string, timeoutMs: number): Promise<void> {
    const directory = this.#directory('freezer', path);
    if (directory === undefined)
      throw new SwarmError({
        code: 'precondition',
        reason: 'not-supported',
        message: 'the kernel has no freezer controller',
        hint: 'boot with the freezer cgroup controller enabled',
      });
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      if (!(await writeCgroupFile(directory, 'freezer.state', 'FROZEN'))) return;
      const state = readCgroupFile(directory, 'freezer.state');
      if (state === undefined || state.trim() === 'FROZEN') return;
      if (performance.now() > deadline)
        throw new SwarmError({
          code: 'deadline',
          reason: 'timeout',
          message: `timed out after ${timeoutMs} ms waiting for ${path} to freeze`,
        });
      // FREEZING: some process has not come to a safe point yet. Writing again catches those forked meanwhile.
      await sleep(FREEZE_POLL_MS);
    }
  }

  async thaw(path: string): Promise<void> {
    const directory = this.#directory('freezer', path);
    if (directory !== undefined) await writeCgroupFile(directory, 'freezer.state', 'THAWED');
  }

  async isFrozen(path: string): Promise<boolean> {
    const state = this.#read('freezer', path, 'freezer.state');
    return state !== undefined && state.trim() !== 'THAWED';
  }

  async killAll(path: string): Promise<void> {
    const hasFreezer = this.layout.controllers.has('freezer');
    if (!hasFreezer) {
      for (let round = 0; round < KILL_ROUNDS_WITHOUT_FREEZER; round++) await this.#killOnce(path);
      return;
    }
    try {
      await this.freeze(path, FREEZE_BEFORE_KILL_MS).catch((error: unknown) => {
        // A process in uninterruptible sleep does not freeze; the others are killed all the same.
        if (!(error instanceof SwarmError)) throw error;
      });
      await this.#killOnce(path);
    } finally {
      await this.thaw(path);
    }
  }

  async #killOnce(path: string): Promise<void> {
    for (const pid of await this.processes(path)) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        if (!hasErrno(error, 'ESRCH')) throw error;
      }
    }
  }

  async update(path: string, limits: CgroupLimits): Promise<void> {
    const write = async (controller: string, file: string, value: string): Promise<void> => {
      const directory = this.#directory(controller, path);
      if (directory !== undefined) await writeCgroupFile(directory, file, value);
    };
    if (limits.memoryBytes !== undefined)
      await write('memory', 'memory.limit_in_bytes', String(limits.memoryBytes ?? -1));
    if (limits.pids !== undefined) await write('pids', 'pids.max', String(limits.pids ?? 'max'));
    if (limits.cpuPeriodMicros !== undefined) await write('cpu', 'cpu.cfs_period_us', String(limits.cpuPeriodMicros));
    if (limits.cpuQuotaMicros !== undefined)
      await write('cpu', 'cpu.cfs_quota_us', String(limits.cpuQuotaMicros ?? -1));
  }

  async join(path: string, pid: number): Promise<void> {
    for (const directory of cgroupDirectories(this.layout, path))
      await writeCgroupFile(directory, 'cgroup.procs', String(pid));
  }

  async remove(path: string): Promise<boolean> {
    let removed = true;
    for (const directory of cgroupDirectories(this.layout, path)) if (!(await removeCgroup(directory))) removed = false;
    return removed;
  }

  support(parent: string): CgroupSupport {
    const has = (controller: string, ...files: readonly string[]): boolean =>
      files.some((file) => this.#read(controller, parent, file) !== undefined);
    return {
      swap: has('memory', 'memory.memsw.limit_in_bytes'),
      swappiness: has('memory', 'memory.swappiness'),
      oomKillDisable: has('memory', 'memory.oom_control'),
      blockIoWeight: has('blkio', 'blkio.weight', 'blkio.bfq.weight'),
      blockIoRate: has('blkio', 'blkio.throttle.read_bps_device'),
    };
  }

  async children(path: string): Promise<readonly string[]> {
    const names = new Set<string>();
    for (const directory of cgroupDirectories(this.layout, path))
      for (const name of await childCgroups(directory)) names.add(name);
    return [...names].sort();
  }
}
