/** /proc/PID/stat and its neighbours. */
import { readFile } from 'node:fs/promises';
import { readPseudoFile } from './pseudo-file.ts';

export interface ProcessStatus {
  readonly pid: number;
  readonly command: string;
  /** R, S, D, Z, T, ... as in ps(1). */
  readonly state: string;
  readonly parentPid: number;
  /** Clock ticks between boot and the process's start. With the pid it names a process of one boot for ever. */
  readonly startTicks: number;
}

/** Reads the line of /proc/PID/stat; the command may itself contain spaces and parentheses. */
export function parseProcessStat(text: string): ProcessStatus | undefined {
  const open = text.indexOf('(');
  const close = text.lastIndexOf(')');
  if (open < 0 || close < open) return undefined;
  const fields = text.slice(close + 2).split(' ');
  const [state, parentPid] = fields;
  const startTicks = fields[19];
  if (state === undefined || parentPid === undefined || startTicks === undefined) return undefined;
  return {
    pid: Number(text.slice(0, open)),
    command: text.slice(open + 1, close),
    state,
    parentPid: Number(parentPid),
    startTicks: Number(startTicks),
  };
}

const STAT_BYTES_MAX = 4096;
/** Arguments beyond this are of no interest to anyone who asks here. */
const COMMAND_LINE_BYTES_MAX = 64 * 1024;

/** What the kernel says of the process; undefined when there is none. */
export function readProcess(pid: number): ProcessStatus | undefined {
  const text = readPseudoFile(`/proc/${pid}/stat`, STAT_BYTES_MAX);
  return text === undefined ? undefined : parseProcessStat(text);
}

/** The process's arguments; undefined when there is none or it is a zombie or a kernel thread. */
export function readCommandLine(pid: number): readonly string[] | undefined {
  const text = readPseudoFile(`/proc/${pid}/cmdline`, COMMAND_LINE_BYTES_MAX);
  return text === undefined || text === '' ? undefined : text.replace(/\0$/, '').split('\0');
}

let bootId: Promise<string> | undefined;

/** The kernel's random name of this boot: pids, mounts and namespaces mean nothing in another one. */
export function readBootId(): Promise<string> {
  bootId ??= readFile('/proc/sys/kernel/random/boot_id', 'utf8').then((text) => text.trim());
  return bootId;
}
