/** What people and Prometheus hear of a node's certificate: from a real daemon, and in the words of the commands. */
import assert from 'node:assert/strict';
import { encodeJson } from '#common/template/encode-json.ts';
import { Node, NodeDescription, NodeTls } from '#gen/swarm/v1/objects.ts';
import { prettyNode } from '#src/cli/commands/node/pretty-node.ts';
import { nodeShape } from '#src/docker-shape/from-objects.ts';
import { NODE } from '#src/docker-shape/swarm-types.ts';
import { skipBecause } from '#test/support/skip-because.ts';
import { DaemonProcess, freePort, until } from './support/daemon-process.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

describe('the certificate of a daemon', function () {
  this.timeout(60_000);
  let host: DaemonProcess | undefined;

  before(function () {
    if (process.getuid?.() !== 0) skipBecause(this, 'daemons need root');
  });
  after(() => host?.destroy());

  it('is in its info, in the description of its node, and in its metrics', async () => {
    host = await DaemonProcess.create({ name: 'shown', host: '127.0.0.9', port: await freePort() });
    const metrics = `127.0.0.9:${await freePort()}`;
    const one = host;
    await one.start('--metrics-addr', metrics);
    const text = async (): Promise<string> => (await fetch(`http://${metrics}/metrics`)).text();
    assert.doesNotMatch(await text(), /starling_certificate/, 'it has none before it is a member');
    await one.init();
    const { certificate } = await one.info();
    const tls = certificate?.tls;
    assert.ok(certificate !== undefined && tls !== undefined);
    const days = (ms: number): number => (ms - Date.now()) / DAY_MS;
    assert.ok(days(tls.notAfterMs) > 89 && days(tls.notAfterMs) <= 90);
    assert.ok(days(certificate.renewalMs) > 44 && days(certificate.renewalMs) < 73);
    assert.deepEqual([certificate.failures, certificate.problem, tls.trustedRoots.length], [0, '', 1]);
    await until('the node to be described', 20_000, async () => {
      const [node] = await one.nodes();
      assert.deepEqual(node?.description?.tls, tls);
    });
    const lines = await text();
    const seconds = Number(/^starling_certificate_expiry_seconds (\d+)$/m.exec(lines)?.[1]);
    assert.ok(seconds > 89 * 86_400 && seconds <= 90 * 86_400, `${seconds}`);
    assert.match(lines, /^starling_certificate_renewals_total\{outcome="ok"\} 0$/m);
    assert.match(lines, /^starling_certificate_renewals_total\{outcome="failed"\} 0$/m);
  });

  it('is shown by node inspect, as JSON and in words', () => {
    const tls = NodeTls.create({
      trustedRoots: ['ab'],
      issuerKeyId: 'cd',
      serial: 'ef',
      notBeforeMs: Date.UTC(2026, 10, 21),
      notAfterMs: Date.UTC(2027, 1, 19, 21, 30),
    });
    const node = Node.create({ id: 'n', description: NodeDescription.create({ tls }) });
    const root = { pem: 'PEM', subject: Buffer.from('subject'), publicKey: Buffer.from('key') };
    const { TLSInfo } = JSON.parse(encodeJson(NODE, nodeShape(node, root))).Description;
    assert.deepEqual(TLSInfo, {
      TrustRoot: 'PEM',
      CertIssuerSubject: Buffer.from('subject').toString('base64'),
      CertIssuerPublicKey: Buffer.from('key').toString('base64'),
      NotBefore: '2026-11-21T00:00:00Z',
      NotAfter: '2027-02-19T21:30:00Z',
      Serial: 'ef',
      IssuerKeyID: 'cd',
      TrustedRoots: ['ab'],
    });
    assert.match(
      prettyNode(node, root),
      /TLS Info:\n TrustRoot:\nPEM\n Issuer Subject:\tc3ViamVjdA==\n.*\n Certificate Until:\t2027-02-19 21:30:00/,
    );
    const older = { ...node, description: NodeDescription.create() };
    assert.doesNotMatch(prettyNode(older, root), /Certificate Until/);
  });
});
