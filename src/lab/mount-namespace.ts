/** The mount namespace of a lab host, pinned to a file. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { MOUNT_FLAGS, mount, unmount } from '#agent/kernel/mount.ts';
import { mountNamespaceId } from '#agent/kernel/namespace-id.ts';
import { SwarmError } from '#common/errors.ts';
import { runCommand } from './run-command.ts';

/** Enough for any laptop; on a larger machine the lab stays on the first of its processors that it may use. */
const PROCESSORS_MAX = 64;

/**
 * Makes a namespace in which the daemon can pin one of its own. The kernel allows that only where the inner one has the
 * larger id, to exclude circles, and since Linux 6.18 every processor numbers namespaces from a range of its own. So
 * one is made on each processor, and the one with the smallest id is kept: all that are made later have larger ones.
 */
export async function makeMountNamespace(file: string): Promise<void> {
  let best: { readonly file: string; readonly id: bigint | undefined } | undefined;
  let problem = '';
  for (const processor of await usableProcessors()) {
    const candidate = `${file}.${processor}`;
    await writeFile(candidate, '');
    // Slave: unmounting a network namespace of the lab reaches the copies in here.
    const unshare = ['unshare', `--mount=${candidate}`, '--propagation', 'slave', 'true'];
    const made = await runCommand(['taskset', '--cpu-list', String(processor), ...unshare]);
    if (made.exitCode !== 0) {
      // Inside another namespace than the machine's first one, not every processor's numbers are larger.
      await removeMountNamespace(candidate);
      problem = made.stderr.trim();
      continue;
    }
    const id = mountNamespaceId(candidate);
    const better = best === undefined || (id !== undefined && best.id !== undefined && id < best.id);
    const loser = better ? best?.file : candidate;
    if (better) best = { file: candidate, id };
    if (loser !== undefined) await removeMountNamespace(loser);
    // A kernel that does not tell ids numbers namespaces in the order they are made.
    if (id === undefined) break;
  }
  if (best === undefined)
    throw new SwarmError({
      code: 'precondition',
      reason: 'runtime-failed',
      message: `cannot make a mount namespace for a host of the lab: ${problem}`,
      hint: 'run the lab outside of containers',
    });
  await writeFile(file, '');
  await mount({ source: best.file, target: file, type: 'none', flags: MOUNT_FLAGS.bind });
  await removeMountNamespace(best.file);
}

/** Unpins it: it goes with its last process. */
export async function removeMountNamespace(file: string): Promise<void> {
  await unmount(file);
  await rm(file, { force: true });
}

/** "0-3,6" of this process's own status, as numbers. */
async function usableProcessors(): Promise<readonly number[]> {
  const status = await readFile('/proc/self/status', 'utf8');
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(status)?.[1] ?? '0';
  const processors = list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
  return processors.slice(0, PROCESSORS_MAX);
}
