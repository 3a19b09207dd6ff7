/** The certificate extensions that we write and understand. */
import { DerCursor, type DerNode, readDer, TAGS } from './der.ts';
import * as der from './der-writer.ts';
import { badCertificate } from './errors.ts';
import { readObjectIdentifier } from './object-identifier.ts';
import { OIDS } from './oids.ts';

export interface Extensions {
  /** Basic constraints: may this key sign certificates? */
  readonly isAuthority: boolean;
  /** Most certificates between this authority and a leaf; undefined means any number. */
  readonly pathLength: number | undefined;
  readonly keyUsage: KeyUsage | undefined;
  /** Purposes by object identifier; undefined means any. */
  readonly extendedKeyUsage: readonly string[] | undefined;
  readonly dnsNames: readonly string[];
  /** Hexadecimal. */
  readonly subjectKeyId: string | undefined;
  /** Hexadecimal. */
  readonly authorityKeyId: string | undefined;
}

export interface KeyUsage {
  readonly digitalSignature: boolean;
  readonly certificateSign: boolean;
}

const KEY_USAGE_DIGITAL_SIGNATURE = 0x80; // bit 0
const KEY_USAGE_CERTIFICATE_SIGN = 0x04; // bit 5
const KEY_USAGE_CRL_SIGN = 0x02; // bit 6
const EXTENSIONS_MAX = 24;
const NAMES_MAX = 32;

/** `[n]` of GeneralName and AuthorityKeyIdentifier in their primitive form. */
const PRIMITIVE_0 = 0x80;
const DNS_NAME = 0x82;

function extension(oid: string, critical: boolean, value: der.DerValue): der.DerValue {
  const parts = [der.objectIdentifier(oid)];
  if (critical) parts.push(der.boolean(true));
  parts.push(der.octetString(der.encode(value)));
  return der.sequence(...parts);
}

/** `authorityKeyId` is that of another authority which signs this one; a root has none. */
export function authorityExtensions(subjectKeyId: Buffer, authorityKeyId?: Buffer): der.DerValue[] {
  const usage = Buffer.of(KEY_USAGE_CERTIFICATE_SIGN | KEY_USAGE_CRL_SIGN);
  const extensions = [
    extension(OIDS.basicConstraints, true, der.sequence(der.boolean(true))),
    extension(OIDS.keyUsage, true, der.bitString(usage, 1)),
    extension(OIDS.subjectKeyIdentifier, false, der.octetString(subjectKeyId)),
  ];
  if (authorityKeyId !== undefined)
    extensions.push(extension(OIDS.authorityKeyIdentifier, false, der.sequence(der.implicit(0, authorityKeyId))));
  return extensions;
}

export function leafExtensions(
  subjectKeyId: Buffer,
  authorityKeyId: Buffer,
  dnsNames: readonly string[],
): der.DerValue[] {
  const names = dnsNames.map((name) => der.implicit(2, Buffer.from(name, 'latin1')));
  const purposes = [OIDS.serverAuthentication, OIDS.clientAuthentication].map(der.objectIdentifier);
  return [
    extension(OIDS.basicConstraints, true, der.sequence()),
    extension(OIDS.keyUsage, true, der.bitString(Buffer.of(KEY_USAGE_DIGITAL_SIGNATURE), 7)),
    extension(OIDS.extendedKeyUsage, false, der.sequence(...purposes)),
    extension(OIDS.subjectKeyIdentifier, false, der.octetString(subjectKeyId)),
    extension(OIDS.authorityKeyIdentifier, false, der.sequence(der.implicit(0, authorityKeyId))),
    extension(OIDS.subjectAlternativeName, false, der.sequence(...names)),
  ];
}

/** Of a client: it calls, and nobody calls it. */
export function clientExtensions(subjectKeyId: Buffer, authorityKeyId: Buffer): der.DerValue[] {
  return [
    extension(OIDS.basicConstraints, true, der.sequence()),
    extension(OIDS.keyUsage, true, der.bitString(Buffer.of(KEY_USAGE_DIGITAL_SIGNATURE), 7)),
    extension(OIDS.extendedKeyUsage, true, der.sequence(der.objectIdentifier(OIDS.clientAuthentication))),
    extension(OIDS.subjectKeyIdentifier, false, der.octetString(subjectKeyId)),
    extension(OIDS.authorityKeyIdentifier, false, der.sequence(der.implicit(0, authorityKeyId))),
  ];
}

interface Draft {
  isAuthority: boolean;
  pathLength: number | undefined;
  keyUsage: KeyUsage | undefined;
  extendedKeyUsage: readonly string[] | undefined;
  dnsNames: readonly string[];
  subjectKeyId: string | undefined;
  authorityKeyId: string | undefined;
}

type Reader = (value: DerNode, draft: Draft, what: string) => void;

const READERS: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  [OIDS.basicConstraints, readBasicConstraints],
  [OIDS.keyUsage, readKeyUsage],
  [OIDS.extendedKeyUsage, readExtendedKeyUsage],
  [OIDS.subjectAlternativeName, readAlternativeNames],
  [
    OIDS.subjectKeyIdentifier,
    (value, draft, what) => {
      if (value.tag !== TAGS.octetString) throw badCertificate(what, 'has a bad subject key identifier');
      draft.subjectKeyId = value.content.toString('hex');
    },
  ],
  [
    OIDS.authorityKeyIdentifier,
    (value, draft, what) => {
      const keyId = new DerCursor(value, TAGS.sequence, what).takeOptional(PRIMITIVE_0);
      draft.authorityKeyId = keyId?.content.toString('hex');
    },
  ],
]);

/** Reads the SEQUENCE OF Extension. An unknown critical extension or one that occurs twice is an error. */
export function readExtensions(node: DerNode, what: string): Extensions {
  const draft: Draft = {
    isAuthority: false,
    pathLength: undefined,
    keyUsage: undefined,
    extendedKeyUsage: undefined,
    dnsNames: [],
    subjectKeyId: undefined,
    authorityKeyId: undefined,
  };
  if (node.tag !== TAGS.sequence || node.children.length > EXTENSIONS_MAX)
    throw badCertificate(what, 'has a bad list of extensions');
  const seen = new Set<string>();
  for (const child of node.children) {
    const parts = new DerCursor(child, TAGS.sequence, what);
    const oid = readObjectIdentifier(parts.take(TAGS.objectIdentifier, 'extension'), what);
    const critical = parts.takeOptional(TAGS.boolean)?.content[0] === 0xff;
    const value = parts.take(TAGS.octetString, 'extension');
    parts.end();
    if (seen.has(oid)) throw badCertificate(what, `has extension ${oid} twice`);
    seen.add(oid);
    const reader = READERS.get(oid);
    if (reader !== undefined) reader(readDer(value.content, what), draft, what);
    else if (critical) throw badCertificate(what, `has the unknown critical extension ${oid}`);
  }
  return draft;
}

function readBasicConstraints(value: DerNode, draft: Draft, what: string): void {
  const parts = new DerCursor(value, TAGS.sequence, what);
  draft.isAuthority = parts.takeOptional(TAGS.boolean)?.content[0] === 0xff;
  const pathLength = parts.takeOptional(TAGS.integer);
  parts.end();
  if (pathLength === undefined) return;
  const length = pathLength.content.length === 1 ? pathLength.content.readUInt8(0) : 0xff;
  if (length > 0x7f) throw badCertificate(what, 'has a bad path length');
  draft.pathLength = length;
}

function readKeyUsage(value: DerNode, draft: Draft, what: string): void {
  if (value.tag !== TAGS.bitString) throw badCertificate(what, 'has a bad key usage');
  const bits = value.content[1] ?? 0;
  draft.keyUsage = {
    digitalSignature: (bits & KEY_USAGE_DIGITAL_SIGNATURE) !== 0,
    certificateSign: (bits & KEY_USAGE_CERTIFICATE_SIGN) !== 0,
  };
}

function readExtendedKeyUsage(value: DerNode, draft: Draft, what: string): void {
  if (value.tag !== TAGS.sequence || value.children.length > NAMES_MAX)
    throw badCertificate(what, 'has a bad extended key usage');
  draft.extendedKeyUsage = value.children.map((purpose) => readObjectIdentifier(purpose, what));
}

function readAlternativeNames(value: DerNode, draft: Draft, what: string): void {
  if (value.tag !== TAGS.sequence || value.children.length > NAMES_MAX)
    throw badCertificate(what, 'has bad alternative names');
  draft.dnsNames = value.children
    .filter((name) => name.tag === DNS_NAME)
    .map((name) => name.content.toString('latin1'));
}
