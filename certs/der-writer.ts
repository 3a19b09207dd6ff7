/** Builds DER values with node-forge's ASN.1 writer, which works on strings of bytes. */

import type { asn1 as Asn1 } from 'node-forge';
import asn1 from 'node-forge/lib/asn1.js';

export type DerValue = Asn1.Asn1;

function universal(type: Asn1.Type, constructed: boolean, value: string | DerValue[]): DerValue {
  return asn1.create(asn1.Class.UNIVERSAL, type, constructed, value);
}

function byteString(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

export function encode(value: DerValue): Buffer {
  return Buffer.from(asn1.toDer(value).getBytes(), 'latin1');
}

export function sequence(...children: DerValue[]): DerValue {
  return universal(asn1.Type.SEQUENCE, true, children);
}

export function set(...children: DerValue[]): DerValue {
  return universal(asn1.Type.SET, true, children);
}

/** `[number]` around other values. */
export function explicit(number: number, ...children: DerValue[]): DerValue {
  return asn1.create(asn1.Class.CONTEXT_SPECIFIC, number, true, children);
}

/** `[number]` in place of a primitive type's own tag. */
export function implicit(number: number, content: Uint8Array): DerValue {
  return asn1.create(asn1.Class.CONTEXT_SPECIFIC, number, false, byteString(content));
}

export function boolean(value: boolean): DerValue {
  return universal(asn1.Type.BOOLEAN, false, value ? '\xff' : '\x00');
}

/** Big-endian two's complement, already in its shortest form. */
export function integer(bytes: Uint8Array): DerValue {
  return universal(asn1.Type.INTEGER, false, byteString(bytes));
}

export function bitString(bytes: Uint8Array, unusedBits = 0): DerValue {
  return universal(asn1.Type.BITSTRING, false, String.fromCharCode(unusedBits) + byteString(bytes));
}

export function octetString(bytes: Uint8Array): DerValue {
  return universal(asn1.Type.OCTETSTRING, false, byteString(bytes));
}

export function objectIdentifier(oid: string): DerValue {
  return universal(asn1.Type.OID, false, asn1.oidToDer(oid).getBytes());
}

export function utf8String(text: string): DerValue {
  return universal(asn1.Type.UTF8, false, Buffer.from(text, 'utf8').toString('latin1'));
}

/** UTCTime up to 2049, GeneralizedTime from 2050 on (RFC 5280, 4.1.2.5). Whole seconds. */
export function time(timeMs: number): DerValue {
  const date = new Date(timeMs);
  return date.getUTCFullYear() < 2050
    ? universal(asn1.Type.UTCTIME, false, asn1.dateToUtcTime(date))
    : universal(asn1.Type.GENERALIZEDTIME, false, asn1.dateToGeneralizedTime(date));
}

/** A value that is DER already. */
export function raw(der: Buffer): DerValue {
  // Its types know of these options only as a boolean; bit strings are to stay as they are.
  return asn1.fromDer(byteString(der), { strict: true, decodeBitStrings: false } as never);
}
