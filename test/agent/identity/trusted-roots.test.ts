/** A node follows the roots that managers name, while one takes the place of the other; also a renewal in between. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type CaConnection,
  IDENTITY_CONFIG,
  IdentityStore,
  type LoadedIdentity,
  renewCertificate,
} from '#agent/identity/index.ts';
import { encodeRenewal } from '#agent/identity/renewal-file.ts';
import { type Authority, crossSign, issueNodeCertificate } from '#certs/authority.ts';
import { certificatesPem } from '#certs/certificate.ts';
import { parseCertificateRequest } from '#certs/certificate-request.ts';
import type { NodeIdentity } from '#certs/identity.ts';
import { generateKeyPair, publicKeyDer } from '#certs/key.ts';
import { encodeKeyFile } from '#certs/key-file.ts';
import { NodeChannelCredentials } from '#certs/tls.ts';
import { silentLogger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';
import {
  CertificateAuthorityService,
  GetNodeCertificateStatusResponse,
  GetRootCertificateResponse,
  IssueNodeCertificateResponse,
} from '#gen/swarm/v1/ca.ts';
import { IssuanceState } from '#gen/swarm/v1/objects.ts';
import { describeCaller } from '#proto/grpc/caller.ts';
import { createClient } from '#proto/grpc/client.ts';
import { identity, type TestNode, testAuthority, testNode } from '#test/certs/fixtures.ts';
import { must, rejects } from '#test/certs/rejects.ts';
import { TlsServer } from '#test/proto/grpc/tls-server.ts';
import { failure } from '#test/support/failure.ts';

const LIFETIME_MS = 24 * 60 * 60 * 1000;
const OLD = testAuthority();
const NEW = testAuthority();
const BRIDGE = crossSign(OLD, NEW.certificate, Date.now());
const BOTH = certificatesPem([OLD.certificate, NEW.certificate]);
const ONLY_OLD = certificatesPem([OLD.certificate]);
const ONLY_NEW = certificatesPem([NEW.certificate]);

function issue(authority: Authority, who: NodeIdentity, spki: Buffer, bridge = false): string {
  const order = { identity: who, publicKeyDer: spki, nowMs: Date.now(), lifetimeMs: LIFETIME_MS };
  return issueNodeCertificate(authority, order) + (bridge ? certificatesPem([BRIDGE]) : '');
}

describe('trusted roots', () => {
  let directory = '';
  let store: IdentityStore;
  let who: NodeIdentity;

  const load = async (): Promise<LoadedIdentity> => must(await new IdentityStore(directory).load(Date.now()));
  const rootFile = (): Promise<string> => readFile(join(directory, 'node', 'root.crt'), 'utf8');
  const take = (pem: string): Promise<boolean> => store.replaceRoots(pem, Date.now());

  /** A manager that signs with this authority and says what is to be trusted. */
  const manager = (authority: Authority, bridge: boolean, trusted: string): CaConnection => {
    let chain = '';
    return {
      getRootCertificate: async () => GetRootCertificateResponse.create(),
      issueNodeCertificate: async (request) => {
        chain = issue(authority, who, parseCertificateRequest(request.csrPem).publicKeyDer, bridge);
        return IssueNodeCertificateResponse.create({ nodeId: who.nodeId });
      },
      getNodeCertificateStatus: async () =>
        GetNodeCertificateStatusResponse.create({
          state: IssuanceState.ISSUED,
          certificatePem: Buffer.from(chain),
          trustedRootsPem: Buffer.from(trusted),
        }),
      close: () => {},
    };
  };
  const renew = async (connection: CaConnection): Promise<LoadedIdentity> =>
    renewCertificate({
      store,
      current: await load(),
      managers: ['192.0.2.1:2377'],
      dial: () => connection,
      clock: systemClock,
      logger: silentLogger,
      config: IDENTITY_CONFIG,
    });

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-roots-'));
    store = new IdentityStore(directory);
    who = identity('worker');
    const keys = generateKeyPair();
    await store.install({
      privateKey: keys.privateKey,
      certificatePem: issue(OLD, who, publicKeyDer(keys.publicKey)),
      rootPem: ONLY_OLD,
      managers: [],
      addresses: { listen: '', advertise: '', dataPath: '' },
    });
  });
  afterEach(() => rm(directory, { recursive: true }));

  it('are replaced on disk, and the same ones again are no change in any order', async () => {
    assert.equal(await take(BOTH), true);
    assert.equal(await rootFile(), BOTH);
    assert.equal((await load()).tls.rootsPem, BOTH);
    assert.equal(await take(certificatesPem([NEW.certificate, OLD.certificate])), false);
    assert.equal(await rootFile(), BOTH);
    assert.equal((await stat(join(directory, 'node', 'root.crt'))).mode & 0o777, 0o644);
  });

  for (const [what, pem, reason] of [
    ['a set without the root of the own certificate', ONLY_NEW, 'wrong-cluster'],
    ['nothing', '', 'bad-certificate'],
    ['rubbish', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', 'bad-certificate'],
    ['a certificate that is no authority', ONLY_OLD + testNode(OLD, 'manager').certificatePem, 'bad-certificate'],
    ['more than a rotation needs', ONLY_OLD.repeat(9), 'bad-certificate'],
  ] as const)
    it(`stay as they are when a manager names ${what}`, async () => {
      await assert.rejects(take(pem), rejects(reason, /./));
      assert.equal(await rootFile(), ONLY_OLD);
      await load();
    });

  it('are followed through a whole rotation: both, a certificate of the new one, the new one alone', async () => {
    await take(BOTH);
    const renewed = await renew(manager(NEW, true, BOTH));
    assert.equal(renewed.identity.issuerKeyId, NEW.certificate.subjectKeyId);
    assert.equal(renewed.tls.certificatePem.split('BEGIN CERTIFICATE').length - 1, 2, 'the bridge is shown with it');
    assert.equal(await take(ONLY_NEW), true);
    const last = await renew(manager(NEW, false, ONLY_NEW));
    await assert.rejects(take(ONLY_OLD), rejects('wrong-cluster', /do not vouch/));
    assert.equal(last.tls.rootsPem, ONLY_NEW);
  });

  it('come with a renewal, both or none wherever it was interrupted', async () => {
    const { identity: before } = await load();
    const keys = generateKeyPair();
    const certificate = issue(NEW, who, publicKeyDer(keys.publicKey), true);
    const key = encodeKeyFile({ privateKey: keys.privateKey, headers: new Map() });
    await writeFile(join(directory, 'node', 'renewal.json'), encodeRenewal({ key, certificate, roots: BOTH }), {
      mode: 0o600,
    });
    const after = await load();
    assert.notEqual(after.identity.serial, before.serial);
    assert.equal(after.tls.rootsPem, BOTH);
  });

  it('that come with a renewal and would not do are left, and the certificate is taken if it can be verified', async () => {
    const renewed = await renew(manager(OLD, false, ONLY_NEW));
    assert.equal(renewed.tls.rootsPem, ONLY_OLD);
    await assert.rejects(renew(manager(NEW, false, '')), rejects('wrong-cluster', /not signed by the root/));
    assert.equal((await load()).identity.serial, renewed.identity.serial, 'nothing has changed');
  });

  it('let peers of the old root alone follow a certificate of the new one by its bridge', async () => {
    const bridged: TestNode = { ...testNode(NEW, 'manager'), rootsPem: BOTH };
    const shown = { ...bridged, certificatePem: bridged.certificatePem + certificatesPem([BRIDGE]) };
    const old = testNode(OLD, 'worker');
    const onlyOld = testNode(OLD, 'manager');
    const onlyNew = testNode(NEW, 'manager');
    assert.equal(await seenBy(shown, old), `worker ${old.identity.nodeId}`, 'the old one is heard by the new');
    assert.equal(await seenBy(onlyOld, shown), `manager ${shown.identity.nodeId}`, 'the new one is heard by the old');
    await assert.rejects(seenBy(bridged, old), /certificate/, 'without its bridge nobody would believe it');
    assert.equal(await seenBy(onlyOld, bridged), 'a caller without a certificate');
    // When it is over: who trusts both may call, and is nobody there.
    assert.equal(await seenBy(onlyNew, { ...old, rootsPem: BOTH }), 'a caller without a certificate');
  });

  /** For whom a manager takes a node that calls it. */
  async function seenBy(server: TestNode, caller: TestNode): Promise<string> {
    const tls = new TlsServer(server);
    await tls.listen();
    try {
      const trust = { kind: 'member', identity: () => caller, expect: { role: 'manager' } } as const;
      const transport = tls.connectWith(new NodeChannelCredentials(trust));
      const error = await failure(createClient(CertificateAuthorityService, transport).getRootCertificate({}));
      const [seen] = tls.handled;
      if (seen === undefined) throw error;
      return describeCaller(seen.caller);
    } finally {
      await tls.close();
    }
  }
});
