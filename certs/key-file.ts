/**
 * The file that holds a private key: lines of `name: value`, then a PEM block with PKCS#8. OpenSSL reads it as it is (text
 * before the block is a comment to it).
 *
 *     format: 1
 *     -----BEGIN PRIVATE KEY-----
 *     ...
 *
 * A manager that is locked keeps its key encrypted by the unlock key. The lines above the block are authenticated.
 *
 *     format: 2
 *     lock-version: 3
 *     -----BEGIN LOCKED PRIVATE KEY-----
 *     ...
 *
 * Headers that this version does not know are kept when the file is written again.
 */
import type { KeyObject } from 'node:crypto';
import { SwarmError } from '#common/errors.ts';
import { badCertificate } from './errors.ts';
import { readPrivateKey } from './key.ts';
import { type KeyLock, lockBytes, lockedError, unlockBytes, wrongKey } from './key-lock.ts';
import { decodePem, encodePem } from './pem.ts';

export interface KeyFile {
  readonly privateKey: KeyObject;
  /** Without `format` and `lock-version`. */
  readonly headers: ReadonlyMap<string, string>;
}

/** What a key file says without its key. */
export interface KeyFileFacts {
  readonly headers: ReadonlyMap<string, string>;
  /** Of the unlock key that it is encrypted with; undefined for a key in the clear. */
  readonly lockVersion: number | undefined;
}

const PLAIN_FORMAT = '1';
const LOCKED_FORMAT = '2';
const MAX_BYTES = 16 * 1024;
const MAX_HEADERS = 32;
const BEGIN = '-----BEGIN ';

/** With a lock, the key is encrypted. */
export function encodeKeyFile(file: KeyFile, lock?: KeyLock): string {
  const key = file.privateKey.export({ type: 'pkcs8', format: 'der' });
  const others = [...file.headers].map(([name, value]) => `${name}: ${value}\n`).join('');
  if (lock === undefined) return `format: ${PLAIN_FORMAT}\n${others}${encodePem('PRIVATE KEY', key)}`;
  const header = `format: ${LOCKED_FORMAT}\nlock-version: ${lock.version}\n${others}`;
  return `${header}${encodePem('LOCKED PRIVATE KEY', lockBytes(lock, bound(header), key))}`;
}

/** The PEM block alone, as TLS wants it. */
export function privateKeyPem(key: KeyObject): string {
  return encodePem('PRIVATE KEY', key.export({ type: 'pkcs8', format: 'der' }));
}

/**
 * `what` names the file for errors, which never repeat anything of its content.
 * @throws SwarmError `locked` for an encrypted key where no unlock key is given, `wrong-key` where it is not the one
 */
export function decodeKeyFile(bytes: Uint8Array, what: string, unlockKey?: Uint8Array): KeyFile {
  const { header, block, headers, lockVersion } = takeApart(bytes, what);
  const limits = { maxBytes: MAX_BYTES, maxBlocks: 1 };
  if (lockVersion === undefined) {
    const [der] = decodePem(block, 'PRIVATE KEY', limits, what);
    return { privateKey: readPrivateKey(der ?? Buffer.alloc(0), what), headers };
  }
  const [locked] = decodePem(block, 'LOCKED PRIVATE KEY', limits, what);
  if (unlockKey === undefined) throw lockedError(lockVersion);
  const der = unlockBytes(unlockKey, bound(header), locked ?? Buffer.alloc(0));
  if (der === undefined) throw wrongKey(lockVersion);
  return { privateKey: readPrivateKey(der, what), headers };
}

/** What can be told of a key file that is encrypted. */
export function keyFileFacts(bytes: Uint8Array, what: string): KeyFileFacts {
  const { headers, lockVersion } = takeApart(bytes, what);
  return { headers, lockVersion };
}

interface Parts extends KeyFileFacts {
  /** As it stands in the file, format included. */
  readonly header: string;
  readonly block: string;
}

function takeApart(bytes: Uint8Array, what: string): Parts {
  if (bytes.length > MAX_BYTES) throw badCertificate(what, `is larger than ${MAX_BYTES} bytes`);
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  const blockStart = text.startsWith(BEGIN) ? 0 : text.indexOf(`\n${BEGIN}`) + 1;
  if (blockStart === 0 && !text.startsWith(BEGIN)) throw badCertificate(what, 'holds no key');
  const header = text.slice(0, blockStart);
  const headers = readHeaders(header, what);
  const format = headers.get('format');
  const lockVersion = headers.get('lock-version');
  headers.delete('format');
  headers.delete('lock-version');
  const parts = { header, block: text.slice(blockStart), headers };
  // A file without headers is a plain PKCS#8 key, which an operator may have put there.
  if (format === undefined || format === PLAIN_FORMAT) return { ...parts, lockVersion: undefined };
  if (format !== LOCKED_FORMAT)
    throw new SwarmError({
      code: 'precondition',
      reason: 'corrupt-state',
      message: `${what}: is of a format that this version of Starling does not read`,
      hint: 'start the version that wrote it, or a later one',
    });
  if (lockVersion === undefined || !/^[1-9]\d{0,14}$/.test(lockVersion))
    throw badCertificate(what, 'does not say which unlock key it is encrypted with');
  return { ...parts, lockVersion: Number(lockVersion) };
}

/** What the ciphertext is bound to: the lines above it, in this kind of file. */
function bound(header: string): string {
  return `node key\n${header}`;
}

function readHeaders(text: string, what: string): Map<string, string> {
  const headers = new Map<string, string>();
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue;
    const match = /^([a-z][a-z0-9-]*): ([\x21-\x7e]+)$/.exec(line);
    const [, name, value] = match ?? [];
    if (name === undefined || value === undefined || headers.has(name) || headers.size === MAX_HEADERS)
      throw badCertificate(what, 'has a malformed header before its key');
    headers.set(name, value);
  }
  return headers;
}
