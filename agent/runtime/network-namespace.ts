import { hasErrno } from '#agent/kernel/libc.ts';
import { NetworkNamespace } from '#agent/kernel/netns.ts';
import { readProcess } from '#agent/kernel/process-status.ts';
import type { Container } from './container.ts';

/** The namespace that the first process of a running container is in; undefined when it does not run. */
export function openNetworkNamespace({ state }: Container): NetworkNamespace | undefined {
  if (state.phase !== 'running') return undefined;
  const { pid, startTicks } = state.init;
  try {
    const namespace = NetworkNamespace.open(`/proc/${pid}/ns/net`);
    // Asked after opening: if it is the right process now, it was when the namespace was opened.
    if (readProcess(pid)?.startTicks === startTicks) return namespace;
    namespace.close();
  } catch (error) {
    if (!hasErrno(error, 'ENOENT', 'ESRCH')) throw error;
  }
  return undefined;
}
