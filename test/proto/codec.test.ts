/**
 * Goal: the generated codec is protobuf, to the byte. Method: random messages of every type of the contract, and of a
 * fixture with every kind of field, go through our codec and through protobufjs' reflection, in both directions.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import type { Codec } from '#proto/codec.ts';
import { type AnyMessage, contractCodecs, type GeneratedModule, generate } from './support/generated.ts';
import { loadContract, loadFixture, messageOf, toReflected } from './support/reflection.ts';

/**
 * Objects list keys that look like numbers first, whatever order they were added in: there protobufjs cannot be made
 * to write maps in our order.
 */
function hasNumericKeys(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return false;
  if (Array.isArray(value)) return value.some(hasNumericKeys);
  return Object.entries(value).some(([key, inner]) => /^-?\d+$/.test(key) || hasNumericKeys(inner));
}

/** Round trip, bytes that the oracle reads alike, and the oracle's bytes back. */
function checkAgainstOracle(codec: Codec<AnyMessage>, type: protobuf.Type, runs: number): void {
  fc.assert(
    fc.property(messageOf(type), (message) => {
      const bytes = codec.encode(message);
      const decoded = codec.decode(bytes);
      assert.deepEqual(decoded, message);
      assert.equal(decoded['$unknown'], undefined);
      assert.deepEqual(codec.encode(decoded), bytes);
      const theirs = type.encode(toReflected(type, message)).finish();
      assert.deepEqual(codec.decode(theirs), message);
      // Read and written again by the oracle: a oneof whose numbers are apart stands elsewhere with us than there.
      if (!hasNumericKeys(message)) assert.equal(hex(type.encode(type.decode(bytes)).finish()), hex(theirs));
      assert.deepEqual(codec.create(message), message);
    }),
    { numRuns: runs },
  );
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

describe('codec', () => {
  let release: GeneratedModule;
  before(async () => {
    release = await generate('release');
  });
  after(() => release.remove());

  it('agrees with protobufjs on every kind of field', () => {
    const root = loadFixture('release');
    for (const name of ['Leaf', 'Tree', 'Everything'])
      checkAgainstOracle(release.codec(name), root.lookupType(`kitchen.${name}`), 400);
    const nested = root.lookupType('kitchen.Everything.Nested');
    checkAgainstOracle(release.codec('EverythingNested'), nested, 50);
  });

  it('agrees with protobufjs on every message of the contract', async () => {
    const root = loadContract();
    const codecs = await contractCodecs();
    assert.ok(codecs.length > 100);
    for (const codec of codecs) checkAgainstOracle(codec, root.lookupType(codec.typeName), 15);
  });

  it('gives every field as an own property, with its default', () => {
    const everything = release.codec('Everything').create();
    const members = loadFixture('release').lookupType('kitchen.Everything');
    for (const field of members.fieldsArray) {
      const name = field.partOf?.name === 'choice' ? 'choice' : field.name;
      assert.ok(Object.hasOwn(everything, name), name);
    }
    assert.deepEqual(release.codec('Everything').decode(new Uint8Array()), everything);
    assert.equal(release.codec('Everything').encode(everything).length, 0);
    assert.deepEqual(everything['choice'], undefined);
    assert.ok(!Object.hasOwn(everything, '$unknown'));
  });

  it('writes -0 and keeps NaN', () => {
    const codec = release.codec('Everything');
    const decoded = codec.decode(codec.encode(codec.create({ doubleValue: -0, doubles: [Number.NaN, -0] })));
    assert.ok(Object.is(decoded['doubleValue'], -0));
    assert.deepEqual(decoded['doubles'], [Number.NaN, -0]);
  });

  it('writes equal maps in equal order', () => {
    const codec = release.codec('Everything');
    const one = codec.encode(codec.create({ labels: { b: '1', a: '2', 10: '3', 9: '4' } }));
    const other = codec.encode(codec.create({ labels: { 9: '4', a: '2', 10: '3', b: '1' } }));
    assert.deepEqual(one, other);
  });

  it('keeps a label named __proto__ a label', () => {
    const codec = release.codec('Everything');
    const labels = JSON.parse('{"__proto__":"x","constructor":"y"}') as Record<string, string>;
    const decoded = codec.decode(codec.encode(codec.create({ labels })))['labels'] as Record<string, string>;
    assert.deepEqual(Object.keys(decoded), ['__proto__', 'constructor']);
    assert.equal(Object.getPrototypeOf(decoded), Object.prototype);
    assert.equal(({} as Record<string, unknown>)['x'], undefined);
  });

  it('replaces halves of surrogate pairs, which UTF-8 cannot carry', () => {
    const codec = release.codec('Everything');
    for (const pad of ['', 'é'.repeat(10), 'x'.repeat(100)]) {
      const decoded = codec.decode(codec.encode(codec.create({ stringValue: `${pad}\ud800!` })));
      assert.equal(decoded['stringValue'], `${pad}\ufffd!`);
    }
  });

  it('gives bytes that outlive the message and do not change with it', () => {
    const codec = release.codec('Everything');
    const encoded = codec.encode(codec.create({ bytesValue: new Uint8Array([1, 2, 3]) }));
    const decoded = codec.decode(encoded);
    encoded.fill(0);
    assert.deepEqual(decoded['bytesValue'], new Uint8Array([1, 2, 3]));
    const first = codec.encode(codec.create({ stringValue: 'first' }));
    const copy = Uint8Array.from(first);
    for (let index = 0; index < 100; index++) codec.encode(codec.create({ stringValue: 'second'.repeat(index) }));
    assert.deepEqual(first, copy);
  });

  it('refuses integers that do not fit', () => {
    const codec = release.codec('Everything');
    for (const init of [
      { int64Value: 2 ** 53 },
      { uint64Value: -1 },
      { uint64Value: 2 ** 60 },
      { sint64Value: -(2 ** 53) },
      { fixed64Value: 2 ** 53 },
      { sfixed64Value: 2 ** 54 },
      { int64Value: 1.5 },
      { int64Value: Number.NaN },
      { int32Value: 2 ** 31 },
      { uint32Value: -1 },
      { uint32Value: 0.5 },
      { sint32Value: -(2 ** 31) - 1 },
      { fixed32Value: 2 ** 32 },
      { sfixed32Value: 2 ** 31 },
      { bigs: [1, 2 ** 53] },
      { blobsByNumber: { [2 ** 60]: new Uint8Array() } },
    ])
      assert.throws(
        () => codec.encode(codec.create(init)),
        { name: 'SwarmError', code: 'invalid', reason: 'bad-message' },
        JSON.stringify(init),
      );
    // The refusal leaves nothing behind in the next message.
    assert.equal(codec.encode(codec.create()).length, 0);
  });

  it('refuses 64-bit integers beyond 2^53 from others', () => {
    const type = loadFixture('release').lookupType('kitchen.Everything');
    const codec = release.codec('Everything');
    for (const [name, value] of [
      ['int64Value', '9007199254740992'],
      ['int64Value', '-9007199254740992'],
      ['uint64Value', '18446744073709551615'],
      ['sint64Value', '-9223372036854775808'],
      ['fixed64Value', '18446744073709551615'],
      ['sfixed64Value', '-9223372036854775808'],
    ] as const) {
      const bytes = type.encode(type.fromObject({ [name]: value })).finish();
      assert.throws(() => codec.decode(bytes), /beyond 2\^53/, `${name} ${value}`);
    }
    const edge = type.encode(type.fromObject({ int64Value: '-9007199254740991', uint64Value: '9007199254740991' }));
    const decoded = codec.decode(edge.finish());
    assert.equal(decoded['int64Value'], -Number.MAX_SAFE_INTEGER);
    assert.equal(decoded['uint64Value'], Number.MAX_SAFE_INTEGER);
  });

  it('takes lists of numbers packed and one by one', () => {
    const codec = release.codec('Everything');
    const writer = new protobuf.Writer();
    writer.uint32(31 * 8).int32(5);
    writer.uint32(31 * 8 + 2).bytes(new Uint8Array([6, 7]));
    writer.uint32(31 * 8).int32(-8);
    assert.deepEqual(codec.decode(writer.finish())['ints'], [5, 6, 7, -8]);
  });

  it('merges a message that comes in pieces, and takes the last of scalars and oneofs', () => {
    const codec = release.codec('Everything');
    const bytes = Buffer.concat([
      codec.encode(codec.create({ leaf: { name: 'a', size: 1, marks: [1] }, stringValue: 'x' })),
      codec.encode(codec.create({ choice: { kind: 'numberChoice', value: 3 } })),
      codec.encode(codec.create({ leaf: { name: '', size: 2, marks: [2] }, stringValue: 'y' })),
      codec.encode(codec.create({ choice: { kind: 'leafChoice', value: { name: 'b', size: 0, marks: [] } } })),
      codec.encode(codec.create({ choice: { kind: 'leafChoice', value: { name: '', size: 9, marks: [] } } })),
    ]);
    const decoded = codec.decode(bytes);
    assert.deepEqual(decoded['leaf'], { name: 'a', size: 2, marks: [1, 2] });
    assert.equal(decoded['stringValue'], 'y');
    assert.deepEqual(decoded['choice'], { kind: 'leafChoice', value: { name: 'b', size: 9, marks: [] } });
  });
});
