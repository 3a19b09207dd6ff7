/**
 * Goal: a client may do what the table says of its role and nothing else, as long as the swarm knows it and its
 * certificate counts. Method: the manager's own server with its handlers over real TLS; every method of the contract is
 * asked by every role, so that a new one is covered by itself.
 */
import assert from 'node:assert/strict';
import type { ClientRoleName } from '#certs/client-identity.ts';
import type { SwarmError } from '#common/errors.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { type MethodPath, services } from '#gen/services.ts';
import { ControlService } from '#gen/swarm/v1/control.ts';
import { HealthService } from '#gen/swarm/v1/health.ts';
import { Client, ClientRole } from '#gen/swarm/v1/objects.ts';
import { WatchService } from '#gen/swarm/v1/watch.ts';
import { AUTHORIZATION } from '#proto/authorization.ts';
import { createClient } from '#proto/grpc/client.ts';
import type { GrpcTransport } from '#proto/grpc/grpc-transport.ts';
import { type TestClient, type TestClientOptions, testAuthority, testClient } from '#test/certs/fixtures.ts';
import { must } from '#test/certs/rejects.ts';
import { failure } from '#test/support/failure.ts';
import { GuardedManager } from './guarded-manager.ts';

const WAIT_MS = 10_000;
const DAY_MS = 24 * 60 * 60 * 1000;
const METHODS = Object.values(services).flatMap((service) =>
  Object.values(service).map(({ path }) => ({ path: path as MethodPath })),
);
const ROLES = { admin: ClientRole.ADMIN, operator: ClientRole.OPERATOR, viewer: ClientRole.VIEWER } as const;
const ROLE_NAMES = Object.keys(ROLES) as ClientRoleName[];

describe('clients from outside', function () {
  this.timeout(60_000);
  let manager: GuardedManager;

  before(async () => {
    manager = await GuardedManager.start();
  });
  after(() => manager.close());

  function mint(role: ClientRoleName, options: TestClientOptions = {}): TestClient {
    return testClient(manager.authority, role, { clusterId: manager.swarm.cluster.id, ...options });
  }

  /** The swarm knows the client from now on, on every manager. */
  async function admit({ clientId, role, serial }: TestClient, more: Partial<Client> = {}): Promise<void> {
    const object = Client.create({ id: clientId, name: clientId, role: ROLES[role], serial, ...more });
    await manager.swarm.a.store.commit([{ kind: 'create', table: 'client', object }]);
  }

  async function known(role: ClientRoleName): Promise<TestClient> {
    const client = mint(role);
    await admit(client);
    return client;
  }

  const objectOf = ({ clientId }: TestClient): Client => must(manager.swarm.a.store.view().get('client', clientId));

  async function revoke(client: TestClient): Promise<void> {
    await manager.swarm.a.store.commit([{ kind: 'remove', table: 'client', object: objectOf(client) }]);
  }

  async function outcome(transport: GrpcTransport, path: string): Promise<SwarmError | undefined> {
    const call = transport.open(path, { timeoutMs: WAIT_MS });
    // No message: who may call is told so, and nothing comes of it.
    call.write(Uint8Array.of(0xff)).catch(() => {});
    call.end();
    try {
      await call.messages.next();
      return undefined;
    } catch (error) {
      return error as SwarmError;
    } finally {
      call.cancel();
    }
  }

  const health = (client: TestClient) => createClient(HealthService, manager.connect(client));

  for (const role of ROLE_NAMES)
    it(`of role ${role}: every method is open or closed as the table says`, async () => {
      const transport = manager.connect(await known(role));
      let [open, closed] = [0, 0];
      for (const { path } of METHODS) {
        const error = await outcome(transport, path);
        if (AUTHORIZATION[path].includes(role)) {
          const isServed = error?.reason === 'bad-message' || error?.code === 'unimplemented';
          assert.ok(isServed, `${path} is closed: ${error?.message}`);
          open++;
        } else {
          const isAbsent = error?.code === 'unimplemented';
          assert.ok(isAbsent || (error?.code === 'denied' && error.reason === 'wrong-role'), `${path} is open`);
          closed++;
        }
      }
      assert.ok(open >= 20 && closed >= 20, `${open} open, ${closed} closed`);
    });

  it('have roles that contain each other, and none that nodes or the machine itself have', () => {
    for (const [path, row] of Object.entries(AUTHORIZATION)) {
      if (row.includes('viewer')) assert.ok(row.includes('operator'), path);
      if (row.includes('operator')) assert.ok(row.includes('admin'), path);
      // What an administrator may from outside, root of a manager may on it.
      if (row.includes('admin')) assert.ok(row.includes('local'), path);
      if (/Dispatcher|Raft|Membership|LogBroker|CertificateAuthority|NodeService|Snapshot|Image/.test(path))
        assert.ok(!row.includes('admin'), path);
      if (row.includes('viewer')) assert.match(path, /\/(?:Get|List|Watch|SubscribeLogs|Check|RenewClient)/);
    }
  });

  it('of whom the swarm does not know are refused, though its root has signed them', async () => {
    const error = await failure(health(mint('admin')).check({}));
    assert.deepEqual([error.code, error.reason], ['denied', 'client-revoked']);
    assert.match(error.hint ?? '', /swarm client create/);
  });

  it('that say another role than they were given are refused', async () => {
    const viewer = mint('viewer');
    const posing = mint('admin', { clientId: viewer.clientId });
    await admit(viewer, { serial: posing.serial });
    assert.equal((await failure(health(posing).check({}))).reason, 'client-revoked');
  });

  it('with a certificate that another one took the place of are refused; the one before a renewal is good', async () => {
    const before = mint('viewer');
    await admit(before, { serial: '01', previousSerial: before.serial });
    await health(before).check({});
    const older = mint('viewer');
    await admit(older, { serial: '01', previousSerial: '02' });
    const error = await failure(health(older).check({}));
    assert.equal(error.reason, 'client-revoked');
    assert.match(error.message, /has got another certificate/);
  });

  it('whose certificate has expired, does not hold yet, or is of another root are nobody', async () => {
    const bad = [
      mint('admin', { nowMs: Date.now() - 10 * DAY_MS, lifetimeMs: DAY_MS }),
      mint('admin', { nowMs: Date.now() + DAY_MS }),
      testClient(testAuthority(), 'admin', { clusterId: manager.swarm.cluster.id }),
    ];
    for (const client of bad) {
      await admit(client);
      // It trusts the right root, so that it is the manager who refuses.
      const error = await failure(health({ ...client, rootsPem: manager.rootsPem }).check({}));
      assert.deepEqual([error.code, error.reason], ['unauthenticated', 'no-certificate']);
    }
  });

  it('of another cluster of the same root are refused by name', async () => {
    const client = mint('admin', { clusterId: '0'.repeat(25) });
    await admit(client);
    assert.equal((await failure(health(client).check({}))).reason, 'wrong-cluster');
  });

  it('that are revoked lose open streams within a second, and every call on the connection that they have', async () => {
    const client = await known('viewer');
    const transport = manager.connect(client);
    const watch = createClient(WatchService, transport).watch({});
    const first = await withDeadline(watch.next(), WAIT_MS, 'the watch');
    assert.equal(first.done, false);
    const end = (async () => {
      for (;;) if ((await watch.next()).done === true) return undefined;
    })().catch((error: unknown) => error as SwarmError);
    const revokedMs = performance.now();
    await revoke(client);
    assert.equal((await failure(createClient(HealthService, transport).check({}))).reason, 'client-revoked');
    assert.equal((await withDeadline(end, WAIT_MS, 'the end of the watch'))?.reason, 'client-revoked');
    // A second, and what a busy machine adds.
    assert.ok(performance.now() - revokedMs < 5_000);
    const again = createClient(HealthService, manager.connect(client));
    assert.equal((await failure(again.check({}))).reason, 'client-revoked', 'nor connect anew');
  });

  it('see join tokens as administrators only', async () => {
    const tokens = async (role: ClientRoleName) => {
      const control = createClient(ControlService, manager.connect(await known(role)));
      return (await control.getCluster({})).cluster?.rootCa?.joinTokens;
    };
    assert.match((await tokens('admin'))?.worker ?? '', /^SWMTKN-1-/);
    assert.equal(await tokens('operator'), undefined);
    assert.equal(await tokens('viewer'), undefined);
  });

  it('change availability and labels of nodes as operators, but no role', async () => {
    const control = createClient(ControlService, manager.connect(await known('operator')));
    const { node } = await control.getNode({ reference: manager.swarm.b.nodeId });
    const spec = { ...must(must(node).spec), labels: { zone: 'a' } };
    const { node: labelled } = await control.updateNode({ id: must(node).id, version: must(node).version, spec });
    assert.equal(labelled?.spec?.labels['zone'], 'a');
    const promoted = { ...spec, desiredRole: spec.desiredRole === 1 ? 2 : 1 } as const;
    const asked = { id: must(node).id, version: must(labelled).version, spec: promoted };
    const error = await failure(control.updateNode(asked));
    assert.deepEqual([error.code, error.reason, error.field], ['denied', 'wrong-role', 'role']);
  });

  it('are refused by a manager that had not heard of the revocation, when it has caught up', async () => {
    const { a } = manager.swarm;
    const client = await known('viewer');
    const control = createClient(ControlService, manager.connect(client));
    // The revocation is applied after the call was let in and before it is answered.
    const barrier = a.store.readBarrier.bind(a.store);
    let isFirst = true;
    a.store.readBarrier = async (options) => {
      if (isFirst) {
        isFirst = false;
        await revoke(client);
      }
      return barrier(options);
    };
    try {
      assert.equal((await failure(control.getCluster({}))).reason, 'client-revoked');
    } finally {
      a.store.readBarrier = barrier;
    }
  });
});
