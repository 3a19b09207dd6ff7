/**
 * The reader must have one reading of every input, and no input may make it do anything but return or throw a
 * `bad-certificate`. Method: hand-made violations of each rule, then random bytes, then random values through
 * node-forge's writer and back.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { DerCursor, type DerNode, readDer, TAGS } from '#certs/der.ts';
import * as der from '#certs/der-writer.ts';
import { SwarmError } from '#common/errors.ts';
import { rejects } from './rejects.ts';

function read(hex: string): DerNode {
  return readDer(Buffer.from(hex.replaceAll(' ', ''), 'hex'), 'value');
}

describe('DER', () => {
  const violations: readonly [name: string, hex: string, message: RegExp][] = [
    ['nothing', '', /cut short/],
    ['a tag alone', '30', /cut short/],
    ['a length beyond the end', '30 05 02 01 00', /cut short/],
    ['a length field beyond the end', '30 82 01', /cut short/],
    ['a child beyond its parent', '30 03 02 02 01', /cut short/],
    ['trailing bytes', '30 00 00', /1 bytes follow its end/],
    ['an indefinite length', '30 80 02 01 00 00 00', /bad length at byte 1/],
    ['a length of four bytes', '30 84 00 00 00 00', /bad length/],
    ['a short length in long form', '02 81 01 05', /padded length/],
    ['a length with a leading zero', '04 82 00 81 ' + '00'.repeat(0x81), /padded length/],
    ['a high tag number', '1f 20 00', /unexpected tag/],
    ['an end-of-contents tag', '30 02 00 00', /unexpected tag at byte 2/],
    ['a boolean of 1', '01 01 01', /bad boolean/],
    ['an empty integer', '02 00', /empty integer/],
    ['an integer with a leading 00', '02 02 00 01', /padded integer/],
    ['an integer with a leading ff', '02 02 ff 80', /padded integer/],
    ['an empty bit string', '03 00', /bad bit string/],
    ['8 unused bits', '03 02 08 00', /bad bit string/],
    ['unused bits that are set', '03 02 01 01', /set padding bits/],
    ['unused bits of no byte', '03 01 01', /bad bit string/],
    ['a null with content', '05 01 00', /null with content/],
    ['an object identifier that does not end', '06 01 80', /bad object identifier/],
    ['an object identifier with a padded arc', '06 03 55 80 01', /padded object identifier/],
    ['a primitive sequence', '10 00', /primitive sequence/],
    ['a constructed octet string', '24 03 04 01 00', /constructed primitive/],
    ['deep nesting', '30 '.repeat(0) + nested(30), /nested too deeply/],
  ];
  for (const [name, hex, message] of violations)
    it(`refuses ${name}`, () => assert.throws(() => read(hex), rejects('bad-certificate', message)));

  it('reads lengths of one, two and three bytes', () => {
    for (const length of [0, 1, 127, 128, 255, 256, 65535, 65536, 100_000]) {
      const node = readDer(der.encode(der.octetString(Buffer.alloc(length, 7))), 'value');
      assert.equal(node.tag, TAGS.octetString);
      assert.equal(node.content.length, length);
    }
  });

  it('throws nothing but bad-certificate for random bytes', () => {
    // Bytes that look like DER more often than chance would have it.
    const byte = fc.oneof(
      fc.constantFrom(0x30, 0x31, 0x02, 0x03, 0x06, 0x80, 0x81, 0xa0, 0x00, 0x01, 0x04),
      fc.nat(255),
    );
    fc.assert(
      fc.property(fc.array(byte, { maxLength: 60 }), (bytes) => {
        try {
          const node = readDer(Buffer.from(bytes), 'value');
          assert.equal(node.raw.length, bytes.length);
        } catch (error) {
          assert.ok(error instanceof SwarmError, String(error));
          assert.equal(error.reason, 'bad-certificate');
        }
      }),
      { numRuns: 5000 },
    );
  });

  it('reads back what the writer writes, byte for byte', () => {
    const { value } = fc.letrec<{ value: der.DerValue }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.uint8Array({ maxLength: 300 }).map((bytes) => der.octetString(bytes)),
        fc.uint8Array({ maxLength: 20 }).map((bytes) => der.bitString(bytes)),
        fc.boolean().map(der.boolean),
        fc.integer({ min: 0, max: 127 }).map((number) => der.integer(Buffer.of(number))),
        fc.constantFrom('2.5.4.3', '1.2.840.10045.2.1').map(der.objectIdentifier),
        fc.string({ maxLength: 10 }).map(der.utf8String),
        fc.array(tie('value'), { maxLength: 4 }).map((children) => der.sequence(...children)),
        fc.array(tie('value'), { maxLength: 2 }).map((children) => der.explicit(3, ...children)),
      ),
    }));
    fc.assert(
      fc.property(value, (written) => {
        const bytes = der.encode(written);
        const node = readDer(bytes, 'value');
        assert.deepEqual(rebuild(node), bytes);
        assert.deepEqual(der.encode(der.raw(bytes)), bytes);
      }),
    );
  });

  it('takes structures apart in order, and says what is missing', () => {
    const node = readDer(der.encode(der.sequence(der.boolean(true), der.integer(Buffer.of(5)))), 'thing');
    assert.throws(
      () => new DerCursor(node, TAGS.set, 'thing'),
      rejects('bad-certificate', /thing: has tag 0x30 where 0x31/),
    );
    const cursor = new DerCursor(node, TAGS.sequence, 'thing');
    assert.equal(cursor.takeOptional(TAGS.integer), undefined);
    assert.equal(cursor.takeOptional(TAGS.boolean)?.content[0], 0xff);
    assert.throws(() => cursor.end(), rejects('bad-certificate', /unexpected parts/));
    assert.throws(() => cursor.take(TAGS.null, 'nothing'), rejects('bad-certificate', /has no valid nothing/));
    assert.equal(cursor.takeAny('number').content[0], 5);
    cursor.end();
    assert.throws(() => cursor.takeAny('more'), rejects('bad-certificate', /has no more/));
  });
});

function nested(levels: number): string {
  let hex = '';
  for (let i = 0; i < levels; i++) hex = `30${(hex.length / 2).toString(16).padStart(2, '0')}${hex}`;
  return hex;
}

function rebuild(node: DerNode): Buffer {
  if (node.children.length === 0) return node.raw;
  const content = Buffer.concat(node.children.map(rebuild));
  assert.ok(content.equals(node.content));
  return node.raw;
}
