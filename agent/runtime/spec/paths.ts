/** Paths inside a container that users and images choose. Pure. */
import { invalidField } from '#common/errors.ts';

/** Cleans an absolute path: no empty, `.` or `..` segments. Throws `bad-field` for a relative one, or one with NUL. */
export function cleanAbsolutePath(field: string, path: string): string {
  if (!path.startsWith('/'))
    throw invalidField(field, `${field}: ${JSON.stringify(path)} is not an absolute path`, 'begin it with /');
  if (/[\0\n]/.test(path)) throw invalidField(field, `${field}: the path has a line break or a NUL`);
  const segments: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(segment);
  }
  return `/${segments.join('/')}`;
}

/** Whether a clean path is `directory` or below it. */
export function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}

/**
 * A mount there would hide what masks and protects /proc from the container (CVE-2019-16884), or be its root. `path`
 * is clean; call it with the path as written and again with what its links lead to.
 */
export function checkMountTarget(field: string, path: string): void {
  if (path === '/')
    throw invalidField(field, `${field}: a mount cannot replace the root directory`, 'mount at a directory below /');
  if (isWithin(path, '/proc'))
    throw invalidField(field, `${field}: nothing may be mounted at or below /proc (${path})`, 'choose another target');
}

/**
 * A working directory in /proc can name directories of the host through descriptors that a runtime left open
 * (CVE-2024-21626).
 */
export function checkWorkingDirectory(path: string): void {
  if (isWithin(path, '/proc') || isWithin(path, '/sys'))
    throw invalidField(
      'workingDirectory',
      `workingDirectory: ${path} lies below /proc or /sys`,
      'choose a directory of the image',
    );
}
