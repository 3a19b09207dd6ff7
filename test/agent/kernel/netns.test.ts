/**
 * Goal: namespaces are made, entered and removed without a trace, and the thread is always back home. Method: compare
 * the namespace the process is in (an inode) before, inside and after.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createNetworkNamespace,
  isNetworkNamespace,
  listNetworkNamespaces,
  NetworkNamespace,
  removeNetworkNamespace,
} from '#agent/kernel/netns.ts';

const inode = (): string => readlinkSync('/proc/thread-self/ns/net');

describe('kernel: netns', () => {
  let directory: string;
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'starling-netns-'));
  });
  after(() => rmSync(directory, { recursive: true }));

  it('makes one, enters it for a moment and removes it', () => {
    const home = inode();
    const path = join(directory, 'one');
    const namespace = createNetworkNamespace(path);
    assert.equal(inode(), home);
    const inside = namespace.run(inode);
    assert.notEqual(inside, home);
    assert.equal(inode(), home);
    assert.equal(isNetworkNamespace(path), true);

    const again = NetworkNamespace.open(path);
    assert.equal(again.run(inode), inside);
    assert.throws(() => again.run(() => assert.fail('inside')), /inside/);
    assert.equal(inode(), home, 'home also after an exception');
    again.close();
    namespace.close();
    namespace.close();
    assert.equal(removeNetworkNamespace(path), true);
    assert.equal(removeNetworkNamespace(path), false);
    assert.equal(existsSync(path), false);
  });

  it('does not take over a file that is there', () => {
    const path = join(directory, 'taken');
    writeFileSync(path, 'mine');
    assert.throws(() => createNetworkNamespace(path), { code: 'EEXIST' });
    assert.equal(isNetworkNamespace(path), false);
    assert.equal(isNetworkNamespace(join(directory, 'nothing')), false);
    rmSync(path);
  });

  it('refuses to enter what is no namespace', () => {
    const path = join(directory, 'file');
    writeFileSync(path, '');
    const home = inode();
    const file = NetworkNamespace.open(path);
    assert.throws(() => file.run(inode), { code: 'EINVAL' });
    assert.equal(inode(), home);
    file.close();
    rmSync(path);
    assert.throws(() => NetworkNamespace.open(join(directory, 'nothing')), { code: 'ENOENT' });
  });

  it('removes a namespace that was pinned twice over', () => {
    const path = join(directory, 'twice');
    createNetworkNamespace(path).close();
    execFileSync('mount', ['--bind', '/proc/self/ns/net', path]);
    assert.equal(removeNetworkNamespace(path), true);
    assert.equal(existsSync(path), false);
  });

  it('lists a directory of namespaces, also one that is missing', async () => {
    createNetworkNamespace(join(directory, 'a')).close();
    assert.deepEqual(await listNetworkNamespaces(directory), ['a']);
    assert.deepEqual(await listNetworkNamespaces(join(directory, 'missing')), []);
    removeNetworkNamespace(join(directory, 'a'));
  });
});
