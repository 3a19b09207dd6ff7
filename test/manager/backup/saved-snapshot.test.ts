/**
 * Goal: a saved snapshot gives back exactly the state that it was made of, and anything else than a whole one under the
 * right key is refused by name with the way out. Method: round trips; then every kind of damage at many places.
 */
import assert from 'node:assert/strict';
import { crc32 } from 'node:zlib';
import { SwarmError } from '#common/errors.ts';
import { describeSnapshot, formatSnapshotKey, keyName, parseSnapshotKey } from '#manager/backup/index.ts';
import { SnapshotFiles } from '#manager/log/index.ts';
import { memoryDisk } from '#test/manager/log/support.ts';
import { contentOf, DESCRIPTION, KEY, MEMBERS, OTHER_KEY, opened, sampleState, sealed, streamOf } from './support.ts';

const HEADER_BYTES = 56;

async function refusal(bytes: Uint8Array, key = KEY): Promise<SwarmError> {
  const thrown: unknown = await opened(bytes, key).then(
    () => assert.fail('it was taken'),
    (error: unknown) => error,
  );
  assert.ok(thrown instanceof SwarmError, String(thrown));
  assert.notEqual(thrown.reason, 'internal', thrown.message);
  assert.match(thrown.message, /the\.file|state|snapshot/);
  assert.ok(thrown.hint !== undefined && thrown.hint !== '', thrown.message);
  return thrown;
}

function changed(bytes: Buffer, change: (copy: Buffer) => void): Buffer {
  const copy = Buffer.from(bytes);
  change(copy);
  return copy;
}

describe('manager/backup: saved snapshots', () => {
  it('give back the state, whatever the pieces they come in', async () => {
    const state = sampleState();
    const bytes = await sealed(state);
    for (const pieceBytes of [1, 7, 1000, bytes.length]) {
      const found = await opened(bytes, KEY, pieceBytes);
      assert.deepEqual(contentOf(found.state), contentOf(state));
      assert.deepEqual(found.description, DESCRIPTION);
      assert.deepEqual(found.members, MEMBERS);
      assert.equal(found.bytes, bytes.length);
    }
  });

  it('hide everything but their description', async () => {
    const bytes = await sealed();
    assert.ok(bytes.includes('prod'));
    for (const secret of ['the key of the root', 'zone', '10.0.0.1']) assert.ok(!bytes.includes(secret), secret);
    assert.ok(!bytes.includes(Buffer.from(KEY)));
    assert.notDeepEqual((await sealed()).subarray(HEADER_BYTES), bytes.subarray(HEADER_BYTES), 'a salt of its own');
  });

  it('say what they are without the key, from their head alone', async () => {
    const bytes = await sealed();
    const head = bytes.subarray(0, HEADER_BYTES + 200);
    const found = await describeSnapshot(streamOf(head, 10), 'the.file');
    assert.deepEqual(found, { description: DESCRIPTION, keyName: keyName(KEY) });
  });

  it('are refused when they are cut anywhere', async () => {
    const bytes = await sealed(sampleState(10));
    for (let length = 0; length < bytes.length; length += 1 + (length % 13)) {
      const { reason } = await refusal(bytes.subarray(0, length));
      assert.equal(reason, length === 0 ? 'bad-field' : 'corrupt-state', `cut at ${length}`);
    }
    // Between two chunks, and without the empty last one.
    assert.match((await refusal(bytes.subarray(0, bytes.length - 36))).message, /ends before its last chunk/);
  });

  it('are refused when any byte was changed', async () => {
    const bytes = await sealed(sampleState(5));
    for (let at = 0; at < bytes.length; at += 1 + (at > 300 ? at % 7 : 0))
      for (const bit of [0x01, 0x80])
        await refusal(
          changed(bytes, (copy) => {
            copy[at] = (copy[at] ?? 0) ^ bit;
          }),
        );
  });

  it('are refused when somebody who can compute checksums changed the description', async () => {
    const bytes = await sealed();
    const forged = changed(bytes, (copy) => {
      const end = HEADER_BYTES + copy.readUInt32LE(12);
      copy.write('evil', copy.indexOf('prod'));
      let checksum = crc32(copy.subarray(0, end));
      copy.writeUInt32LE(checksum, end);
      for (let at = end + 4; at < copy.length; ) {
        const next = at + 8 + copy.readUInt32LE(at);
        checksum = crc32(copy.subarray(at + 8, next), checksum);
        copy.writeUInt32LE(checksum, at + 4);
        at = next;
      }
    });
    assert.match((await refusal(forged)).message, /a seal is broken/);
  });

  it('are refused when chunks were left out, swapped or came from another file', async () => {
    const bytes = await sealed();
    const start = HEADER_BYTES + bytes.readUInt32LE(12) + 4;
    const chunks: Buffer[] = [];
    for (let at = start; at < bytes.length; ) {
      const end = at + 8 + bytes.readUInt32LE(at);
      chunks.push(bytes.subarray(at, end));
      at = end;
    }
    assert.ok(chunks.length > 4);
    const head = bytes.subarray(0, start);
    const [first, second, third, ...rest] = chunks as [Buffer, Buffer, Buffer, ...Buffer[]];
    await refusal(Buffer.concat([head, first, third, ...rest]));
    await refusal(Buffer.concat([head, first, third, second, ...rest]));
    await refusal(Buffer.concat([head, first, chunks.at(-1) as Buffer]));
    const other = await sealed();
    await refusal(Buffer.concat([head, other.subarray(start)]));
    assert.match((await refusal(Buffer.concat([bytes, Buffer.of(0)]))).message, /something follows its end/);
  });

  it('name a wrong key', async () => {
    const error = await refusal(await sealed(), OTHER_KEY);
    assert.equal(error.reason, 'wrong-key');
    assert.ok(error.message.includes(keyName(KEY)) && error.message.includes(keyName(OTHER_KEY)), error.message);
  });

  it('name a newer format', async () => {
    const bytes = await sealed();
    const error = await refusal(changed(bytes, (copy) => copy.writeUInt16LE(2, 8)));
    assert.equal(error.reason, 'feature-level');
    assert.match(error.message, /has format 2, this release reads format 1/);
  });

  it('are told from other files, of ours too', async () => {
    assert.match((await refusal(Buffer.from('PK\x03\x04 some archive'))).message, /does not begin as one/);
    assert.match((await refusal(Buffer.alloc(0))).message, /is empty/);
    const disk = memoryDisk();
    const files = new SnapshotFiles({ disk, directory: '/log', keys: { current: KEY }, syncBytes: 1000 });
    await files.write({ term: 1, index: 1 }, new Uint8Array(16), [Buffer.from('state')]);
    const [own] = [...disk.files().values()];
    assert.match((await refusal(own as Uint8Array)).message, /a snapshot of one manager's log/);
  });
});

describe('manager/backup: snapshot keys', () => {
  it('have a form that users can keep', () => {
    const text = formatSnapshotKey(KEY);
    assert.match(text, /^SWMSNP-1-[0-9a-z]{50}$/);
    assert.deepEqual(Buffer.from(parseSnapshotKey(` ${text}\n`)), Buffer.from(KEY));
    assert.deepEqual(
      Buffer.from(parseSnapshotKey(formatSnapshotKey(new Uint8Array(32).fill(255)))),
      Buffer.alloc(32, 255),
    );
  });

  it('are refused in words that repeat nothing of them', () => {
    const text = formatSnapshotKey(KEY);
    const wrong = ['', 'x', text.slice(0, -1), `${text}0`, text.replace('-1-', '-2-'), `${text.slice(0, -1)}!`];
    wrong.push(`${text}-more`, text.toUpperCase(), 'a'.repeat(1000), `SWMSNP-1-${'z'.repeat(50)}`);
    for (const one of wrong)
      assert.throws(
        () => parseSnapshotKey(one),
        (error: SwarmError) => {
          assert.equal(error.reason, 'wrong-key');
          assert.ok(!error.message.includes(text.slice(9, 20)), error.message);
          return true;
        },
      );
  });
});
