/**
 * The file with the keys that seal the manager's log: one in use, and those of before while files still need them.
 *
 *     format: 1                       format: 2                        format: 2
 *     key: <hexadecimal>              key: <hexadecimal>               lock-version: 3
 *                                     previous: <hexadecimal>          locked: <base64>
 *
 * Format 1 is one key in the clear, which every release reads. Encrypted by the unlock key they are locked.
 */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { type KeyLock, lockBytes, lockedError, unlockBytes, wrongKey } from '#certs/key-lock.ts';
import { SwarmError } from '#common/errors.ts';
import { writeFileAtomic } from '#common/system/atomic-file.ts';
import { DATA_KEY_BYTES, type DataKeys } from '#manager/log/index.ts';

const NEWEST_FORMAT = 2;

export interface DataKeyFile {
  readonly keys: DataKeys;
  /** Of the unlock key that they are encrypted with; undefined for keys in the clear. */
  readonly lockVersion: number | undefined;
}

export function newDataKey(): Uint8Array {
  return randomBytes(DATA_KEY_BYTES);
}

export function encodeDataKeys(keys: DataKeys, lock: KeyLock | undefined): string {
  const { current, previous = [] } = keys;
  if (lock !== undefined) {
    const header = `format: 2\nlock-version: ${lock.version}\n`;
    const locked = lockBytes(lock, bound(header), Buffer.concat([current, ...previous]));
    return `${header}locked: ${locked.toString('base64')}\n`;
  }
  const hex = (key: Uint8Array): string => Buffer.from(key).toString('hex');
  if (previous.length === 0) return `format: 1\nkey: ${hex(current)}\n`;
  return `format: 2\nkey: ${hex(current)}\n${previous.map((key) => `previous: ${hex(key)}\n`).join('')}`;
}

/** @throws SwarmError `corrupt-state` for a file that is damaged or of a later release, `locked`, `wrong-key` */
export function decodeDataKeys(text: string, path: string, unlockKey: Uint8Array | undefined): DataKeyFile {
  const format = /^format: (\d{1,9})$/m.exec(text)?.[1];
  if (format !== undefined && Number(format) > NEWEST_FORMAT)
    throw damaged(path, `is of format ${format}, written by a later release`);
  const match = /^(format: 2\nlock-version: ([1-9]\d{0,14})\n)locked: ([A-Za-z0-9+/=]{1,8192})\n$/.exec(text);
  const [, header, version, locked] = match ?? [];
  if (header !== undefined && version !== undefined && locked !== undefined) {
    const lockVersion = Number(version);
    if (unlockKey === undefined) throw lockedError(lockVersion);
    const sealed = Buffer.from(locked, 'base64');
    // Node takes base64 that is cut short or has stray bits at its end, too.
    if (sealed.toString('base64') !== locked) throw damaged(path, 'is damaged');
    const opened = unlockBytes(unlockKey, bound(header), sealed);
    if (opened === undefined) throw wrongKey(lockVersion);
    return { keys: keysOf(splitKeys(opened), path), lockVersion };
  }
  if (format === undefined || !/^format: \d+\nkey: [0-9a-f]{64}\n(previous: [0-9a-f]{64}\n)*$/.test(text))
    throw damaged(path, 'is damaged');
  const keys = [...text.matchAll(/^(?:key|previous): ([0-9a-f]{64})$/gm)].map(([, hex = '']) =>
    Buffer.from(hex, 'hex'),
  );
  return { keys: keysOf(keys, path), lockVersion: undefined };
}

/** Makes the key of a log that begins. */
export async function createDataKey(path: string, lock?: KeyLock): Promise<DataKeys> {
  const keys: DataKeys = { current: newDataKey() };
  await writeFileAtomic(path, encodeDataKeys(keys, lock), 0o600);
  return keys;
}

/** @throws SwarmError `corrupt-state` for a file that is missing, damaged or of a later release, `locked`, `wrong-key` */
export async function loadDataKeys(path: string, unlockKey: Uint8Array | undefined): Promise<DataKeyFile> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw damaged(path, 'cannot be read', cause);
  });
  return decodeDataKeys(text, path, unlockKey);
}

function splitKeys(bytes: Buffer): readonly Uint8Array[] {
  const keys: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += DATA_KEY_BYTES) keys.push(bytes.subarray(at, at + DATA_KEY_BYTES));
  return keys;
}

function keysOf([current, ...previous]: readonly Uint8Array[], path: string): DataKeys {
  if (current === undefined || [current, ...previous].some((key) => key.length !== DATA_KEY_BYTES))
    throw damaged(path, 'is damaged');
  return previous.length === 0 ? { current } : { current, previous };
}

/** What the ciphertext is bound to: the lines above it, in this kind of file. */
function bound(header: string): string {
  return `log keys\n${header}`;
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
