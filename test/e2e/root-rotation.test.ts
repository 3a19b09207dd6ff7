/**
 * Goal: the root of the swarm is replaced, and nothing that runs notices. Method: a service on three workers, `swarm ca`
 * as a user types it, and what nodes and containers say afterwards.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { useCluster } from './support/cluster.ts';

describe('e2e: rotation of the root', function () {
  const cluster = useCluster(this);
  let directory: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-root-'));
  });
  after(() => rm(directory, { recursive: true, force: true }));

  /** Ids and starts of the containers. */
  const containers = async (): Promise<readonly string[]> =>
    (await cluster().running('rooted'))
      .map(({ status }) => `${status?.container?.containerId} ${status?.container?.pid}`)
      .toSorted();

  it('refuses what would not work, and nothing has changed', async () => {
    const root = await cluster().must(['ca']);
    assert.match(root, /^-----BEGIN CERTIFICATE-----\n/);
    const rubbish = join(directory, 'rubbish.pem');
    await writeFile(rubbish, 'rubbish\n');
    const flags = ['--rotate', '--ca-cert', rubbish, '--ca-key', rubbish];
    assert.match(await cluster().refused(['ca', ...flags]), /--ca-cert: is not PEM/);
    const outside = ['--external-ca', 'protocol=cfssl,url=http://ca/'];
    assert.match(await cluster().refused(['update', ...outside]), /https:\/\//);
    assert.equal(await cluster().must(['ca']), root);
  });

  it('replaces it under a running service', async () => {
    const [root, token] = [await cluster().must(['ca']), await cluster().must(['join-token', '-q', 'worker'])];
    await cluster().createService('rooted', 3);
    await cluster().settled('rooted', 3);
    const before = await containers();

    const said = await cluster().must(['ca', '--rotate'], { timeoutMs: 60_000 });
    assert.match(said, /desired root digest: sha256:[0-9a-f]{64}\n/);
    assert.match(said, /rotated TLS certificates: 4\/4 nodes\n/);
    assert.match(said, /rotated CA certificates: 4\/4 nodes\n/);
    const now = await cluster().must(['ca']);
    assert.ok(said.includes(now) && now !== root, 'the new root is printed, and is the root');
    assert.notEqual(await cluster().must(['join-token', '-q', 'worker']), token);

    const nodes = await cluster().nodes();
    const issuers = new Set([...nodes.values()].map(({ description }) => description?.tls?.issuerKeyId));
    assert.equal(issuers.size, 1, 'all certificates are of one root');
    for (const [name, { description }] of nodes)
      await cluster().until(
        async () => (await cluster().nodes()).get(name)?.description?.tls?.trustedRoots.length,
        (count) => count === 1,
        `${name} (${description?.hostname}) to trust the new root alone`,
      );
    assert.deepEqual(await containers(), before, 'no container was touched');
    assert.match(await cluster().must(['info']), /Swarm: active/);
    await cluster().must(['service', 'scale', 'rooted=5']);
    await cluster().settled('rooted', 5);
  });
});
