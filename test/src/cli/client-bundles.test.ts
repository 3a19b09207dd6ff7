/**
 * Goal: who makes or renews a client and is left without its key is told so, with the way to another one. Method: managers
 * that sign for real, and a place for the bundle that is taken while they do.
 */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { issueClientCertificate } from '#certs/authority.ts';
import { certificatesPem } from '#certs/certificate.ts';
import { parseCertificateRequest } from '#certs/certificate-request.ts';
import {
  ClientBundle,
  ClientService,
  type CreateClientRequest,
  CreateClientResponse,
  type RenewClientRequest,
} from '#gen/swarm/v1/clients.ts';
import { Client, ClientRole } from '#gen/swarm/v1/objects.ts';
import { CLUSTER_ID, testAuthority } from '#test/certs/fixtures.ts';
import { type CliResult, runCli, scriptedClient } from './support/run-cli.ts';

const CLIENT_ID = 'c'.repeat(25);
const authority = testAuthority();

describe('cli: bundles of clients', () => {
  let home = '';
  let output = '';
  let asked: number[] = [];

  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'starling-bundles-'));
    output = join(home, 'bundle');
    asked = [];
  });
  afterEach(() => rm(home, { recursive: true, force: true }));

  function run(words: readonly string[], meanwhile: () => Promise<unknown>, damage = false): Promise<CliResult> {
    const answer = async ({
      csrPem = new Uint8Array(),
      expiryMs = 0,
    }: Partial<CreateClientRequest | RenewClientRequest>) => {
      asked.push(expiryMs);
      const certificatePem = issueClientCertificate(authority, {
        identity: { clientId: CLIENT_ID, role: 'viewer', clusterId: CLUSTER_ID },
        publicKeyDer: parseCertificateRequest(csrPem).publicKeyDer,
        nowMs: Date.now(),
        lifetimeMs: 1_000_000,
      });
      await meanwhile();
      const client = Client.create({ id: CLIENT_ID, name: 'ci', role: ClientRole.VIEWER, notAfterMs: Date.now() });
      const bundle = ClientBundle.create({
        certificatePem: Buffer.from(damage ? '' : certificatePem),
        trustedRootsPem: Buffer.from(certificatesPem([authority.certificate])),
        clusterId: CLUSTER_ID,
        addresses: ['10.0.0.1:2377'],
      });
      return CreateClientResponse.create({ client, bundle });
    };
    const clients = scriptedClient(ClientService, { createClient: answer, renewClient: answer });
    return runCli(['client', ...words], { api: { clients } });
  }

  const CASES = [
    [['create', 'ci'], /^client ci was created, and its key is lost: /],
    [
      ['renew', 'ci'],
      /^client ci was renewed, and its key is lost: .*; the bundle that it had is refused from now on$/m,
    ],
  ] as const;

  it('are written where they are asked for', async () => {
    const { stdout, exitCode, stderr } = await run(['create', 'ci', '--output', output], async () => {});
    assert.equal(exitCode, 0, stderr);
    assert.match(stdout, /^Created client ci \(role viewer, until 20.*\)\.\nIts bundle, with its key, is in /);
    assert.deepEqual((await readdir(output)).toSorted(), ['ca.pem', 'cert.pem', 'context.json', 'key.pem']);
  });

  it('--expiry: no time at all is refused, and not a year', async () => {
    for (const expiry of ['0s', '0', '-1h'])
      for (const verb of ['create', 'renew']) {
        const { stderr, exitCode } = await run([verb, 'ci', `--expiry=${expiry}`, '--output', output], async () => {});
        assert.equal(exitCode, 125, `${verb} ${expiry}`);
        assert.match(stderr, /duration .* is not positive/);
      }
    await run(['create', 'ci', '--expiry', '24h', '--output', output], async () => {});
    assert.deepEqual(asked, [24 * 60 * 60 * 1000]);
  });

  for (const [words, message] of CASES) {
    it(`${words[0]}: that cannot be written leave a client whose key is lost, and say so`, async () => {
      const taken = await run([...words, '--output', output], () => mkdir(output));
      await rm(output, { recursive: true });
      const away = await run([...words, '--output', output], () => rm(home, { recursive: true }));
      assert.match(taken.stderr, /bundle exists/);
      assert.match(away.stderr, /cannot write/);
      for (const { stderr, stdout, exitCode } of [taken, away]) {
        assert.deepEqual([exitCode, stdout], [1, '']);
        assert.match(stderr, message);
        assert.match(stderr, /\nHint: let it have another key: swarm client renew ci --output DIRECTORY\n$/);
      }
    });

    it(`${words[0]}: that are not whole when they come say so, too`, async () => {
      const { stderr, exitCode } = await run([...words, '--output', output], async () => {}, true);
      assert.equal(exitCode, 1);
      assert.match(stderr, message);
      assert.match(stderr, /the answer of the manager is damaged/);
    });
  }
});
