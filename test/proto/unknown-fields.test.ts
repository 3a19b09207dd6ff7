/**
 * Goal: an older release does not erase what a newer one wrote. Method: two generations of the same messages; the newer
 * writes, the older reads, changes and writes, the newer reads again.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type AnyMessage, type GeneratedModule, generate } from './support/generated.ts';
import { loadFixture, messageOf } from './support/reflection.ts';

describe('unknown fields', () => {
  let older: GeneratedModule;
  let newer: GeneratedModule;
  before(async () => {
    older = await generate('release');
    newer = await generate('newer');
  });
  after(async () => {
    await older.remove();
    await newer.remove();
  });

  const throughOlder = (message: AnyMessage, change: AnyMessage = {}): AnyMessage => {
    const codec = older.codec('Everything');
    const bytes = codec.encode({ ...codec.decode(newer.codec('Everything').encode(message)), ...change });
    return newer.codec('Everything').decode(bytes);
  };

  it('survive any round through an older release', () => {
    const type = loadFixture('newer').lookupType('kitchen.Everything');
    fc.assert(
      fc.property(messageOf(type), (message) => {
        const back = throughOlder(message);
        // A list of an enum keeps its values; the order between known and unknown ones is not kept.
        const sorted = (value: AnyMessage): AnyMessage => ({
          ...value,
          colours: (value['colours'] as number[]).toSorted((left, right) => left - right),
        });
        assert.deepEqual(sorted(back), sorted(message));
      }),
      { numRuns: 400 },
    );
  });

  it('are kept byte for byte', () => {
    const added = newer.codec('Added').encode(newer.codec('Added').create({ text: 'kept', number: 2 ** 40 }));
    const field = Buffer.concat([Buffer.from([0x82, 0x05, added.length]), added]);
    const known = older.codec('Everything').encode(older.codec('Everything').create({ stringValue: 'known' }));
    const decoded = older.codec('Everything').decode(Buffer.concat([field, known, field]));
    assert.equal(Buffer.from(decoded['$unknown'] as Uint8Array).toString('hex'), `${field.toString('hex').repeat(2)}`);
    const again = older.codec('Everything').encode({ ...decoded, boolValue: true });
    assert.ok(Buffer.from(again).toString('hex').includes(field.toString('hex').repeat(2)));
  });

  it('are carried by create and by spreading, also inside nested messages', () => {
    const everything = newer.codec('Everything').create({
      leaf: { name: 'inner', added: { text: 'deep', number: 1 } },
      leaves: [{ name: 'in a list', added: { text: 'listed', number: 2 } }],
    });
    const decoded = older.codec('Everything').decode(newer.codec('Everything').encode(everything));
    const leaf = decoded['leaf'] as AnyMessage;
    const changed = older.codec('Everything').create({ ...decoded, leaf: { ...leaf, name: 'renamed' } });
    const back = newer.codec('Everything').decode(older.codec('Everything').encode(changed));
    assert.deepEqual(back['leaf'], { name: 'renamed', added: { text: 'deep', number: 1 } });
    assert.deepEqual(back['leaves'], everything['leaves']);
  });

  it('give way to what the older release sets in the same oneof or enum', () => {
    const message = newer.codec('Everything').create({
      colour: 65,
      choice: { kind: 'addedChoice', value: { text: 'new', number: 0 } },
    });
    assert.deepEqual(throughOlder(message), message);
    const changed = throughOlder(message, { colour: 64, choice: { kind: 'numberChoice', value: 5 } });
    assert.equal(changed['colour'], 64);
    assert.deepEqual(changed['choice'], { kind: 'numberChoice', value: 5 });
  });

  it('leave messages without them as they are', () => {
    const codec = older.codec('Everything');
    const decoded = codec.decode(codec.encode(codec.create({ stringValue: 'x' })));
    assert.ok(!Object.hasOwn(decoded, '$unknown'));
    assert.deepEqual(decoded, codec.create({ stringValue: 'x' }));
  });

  it('of an enum leave the field at its default', () => {
    const decoded = older
      .codec('Everything')
      .decode(newer.codec('Everything').encode(newer.codec('Everything').create({ colour: 65, colours: [1, 65, 64] })));
    assert.equal(decoded['colour'], 0);
    assert.deepEqual(decoded['colours'], [1, 64]);
    assert.ok(decoded['$unknown'] instanceof Uint8Array);
  });
});
