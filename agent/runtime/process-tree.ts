/** A process and what it has started, killed without ever hitting a stranger. */
import { ProcessHandle } from '#agent/kernel/pidfd.ts';
import { readProcess } from '#agent/kernel/process-status.ts';
import { readPseudoFile } from '#agent/kernel/pseudo-file.ts';
import { SIGNALS } from './spec/signals.ts';

/** More than a command of ours has any use for; what it leaves beyond them ends with its container. */
const PROCESSES_MAX = 1000;
const CHILDREN_BYTES_MAX = 64 * 1024;

function childrenOf(pid: number): readonly number[] {
  const text = readPseudoFile(`/proc/${pid}/task/${pid}/children`, CHILDREN_BYTES_MAX) ?? '';
  return text.split(' ').map(Number).filter(Boolean);
}

/** SIGKILL to the process, should it still be a child of `parentPid`, and to all that descend from it. */
export function killTree(pid: number, parentPid: number): void {
  const waiting: { readonly pid: number; readonly parentPid: number }[] = [{ pid, parentPid }];
  for (
    let next = waiting.shift(), seen = 0;
    next !== undefined && seen < PROCESSES_MAX;
    next = waiting.shift(), seen++
  ) {
    const process = readProcess(next.pid);
    if (process === undefined || process.parentPid !== next.parentPid) continue;
    // Before the parent dies: afterwards its children belong to somebody else.
    for (const child of childrenOf(next.pid)) waiting.push({ pid: child, parentPid: next.pid });
    const handle = ProcessHandle.openExact(process.pid, process.startTicks);
    handle?.signal(SIGNALS.kill);
    handle?.close();
  }
}
