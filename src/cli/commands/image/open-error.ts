import { CliError } from '../../cli-errors.ts';

/** The system's words, as Go has them. */
const WORDS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  EISDIR: 'is a directory',
  ENOTDIR: 'not a directory',
  ENAMETOOLONG: 'file name too long',
  ENOSPC: 'no space left on device',
  EROFS: 'read-only file system',
  ELOOP: 'too many levels of symbolic links',
  EIO: 'input/output error',
  EMFILE: 'too many open files',
};

export function systemWords(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  return WORDS[(thrown as NodeJS.ErrnoException).code ?? ''] ?? thrown.message;
}

/** `open web.tar: no such file or directory`. */
export function openError(verb: string, path: string, thrown: unknown): CliError {
  return new CliError(`${verb} ${path}: ${systemWords(thrown)}`);
}
