/** Goal: who a container runs as is what Docker would make of it. Method: tables, and any text at all. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { resolveUser } from '#agent/runtime/spec/users.ts';
import { SwarmError } from '#common/errors.ts';

const PASSWD = `root:x:0:0:root:/root:/bin/sh
www:x:33:34:www:/var/www:/bin/false
1000:x:2000:2000::/:/bin/sh
nohome:x:5:5:::
broken
toobig:x:4294967296:0::/:/bin/sh
negative:x:-1:0::/:/bin/sh
`;
const GROUP = `root:x:0:
www:x:34:
audio:x:29:www,other
video:x:44:other, www
www2:x:34:www
huge:x:2147483648:www
`;

const resolve = (spec: string, groups: readonly string[] = []) => resolveUser(spec, groups, PASSWD, GROUP);

describe('runtime: users', () => {
  it('takes names, numbers and groups', () => {
    assert.deepEqual(resolve(''), { uid: 0, gid: 0, additionalGids: [], home: '/root' });
    assert.deepEqual(resolve('www'), { uid: 33, gid: 34, additionalGids: [29], home: '/var/www' });
    assert.deepEqual(resolve('33'), { uid: 33, gid: 34, additionalGids: [29], home: '/var/www' });
    assert.deepEqual(resolve('www:audio'), { uid: 33, gid: 29, additionalGids: [], home: '/var/www' });
    assert.deepEqual(resolve('www:12'), { uid: 33, gid: 12, additionalGids: [], home: '/var/www' });
    assert.deepEqual(resolve('4711'), { uid: 4711, gid: 0, additionalGids: [], home: '/' });
    assert.deepEqual(resolve('nohome').home, '/');
    assert.deepEqual(resolve(':audio'), { uid: 0, gid: 29, additionalGids: [], home: '/root' });
  });

  it('takes a number for an id even where it is a name', () => {
    assert.equal(resolve('1000').uid, 1000);
  });

  it('adds further groups once', () => {
    assert.deepEqual(resolve('www', ['video', '7', '29', '34']).additionalGids, [7, 29, 44]);
  });

  it('refuses what is not there or out of range', () => {
    for (const spec of [
      'nobody',
      'www:nogroup',
      '2147483648',
      '0:2147483648',
      '-1',
      '0:-1',
      '+1',
      'a:b:c',
      'toobig',
      'negative',
      'broken',
      '99999999999',
      'www:huge',
    ])
      assert.throws(() => resolve(spec), SwarmError, spec);
    assert.throws(() => resolve('', ['nogroup']), SwarmError);
  });

  it('never gives root to someone who did not ask for it', () => {
    fc.assert(
      fc.property(fc.string(), (spec) => {
        let uid: number;
        try {
          ({ uid } = resolve(spec));
        } catch (error) {
          assert.ok(error instanceof SwarmError);
          return;
        }
        assert.ok(Number.isInteger(uid) && uid >= 0 && uid < 2 ** 31);
        const [user = ''] = spec.split(':');
        if (uid === 0) assert.ok(user === '' || user === 'root' || /^0+$/.test(user), spec);
      }),
    );
  });
});
