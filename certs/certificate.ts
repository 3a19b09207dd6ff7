/** Reading X.509 certificates, strictly. */
import type { KeyObject } from 'node:crypto';
import { CERTIFICATE_CONFIG } from './config.ts';
import { contextTag, DerCursor, type DerNode, readDer, TAGS } from './der.ts';
import { type DistinguishedName, readName } from './distinguished-name.ts';
import { badCertificate } from './errors.ts';
import { type Extensions, readExtensions } from './extensions.ts';
import { readPublicKey } from './key.ts';
import { decodePem, encodePem } from './pem.ts';
import { readAlgorithm, readSigned } from './signature.ts';

/** What a certificate says, without the key as an object, which costs as much to make as all the rest. */
export interface CertificateFacts extends Extensions {
  readonly der: Buffer;
  /** Hexadecimal. */
  readonly serial: string;
  readonly subject: DistinguishedName;
  readonly issuer: DistinguishedName;
  /** The encoded names, for comparison. */
  readonly subjectDer: Buffer;
  readonly issuerDer: Buffer;
  /** It holds from notBeforeMs to notAfterMs, both included. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** SubjectPublicKeyInfo. */
  readonly publicKeyDer: Buffer;
  /** The bytes that `signature` is over. */
  readonly signedPart: Buffer;
  readonly signature: Buffer;
}

export interface Certificate extends CertificateFacts {
  readonly publicKey: KeyObject;
}

/** One certificate. `what` begins the error's message. Says nothing about who signed it: see `verifyChain`. */
export function parseCertificate(der: Buffer, what = 'certificate'): Certificate {
  const { publicKeyNode, ...facts } = readParts(der, what);
  return { ...facts, publicKey: readPublicKey(publicKeyNode, what) };
}

/** The same of a certificate that TLS has verified: its key was used already. */
export function parseVerifiedCertificate(der: Buffer, what: string): CertificateFacts {
  return readParts(der, what);
}

function readParts(der: Buffer, what: string): CertificateFacts & { readonly publicKeyNode: DerNode } {
  if (der.length > CERTIFICATE_CONFIG.certificateMaxBytes)
    throw badCertificate(what, `is larger than ${CERTIFICATE_CONFIG.certificateMaxBytes} bytes`);
  const { part, signature } = readSigned(readDer(der, what), what);
  const cursor = new DerCursor(part, TAGS.sequence, what);
  const version = cursor.take(contextTag(0), 'version (only X.509 version 3 is accepted)').children;
  if (version.length !== 1 || version[0]?.tag !== TAGS.integer || !version[0].content.equals(Buffer.of(2)))
    throw badCertificate(what, 'is not an X.509 version 3 certificate');
  const serial = cursor.take(TAGS.integer, 'serial number').content;
  if (serial.length > 20 || (serial[0] ?? 0) >= 0x80) throw badCertificate(what, 'has a bad serial number');
  readAlgorithm(cursor.take(TAGS.sequence, 'signature algorithm'), what);
  const issuer = cursor.take(TAGS.sequence, 'issuer');
  const validity = cursor.take(TAGS.sequence, 'validity');
  const subject = cursor.take(TAGS.sequence, 'subject');
  const publicKey = cursor.take(TAGS.sequence, 'public key');
  const extensions = cursor.take(contextTag(3), 'extensions');
  cursor.end();
  const list = extensions.children[0];
  if (list === undefined || extensions.children.length !== 1) throw badCertificate(what, 'has bad extensions');
  return {
    der,
    serial: serial.toString('hex'),
    subject: readName(subject, what),
    issuer: readName(issuer, what),
    subjectDer: subject.raw,
    issuerDer: issuer.raw,
    ...readValidity(validity, what),
    publicKeyNode: publicKey,
    publicKeyDer: publicKey.raw,
    signedPart: part.raw,
    signature,
    ...readExtensions(list, what),
  };
}

/** Every certificate of a PEM text, in order: a chain with the leaf first, or a bundle of roots. At least one. */
export function parseCertificates(pem: Uint8Array | string, what = 'certificate'): Certificate[] {
  const { bundleMaxCertificates, certificateMaxBytes } = CERTIFICATE_CONFIG;
  const limits = { maxBlocks: bundleMaxCertificates, maxBytes: bundleMaxCertificates * certificateMaxBytes * 2 };
  return decodePem(pem, 'CERTIFICATE', limits, what).map((der) => parseCertificate(der, what));
}

/** The certificates as one PEM text. */
export function certificatesPem(certificates: readonly Pick<Certificate, 'der'>[]): string {
  return certificates.map((certificate) => encodePem('CERTIFICATE', certificate.der)).join('');
}

function readValidity(node: DerNode, what: string): { readonly notBeforeMs: number; readonly notAfterMs: number } {
  const cursor = new DerCursor(node, TAGS.sequence, what);
  const notBeforeMs = readTime(cursor.takeAny('start of validity'), what);
  const notAfterMs = readTime(cursor.takeAny('end of validity'), what);
  cursor.end();
  return { notBeforeMs, notAfterMs };
}

/** YYMMDDHHMMSSZ up to 2049, YYYYMMDDHHMMSSZ from 2050 on; no other form is DER. */
function readTime(node: DerNode, what: string): number {
  const text = node.content.toString('latin1');
  const digits = node.tag === TAGS.utcTime ? 12 : node.tag === TAGS.generalizedTime ? 14 : 0;
  if (digits === 0 || text.length !== digits + 1 || !/^\d+Z$/.test(text)) throw badCertificate(what, 'has a bad time');
  const shortYear = Number(text.slice(0, 2));
  const century = shortYear < 50 ? '20' : '19';
  const full = digits === 12 ? century + text : text;
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(full);
  if (parts === null) throw badCertificate(what, 'has a bad time');
  const [, year, month, day, hour, minute, second] = parts;
  const iso = `${year}-${month}-${day}T${hour}:${minute}:${second}.000Z`;
  const timeMs = Date.parse(iso);
  // Date.parse takes 31 April for 1 May.
  if (Number.isNaN(timeMs) || new Date(timeMs).toISOString() !== iso) throw badCertificate(what, 'has a bad time');
  return timeMs;
}
