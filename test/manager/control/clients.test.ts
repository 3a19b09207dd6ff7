/**
 * Goal: clients are made, renewed and revoked as asked, or nothing happens; no history of renewals shuts a client out.
 * Method: the API on a store in memory with a certificate authority of its own.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseCertificates } from '#certs/certificate.ts';
import { createCertificateRequest } from '#certs/certificate-request.ts';
import { certifiedClient } from '#certs/client-identity.ts';
import { generateKeyPair, type KeyPair } from '#certs/key.ts';
import { ManualClock } from '#common/clock.ts';
import { LIMITS } from '#common/limits.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { CreateClientRequest, ListClientsRequest, RenewClientRequest } from '#gen/swarm/v1/clients.ts';
import { Client, ClientRole } from '#gen/swarm/v1/objects.ts';
import { NodeAvailability } from '#gen/swarm/v1/specs.ts';
import { bootstrapCluster, ClientCertificates } from '#manager/ca/index.ts';
import { ControlApi, type ControlCaller } from '#manager/control/index.ts';
import { must } from '#test/certs/rejects.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';
import { failure } from '#test/support/failure.ts';

const HOUR_MS = 60 * 60 * 1000;
const LOCAL: ControlCaller = { author: 'local' };

function setUp(featureLevel = 5) {
  const clock = new ManualClock();
  const random = new SeededRandom(4);
  const { cluster } = bootstrapCluster({
    nowMs: clock.now(),
    random,
    hostname: 'a',
    availability: NodeAvailability.ACTIVE,
    featureLevel,
  });
  const view = new MemoryView();
  view.commit([{ kind: 'create', table: 'cluster', object: cluster }]);
  const managers = () => [{ nodeId: 'a', address: '10.0.0.1:2377' }];
  const { clients } = new ControlApi({
    store: { view: () => view, decide: async (decide) => view.commit(decide(view)) },
    selfNodeId: () => 'a',
    members: () => [],
    random,
    images: { resolve: async () => undefined },
    tokens: () => 'token',
    clients: new ClientCertificates({ cluster: () => view.cluster(), managers, clock }),
    now: () => clock.now(),
    logger: silentLogger,
  });
  return { clock, clients, view, cluster };
}

const csrOf = (keys: KeyPair) => Buffer.from(createCertificateRequest(keys));

function order(more: Partial<CreateClientRequest> = {}): CreateClientRequest {
  return CreateClientRequest.create({
    name: 'ci',
    role: ClientRole.OPERATOR,
    csrPem: csrOf(generateKeyPair()),
    ...more,
  });
}

/** The caller that shows this certificate. */
function showing(certificatePem: Uint8Array): ControlCaller {
  const { clientId, role, serial } = certifiedClient(must(parseCertificates(certificatePem)[0]));
  return { author: clientId, client: { clientId, role, serial } };
}

const renewal = (more: Partial<RenewClientRequest>) => RenewClientRequest.create(more);

describe('control API: clients', () => {
  it('makes a client with a certificate for its key, and says where managers are', async () => {
    const { clients, clock, cluster } = setUp();
    const keys = generateKeyPair();
    const { client, bundle } = await clients.create(LOCAL, order({ csrPem: csrOf(keys), expiryMs: 5 * HOUR_MS }));
    assert.deepEqual([client?.name, client?.role, client?.createdBy], ['ci', ClientRole.OPERATOR, 'local']);
    assert.deepEqual([bundle?.clusterId, bundle?.addresses], [cluster.id, ['10.0.0.1:2377']]);
    assert.deepEqual(Buffer.from(must(bundle).trustedRootsPem), Buffer.from(must(cluster.rootCa).certificatePem));
    const leaf = must(parseCertificates(must(bundle).certificatePem)[0]);
    const identity = certifiedClient(leaf);
    assert.deepEqual([identity.clientId, identity.role, identity.serial], [client?.id, 'operator', client?.serial]);
    assert.ok(leaf.publicKeyDer.equals(keys.publicKey.export({ type: 'spki', format: 'der' })));
    assert.ok(Math.abs(identity.notAfterMs - clock.now() - 5 * HOUR_MS) < 2_000);
  });

  it('gives a year to who does not say otherwise', async () => {
    const { clients, clock } = setUp();
    const { client } = await clients.create(LOCAL, order());
    assert.ok(Math.abs(must(client).notAfterMs - clock.now() - LIMITS.CLIENT_EXPIRY_MS) < 2_000);
  });

  it('gives no less than it was asked for: what the root does not outlive is refused, naming its end', async () => {
    const { clients, clock, cluster, view } = setUp();
    const rootEndMs = must(parseCertificates(must(cluster.rootCa).certificatePem)[0]).notAfterMs;
    const tooLong = rootEndMs - clock.now() + 1;
    const { client } = await clients.create(LOCAL, order({ name: 'whole', expiryMs: tooLong - 1 }));
    assert.equal(client?.notAfterMs, rootEndMs);
    const answers = [
      clients.create(LOCAL, order({ expiryMs: tooLong })),
      clients.create(LOCAL, order({ expiryMs: Number.MAX_SAFE_INTEGER })),
      clients.renew(LOCAL, renewal({ reference: 'whole', csrPem: csrOf(generateKeyPair()), expiryMs: tooLong })),
    ];
    for (const answer of answers) {
      const error = await failure(answer);
      assert.deepEqual([error.code, error.field], ['invalid', 'expiry']);
      assert.ok(error.message.endsWith(`ends at ${new Date(rootEndMs).toISOString()}`), error.message);
    }
    assert.equal(view.count('client'), 1);
    // A year was not asked for.
    clock.advance(rootEndMs - clock.now() - 2 * HOUR_MS);
    assert.equal((await clients.create(LOCAL, order())).client?.notAfterMs, rootEndMs);
  });

  it('refuses rubbish, and nothing of it is there afterwards', async () => {
    const { clients, view } = setUp();
    const cases: readonly [Partial<CreateClientRequest>, string][] = [
      [{ name: '' }, 'name'],
      [{ name: '../x' }, 'name'],
      [{ name: 'a'.repeat(64) }, 'name'],
      [{ name: 'a b' }, 'name'],
      [{ role: ClientRole.UNSPECIFIED }, 'role'],
      [{ role: 99 as ClientRole }, 'role'],
      [{ expiryMs: 1 }, 'expiry'],
      [{ expiryMs: -5 * HOUR_MS }, 'expiry'],
    ];
    for (const [more, field] of cases) {
      const error = await failure(clients.create(LOCAL, order(more)));
      assert.deepEqual([error.code, error.field], ['invalid', field], JSON.stringify(more));
      assert.ok((error.hint ?? '').length > 0);
    }
    for (const csrPem of [new Uint8Array(), Buffer.from('x'), Buffer.alloc(LIMITS.CSR_BYTES + 1, 65)])
      assert.match((await failure(clients.create(LOCAL, order({ csrPem })))).message, /certificate request/);
    assert.equal(view.count('client'), 0);
  });

  it('takes each name once, however it is written', async () => {
    const { clients } = setUp();
    await clients.create(LOCAL, order());
    const error = await failure(clients.create(LOCAL, order({ name: 'CI' })));
    assert.deepEqual([error.code, error.reason], ['exists', 'duplicate-name']);
    assert.match(error.hint ?? '', /client renew/);
  });

  it('waits for every manager of an older release', async () => {
    const { clients } = setUp(4);
    assert.equal((await failure(clients.create(LOCAL, order()))).reason, 'feature-level');
  });

  it('has a limit, which it names', async () => {
    const { clients, view } = setUp();
    const many = Array.from({ length: LIMITS.CLIENTS_PER_CLUSTER }, (_, at) =>
      Client.create({ id: `c${at}`, name: `c${at}` }),
    );
    view.commit(many.map((object) => ({ kind: 'create', table: 'client', object })));
    assert.equal((await failure(clients.create(LOCAL, order()))).limit, 'CLIENTS_PER_CLUSTER');
  });

  it('finds by id, by name and by the beginning of an id, lists, and revokes', async () => {
    const { clients, view } = setUp();
    const { client } = await clients.create(LOCAL, order());
    await clients.create(LOCAL, order({ name: 'eyes', role: ClientRole.VIEWER }));
    const { id } = must(client);
    for (const reference of [id, 'ci', 'Ci', id.slice(0, 6)])
      assert.equal((await clients.get(LOCAL, { reference })).client?.id, id);
    const names = async (request: Partial<ListClientsRequest>) => {
      const found: string[] = [];
      for await (const page of clients.list(LOCAL, ListClientsRequest.create(request)))
        found.push(...page.clients.map(({ name }) => name));
      return found;
    };
    assert.deepEqual(await names({}), ['ci', 'eyes']);
    assert.deepEqual(await names({ roles: [ClientRole.VIEWER] }), ['eyes']);
    assert.deepEqual(await names({ names: ['c'] }), ['ci']);
    assert.deepEqual(await clients.revoke(LOCAL, { reference: 'ci' }), { id });
    assert.equal(view.get('client', id), undefined);
    assert.equal((await failure(clients.revoke(LOCAL, { reference: 'ci' }))).reason, 'unknown-object');
    // Its name is free again, and its certificate is another's for ever.
    const { client: next } = await clients.create(LOCAL, order());
    assert.notEqual(next?.id, id);
  });

  it('a renewal by an administrator ends what was there before', async () => {
    const { clients } = setUp();
    const made = await clients.create(LOCAL, order({ expiryMs: 2 * HOUR_MS }));
    const again = await clients.renew(LOCAL, renewal({ reference: 'ci', csrPem: csrOf(generateKeyPair()) }));
    assert.equal(again.client?.id, made.client?.id);
    assert.notEqual(again.client?.serial, made.client?.serial);
    assert.equal(again.client?.previousSerial, '');
    const lifetimeOf = ({ notBeforeMs, notAfterMs }: Client) => notAfterMs - notBeforeMs;
    assert.equal(lifetimeOf(must(again.client)), lifetimeOf(must(made.client)));
  });

  it('a client renews its own only, for no longer than it has had, and not at all when it was made to end', async () => {
    const { clients } = setUp();
    const made = await clients.create(LOCAL, order({ expiryMs: 2 * HOUR_MS }));
    const self = showing(must(made.bundle).certificatePem);
    const csrPem = csrOf(generateKeyPair());
    await clients.create(LOCAL, order({ name: 'other' }));
    const other = await failure(clients.renew(self, renewal({ reference: 'other', csrPem })));
    assert.deepEqual([other.code, other.reason], ['denied', 'wrong-role']);
    const longer = await failure(clients.renew(self, renewal({ csrPem, expiryMs: 3 * HOUR_MS })));
    assert.equal(longer.field, 'expiry');
    assert.equal((await failure(clients.renew(LOCAL, renewal({ csrPem })))).field, 'reference');
    const fixed = await clients.create(LOCAL, order({ name: 'short', fixed: true }));
    const refused = await failure(clients.renew(showing(must(fixed.bundle).certificatePem), renewal({ csrPem })));
    assert.match(refused.message, /was made to end with its certificate/);
    await clients.revoke(LOCAL, { reference: 'ci' });
    assert.equal((await failure(clients.renew(self, renewal({ csrPem })))).reason, 'unknown-object');
  });

  it('copies of a client that renew in any order, some of whose answers are lost, all go on', async () => {
    const copyAndLoss = fc.record({ copy: fc.nat(2), isLost: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(copyAndLoss, { maxLength: 6 }), async (renewals) => {
        const { clients, view } = setUp();
        const keys = generateKeyPair();
        const csrPem = csrOf(keys);
        const made = await clients.create(LOCAL, order({ csrPem }));
        const first = must(made.bundle).certificatePem;
        const copies = [first, first, first];
        for (const { copy, isLost } of renewals) {
          // One that has renewed has a whole life before it.
          if (copies[copy] !== first) continue;
          const { bundle } = await clients.renew(showing(first), renewal({ csrPem }));
          if (!isLost) copies[copy] = must(bundle).certificatePem;
        }
        const { serial, previousSerial } = must(view.get('client', must(made.client).id));
        for (const pem of copies) assert.ok([serial, previousSerial].includes(must(showing(pem).client).serial));
      }),
      { numRuns: 30 },
    );
  });

  it('copies that renew at the same moment get the same certificate', async () => {
    const { clients, view } = setUp();
    const csrPem = csrOf(generateKeyPair());
    const made = await clients.create(LOCAL, order({ csrPem }));
    const self = showing(must(made.bundle).certificatePem);
    const both = await Promise.all([1, 2].map(() => clients.renew(self, renewal({ csrPem }))));
    const { serial } = must(view.get('client', must(made.client).id));
    for (const { bundle } of both) assert.equal(showing(must(bundle).certificatePem).client?.serial, serial);
  });

  it('who renews with another key leaves the others what they have, but no renewal', async () => {
    const { clients } = setUp();
    const made = await clients.create(LOCAL, order());
    const self = showing(must(made.bundle).certificatePem);
    await clients.renew(self, renewal({ csrPem: csrOf(generateKeyPair()) }));
    const error = await failure(clients.renew(self, renewal({ csrPem: csrOf(generateKeyPair()) })));
    assert.deepEqual([error.code, error.reason], ['conflict', 'out-of-sequence']);
    assert.match(error.message, /renewed its certificate elsewhere/);
  });
});
