/** Goal: one line of text says who made a change, whatever the names; what older releases wrote is understood. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Author, describeAuthor, readAuthor, SWARM_AUTHOR, writeAuthor } from '#common/author.ts';

const ID = '4m0a1b2c3d4e5f6g7h8i9j0kz';

describe('author', () => {
  const ids = fc.constantFrom('', ID);
  const peers = fc.constantFrom('', '192.0.2.7:40312', '[2001:db8::7]:40312', '[fe80::1%eth0]:1');
  const names = fc.string({ unit: fc.constantFrom('a', '/', '@', '-', '.', ' ', '%'), maxLength: 20 });
  const kinds = fc.constantFrom('local' as const, 'node' as const, 'client' as const, 'token' as const);

  it('reads what it wrote', () => {
    fc.assert(
      fc.property(
        fc.record({ kind: kinds, id: ids, peer: peers, name: names }, { noNullPrototype: true }),
        (author: Author) => {
          assert.deepEqual(readAuthor(writeAuthor(author)), author);
        },
      ),
    );
    assert.equal(writeAuthor(SWARM_AUTHOR), '');
    assert.deepEqual(readAuthor(''), SWARM_AUTHOR);
  });

  it('takes nothing that could be read as something else', () => {
    fc.assert(
      fc.property(kinds, fc.string(), fc.string(), fc.string(), (kind, id, peer, name) => {
        const text = writeAuthor({ kind, id, peer, name });
        const read = readAuthor(text);
        assert.equal(read?.kind, kind);
        assert.ok(text.length < 500);
        assert.match(text, /^[\x20-\x7e]*$/);
        assert.ok(read.id === '' || read.id === id);
        assert.ok(read.peer === '' || peer.startsWith(read.peer));
      }),
    );
  });

  it('reads what releases before wrote', () => {
    assert.deepEqual(readAuthor('local'), { kind: 'local', id: '', name: '', peer: '' });
    assert.deepEqual(readAuthor(ID), { kind: 'node', id: ID, name: '', peer: '' });
    for (const text of ['secret a', 'rollback', 'update of db', 'local/x', 'local/no-id//x', 'nobody/a/b/c'])
      assert.equal(readAuthor(text), undefined, text);
  });

  it('is shown to people by names, and texts that name nobody as they are', () => {
    assert.equal(describeAuthor(`local/${ID}//web-1`), 'root@web-1');
    assert.equal(describeAuthor(`local/${ID}//`), `root@${ID}`);
    assert.equal(describeAuthor('local'), 'local');
    assert.equal(describeAuthor(`client/${ID}/192.0.2.7:40312/ci`), 'client ci');
    assert.equal(describeAuthor(`node/${ID}/192.0.2.7:40312/db-2`), 'node db-2');
    assert.equal(describeAuthor('token//192.0.2.7:40312/worker'), 'worker token');
    assert.equal(describeAuthor('rollback'), 'rollback');
    assert.equal(describeAuthor(''), '');
  });
});
