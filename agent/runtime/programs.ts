/** Finding the programs of the system that the runtime uses. */
import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';
import { SwarmError } from '#common/errors.ts';

/** A service manager may start us with a short PATH, so these are looked in whatever it says. */
const DIRECTORIES: readonly string[] = [
  '/usr/local/sbin',
  '/usr/local/bin',
  '/usr/sbin',
  '/usr/bin',
  '/sbin',
  '/bin',
  '/usr/libexec/podman',
  '/usr/lib/podman',
];

/** What programs that we start see; nothing of our own environment reaches them. */
export const PROGRAM_ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
};

/** Absolute path of a program by its name or path; undefined when it is not there or may not be run. */
export async function findProgram(name: string): Promise<string | undefined> {
  const candidates = name.startsWith('/') ? [name] : DIRECTORIES.map((directory) => join(directory, name));
  if (!name.startsWith('/') && !/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(name)) return undefined;
  for (const path of candidates) {
    try {
      await access(path, constants.X_OK);
      return path;
    } catch {
      continue;
    }
  }
  return undefined;
}

/** As `findProgram`; throws `preflight` that names the package to install. */
export async function requireProgram(name: string, debianPackage: string): Promise<string> {
  const path = await findProgram(name);
  if (path !== undefined) return path;
  throw new SwarmError({
    code: 'precondition',
    reason: 'preflight',
    message: `the program ${name} is not installed`,
    hint: `install the package ${debianPackage}`,
  });
}
