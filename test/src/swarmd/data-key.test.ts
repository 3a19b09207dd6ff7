/** Goal: the keys of a manager's log come back from their file, in each of its formats, and from no other. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { createUnlockKey } from '#certs/unlock-key.ts';
import { createDataKey, decodeDataKeys, encodeDataKeys, loadDataKeys, newDataKey } from '#src/swarmd/data-key.ts';

const KEY = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes));
const KEYS = fc
  .tuple(KEY, fc.array(KEY, { maxLength: 5 }))
  .map(([current, previous]) => (previous.length === 0 ? { current } : { current, previous }));

describe('the log’s key file', () => {
  const lock = { key: createUnlockKey(), version: 12 };

  it('gives back all keys, in the clear or encrypted', () => {
    fc.assert(
      fc.property(KEYS, fc.boolean(), (keys, locked) => {
        const text = encodeDataKeys(keys, locked ? lock : undefined);
        assert.deepEqual(decodeDataKeys(text, 'raft.key', locked ? lock.key : undefined), {
          keys,
          lockVersion: locked ? 12 : undefined,
        });
        assert.equal(text.includes(keys.current.toString('hex')), !locked);
      }),
    );
  });

  it('is of the first format, which every release reads, while there is one key in the clear', () => {
    assert.match(encodeDataKeys({ current: newDataKey() }, undefined), /^format: 1\nkey: [0-9a-f]{64}\n$/);
  });

  it('refuses another unlock key, none, and every change', () => {
    const text = encodeDataKeys({ current: newDataKey() }, lock);
    assert.throws(() => decodeDataKeys(text, 'raft.key', createUnlockKey()), { reason: 'wrong-key' });
    assert.throws(() => decodeDataKeys(text, 'raft.key', undefined), { reason: 'locked' });
    assert.throws(() => decodeDataKeys(text.replace('12', '13'), 'raft.key', lock.key), { reason: 'wrong-key' });
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.constantFrom('0', 'A', '\n', ''), (at, character) => {
        const changed = text.slice(0, at) + character + text.slice(at + 1);
        fc.pre(changed !== text && !(text[at] === '\n' && character === '\n'));
        try {
          decodeDataKeys(changed, 'raft.key', lock.key);
          assert.fail(`${JSON.stringify(changed)} was accepted`);
        } catch (thrown) {
          const { reason } = thrown as { reason?: string };
          assert.ok(reason === 'wrong-key' || reason === 'corrupt-state', String(thrown));
        }
      }),
    );
    for (const damaged of [
      '',
      'key: 00\n',
      `format: 3\nkey: ${'0'.repeat(64)}\n`,
      `format: 1\nkey: ${'0'.repeat(63)}\n`,
    ])
      assert.throws(() => decodeDataKeys(damaged, 'raft.key', undefined), { reason: 'corrupt-state' });
  });

  it('is for its owner only, and missed by name', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'starling-data-key-'));
    try {
      const path = join(directory, 'raft.key');
      await assert.rejects(loadDataKeys(path, undefined), { reason: 'corrupt-state', message: /raft\.key/ });
      await writeFile(path, 'what was there', { mode: 0o644 });
      const keys = await createDataKey(path, lock);
      assert.equal((await stat(path)).mode & 0o777, 0o600);
      assert.deepEqual((await loadDataKeys(path, lock.key)).keys, keys);
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
