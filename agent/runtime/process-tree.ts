/** A process and what it has started, killed without ever hitting a stranger. */
import { ProcessHandle } from '#agent/kernel/pidfd.ts';
import { readProcess } from '#agent/kernel/process-status.ts';
import { readPseudoFile } from '#agent/kernel/pseudo-file.ts';
import { SIGNALS } from '#common/signals.ts';

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
  const found: ProcessHandle[] = [];
  for (let next = waiting.shift(); next !== undefined && found.length < PROCESSES_MAX; next = waiting.shift()) {
    const process = readProcess(next.pid);
    if (process === undefined || process.parentPid !== next.parentPid) continue;
    const handle = ProcessHandle.openExact(process.pid, process.startTicks);
    if (handle === undefined) continue;
    found.push(handle);
    // Stopped it starts no more, and stays the parent of its children: those of a dead one belong to somebody else.
    handle.signal(SIGNALS.stop);
    for (const child of childrenOf(next.pid)) waiting.push({ pid: child, parentPid: next.pid });
  }
  for (const handle of found) {
    handle.signal(SIGNALS.kill);
    handle.close();
  }
}
