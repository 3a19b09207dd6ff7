/** The texts of cgroup files. Pure. */

/** What a cgroup has used since it was made, and uses now. Undefined: the kernel does not say. */
export interface CgroupStatistics {
  readonly cpuNanos: number;
  readonly cpuUserNanos: number | undefined;
  readonly cpuSystemNanos: number | undefined;
  /** Periods in which it was stopped by its quota, and for how long altogether. */
  readonly throttledPeriods: number | undefined;
  readonly throttledNanos: number | undefined;
  /** Without the page cache that could be dropped at once: what counts against the limit under pressure. */
  readonly memoryBytes: number;
  /** With the page cache. */
  readonly memoryUsageBytes: number;
  readonly memoryPeakBytes: number | undefined;
  /** Undefined: no limit. */
  readonly memoryLimitBytes: number | undefined;
  readonly oomKills: number;
  readonly pids: number;
  readonly pidsLimit: number | undefined;
  readonly readBytes: number;
  readonly writtenBytes: number;
}

/** "key value" lines. */
export function parseKeyed(text: string): ReadonlyMap<string, number> {
  const values = new Map<string, number>();
  for (const line of text.split('\n')) {
    const space = line.indexOf(' ');
    if (space > 0) values.set(line.slice(0, space), Number(line.slice(space + 1)));
  }
  return values;
}

/** A single number; undefined for "max", an empty text and nonsense. */
export function parseNumber(text: string | undefined): number | undefined {
  if (text === undefined || text.trim() === '') return undefined;
  const value = Number(text);
  return Number.isFinite(value) ? value : undefined;
}

/** v1 says "no limit" with the largest page-aligned number. */
const V1_UNLIMITED_BYTES = 2 ** 62;

export function parseV1Limit(text: string | undefined): number | undefined {
  const value = parseNumber(text);
  return value === undefined || value >= V1_UNLIMITED_BYTES ? undefined : value;
}

/** v1 blkio: "254:0 Read 4096"; a "Total" line sums each device, so only the words asked for are added up. */
export function parseBlkio(text: string): { readonly readBytes: number; readonly writtenBytes: number } {
  let readBytes = 0;
  let writtenBytes = 0;
  for (const line of text.split('\n')) {
    const [, operation, bytes] = line.split(' ');
    if (operation === 'Read') readBytes += Number(bytes);
    if (operation === 'Write') writtenBytes += Number(bytes);
  }
  return { readBytes, writtenBytes };
}

/** v2 io.stat: "254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0". */
export function parseIoStat(text: string): { readonly readBytes: number; readonly writtenBytes: number } {
  const sum = (key: string): number =>
    [...text.matchAll(new RegExp(`\\b${key}=(\\d+)`, 'g'))].reduce((total, match) => total + Number(match[1]), 0);
  return { readBytes: sum('rbytes'), writtenBytes: sum('wbytes') };
}

/** cgroup.procs: one pid a line. 0 stands for a process of an outer pid namespace. */
export function parsePids(text: string): readonly number[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid > 0);
}
