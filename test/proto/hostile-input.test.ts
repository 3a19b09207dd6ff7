/**
 * Goal: no bytes crash, hang or exhaust a reader. Method: every message of the contract is fed rubbish, cut and changed
 * messages, and the known tricks (huge lengths, deep nesting, floods of tiny messages, wrong wire types).
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import { SwarmError } from '#common/errors.ts';
import { ListTasksResponse } from '#gen/swarm/v1/control.ts';
import type { AnyCodec, Codec } from '#proto/codec.ts';
import { type AnyMessage, contractCodecs, type GeneratedModule, generate } from './support/generated.ts';
import { loadContract, messageOf } from './support/reflection.ts';

/** Decodes or refuses; anything else than a SwarmError fails the test. */
function decodeOrRefuse<T>(codec: Codec<T>, bytes: Uint8Array): T | SwarmError {
  try {
    return codec.decode(bytes);
  } catch (error) {
    assert.ok(error instanceof SwarmError, String(error));
    assert.equal(error.code, 'invalid');
    assert.equal(error.reason, 'bad-message');
    assert.ok(error.message.includes(codec.typeName));
    return error;
  }
}

function refused(codec: AnyCodec, bytes: Uint8Array, pattern: RegExp): void {
  const result = decodeOrRefuse(codec, bytes);
  assert.ok(result instanceof SwarmError, 'accepted');
  assert.match(result.message, pattern);
}

describe('hostile input', () => {
  let release: GeneratedModule;
  let everything: Codec<AnyMessage>;
  before(async () => {
    release = await generate('release');
    everything = release.codec('Everything');
  });
  after(() => release.remove());

  it('rubbish is decoded or refused, and what is decoded encodes again', async () => {
    const codecs = [everything, ...(await contractCodecs())];
    fc.assert(
      fc.property(fc.constantFrom(...codecs), fc.uint8Array({ maxLength: 200 }), (codec, bytes) => {
        const result = decodeOrRefuse(codec, bytes);
        if (!(result instanceof SwarmError)) assert.deepEqual(codec.decode(codec.encode(result)), result);
      }),
      { numRuns: 3000 },
    );
  });

  it('changed and cut messages are decoded or refused', async () => {
    const root = loadContract();
    for (const codec of await contractCodecs())
      fc.assert(
        fc.property(messageOf(root.lookupType(codec.typeName)), fc.nat(), fc.nat(255), (message, at, value) => {
          const bytes = codec.encode(message);
          if (bytes.length === 0) return;
          decodeOrRefuse(codec, bytes.subarray(0, at % bytes.length));
          bytes[at % bytes.length] = value;
          decodeOrRefuse(codec, bytes);
        }),
        { numRuns: 15 },
      );
  });

  it('lengths beyond the input are refused, in every place where one may be', () => {
    const cut = (tag: number, length: number): Uint8Array => new protobuf.Writer().uint32(tag).uint32(length).finish();
    for (const field of [14, 15, 17, 31, 34, 36, 37, 38, 50, 51, 62, 999])
      for (const length of [1, 1000, 2 ** 31 - 1])
        refused(everything, cut(field * 8 + 2, length), /cut off|out of range|invalid length/);
    // A nested message may not reach beyond its own end, even where the input goes on.
    const inner = new protobuf.Writer()
      .uint32(17 * 8 + 2)
      .uint32(3)
      .uint32(1 * 8 + 2)
      .uint32(50)
      .finish();
    refused(everything, Buffer.concat([inner, Buffer.alloc(100)]), /out of range/);
  });

  it('numbers of more than ten bytes are refused', () => {
    for (const field of [3, 4, 5, 8, 9, 10, 13])
      refused(
        everything,
        Buffer.from([field * 8, ...Array.from({ length: 11 }, () => 0xff), 1].flat()),
        /varint|ten bytes/,
      );
  });

  it('nesting is bounded', () => {
    const nest = (levels: number): Uint8Array => {
      let bytes: Uint8Array = new Uint8Array();
      for (let level = 0; level < levels; level++) bytes = new protobuf.Writer().uint32(10).bytes(bytes).finish();
      return bytes;
    };
    assert.ok(!(decodeOrRefuse(release.codec('Tree'), nest(64)) instanceof SwarmError));
    refused(release.codec('Tree'), nest(65), /deeper than 64/);
    refused(release.codec('Tree'), nest(3_000), /deeper than 64/);
    // Groups of old, nested inside each other as unknown fields.
    refused(release.codec('Tree'), Buffer.alloc(100_000, 0x1b), /depth/);
  });

  it('a flood of empty messages is refused before it fills the memory', () => {
    const flood = Buffer.alloc(8 * 1024 * 1024);
    for (let index = 0; index < flood.length; index += 2) flood[index] = 10;
    const before = process.memoryUsage().heapUsed;
    refused(ListTasksResponse, flood, /too many nested messages/);
    assert.ok(process.memoryUsage().heapUsed - before < 512 * 1024 * 1024);
    const entries = Buffer.alloc(8 * 1024 * 1024);
    for (let index = 0; index < entries.length; index += 3)
      entries.set([0x92, 0x03, 0x00].slice(0, entries.length - index), index);
    refused(everything, entries, /too many nested messages/);
  });

  it('merging again and again into a big message is refused in time', () => {
    const big = everything.encode(
      everything.create({ leaf: { name: 'x'.repeat(4 * 1024 * 1024), size: 0, marks: [] } }),
    );
    const again = Buffer.alloc(3 * 1024 * 1024);
    for (let index = 0; index < again.length; index += 3) again.set([0x8a, 0x01, 0x00], index);
    const start = performance.now();
    refused(everything, Buffer.concat([big, again]), /too many nested messages/);
    assert.ok(performance.now() - start < 2000);
  });

  it('many unknown fields take time in proportion', () => {
    const many = Buffer.alloc(4 * 1024 * 1024);
    // Alternately a known and an unknown field.
    for (let index = 0; index < many.length; index += 4) many.set([0x18, 0x01, 0x78, 0x01], index);
    const start = performance.now();
    const codec = release.codec('Leaf');
    const decoded = codec.decode(many);
    assert.ok(performance.now() - start < 2000);
    assert.ok((decoded['$unknown'] as Uint8Array).length > 0);
  });

  it('a field of another wire type is kept as an unknown one', () => {
    const bytes = new protobuf.Writer()
      .uint32(14 * 8)
      .uint32(7)
      .uint32(3 * 8 + 2)
      .string('text')
      .finish();
    const decoded = everything.decode(bytes);
    assert.equal(decoded['stringValue'], '');
    assert.equal(decoded['int32Value'], 0);
    assert.deepEqual(Buffer.from(everything.encode(decoded)), Buffer.from(bytes));
  });

  it('strings that are not UTF-8 are refused, short and long', () => {
    for (const text of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [...Buffer.alloc(100, 'x'), 0xe2, 0x82]])
      refused(
        everything,
        new protobuf.Writer()
          .uint32(14 * 8 + 2)
          .bytes(Uint8Array.from(text))
          .finish(),
        /valid|invalid|encoded/i,
      );
    const replacement = everything.create({ stringValue: 'a \ufffd is a character too' });
    assert.deepEqual(everything.decode(everything.encode(replacement)), replacement);
  });

  it('tag 0 and reserved wire types are refused', () => {
    refused(everything, Buffer.from([0, 0]), /field number 0/);
    for (const wireType of [4, 6, 7]) refused(everything, Buffer.from([8 + wireType, 0, 0, 0, 0]), /wire type|group/);
  });
});
