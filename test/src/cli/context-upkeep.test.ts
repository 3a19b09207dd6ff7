/**
 * Goal: what commands do for a context on the side damages none that another command writes meanwhile, and fails no command;
 * what an import leaves that was ended is cleared away. Method: a directory of contexts, bundles of a real authority, and
 * managers that are scripted to let other commands in between.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { issueClientCertificate } from '#certs/authority.ts';
import { parseCertificateRequest } from '#certs/certificate-request.ts';
import { ClientService, ClientBundle as IssuedBundle, RenewClientResponse } from '#gen/swarm/v1/clients.ts';
import { ControlService, GetClusterResponse, ListNodesResponse } from '#gen/swarm/v1/control.ts';
import { ManagerStatus, Node } from '#gen/swarm/v1/objects.ts';
import { bundleIdentity, type ClientBundle } from '#src/cli/contexts/client-bundle.ts';
import { contextPaths } from '#src/cli/contexts/context-paths.ts';
import { addContext, readContext, removeContext } from '#src/cli/contexts/context-store.ts';
import { keepUsable } from '#src/cli/contexts/keep-usable.ts';
import { CLUSTER_ID, testAuthority, testClient } from '#test/certs/fixtures.ts';
import { clientFacts } from './support/client-facts.ts';
import { scriptedClient } from './support/run-cli.ts';

const HOUR_MS = 60 * 60 * 1000;
const NAME = 'prod';
const authority = testAuthority();

function bundle(): ClientBundle {
  const client = testClient(authority, 'operator', { lifetimeMs: 30 * HOUR_MS });
  return {
    facts: clientFacts(client, '10.0.0.1:2377'),
    rootsPem: client.rootsPem,
    certificatePem: client.certificatePem,
    keyPem: client.privateKeyPem,
  };
}

describe('cli: upkeep of contexts', () => {
  let home = '';
  let contexts = '';
  const paths = () => contextPaths({ HOME: home });

  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'starling-upkeep-'));
    contexts = paths().contexts;
  });
  afterEach(() => rm(home, { recursive: true, force: true }));

  /** What comes after a command that has read this; `meanwhile` is while the managers answer. */
  async function keep(read: ClientBundle, meanwhile: () => Promise<void>, nowMs = Date.now()): Promise<void> {
    const clients = scriptedClient(ClientService, {
      renewClient: async ({ csrPem = new Uint8Array() }) => {
        const certificatePem = issueClientCertificate(authority, {
          identity: { clientId: read.facts.clientId, role: 'operator', clusterId: CLUSTER_ID },
          publicKeyDer: parseCertificateRequest(csrPem).publicKeyDer,
          nowMs,
          lifetimeMs: 60 * HOUR_MS,
        });
        await meanwhile();
        const issued = IssuedBundle.create({
          certificatePem: Buffer.from(certificatePem),
          addresses: ['10.0.0.9:2377'],
        });
        return RenewClientResponse.create({ bundle: issued });
      },
    });
    const control = scriptedClient(ControlService, {
      getCluster: async () => Promise.resolve(GetClusterResponse.create({})),
      async *listNodes() {
        await meanwhile();
        const managerStatus = ManagerStatus.create({ address: '10.0.0.9:2377' });
        yield ListNodesResponse.create({ nodes: [Node.create({ managerStatus })] });
      },
    });
    const identity = bundleIdentity(read, 'the context');
    await keepUsable({ clients, control }, { paths: paths(), name: NAME, bundle: read, identity, nowMs });
  }

  async function imported(): Promise<ClientBundle> {
    const first = bundle();
    await addContext(paths(), NAME, first, false);
    const longAgo = new Date(Date.now() - 2 * HOUR_MS);
    await utimes(join(contexts, NAME, 'cert.pem'), longAgo, longAgo);
    return first;
  }

  it('renews the certificate in time, and learns addresses', async () => {
    const before = await imported();
    await keep(before, async () => {});
    assert.deepEqual((await readContext(paths(), NAME)).facts.addresses, ['10.0.0.9:2377']);
    await keep(before, async () => {}, Date.now() + 25 * HOUR_MS);
    const after = await readContext(paths(), NAME);
    assert.notEqual(after.certificatePem, before.certificatePem);
    assert.equal(after.keyPem, before.keyPem);
  });

  it('leaves a context alone that was replaced meanwhile', async () => {
    for (const nowMs of [Date.now(), Date.now() + 25 * HOUR_MS]) {
      const before = await imported();
      const newer = bundle();
      await assert.rejects(
        keep(before, () => addContext(paths(), NAME, newer, true), nowMs),
        /context prod was replaced in the meantime/,
      );
      assert.deepEqual(await readContext(paths(), NAME), newer);
      await removeContext(paths(), NAME);
    }
  });

  it('keeps the certificate that another command has got meanwhile', async () => {
    const before = await imported();
    const renewed = () => keep(before, async () => {}, Date.now() + 25 * HOUR_MS);
    await keep(before, renewed);
    const after = await readContext(paths(), NAME);
    assert.notEqual(after.certificatePem, before.certificatePem);
  });

  it('makes no context again that was removed meanwhile', async () => {
    const before = await imported();
    await assert.rejects(
      keep(before, () => removeContext(paths(), NAME)),
      /context not found/,
    );
    await assert.rejects(
      keep(before, async () => {}),
      { code: 'ENOENT' },
    );
    assert.deepEqual(await readdir(contexts), []);
  });

  describe('that an import was ended in', () => {
    /** Of a process that has ended. */
    const gone = () => spawnSync(process.execPath, ['--version']).pid;

    it('half-written bundles and replaced ones are cleared away, those of living processes are not', async () => {
      const first = await imported();
      const pid = gone();
      const alive = `.${process.ppid}-17.tmp`;
      for (const entry of [`.${pid}-12345.tmp`, alive, `.prod.${pid}.old`, `.strange.${pid}.thing`]) {
        await mkdir(join(contexts, entry));
        await writeFile(join(contexts, entry, 'key.pem'), first.keyPem);
      }
      await addContext(paths(), 'other', bundle(), false);
      assert.deepEqual(
        (await readdir(contexts)).toSorted(),
        [alive, `.strange.${pid}.thing`, 'other', 'prod'].toSorted(),
      );
      assert.deepEqual(await readContext(paths(), NAME), first);
    });

    it('between the two renames has the context of before again', async () => {
      const first = await imported();
      await rename(join(contexts, NAME), join(contexts, `.prod.${gone()}.old`));
      await addContext(paths(), 'other', bundle(), false);
      assert.deepEqual(await readContext(paths(), NAME), first);
    });

    it('comes back with nothing that was removed since', async () => {
      const first = await imported();
      await mkdir(join(contexts, `.prod.${gone()}.old`));
      await removeContext(paths(), NAME);
      await addContext(paths(), 'other', bundle(), false);
      assert.deepEqual(await readdir(contexts), ['other']);
      assert.ok(!(await readFile(join(contexts, 'other/key.pem'), 'utf8')).includes(first.keyPem));
    });
  });

  it('a context is replaced by one that is whole, or not at all', async () => {
    const first = await imported();
    const broken = {
      ...bundle(),
      get keyPem(): string {
        throw new Error('the disk is full');
      },
    };
    await assert.rejects(addContext(paths(), NAME, broken, true), /the disk is full/);
    assert.deepEqual(await readContext(paths(), NAME), first);
    assert.deepEqual(await readdir(contexts), [NAME]);
  });
});
