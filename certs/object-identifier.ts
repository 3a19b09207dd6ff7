import asn1 from 'node-forge/lib/asn1.js';
import { type DerNode, TAGS } from './der.ts';
import { badCertificate } from './errors.ts';

/** Longest accepted identifier; those that we know have at most 8 bytes. */
const MAX_BYTES = 32;

/** The dotted form of an OBJECT IDENTIFIER that has been read strictly. */
export function readObjectIdentifier(node: DerNode, what: string): string {
  if (node.tag !== TAGS.objectIdentifier || node.content.length > MAX_BYTES)
    throw badCertificate(what, 'has a bad object identifier');
  return asn1.derToOid(node.content.toString('latin1'));
}
