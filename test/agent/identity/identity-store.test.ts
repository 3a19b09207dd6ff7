/** What is on disk is whole or refused with a reason; every damage that a test can make has its own words. */
import assert from 'node:assert/strict';
import { chmod, chown, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { IdentityStore, type LoadedIdentity, type NewIdentity } from '#agent/identity/index.ts';
import { readMachineFacts } from '#agent/identity/machine-facts.ts';
import { generateKeyPair } from '#certs/key.ts';
import { encodeKeyFile } from '#certs/key-file.ts';
import { systemRandom } from '#common/system/random.ts';
import { NodeAvailability } from '#gen/swarm/v1/specs.ts';
import { bootstrapCluster } from '#manager/ca/index.ts';
import { testAuthority, testNode } from '#test/certs/fixtures.ts';
import { rejects } from '#test/certs/rejects.ts';
import { skipBecause } from '#test/support/skip-because.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

/** The identity of the first manager of a new cluster, as `swarm init` makes it. */
function firstManager(nowMs = Date.now()): {
  readonly fresh: NewIdentity;
  readonly nodeId: string;
  readonly clusterId: string;
} {
  const { cluster, node, identity } = bootstrapCluster({
    nowMs,
    random: systemRandom,
    hostname: 'first',
    availability: NodeAvailability.ACTIVE,
    featureLevel: 1,
  });
  const fresh = {
    privateKey: identity.keys.privateKey,
    certificatePem: identity.certificatePem,
    rootPem: identity.rootPem,
    managers: [{ nodeId: node.id, address: '192.0.2.1:2377' }],
    addresses: { listen: '', advertise: '192.0.2.1:2377', dataPath: '' },
  };
  return { fresh, nodeId: node.id, clusterId: cluster.id };
}

describe('identity store', () => {
  let directory = '';
  let machine = 'a';
  let product: string | undefined = 'p';
  const facts = (): Promise<{ machine: string | undefined; product: string | undefined }> =>
    Promise.resolve({ machine, product });
  const at = (...names: string[]): string => join(directory, 'node', ...names);
  const open = (path = directory): IdentityStore => new IdentityStore(path, facts);
  const load = (nowMs = Date.now()): Promise<LoadedIdentity | undefined> => open().load(nowMs);

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-identity-'));
    machine = 'a';
    product = 'p';
  });
  afterEach(() => rm(directory, { recursive: true }));

  it('is empty on a new host', async () => {
    assert.equal(await load(), undefined);
    assert.equal(await open().exists(), false);
    await open().remove('dropped');
  });

  it('keeps what init made, closed to others', async () => {
    const { fresh, nodeId, clusterId } = firstManager();
    await chmod(directory, 0o755);
    await open().install(fresh);
    const found = await load();
    assert.equal(found?.identity.nodeId, nodeId);
    assert.equal(found.identity.clusterId, clusterId);
    assert.equal(found.identity.role, 'manager');
    assert.deepEqual(found.managers, fresh.managers);
    assert.equal(found.home.kind, 'same');
    for (const path of [directory, at()]) assert.equal((await stat(path)).mode & 0o777, 0o700, path);
    for (const path of [at('node.key'), at('state.json')]) assert.equal((await stat(path)).mode & 0o777, 0o600, path);
    assert.deepEqual((await readdir(at())).sort(), ['node.crt', 'node.key', 'root.crt', 'state.json']);
  });

  it('is never overwritten', async () => {
    await open().install(firstManager().fresh);
    const before = await readFile(at('node.crt'), 'utf8');
    await assert.rejects(open().install(firstManager().fresh), rejects('already-in-swarm', /already part of a swarm/));
    assert.equal(await readFile(at('node.crt'), 'utf8'), before);
  });

  it('is installed over what a crash left behind', async () => {
    await mkdir(join(directory, 'node.new'));
    await writeFile(join(directory, 'node.new', 'node.key'), 'half');
    await open().install(firstManager().fresh);
    assert.notEqual(await load(), undefined);
  });

  it('is gone after a removal, also the key of an unfinished join', async () => {
    await open().savePendingKey(generateKeyPair().privateKey);
    await open().install(firstManager().fresh);
    await open().remove('dropped');
    assert.deepEqual(await readdir(directory), []);
    assert.equal(await load(), undefined);
  });

  it('remembers new managers', async () => {
    await open().install(firstManager().fresh);
    const managers = Array.from({ length: 40 }, (_, i) => ({ nodeId: `n${i}`, address: `192.0.2.${i}:2377` }));
    await open().saveManagers(managers);
    assert.deepEqual((await load())?.managers, managers.slice(0, 32));
  });

  it('gives back the key of an interrupted join, and no rubbish', async () => {
    assert.equal(await open().pendingKey(), undefined);
    const { privateKey } = generateKeyPair();
    await open().savePendingKey(privateKey);
    assert.ok((await open().pendingKey())?.equals(privateKey));
    assert.equal((await stat(join(directory, 'joining', 'node.key'))).mode & 0o777, 0o600);
    await writeFile(join(directory, 'joining', 'node.key'), 'half');
    assert.equal(await open().pendingKey(), undefined);
  });

  describe('refuses', () => {
    beforeEach(() => open().install(firstManager().fresh));

    for (const name of ['node.key', 'node.crt', 'root.crt', 'state.json'])
      it(`a missing ${name}`, async () => {
        await rm(at(name));
        await assert.rejects(load(), rejects('corrupt-state', new RegExp(`${name} is missing`)));
      });

    for (const name of ['node.key', 'node.crt', 'root.crt', 'state.json'])
      it(`a ${name} that is cut, empty or rubbish, naming the file`, async () => {
        const whole = await readFile(at(name), 'utf8');
        for (const text of ['', 'rubbish', whole.slice(0, whole.length / 2), '\0'.repeat(1000)]) {
          await writeFile(at(name), text);
          await assert.rejects(load(), (error: { reason: string; message: string }) => {
            assert.match(error.reason, /^(corrupt-state|bad-certificate)$/);
            assert.ok(error.message.includes(name), error.message);
            return true;
          });
        }
      });

    it('state.json with parts of the wrong kind', async () => {
      const state = JSON.parse(await readFile(at('state.json'), 'utf8')) as Record<string, unknown>;
      const broken = [
        { ...state, format: 2 },
        { ...state, managers: {} },
        { ...state, managers: [5] },
        { ...state, managers: [{ nodeId: 1, address: '' }] },
        { ...state, addresses: [] },
        { ...state, home: { inode: 5 } },
        [],
        null,
      ];
      for (const value of broken) {
        await writeFile(at('state.json'), JSON.stringify(value));
        await assert.rejects(load(), rejects('corrupt-state', /state.json is damaged/));
      }
    });

    it('the key of another certificate', async () => {
      const key = encodeKeyFile({ privateKey: generateKeyPair().privateKey, headers: new Map() });
      await writeFile(at('node.key'), key);
      await assert.rejects(load(), rejects('corrupt-state', /does not belong to the certificate/));
    });

    it('a certificate of another root', async () => {
      await writeFile(at('root.crt'), testNode(testAuthority(), 'worker').rootsPem);
      await assert.rejects(load(), rejects('wrong-cluster', /not signed by the root/));
    });

    it('a certificate that has run out, or does not hold yet', async () => {
      await assert.rejects(load(Date.now() + 91 * DAY_MS), rejects('expired', /expired at/));
      await assert.rejects(load(Date.now() - DAY_MS), rejects('expired', /holds only from/));
      // A manager can renew its own by itself, when it has run out; not one that does not hold yet.
      const late = await open().load(Date.now() + 91 * DAY_MS, { expiredManager: true });
      assert.equal(late?.identity.role, 'manager');
      await assert.rejects(
        open().load(Date.now() - DAY_MS, { expiredManager: true }),
        rejects('expired', /holds only/),
      );
    });

    it('files that others can read', async () => {
      await chmod(at('node.key'), 0o640);
      await assert.rejects(
        load(),
        rejects('corrupt-state', /node.key is open to other users of this host \(mode 0640\)/),
      );
      await chmod(at('node.key'), 0o600);
      await chmod(at(), 0o750);
      await assert.rejects(load(), rejects('corrupt-state', /node is open to other users of this host \(mode 0750\)/));
    });

    it('files of another user', async function () {
      if (process.geteuid?.() !== 0) skipBecause(this, 'only root can give a file away');
      await chown(at('node.key'), 65534, 65534);
      await assert.rejects(load(), rejects('corrupt-state', /node.key belongs to user 65534, not to user 0/));
    });
  });

  describe('notices', () => {
    beforeEach(() => open().install(firstManager().fresh));
    const home = async (path = directory): Promise<string | undefined> =>
      (await open(path).load(Date.now()))?.home.kind;

    it('another machine, by either of its ids', async () => {
      machine = 'b';
      assert.equal(await home(), 'other-machine');
      machine = 'a';
      product = 'q';
      assert.equal(await home(), 'other-machine');
    });

    it('nothing when a machine has lost or gained an id', async () => {
      product = undefined;
      assert.equal(await home(), 'same');
      await open().adopt();
      product = 'q';
      assert.equal(await home(), 'same');
    });

    it('a copy of the directory, until it is adopted', async () => {
      const copy = await mkdtemp(join(tmpdir(), 'starling-identity-copy-'));
      try {
        await cp(directory, copy, { recursive: true, preserveTimestamps: true });
        await chmod(join(copy, 'node'), 0o700);
        await chmod(join(copy, 'node', 'node.key'), 0o600);
        assert.equal(await home(copy), 'moved');
        await open(copy).adopt();
        assert.equal(await home(copy), 'same');
        assert.equal(await home(), 'same');
      } finally {
        await rm(copy, { recursive: true });
      }
    });
  });
});

describe('machine facts', () => {
  it('are hashes of this machine’s ids, the same every time', async () => {
    const first = await readMachineFacts();
    assert.deepEqual(await readMachineFacts(), first);
    for (const fact of [first.machine, first.product]) assert.match(fact ?? 'f'.repeat(64), /^[0-9a-f]{64}$/);
  });
});
