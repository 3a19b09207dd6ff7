/** The rules for the file that a secret or config appears as. */
import { invalidField } from '#common/errors.ts';
import type { FileTarget } from '#gen/swarm/v1/specs.ts';
import type { PayloadKind } from '#manager/payloads/index.ts';

/** Where a path that is not absolute begins. */
const BASES = { secret: '/run/secrets', config: '' } as const;

/** Directories of the container that the runtime owns. */
const FORBIDDEN = ['/proc', '/sys', '/dev'];

/** What Linux can have as the path of a file. */
const PATH_BYTES_MAX = 4095;
/** 2^32 - 1 means "nobody" to chown. */
const ID_MAX = 2 ** 32 - 2;

/** Absolute. */
export function targetPath(kind: PayloadKind, { path }: FileTarget): string {
  return path.startsWith('/') ? path : `${BASES[kind.word]}/${path}`;
}

/** @throws SwarmError for the first rule that is broken */
export function checkFileTarget(kind: PayloadKind, name: string, file: FileTarget): void {
  checkPath(kind, name, file);
  for (const [field, value] of [
    ['uid', file.uid],
    ['gid', file.gid],
  ] as const)
    if (value !== '' && (!/^\d{1,10}$/.test(value) || Number(value) > ID_MAX))
      throw invalidField(
        `${kind.word}.${field}`,
        `${kind.word}.${field}: ${JSON.stringify(value.slice(0, 40))} of ${kind.word} ${name} is not a number that can be a ${field}`,
        'give a number, such as 1000: names are known inside of the container only',
      );
  if (file.mode !== undefined && file.mode > 0o7777)
    throw invalidField(
      `${kind.word}.mode`,
      `${kind.word}.mode: ${file.mode.toString(8)} of ${kind.word} ${name} has more than permission bits`,
      'give an octal number, such as 0440',
    );
}

function checkPath(kind: PayloadKind, name: string, file: FileTarget): void {
  const field = `${kind.word}.target`;
  const shown = JSON.stringify(file.path.slice(0, 200));
  const refuse = (rule: string, hint: string): never => {
    throw invalidField(field, `${field}: ${shown} of ${kind.word} ${name} ${rule}`, hint);
  };
  const path = targetPath(kind, file);
  if (path.includes('\0') || /[\r\n]/.test(path)) refuse('contains a control character', 'leave it out');
  if (Buffer.byteLength(path) > PATH_BYTES_MAX)
    refuse(`is longer than ${PATH_BYTES_MAX} bytes`, 'choose a shorter path');
  if (path.endsWith('/')) refuse('is a directory', 'name a file');
  const parts = path.split('/');
  if (parts.includes('..') || parts.includes('.')) refuse('contains . or ..', 'give the path itself');
  if (parts.some((part) => Buffer.byteLength(part) > 255))
    refuse('has a name of more than 255 bytes', 'choose a shorter one');
  const normal = path.replace(/\/+/g, '/');
  const owner = FORBIDDEN.find((directory) => normal === directory || normal.startsWith(`${directory}/`));
  if (owner !== undefined) refuse(`lies in ${owner}, which the runtime owns`, 'choose another target');
}
