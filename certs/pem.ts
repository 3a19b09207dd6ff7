/** Strict PEM (RFC 7468): bounded, canonical base64, one or more blocks of a known label, nothing in between. */
import { badCertificate } from './errors.ts';

export type PemLabel = 'CERTIFICATE' | 'CERTIFICATE REQUEST' | 'PRIVATE KEY' | 'LOCKED PRIVATE KEY';

const LINE_LENGTH = 64;

export function encodePem(label: PemLabel, der: Buffer): string {
  const lines = der.toString('base64').match(new RegExp(`.{1,${LINE_LENGTH}}`, 'g')) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

export interface PemLimits {
  /** Of the whole text. */
  readonly maxBytes: number;
  readonly maxBlocks: number;
}

/** The DER of every block, in order; at least one. `what` begins the error's message. */
export function decodePem(pem: Uint8Array | string, label: PemLabel, limits: PemLimits, what: string): Buffer[] {
  if (pem.length > limits.maxBytes)
    throw badCertificate(what, `is larger than ${limits.maxBytes} bytes (${pem.length} bytes)`);
  const text =
    typeof pem === 'string' ? pem : Buffer.from(pem.buffer, pem.byteOffset, pem.byteLength).toString('latin1');
  const blocks: Buffer[] = [];
  let body: string[] | undefined;
  for (const rawLine of text.split('\n')) {
    const line = rawLine.trimEnd();
    if (body === undefined) {
      if (line === '') continue;
      if (line !== `-----BEGIN ${label}-----`)
        throw badCertificate(what, `is not PEM: a line other than "-----BEGIN ${label}-----" begins a block`);
      if (blocks.length === limits.maxBlocks)
        throw badCertificate(what, `has more than ${limits.maxBlocks} PEM block${limits.maxBlocks === 1 ? '' : 's'}`);
      body = [];
    } else if (line === `-----END ${label}-----`) {
      blocks.push(decodeBody(body.join(''), what));
      body = undefined;
    } else {
      body.push(line);
    }
  }
  if (body !== undefined) throw badCertificate(what, `is cut short: "-----END ${label}-----" is missing`);
  if (blocks.length === 0) throw badCertificate(what, `is empty: it has no "-----BEGIN ${label}-----"`);
  return blocks;
}

function decodeBody(base64: string, what: string): Buffer {
  // Node's decoder skips what it does not know; encoding again shows whether it skipped anything.
  const der = Buffer.from(base64, 'base64');
  if (der.length === 0 || der.toString('base64') !== base64)
    throw badCertificate(what, 'has a PEM body that is not base64');
  return der;
}
