/**
 * The file that holds a private key: lines of `name: value`, then a PKCS#8 PEM block. OpenSSL reads it as it is (text
 * before the block is a comment to it).
 *
 *     format: 1
 *     -----BEGIN PRIVATE KEY-----
 *     ...
 *
 * Headers that this version does not know are kept when the file is written again: managers will keep their log keys
 * there. A key that is encrypted by an unlock key will have a higher format, which this version refuses by name.
 */
import type { KeyObject } from 'node:crypto';
import { SwarmError } from '#common/errors.ts';
import { badCertificate } from './errors.ts';
import { readPrivateKey } from './key.ts';
import { decodePem, encodePem } from './pem.ts';

export interface KeyFile {
  readonly privateKey: KeyObject;
  /** Without `format`. */
  readonly headers: ReadonlyMap<string, string>;
}

const FORMAT = 1;
const MAX_BYTES = 16 * 1024;
const MAX_HEADERS = 32;
const BEGIN = '-----BEGIN ';

export function encodeKeyFile(file: KeyFile): string {
  const lines = [`format: ${FORMAT}`];
  for (const [name, value] of file.headers) lines.push(`${name}: ${value}`);
  const key = file.privateKey.export({ type: 'pkcs8', format: 'der' });
  return `${lines.join('\n')}\n${encodePem('PRIVATE KEY', key)}`;
}

/** The PEM block alone, as TLS wants it. */
export function privateKeyPem(key: KeyObject): string {
  return encodePem('PRIVATE KEY', key.export({ type: 'pkcs8', format: 'der' }));
}

/** `what` names the file for errors, which never repeat anything of its content. */
export function decodeKeyFile(bytes: Uint8Array, what: string): KeyFile {
  if (bytes.length > MAX_BYTES) throw badCertificate(what, `is larger than ${MAX_BYTES} bytes`);
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  const blockStart = text.startsWith(BEGIN) ? 0 : text.indexOf(`\n${BEGIN}`) + 1;
  if (blockStart === 0 && !text.startsWith(BEGIN)) throw badCertificate(what, 'holds no key');
  const headers = readHeaders(text.slice(0, blockStart), what);
  const format = headers.get('format');
  // A file without headers is a plain PKCS#8 key, which an operator may have put there.
  if (format !== undefined && format !== String(FORMAT))
    throw new SwarmError({
      code: 'precondition',
      reason: 'corrupt-state',
      message: `${what}: is of a format that this version of Starling does not read`,
      hint: 'start the version that wrote it, or a later one',
    });
  headers.delete('format');
  const [der] = decodePem(text.slice(blockStart), 'PRIVATE KEY', { maxBytes: MAX_BYTES, maxBlocks: 1 }, what);
  return { privateKey: readPrivateKey(der ?? Buffer.alloc(0), what), headers };
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
