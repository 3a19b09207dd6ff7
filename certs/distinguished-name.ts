/** The three parts of an X.500 name that carry identity: CN, O and OU. */
import { DerCursor, type DerNode, TAGS } from './der.ts';
import * as der from './der-writer.ts';
import { badCertificate } from './errors.ts';
import { readObjectIdentifier } from './object-identifier.ts';
import { OIDS } from './oids.ts';

export interface DistinguishedName {
  readonly commonName?: string | undefined;
  readonly organization?: string | undefined;
  readonly organizationalUnit?: string | undefined;
}

type Part = keyof DistinguishedName;

const PARTS: readonly { readonly oid: string; readonly part: Part }[] = [
  { oid: OIDS.organization, part: 'organization' },
  { oid: OIDS.organizationalUnit, part: 'organizationalUnit' },
  { oid: OIDS.commonName, part: 'commonName' },
];

/** Upper bound of RFC 5280 for each of the three. */
const PART_MAX_LENGTH = 64;
const ATTRIBUTES_MAX = 16;

export function writeName(name: DistinguishedName): der.DerValue {
  const attributes: der.DerValue[] = [];
  for (const { oid, part } of PARTS) {
    const value = name[part];
    if (value === undefined) continue;
    attributes.push(der.set(der.sequence(der.objectIdentifier(oid), der.utf8String(value))));
  }
  return der.sequence(...attributes);
}

/**
 * Reads CN, O and OU; other attributes are passed over (a user's own root may have them). A part that occurs twice is
 * an error: two readers could take different ones for the identity.
 */
export function readName(node: DerNode, what: string): DistinguishedName {
  const found: { [P in Part]?: string } = {};
  if (node.tag !== TAGS.sequence || node.children.length > ATTRIBUTES_MAX) throw badCertificate(what, 'has a bad name');
  for (const relative of node.children) {
    if (relative.tag !== TAGS.set || relative.children.length === 0) throw badCertificate(what, 'has a bad name');
    for (const attribute of relative.children) {
      const pair = new DerCursor(attribute, TAGS.sequence, what);
      const oid = readObjectIdentifier(pair.take(TAGS.objectIdentifier, 'name'), what);
      const value = pair.takeAny('name');
      pair.end();
      const part = PARTS.find((known) => known.oid === oid)?.part;
      if (part === undefined) continue;
      if (found[part] !== undefined) throw badCertificate(what, `has a name with two values for its ${part}`);
      found[part] = readText(value, what);
    }
  }
  return found;
}

function readText(node: DerNode, what: string): string {
  if (node.tag !== TAGS.utf8String && node.tag !== TAGS.printableString)
    throw badCertificate(what, 'has a name in a string type other than UTF8String and PrintableString');
  const text = node.content.toString('utf8');
  if (text.length === 0 || text.length > PART_MAX_LENGTH || !/^[\x20-\x7e]+$/.test(text))
    throw badCertificate(what, `has a name part that is not 1 to ${PART_MAX_LENGTH} printable ASCII characters`);
  return text;
}
