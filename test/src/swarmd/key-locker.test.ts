/**
 * Goal: whatever the cluster wants and whatever goes wrong on the way, the keys on the disk end as they are wanted, nothing
 * that lay in the clear stays in use, and closing waits for nobody. Method: a real identity on a real disk; the cluster,
 * the log and the authority are played.
 */
import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { IdentityStore } from '#agent/identity/index.ts';
import { createUnlockKey } from '#certs/unlock-key.ts';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { writeFileAtomic } from '#common/system/atomic-file.ts';
import { systemClock } from '#common/system/clock.ts';
import { Cluster, UnlockKey } from '#gen/swarm/v1/objects.ts';
import { ClusterSpec, EncryptionConfig } from '#gen/swarm/v1/specs.ts';
import { type DataKeys, keyName } from '#manager/log/index.ts';
import { KeyLocker, type KeyLockerOptions, wantedLock } from '#src/swarmd/key-locker.ts';
import { ManagerKeys } from '#src/swarmd/manager-keys.ts';
import { testAuthority, testNode } from '#test/certs/fixtures.ts';
import { eventually } from '#test/support/eventually.ts';

const FULL = new SwarmError({ code: 'exhausted', reason: 'disk-full', message: 'no space left on the disk' });
const CONFIG = { retry: { baseMs: 5, maxMs: 20, factor: 2, jitter: 0.5 }, formerKeys: 2 };

describe('the locker of keys', function () {
  this.timeout(30_000);
  const authority = testAuthority();
  const manager = testNode(authority, 'manager');
  let directory = '';
  let store: IdentityStore;
  let keys: ManagerKeys;
  let locker: KeyLocker;
  let cluster: Cluster;
  let listener: () => void = () => {};
  /** Names of the keys that files of the played log name. */
  let inFiles: Set<string>;
  let current: DataKeys;
  let renewed = 0;
  /** Writes of keys, and which of them fails; 0 for none. */
  let writes = 0;
  let failsAt = 0;
  let isFull = false;
  /** Under way now: until they are through, nobody else may complete what they have begun. */
  let renewing = 0;
  let fails: 'nothing' | 'reseal' | 'renew' = 'nothing';

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-locker-'));
    failsAt = 0;
    isFull = false;
    writes = 0;
    store = new IdentityStore(directory, undefined, async (path, data, mode) => {
      if (++writes === failsAt || isFull) throw FULL;
      await writeFileAtomic(path, data, mode);
    });
    await store.install({
      privateKey: createPrivateKey(manager.privateKeyPem),
      certificatePem: manager.certificatePem,
      rootPem: manager.rootsPem,
      managers: [],
      addresses: { listen: '', advertise: '', dataPath: '' },
    });
    keys = new ManagerKeys(store.keys, join(directory, 'raft.key'));
    current = await keys.create();
    inFiles = new Set([keyName(current.current)]);
    renewed = 0;
    renewing = 0;
    fails = 'nothing';
    cluster = Cluster.create({ id: 'c', spec: ClusterSpec.create() });
    locker = start();
  });
  afterEach(async () => {
    await locker.close();
    await rm(directory, { recursive: true });
  });

  function start(change: Partial<KeyLockerOptions> = {}): KeyLocker {
    const made = new KeyLocker({
      store: {
        // Nothing else of a view is asked for.
        view: () => ({ cluster: () => cluster }) as ReturnType<KeyLockerOptions['store']['view']>,
        onCommit: () => () => {},
        onReplaced: (call) => {
          listener = call as () => void;
          return () => {};
        },
      },
      log: {
        rekey: (next) => {
          current = next;
        },
        reseal: async () => {
          if (fails === 'reseal') return false;
          inFiles = new Set([keyName(current.current)]);
          return true;
        },
      },
      keys,
      renew: async () => {
        if (fails === 'renew') throw FULL;
        const { privateKeyPem, certificatePem } = testNode(authority, 'manager', { identity: manager.identity });
        renewing++;
        await store.replaceCertificate({ privateKey: createPrivateKey(privateKeyPem), certificatePem });
        renewing--;
        renewed++;
      },
      turn: (run) => run(),
      clock: systemClock,
      random: new SeededRandom(1),
      logger: silentLogger,
      config: CONFIG,
      ...change,
    });
    made.start();
    return made;
  }

  function want(version: number | undefined): void {
    const encryption = EncryptionConfig.create({ autoLockManagers: version !== undefined });
    const unlockKey = UnlockKey.create({
      key: version === undefined ? new Uint8Array() : createUnlockKey(),
      version: version ?? 9,
    });
    cluster = { ...cluster, unlockKey, spec: ClusterSpec.create({ encryption }) };
    listener();
  }

  const onDisk = async (): Promise<DataKeys> => {
    const again = new IdentityStore(directory);
    const key = cluster.unlockKey?.key ?? new Uint8Array();
    if (key.length > 0) await again.keys.unlock(key);
    await again.load(Date.now());
    return new ManagerKeys(again.keys, join(directory, 'raft.key')).load();
  };
  const isLockedBy = (version: number): boolean =>
    keys.isLockedBy({ key: cluster.unlockKey?.key ?? new Uint8Array(), version });
  const quiet = (): Promise<void> =>
    eventually('nothing to be left', async () => {
      const isAsWanted = keys.isLockedBy(wantedLock(cluster));
      const isExposed = await store.keys.isExposed();
      return isAsWanted && !isExposed && renewing === 0 && locker.problem === undefined && keys.former === 0;
    });

  it('locks, with another data key and another certificate; rotates; unlocks', async () => {
    const plain = current;
    want(1);
    await locker.settled(10_000);
    await quiet();
    assert.equal(renewed, 1);
    const locked = await onDisk();
    assert.notDeepEqual(locked.current, plain.current);
    assert.equal(locked.previous, undefined);
    want(2);
    await eventually('the second lock', () => isLockedBy(2));
    await quiet();
    assert.notDeepEqual((await onDisk()).current, locked.current);
    assert.equal(renewed, 1, 'its key was never in the clear');
    want(undefined);
    await quiet();
    assert.deepEqual((await onDisk()).current, current.current);
    assert.match(await readFile(join(directory, 'raft.key'), 'utf8'), /^format: 1\n/);
  });

  it('has all keys on the disk that files of the log name, however long the log takes', async () => {
    fails = 'reseal';
    for (let version = 1; version <= 5; version++) {
      want(version);
      await eventually(`lock ${version}`, () => isLockedBy(version));
      const { current: now, previous = [] } = await onDisk();
      inFiles.add(keyName(current.current));
      for (const name of inFiles) assert.ok([now, ...previous].some((key) => keyName(key) === name));
      assert.ok(previous.length <= CONFIG.formerKeys);
    }
    fails = 'nothing';
    listener();
    await quiet();
    assert.equal((await onDisk()).previous, undefined);
  });

  it('knows what it has decided when the disk fails at any step', async () => {
    want(1);
    await locker.settled(10_000);
    await quiet();
    for (let step = 1; step <= 3; step++) {
      failsAt = writes + step;
      want(1 + step);
      await locker.settled(10_000);
      assert.ok(writes > failsAt, `write ${step} was reached, and made up for`);
      assert.ok(isLockedBy(1 + step));
      await quiet();
      assert.deepEqual((await onDisk()).current, current.current, 'the log writes with the key that is on the disk');
      assert.ok(inFiles.has(keyName(current.current)));
    }
  });

  it('says why the keys are not encrypted, for as long as they are not', async () => {
    isFull = true;
    want(1);
    const problem = await locker.settled(200);
    assert.match(problem?.message ?? '', /are not as the swarm wants them yet: no space left on the disk/);
    assert.equal(locker.problem?.reason, 'disk-full');
    isFull = false;
    assert.equal(await locker.settled(10_000), undefined);
    await quiet();
  });

  it('asks for another certificate until there is one', async () => {
    fails = 'renew';
    want(1);
    await eventually('a complaint', () => locker.problem?.reason === 'disk-full');
    assert.equal(await store.keys.isExposed(), true);
    // A start in between goes on with it.
    await locker.close();
    fails = 'nothing';
    locker = start();
    await quiet();
    assert.equal(renewed, 1);
  });

  it('ends while others have the turn, and writes nothing afterwards', async () => {
    await locker.close();
    let go = (): void => {};
    const turn = new Promise<void>((resolve) => {
      go = resolve;
    });
    const idle = Promise.resolve();
    let queued: Promise<unknown> = idle;
    locker = start({
      turn: async (run) => {
        const result = turn.then(run);
        queued = result;
        return result;
      },
    });
    want(1);
    await eventually('the locker to wait for its turn', () => queued !== idle);
    await locker.close();
    const before = await readFile(join(directory, 'node', 'node.key'));
    go();
    await queued;
    assert.deepEqual(await readFile(join(directory, 'node', 'node.key')), before);
  });
});
