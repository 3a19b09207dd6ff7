/** Kernel settings of a network namespace, by their names below net/ ("ipv4/ip_forward"). */
import { writeFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { SwarmError } from '#common/errors.ts';
import { hasErrno } from '../kernel/libc.ts';
import { readPseudoFile } from '../kernel/pseudo-file.ts';

const SETTING_BYTES_MAX = 256;

export type Sysctl = readonly [name: string, value: string];

/** The file of a setting, in the namespace of whoever opens it. */
export function sysctlPath(name: string): string {
  return `/proc/sys/net/${name}`;
}

/** Those that have another value in the namespace that the calling thread is in; a kernel without one has no other. */
export function differingSysctls(settings: readonly Sysctl[]): readonly Sysctl[] {
  return settings.filter(([name, value]) => {
    const current = readPseudoFile(sysctlPath(name), SETTING_BYTES_MAX);
    return current !== undefined && current.trim().replaceAll('\t', ' ') !== value;
  });
}

/**
 * Writes settings of the namespace that the calling thread is in: for `NetworkNamespace.run`, which must not wait.
 * They are files of /proc, microseconds each. A kernel without one of them (no IPv6) has nothing to set.
 */
export function writeSysctls(settings: readonly Sysctl[]): void {
  for (const [name, value] of settings) {
    try {
      writeFileSync(sysctlPath(name), value);
    } catch (cause) {
      if (!hasErrno(cause, 'ENOENT')) throw sysctlError(name, value, cause);
    }
  }
}

/** Sets one in the process's own namespace. Says whether it had another value. */
export async function ensureSysctl([name, value]: Sysctl): Promise<boolean> {
  try {
    if ((await readFile(sysctlPath(name), 'utf8')).trim() === value) return false;
    await writeFile(sysctlPath(name), value);
    return true;
  } catch (cause) {
    if (hasErrno(cause, 'ENOENT')) return false;
    throw sysctlError(name, value, cause);
  }
}

function sysctlError(name: string, value: string, cause: unknown): SwarmError {
  return new SwarmError({
    code: 'internal',
    reason: 'network-failed',
    message: `cannot set net.${name.replaceAll('/', '.')} to ${value}`,
    hint: hasErrno(cause, 'EROFS') ? 'mount /proc/sys writable for the daemon' : 'run the daemon as root',
    cause,
  });
}
