/**
 * Goal: the two key files of a manager always need the same unlock key, the one of before or the one of after, wherever the
 * power goes, and a process that lives on after its disk failed knows which one. Method: every state that a crash can leave
 * is made by hand; each write fails once, having been done or not; and a real process that does nothing but change the
 * lock is killed at random moments.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { once } from 'node:events';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { IdentityStore } from '#agent/identity/index.ts';
import { decodeKeyFile, keyFileFacts } from '#certs/key-file.ts';
import type { KeyLock } from '#certs/key-lock.ts';
import { createUnlockKey } from '#certs/unlock-key.ts';
import { SwarmError } from '#common/errors.ts';
import { writeFileAtomic } from '#common/system/atomic-file.ts';
import { type TestNode, testAuthority, testNode } from '#test/certs/fixtures.ts';

const ONE: KeyLock = { key: createUnlockKey(), version: 1 };
const FULL = new SwarmError({ code: 'exhausted', reason: 'disk-full', message: 'no space left on the disk' });
const TWO: KeyLock = { key: createUnlockKey(), version: 2 };

describe('keys of a manager on disk', function () {
  this.timeout(60_000);
  let directory = '';
  const authority = testAuthority();
  const manager = testNode(authority, 'manager');
  const at = (...names: string[]): string => join(directory, ...names);
  const open = (): IdentityStore => new IdentityStore(directory);

  const installed = (): Promise<void> =>
    open().install({
      privateKey: createPrivateKey(manager.privateKeyPem),
      certificatePem: manager.certificatePem,
      rootPem: manager.rootsPem,
      managers: [],
      addresses: { listen: '', advertise: '', dataPath: '' },
    });

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-locking-'));
    await installed();
  });
  afterEach(() => rm(directory, { recursive: true }));

  async function lockedBy(lock: KeyLock, log: string): Promise<void> {
    const store = open();
    if (keyFileFacts(await readFile(at('node', 'node.key')), 'node.key').lockVersion !== undefined)
      await store.keys.unlock(ONE.key);
    assert.equal(await store.keys.relock(lock, log), true);
    await store.keys.settle();
  }

  it('are locked and unlocked, and stay what they are', async () => {
    const plain = await open().load(Date.now());
    await lockedBy(ONE, 'log keys 1');
    assert.equal(await readFile(at('raft.key'), 'utf8'), 'log keys 1');
    await assert.rejects(open().load(Date.now()), { reason: 'locked', hint: /version 1 of the unlock key/ });
    const store = open();
    await assert.rejects(store.keys.unlock(TWO.key), { reason: 'wrong-key' });
    await assert.rejects(store.load(Date.now()), { reason: 'locked' });
    await store.keys.unlock(ONE.key);
    assert.deepEqual((await store.load(Date.now()))?.tls, plain?.tls);
    assert.equal(await store.keys.isExposed(), true);
    assert.equal(await store.keys.relock(undefined, 'log keys 2'), true);
    await store.keys.settle();
    assert.deepEqual((await open().load(Date.now()))?.tls, plain?.tls);
    assert.equal(await open().keys.isExposed(), false);
    await assert.rejects(open().keys.unlock(ONE.key), { message: 'swarm is not locked' });
  });

  it('need one and the same key after a crash at any step', async () => {
    await lockedBy(ONE, 'one');
    const before = await mkdtemp(join(tmpdir(), 'starling-locking-'));
    try {
      await cp(directory, before, { recursive: true });
      await lockedBy(TWO, 'two');
      const after = {
        key: await readFile(at('node', 'node.key'), 'utf8'),
        dataKeys: await readFile(at('raft.key'), 'utf8'),
      };
      const steps: readonly (readonly [file: string, content: string])[] = [
        [at('node', 'relock.json'), JSON.stringify({ format: 1, ...after })],
        [at('raft.key'), after.dataKeys],
        [at('node', 'node.key'), after.key],
      ];
      for (let done = 0; done <= steps.length; done++) {
        await cp(before, directory, { recursive: true });
        for (const [file, content] of steps.slice(0, done)) await writeFile(file, content, { mode: 0o600 });
        const [lock, log] = done === 0 ? [ONE, 'one'] : [TWO, 'two'];
        const store = open();
        await assert.rejects(store.load(Date.now()), { reason: 'locked' });
        await store.keys.unlock(lock.key);
        assert.ok((await store.load(Date.now())) !== undefined);
        assert.equal(await readFile(at('raft.key'), 'utf8'), log, `after ${done} steps`);
        assert.ok(!(await readdir(at('node'))).includes('relock.json'));
      }
    } finally {
      await rm(before, { recursive: true });
    }
  });

  it('are renewed under the lock, and not those of a worker', async () => {
    const { identity } = manager;
    const renewed = async (store: IdentityStore, { privateKeyPem, certificatePem }: TestNode): Promise<void> =>
      store.replaceCertificate({ privateKey: createPrivateKey(privateKeyPem), certificatePem });
    await lockedBy(ONE, 'log');
    const store = open();
    await store.keys.unlock(ONE.key);
    await renewed(store, testNode(authority, 'manager', { identity }));
    assert.equal(await store.keys.isExposed(), false, 'this key was never in the clear');
    assert.ok(decodeKeyFile(await readFile(at('node', 'node.key')), 'node.key', ONE.key));
    await renewed(store, testNode(authority, 'worker', { identity: { ...identity, role: 'worker' } }));
    assert.ok(decodeKeyFile(await readFile(at('node', 'node.key')), 'node.key'));
    assert.equal((await store.load(Date.now()))?.identity.role, 'worker');
    assert.equal(await store.keys.relock(ONE, 'log'), false, 'nobody could unlock a worker');
    assert.ok((await open().load(Date.now())) !== undefined);
  });

  /** A store of which one write, counted from 1, fails: before it was done, or when it was and could not be synced. */
  function failing(at: number, isDone: boolean): { readonly store: IdentityStore; readonly wasReached: () => boolean } {
    let writes = 0;
    const store = new IdentityStore(directory, undefined, async (path, data, mode) => {
      const fails = ++writes === at;
      if (!fails || isDone) await writeFileAtomic(path, data, mode);
      if (fails) throw FULL;
    });
    return { store, wasReached: () => writes >= at };
  }

  interface FailingWrite {
    readonly store: IdentityStore;
    readonly wasReached: () => boolean;
    /** The first write decides, and it was done. */
    readonly isDecided: boolean;
    readonly step: string;
  }

  /** An identity that is locked by ONE, each time with another of its next writes to fail. */
  async function eachFailingWrite(writes: number, meets: (failing: FailingWrite) => Promise<void>): Promise<void> {
    for (const isDone of [false, true])
      for (let write = 1; write <= writes; write++) {
        await rm(directory, { recursive: true });
        await installed();
        await lockedBy(ONE, 'one');
        const { store, wasReached } = failing(write, isDone);
        await store.keys.unlock(ONE.key);
        const step = `write ${write}, ${isDone ? 'done' : 'not done'}`;
        await meets({ store, wasReached, isDecided: write > 1 || isDone, step });
      }
  }

  const another = (): TestNode => testNode(authority, 'manager', { identity: manager.identity });
  const renew = (store: IdentityStore, { privateKeyPem, certificatePem }: TestNode): Promise<void> =>
    store.replaceCertificate({
      privateKey: createPrivateKey(privateKeyPem),
      certificatePem,
      rootsPem: manager.rootsPem,
    });

  /** Another process opens both files with this lock, and the certificate is this one. */
  async function opensWith(lock: KeyLock, log: string, certificatePem: string, step: string): Promise<void> {
    const store = open();
    await store.keys.unlock(lock.key);
    assert.equal((await store.load(Date.now()))?.tls.certificatePem, certificatePem, step);
    assert.equal(await readFile(at('raft.key'), 'utf8'), log, step);
    assert.deepEqual(
      (await readdir(at('node'))).filter((name) => name.startsWith('re')),
      [],
      step,
    );
  }

  it('are known to a process that goes on after its disk failed in the middle of a change of the lock', async () => {
    await eachFailingWrite(3, async ({ store, wasReached, isDecided, step }) => {
      const changed = store.keys.relock(TWO, 'two').then(() => store.keys.settle());
      await assert.rejects(changed, { reason: 'disk-full' }, step);
      assert.ok(wasReached());
      assert.equal(store.keys.isSettled, false, step);
      const renewed = another();
      await renew(store, renewed);
      assert.equal(store.keys.isSettled, true, step);
      const lock = isDecided ? TWO : ONE;
      assert.deepEqual(store.keys.current, lock, step);
      assert.equal((await store.load(Date.now()))?.tls.certificatePem, renewed.certificatePem, step);
      await opensWith(lock, isDecided ? 'two' : 'one', renewed.certificatePem, step);
    });
  });

  it('change together after the disk failed in the middle of a renewal', async () => {
    await eachFailingWrite(4, async ({ store, wasReached, isDecided, step }) => {
      const renewed = another();
      await assert.rejects(renew(store, renewed), { reason: 'disk-full' }, step);
      assert.ok(wasReached());
      assert.equal(await store.keys.relock(TWO, 'two'), true);
      // The process ends here, before anything is in its place.
      await opensWith(TWO, 'two', (isDecided ? renewed : manager).certificatePem, step);
    });
  });

  it('leave nothing behind that an interrupted write may have left', async () => {
    const left = [at('.raft.key.0123456789ab.tmp'), at('node', '.node.key.0123456789ab.tmp')];
    for (const file of left) await writeFile(file, 'a key in the clear');
    await lockedBy(ONE, 'log');
    assert.deepEqual(
      [...(await readdir(directory)), ...(await readdir(at('node')))].filter((name) => name.endsWith('.tmp')),
      [],
    );
  });

  it('need one and the same key after kill -9 at any moment', async function () {
    this.slow(20_000);
    const hex = [ONE, TWO].map(({ key }) => Buffer.from(key).toString('hex'));
    const program = new URL('./relock-process.ts', import.meta.url).pathname;
    for (let kill = 0; kill < 3; kill++) {
      const child = spawn(process.execPath, [program, directory, ...hex], { stdio: ['ignore', 'pipe', 'inherit'] });
      await once(child.stdout, 'data');
      await wait(Math.random() * 30); // the moment is what varies
      child.kill('SIGKILL');
      await once(child, 'exit');
      const store = open();
      const lock = await store.keys.unlock(ONE.key).then(
        () => ONE,
        () => store.keys.unlock(TWO.key).then(() => TWO),
      );
      assert.ok((await store.load(Date.now())) !== undefined);
      assert.equal(await readFile(at('raft.key'), 'utf8'), `log keys under version ${lock.version}`);
    }
  });
});
