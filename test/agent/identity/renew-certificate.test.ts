/** A member gets another certificate, over real gRPC and TLS; both of its files are replaced, or none. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  dialCa,
  IDENTITY_CONFIG,
  IdentityStore,
  joinCluster,
  type LoadedIdentity,
  renewCertificate,
} from '#agent/identity/index.ts';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { must, rejects } from '#test/certs/rejects.ts';
import { CaServer } from './ca-server.ts';

describe('renewal of a certificate', () => {
  let directory = '';
  let store: IdentityStore;
  let server: CaServer;

  const load = async (): Promise<LoadedIdentity> => must(await new IdentityStore(directory).load(Date.now()));
  const at = (name: string): string => join(directory, 'node', name);
  const renew = async (managers: readonly string[] = [server.address]): Promise<LoadedIdentity> =>
    renewCertificate({
      store,
      current: await load(),
      managers,
      dial: dialCa,
      clock: systemClock,
      logger: silentLogger,
      config: { ...IDENTITY_CONFIG, requestTimeoutMs: 2_000 },
    });
  const setRole = async (role: NodeRole): Promise<void> => {
    const { nodeId } = (await load()).identity;
    const node = must(server.store.nodes().find(({ id }) => id === nodeId));
    await server.store.commit([{ kind: 'update', table: 'node', object: { ...node, role } }]);
  };

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-renew-'));
    store = new IdentityStore(directory);
    server = await new CaServer().start();
    await joinCluster(server.joinOptions(store));
  });
  afterEach(async () => {
    server.stop();
    await rm(directory, { recursive: true });
  });

  it('gives the node the role that its object has, with a new key, and changes nothing else', async () => {
    const before = await load();
    await setRole(NodeRole.MANAGER);
    const renewed = await renew();
    assert.equal(renewed.identity.role, 'manager');
    assert.equal(renewed.identity.nodeId, before.identity.nodeId);
    assert.equal(renewed.identity.clusterId, before.identity.clusterId);
    assert.notEqual(renewed.tls.privateKeyPem, before.tls.privateKeyPem);
    assert.deepEqual(renewed.addresses, before.addresses);
    assert.deepEqual((await load()).tls, renewed.tls);
    assert.deepEqual((await readdir(join(directory, 'node'))).sort(), [
      'node.crt',
      'node.key',
      'root.crt',
      'state.json',
    ]);
    assert.equal((await stat(at('node.key'))).mode & 0o777, 0o600);
    await setRole(NodeRole.WORKER);
    assert.equal((await renew()).identity.role, 'worker');
  });

  it('is completed at the next start, wherever it was interrupted', async () => {
    const files = ['node.key', 'node.crt'];
    const old = await Promise.all(files.map((name) => readFile(at(name), 'utf8')));
    await setRole(NodeRole.MANAGER);
    await renew();
    const fresh = await Promise.all(files.map((name) => readFile(at(name), 'utf8')));
    const renewal = JSON.stringify({ format: 1, key: fresh[0], certificate: fresh[1] });
    for (const replaced of [0, 1, 2]) {
      for (const [index, name] of files.entries())
        await writeFile(at(name), must(index < replaced ? fresh[index] : old[index]));
      await writeFile(at('renewal.json'), renewal, { mode: 0o600 });
      assert.equal((await load()).identity.role, 'manager', `after ${replaced} files`);
      assert.equal(await readFile(at('node.crt'), 'utf8'), fresh[1]);
    }
    // Not begun: what is there goes on.
    for (const [index, name] of files.entries()) await writeFile(at(name), must(old[index]));
    assert.equal((await load()).identity.role, 'worker');
  });

  it('goes on to the next manager, and leaves everything as it is when none issues one', async () => {
    await setRole(NodeRole.MANAGER);
    assert.equal((await renew(['127.0.0.1:1', server.address])).identity.role, 'manager');
    const before = await load();
    await assert.rejects(renew(['127.0.0.1:1']), rejects('connection-failed', /./));
    await assert.rejects(renew([]), rejects('connection-failed', /./));
    server.before = (method) => {
      if (method === 'issueNodeCertificate')
        throw new SwarmError({ code: 'denied', reason: 'node-removed', message: 'gone' });
    };
    await assert.rejects(renew(), rejects('node-removed', /./));
    assert.deepEqual((await load()).tls, before.tls);
  });

  it('does not take the certificate of its old key from a manager that is behind', async () => {
    await setRole(NodeRole.MANAGER);
    const { nodeId } = (await load()).identity;
    const behind = must(server.store.nodes().find(({ id }) => id === nodeId)).certificate;
    server.before = async (method) => {
      if (method !== 'getNodeCertificateStatus') return;
      const node = must(server.store.nodes().find(({ id }) => id === nodeId));
      await server.store.commit([{ kind: 'update', table: 'node', object: { ...node, certificate: behind } }]);
    };
    await assert.rejects(renew(), rejects('bad-certificate', /./));
    assert.equal((await load()).identity.role, 'worker');
  });

  it('writes managers and addresses at the same time without losing either', async () => {
    const managers = [{ nodeId: 'm'.repeat(25), address: '192.0.2.7:2377' }];
    const addresses = { listen: '0.0.0.0:2400', advertise: '192.0.2.9:2400', dataPath: '' };
    await Promise.all([store.saveManagers(managers), store.saveAddresses(addresses)]);
    const loaded = await load();
    assert.deepEqual(loaded.managers, managers);
    assert.deepEqual(loaded.addresses, addresses);
  });
});
