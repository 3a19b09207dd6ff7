/** cgroup v2: one hierarchy; a group has the controllers that its parent hands down. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { hasErrno } from '#agent/kernel/libc.ts';
import { assert, SwarmError } from '#common/errors.ts';
import type { CgroupLimits, CgroupSupport, Cgroups } from './cgroups.ts';
import { childCgroups, processesOf, readCgroupFile, removeCgroup, writeCgroupFile } from './files.ts';
import type { CgroupLayout } from './layout.ts';
import { type CgroupStatistics, parseIoStat, parseKeyed, parseNumber } from './statistics.ts';

const FREEZE_POLL_MS = 2;
const KILL_ROUNDS = 5;

export class CgroupsV2 implements Cgroups {
  readonly layout: CgroupLayout;
  readonly #root: string;

  constructor(layout: CgroupLayout) {
    assert(layout.unified !== undefined, 'a v2 layout names its mount point');
    this.layout = layout;
    this.#root = layout.unified;
  }

  async prepareParent(path: string): Promise<void> {
    await mkdir(this.#root + path, { recursive: true });
    let directory = this.#root;
    for (const segment of ['', ...path.split('/').filter((part) => part !== '')]) {
      directory = join(directory, segment);
      const available = readCgroupFile(directory, 'cgroup.controllers')?.trim() ?? '';
      // One by one: a single controller that cannot be handed down (cpu with realtime processes) spoils a joint write.
      for (const controller of available.split(' ').filter((name) => name !== '')) {
        await writeCgroupFile(directory, 'cgroup.subtree_control', `+${controller}`).catch((error: unknown) => {
          if (!hasErrno(error, 'EBUSY', 'EINVAL', 'ENOTSUP', 'EPERM', 'EACCES')) throw error;
        });
      }
    }
  }

  async statistics(path: string): Promise<CgroupStatistics | undefined> {
    const read = (file: string): string | undefined => readCgroupFile(this.#root + path, file);
    const cpuStat = read('cpu.stat');
    if (cpuStat === undefined) return undefined;
    const cpu = parseKeyed(cpuStat);
    const nanos = (key: string): number | undefined => {
      const micros = cpu.get(key);
      return micros === undefined ? undefined : micros * 1000;
    };
    const usageBytes = parseNumber(read('memory.current')) ?? 0;
    const inactiveBytes = parseKeyed(read('memory.stat') ?? '').get('inactive_file') ?? 0;
    return {
      cpuNanos: nanos('usage_usec') ?? 0,
      cpuUserNanos: nanos('user_usec'),
      cpuSystemNanos: nanos('system_usec'),
      throttledPeriods: cpu.get('nr_throttled'),
      throttledNanos: nanos('throttled_usec'),
      memoryBytes: Math.max(0, usageBytes - inactiveBytes),
      memoryUsageBytes: usageBytes,
      memoryPeakBytes: parseNumber(read('memory.peak')),
      memoryLimitBytes: parseNumber(read('memory.max')),
      oomKills: (await this.oomKills(path)) ?? 0,
      pids: parseNumber(read('pids.current')) ?? 0,
      pidsLimit: parseNumber(read('pids.max')),
      ...parseIoStat(read('io.stat') ?? ''),
    };
  }

  async oomKills(path: string): Promise<number | undefined> {
    const events = readCgroupFile(this.#root + path, 'memory.events');
    return events === undefined ? undefined : parseKeyed(events).get('oom_kill');
  }

  processes(path: string): Promise<readonly number[]> {
    return processesOf(this.#root + path);
  }

  async freeze(path: string, timeoutMs: number): Promise<void> {
    const directory = this.#root + path;
    const deadline = performance.now() + timeoutMs;
    if (!(await writeCgroupFile(directory, 'cgroup.freeze', '1'))) return;
    for (;;) {
      const events = readCgroupFile(directory, 'cgroup.events');
      if (events === undefined || parseKeyed(events).get('frozen') === 1) return;
      if (performance.now() > deadline)
        throw new SwarmError({
          code: 'deadline',
          reason: 'timeout',
          message: `timed out after ${timeoutMs} ms waiting for ${path} to freeze`,
        });
      await sleep(FREEZE_POLL_MS);
    }
  }

  async thaw(path: string): Promise<void> {
    await writeCgroupFile(this.#root + path, 'cgroup.freeze', '0');
  }

  async isFrozen(path: string): Promise<boolean> {
    return readCgroupFile(this.#root + path, 'cgroup.freeze')?.trim() === '1';
  }

  async killAll(path: string): Promise<void> {
    // Since Linux 5.14 the kernel does it in one step, also to a frozen group.
    if (await writeCgroupFile(this.#root + path, 'cgroup.kill', '1')) return;
    for (let round = 0; round < KILL_ROUNDS; round++)
      for (const pid of await this.processes(path)) {
        try {
          process.kill(pid, 'SIGKILL');
        } catch (error) {
          if (!hasErrno(error, 'ESRCH')) throw error;
        }
      }
    await this.thaw(path);
  }

  async update(path: string, limits: CgroupLimits): Promise<void> {
    const directory = this.#root + path;
    if (limits.memoryBytes !== undefined)
      await writeCgroupFile(directory, 'memory.max', String(limits.memoryBytes ?? 'max'));
    if (limits.pids !== undefined) await writeCgroupFile(directory, 'pids.max', String(limits.pids ?? 'max'));
    if (limits.cpuQuotaMicros !== undefined)
      await writeCgroupFile(
        directory,
        'cpu.max',
        `${limits.cpuQuotaMicros ?? 'max'} ${limits.cpuPeriodMicros ?? DEFAULT_PERIOD_MICROS}`,
      );
  }

  async join(path: string, pid: number): Promise<void> {
    await writeCgroupFile(this.#root + path, 'cgroup.procs', String(pid));
  }

  remove(path: string): Promise<boolean> {
    return removeCgroup(this.#root + path);
  }

  /** The second hierarchy has no swappiness of a group, and always kills. */
  support(parent: string): CgroupSupport {
    const has = (...files: readonly string[]): boolean =>
      files.some((file) => readCgroupFile(this.#root + parent, file) !== undefined);
    return {
      swap: has('memory.swap.max'),
      swappiness: false,
      oomKillDisable: false,
      blockIoWeight: has('io.weight', 'io.bfq.weight'),
      blockIoRate: has('io.max'),
    };
  }

  async children(path: string): Promise<readonly string[]> {
    return [...(await childCgroups(this.#root + path))].sort();
  }
}

/** The kernel's own default. */
const DEFAULT_PERIOD_MICROS = 100_000;
