/**
 * Goal: what an earlier release wrote is read as it was meant, and what a newer one adds is not lost. Method: messages
 * of every kept release, in every type, with every field filled (support/golden.ts).
 */
import assert from 'node:assert/strict';
import protobuf from 'protobufjs';
import type { Codec } from '#proto/codec.ts';
import { type AnyMessage, contractCodecs } from './support/generated.ts';
import { readGolden, releases } from './support/golden.ts';

function isDefault(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.keys(value).length === 0;
  return value === undefined || value === 0 || value === '' || value === false;
}

/** Everything that was written is there; what has been added since has its default. */
function assertHolds(actual: unknown, written: unknown, path: string): void {
  if (typeof written !== 'object' || written === null || written instanceof Uint8Array) {
    assert.deepEqual(actual, written, path);
    return;
  }
  assert.ok(typeof actual === 'object' && actual !== null, path);
  const values = actual as AnyMessage;
  for (const [key, value] of Object.entries(written)) assertHolds(values[key], value, `${path}.${key}`);
  for (const [key, value] of Object.entries(values))
    assert.ok(Object.hasOwn(written, key) || isDefault(value), `${path}.${key} was never written`);
}

describe('golden messages', () => {
  let codecs: ReadonlyMap<string, Codec<AnyMessage>>;
  before(async () => {
    codecs = new Map((await contractCodecs()).map((codec) => [codec.typeName, codec]));
  });

  it('are kept of at least one release', () => {
    assert.ok(releases().length > 0);
  });

  for (const release of releases()) {
    it(`of ${release} are read as they were written`, () => {
      for (const { typeName, bytes, value } of readGolden(release)) {
        const codec = codecs.get(typeName);
        assert.ok(codec !== undefined, `${typeName} is gone: nodes of ${release} still send it`);
        const decoded = codec.decode(bytes);
        assertHolds(decoded, value, typeName);
        assert.equal(Buffer.from(codec.encode(decoded)).toString('hex'), Buffer.from(bytes).toString('hex'), typeName);
      }
    });

    it(`of ${release} keep what a newer release may add to them`, () => {
      const added = new protobuf.Writer()
        .uint32(18_999 * 8 + 2)
        .string('added later')
        .finish();
      for (const { typeName, bytes } of readGolden(release)) {
        const codec = codecs.get(typeName);
        assert.ok(codec !== undefined, typeName);
        const decoded = codec.decode(Buffer.concat([bytes, added]));
        assert.deepEqual(decoded['$unknown'], new Uint8Array(added), typeName);
        const again = codec.encode({ ...decoded });
        assert.equal(Buffer.from(again).toString('hex'), Buffer.concat([added, bytes]).toString('hex'), typeName);
        const { $unknown: _dropped, ...known } = codec.decode(again);
        assert.deepEqual(known, codec.decode(bytes), typeName);
      }
    });
  }
});
