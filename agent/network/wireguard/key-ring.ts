/**
 * The node's WireGuard keys: made here, never leave the node, kept in one file that only root reads. The first one is in
 * use; a second one is announced before it takes over, so that peers know it when it does.
 */
import { generateKeyPairSync } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { hasErrno } from '../../kernel/libc.ts';

export interface WireGuardKey {
  /** 32 bytes each. */
  readonly privateKey: Buffer;
  readonly publicKey: Buffer;
  /** Wall clock. */
  readonly createdAtMs: number;
}

export const KEY_BYTES = 32;

export function generateKey(nowMs: number): WireGuardKey {
  const { privateKey } = generateKeyPairSync('x25519');
  const { d, x } = privateKey.export({ format: 'jwk' });
  return {
    privateKey: Buffer.from(d ?? '', 'base64url'),
    publicKey: Buffer.from(x ?? '', 'base64url'),
    createdAtMs: nowMs,
  };
}

/** The keys of an earlier run; empty when there are none, or none that can be read: then new ones are made. */
export async function readKeys(path: string): Promise<readonly WireGuardKey[]> {
  try {
    return decodeKeys(await readFile(path, 'utf8'));
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return [];
    throw error;
  }
}

export async function writeKeys(path: string, keys: readonly WireGuardKey[]): Promise<void> {
  const text = JSON.stringify(
    keys.map(({ privateKey, publicKey, createdAtMs }) => ({
      privateKey: privateKey.toString('base64'),
      publicKey: publicKey.toString('base64'),
      createdAtMs,
    })),
  );
  await writeFile(`${path}.new`, `${text}\n`, { mode: 0o600, flush: true });
  await rename(`${path}.new`, path);
}

function decodeKeys(text: string): readonly WireGuardKey[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return [];
  }
  if (!Array.isArray(value)) return [];
  return value.flatMap((entry: unknown) => {
    if (typeof entry !== 'object' || entry === null) return [];
    const fields = entry as Readonly<Record<string, unknown>>;
    const privateKey = Buffer.from(String(fields['privateKey']), 'base64');
    const publicKey = Buffer.from(String(fields['publicKey']), 'base64');
    const createdAtMs = Number(fields['createdAtMs']);
    const usable = privateKey.length === KEY_BYTES && publicKey.length === KEY_BYTES && Number.isFinite(createdAtMs);
    return usable ? [{ privateKey, publicKey, createdAtMs }] : [];
  });
}
