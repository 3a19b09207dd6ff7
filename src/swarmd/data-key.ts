/** The key that seals the manager's log. Format 1 holds it in clear, mode 0600; autolock will wrap it in a later one. */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { SwarmError } from '#common/errors.ts';
import { writeFileAtomic } from '#common/system/atomic-file.ts';

const KEY_BYTES = 32;
const FORMAT = 1;

export async function createDataKey(path: string): Promise<Uint8Array> {
  const key = randomBytes(KEY_BYTES);
  await writeFileAtomic(path, `format: ${FORMAT}\nkey: ${key.toString('hex')}\n`, 0o600);
  return key;
}

/** @throws SwarmError `corrupt-state` for a file that is missing, damaged or of a later release. */
export async function loadDataKey(path: string): Promise<Uint8Array> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw damaged(path, 'cannot be read', cause);
  });
  const format = /^format: (\d+)$/m.exec(text)?.[1];
  if (format !== undefined && Number(format) > FORMAT)
    throw damaged(path, `is of format ${format}, written by a later release`);
  const key = /^key: ([0-9a-f]{64})$/m.exec(text)?.[1];
  if (format === undefined || key === undefined) throw damaged(path, 'is damaged');
  return Buffer.from(key, 'hex');
}

function damaged(path: string, what: string, cause?: unknown): SwarmError {
  return new SwarmError({
    code: 'data-loss',
    reason: 'corrupt-state',
    message: `the log's key file ${path} ${what}`,
    hint: 'restore it from a backup of the state directory; without it the log cannot be read',
    cause,
  });
}
