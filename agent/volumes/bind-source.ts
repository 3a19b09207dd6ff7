/** Paths of the host that users mount into containers. */
import { mkdir, stat } from 'node:fs/promises';
import { hasErrno } from '#agent/kernel/libc.ts';
import { cleanAbsolutePath } from '#agent/runtime/index.ts';
import { SwarmError } from '#common/errors.ts';

/** The clean path, which exists. A missing one is made when asked for, else refused as Docker's services do. */
export async function bindSource(source: string, create: boolean): Promise<string> {
  const path = cleanAbsolutePath('mounts.source', source);
  try {
    await stat(path);
    return path;
  } catch (error) {
    if (!hasErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES')) throw error;
    if (!create || !hasErrno(error, 'ENOENT'))
      throw new SwarmError({
        code: 'precondition',
        reason: 'bad-field',
        field: 'mounts.source',
        message: `invalid mount config for type "bind": bind source path does not exist: ${path}`,
        hint: 'create the directory on every node that the service may run on, or use a volume',
        cause: error,
      });
  }
  await mkdir(path, { recursive: true, mode: 0o755 });
  return path;
}
