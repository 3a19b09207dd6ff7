/** Registries that misbehave or lie, and those that hand out tokens: HTTP servers made for the purpose. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseChallenges } from '#agent/images/registry/challenge.ts';
import { RegistryAccess } from '#agent/images/registry/registry-access.ts';
import { RegistryClient, type ResolvedReference } from '#agent/images/registry/registry-client.ts';
import { SwarmError } from '#common/errors.ts';
import { parseImageReference } from '#common/image-reference.ts';
import type { RegistryCredential } from '#common/system/registry-auth.ts';
import { imageConfig, sha256, tar } from '#test/fixtures/image-archive.ts';
import { makeCertificates } from '#test/fixtures/registry.ts';

const MANIFEST_TYPE = 'application/vnd.docker.distribution.manifest.v2+json';
const config = imageConfig({ layers: [tar([{ name: 'a' }])] });
const manifest = JSON.stringify({
  schemaVersion: 2,
  mediaType: MANIFEST_TYPE,
  config: {
    mediaType: 'application/vnd.docker.container.image.v1+json',
    digest: `sha256:${sha256(config)}`,
    size: config.length,
  },
  layers: [
    { mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip', digest: `sha256:${'1'.repeat(64)}`, size: 9 },
  ],
});
const CREDENTIAL: RegistryCredential = { username: 'user', password: 'secret', identityToken: '', registryToken: '' };
const BASIC = `Basic ${Buffer.from('user:secret').toString('base64')}`;

/** A server and what it was asked. */
interface Site {
  readonly server: Server;
  readonly host: string;
  readonly asked: {
    readonly url: string;
    readonly method: string;
    readonly authorization: string | undefined;
    readonly body: string;
  }[];
}

describe('registry client', function () {
  this.timeout(20_000);
  let directory: string;
  let tls: { ca: string; certificate: string; key: string };
  const sites: Site[] = [];

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-client-'));
    tls = await makeCertificates(directory);
  });

  afterEach(async () => {
    for (const { server } of sites.splice(0)) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });

  after(() => rm(directory, { recursive: true, force: true }));

  async function site(secure: boolean, listener: RequestListener): Promise<Site> {
    const asked: Site['asked'] = [];
    const record: RequestListener = (request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        const { url = '', method = '' } = request;
        asked.push({ url, method, authorization: request.headers.authorization, body });
        listener(request, response);
      });
    };
    const options = secure ? { cert: await readFile(tls.certificate), key: await readFile(tls.key) } : {};
    const server = secure ? createHttpsServer(options, record) : createHttpServer(record);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const made = { server, host, asked };
    sites.push(made);
    await mkdir(join(directory, 'certs.d', host), { recursive: true });
    await writeFile(join(directory, 'certs.d', host, 'ca.crt'), await readFile(tls.ca));
    return made;
  }

  function resolve(
    host: string,
    options: {
      readonly credential?: RegistryCredential;
      readonly insecure?: readonly string[];
      readonly name?: string;
    } = {},
  ): Promise<ResolvedReference> {
    const access = new RegistryAccess({
      insecureRegistries: options.insecure ?? [],
      loopbackInsecure: false,
      certificateDirectories: [join(directory, 'certs.d')],
      systemCertificates: [],
    });
    const client = new RegistryClient({ access, environment: {}, requestTimeoutMs: 500, documentBytesMax: 100_000 });
    const parsed = parseImageReference(`${host}/${options.name ?? 'team/app:1'}`);
    assert.ok(parsed.ok);
    return client.resolve({
      reference: parsed.value,
      credential: options.credential,
      signal: new AbortController().signal,
    });
  }

  /** Serves the image, to whom `admits` lets in. */
  function registry(
    admits: (request: IncomingMessage) => Record<string, string> | undefined = () => undefined,
  ): RequestListener {
    return (request, response) => {
      const refusal = admits(request);
      if (refusal !== undefined) {
        response.writeHead(401, refusal).end();
        return;
      }
      if (request.url?.includes('/manifests/') === true)
        response.writeHead(200, { 'content-type': MANIFEST_TYPE }).end(manifest);
      else response.writeHead(200).end(config);
    };
  }

  async function refused(work: Promise<unknown>, reason: string, message: RegExp): Promise<void> {
    await assert.rejects(work, (error: unknown) => {
      assert.ok(error instanceof SwarmError, String(error));
      assert.equal(error.reason, reason, error.message);
      assert.match(error.message, message);
      assert.ok(!error.message.includes('secret'));
      return true;
    });
  }

  const plain =
    (status: number, headers: Record<string, string>, body: string | Buffer): RequestListener =>
    (_request, response) => {
      response.writeHead(status, headers).end(body);
    };

  it('finds digest and platform, with no credential where none is asked for', async () => {
    const server = await site(true, registry());
    const found = await resolve(server.host, { credential: CREDENTIAL });
    assert.equal(found.digest, `sha256:${sha256(manifest)}`);
    assert.equal(found.platforms[0]?.os, 'linux');
    assert.ok(server.asked.every(({ authorization }) => authorization === undefined));
    assert.deepEqual(
      server.asked.map(({ url }) => url),
      ['/v2/team/app/manifests/1', `/v2/team/app/blobs/sha256:${sha256(config)}`],
    );
  });

  it('gets a token by user and password', async () => {
    const tokens = await site(true, plain(200, {}, JSON.stringify({ token: 'the-token' })));
    const challenge = {
      'www-authenticate': `Bearer realm="https://${tokens.host}/token",service="my registry",scope="x"`,
    };
    const server = await site(
      true,
      registry((request) => (request.headers.authorization === 'Bearer the-token' ? undefined : challenge)),
    );
    await writeFile(join(directory, 'certs.d', server.host, 'tokens.crt'), await readFile(tls.ca));
    await resolve(server.host, { credential: CREDENTIAL });
    const [asked] = tokens.asked;
    assert.equal(asked?.authorization, BASIC);
    const url = new URL(asked.url, 'https://x');
    assert.deepEqual(Object.fromEntries(url.searchParams), {
      service: 'my registry',
      scope: 'repository:team/app:pull',
      account: 'user',
    });
    assert.ok(
      server.asked.every(({ authorization }) => authorization !== BASIC),
      'the password went to the registry',
    );
  });

  it('gets an anonymous token, and one by identity token', async () => {
    const tokens = await site(true, plain(200, {}, JSON.stringify({ access_token: 't' })));
    const challenge = { 'www-authenticate': `Bearer realm="https://${tokens.host}/token"` };
    const server = await site(
      true,
      registry((request) => (request.headers.authorization === 'Bearer t' ? undefined : challenge)),
    );
    await resolve(server.host);
    assert.deepEqual([tokens.asked[0]?.method, tokens.asked[0]?.authorization], ['GET', undefined]);
    await resolve(server.host, { credential: { ...CREDENTIAL, username: '', password: '', identityToken: 'refresh' } });
    assert.equal(tokens.asked[1]?.method, 'POST');
    assert.equal(new URLSearchParams(tokens.asked[1].body).get('refresh_token'), 'refresh');
  });

  it('sends a registry token as it is', async () => {
    const server = await site(
      true,
      registry((request) => (request.headers.authorization === 'Bearer given' ? undefined : {})),
    );
    await resolve(server.host, { credential: { ...CREDENTIAL, registryToken: 'given' } });
    assert.equal(server.asked.length, 2);
  });

  it('asks no token server without TLS', async () => {
    const tokens = await site(false, plain(200, {}, '{"token":"t"}'));
    const server = await site(
      true,
      registry(() => ({ 'www-authenticate': `Bearer realm="http://${tokens.host}/"` })),
    );
    await refused(resolve(server.host, { credential: CREDENTIAL }), 'registry-unreachable', /token server without TLS/);
    assert.equal(tokens.asked.length, 0);
  });

  it('takes no nonsense for a token', async () => {
    const tokens = await site(true, plain(200, {}, JSON.stringify({ token: 'a\r\nX-Evil: 1' })));
    const server = await site(
      true,
      registry(() => ({ 'www-authenticate': `Bearer realm="https://${tokens.host}/"` })),
    );
    await refused(resolve(server.host), 'registry-unreachable', /no usable token/);
  });

  it('follows a redirect without the credential', async () => {
    const storage = await site(true, plain(200, { 'content-type': MANIFEST_TYPE }, manifest));
    const server = await site(true, (request, response) => {
      if (request.headers.authorization !== BASIC)
        response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
      else if (request.url?.includes('/manifests/') === true)
        response.writeHead(307, { location: `https://${storage.host}/signed?x=1` }).end();
      else response.writeHead(200).end(config);
    });
    await resolve(server.host, { credential: CREDENTIAL });
    assert.deepEqual(
      storage.asked.map(({ url, authorization }) => [url, authorization]),
      [['/signed?x=1', undefined]],
    );
  });

  it('follows no redirect to plain HTTP, to a file, or without end', async () => {
    const open = await site(false, plain(200, { 'content-type': MANIFEST_TYPE }, manifest));
    const to = async (location: string): Promise<string> => (await site(true, plain(302, { location }, ''))).host;
    await refused(resolve(await to(`http://${open.host}/`)), 'registry-unreachable', /redirects to plain HTTP/);
    await refused(resolve(await to('file:///etc/shadow')), 'registry-unreachable', /redirects to file:/);
    await refused(resolve(await to('/again')), 'registry-unreachable', /redirects more than 5 times/);
    assert.equal(open.asked.length, 0);
  });

  it('does not fall back to HTTP on a registry that has to have TLS', async () => {
    const open = await site(false, registry());
    await refused(resolve(open.host, { credential: CREDENTIAL }), 'registry-tls', /speaks HTTP, not HTTPS/);
    assert.equal(open.asked.length, 0);
    assert.equal((await resolve(open.host, { insecure: [open.host] })).digest, `sha256:${sha256(manifest)}`);
  });

  it('believes no digest but its own', async () => {
    const lying = await site(
      true,
      plain(200, { 'content-type': MANIFEST_TYPE, 'docker-content-digest': `sha256:${'0'.repeat(64)}` }, manifest),
    );
    await refused(resolve(lying.host), 'image-invalid', /promised sha256:0000.* delivered sha256:/);
    const honest = await site(true, plain(200, { 'content-type': MANIFEST_TYPE }, manifest));
    await refused(
      resolve(honest.host, { name: `team/app@sha256:${'1'.repeat(64)}` }),
      'image-invalid',
      /promised sha256:1111/,
    );
    const swapped = await site(true, (request, response) => {
      if (request.url?.includes('/manifests/') === true)
        response.writeHead(200, { 'content-type': MANIFEST_TYPE }).end(manifest);
      else response.writeHead(200).end(Buffer.concat([config, Buffer.from(' ')]));
    });
    await refused(resolve(swapped.host), 'image-invalid', /promised/);
  });

  it('reads a document as one thing only', async () => {
    const index = 'application/vnd.oci.image.index.v1+json';
    const serve = async (type: string, document: unknown): Promise<string> =>
      (await site(true, plain(200, { 'content-type': type }, JSON.stringify(document)))).host;
    await refused(
      resolve(await serve(index, JSON.parse(manifest))),
      'image-invalid',
      /serves it as .*index.* but it says/,
    );
    await refused(
      resolve(await serve(MANIFEST_TYPE, { manifests: [], config: {}, layers: [] })),
      'image-invalid',
      /a manifest and an index/,
    );
    await refused(
      resolve(await serve(index, { manifests: [], layers: [] })),
      'image-invalid',
      /an index and a manifest/,
    );
    await refused(resolve(await serve('text/html', { schemaVersion: 1 })), 'image-invalid', /unsupported type/);
    await refused(resolve(await serve(MANIFEST_TYPE, [1])), 'image-invalid', /not an object/);
    await refused(
      resolve(await serve(MANIFEST_TYPE, { config: { digest: 'sha256:../x' } })),
      'image-invalid',
      /no sha256 digest/,
    );
  });

  it('has an end with those that say too much, too slowly or nothing', async () => {
    const much = await site(true, plain(200, { 'content-type': MANIFEST_TYPE }, Buffer.alloc(200_000, ' ')));
    await refused(resolve(much.host), 'image-invalid', /more than 100000 bytes/);
    const slow = await site(true, (_request, response) => void response.writeHead(200).write('{'));
    await refused(resolve(slow.host), 'registry-unreachable', /no answer within 0.5 s/);
    const dropping = await site(true, (request) => void request.socket.destroy());
    await refused(resolve(dropping.host), 'registry-unreachable', /cannot be reached/);
  });

  it('tells what the status means', async () => {
    const answering = async (status: number): Promise<string> => (await site(true, plain(status, {}, ''))).host;
    await refused(resolve(await answering(404)), 'image-not-found', /No such image/);
    await refused(resolve(await answering(403)), 'image-auth', /denied/);
    await refused(resolve(await answering(401), { credential: CREDENTIAL }), 'image-auth', /does not accept/);
    await refused(resolve(await answering(429)), 'registry-unreachable', /limits the rate/);
    await refused(resolve(await answering(500)), 'registry-unreachable', /status 500/);
  });

  it('reads challenges as they come', () => {
    assert.deepEqual(parseChallenges('Basic realm="a \\"b\\" c", Bearer realm="https://x/?a=1,2",service=s'), [
      { scheme: 'basic', parameters: { realm: 'a "b" c' } },
      { scheme: 'bearer', parameters: { realm: 'https://x/?a=1,2', service: 's' } },
    ]);
    assert.deepEqual(parseChallenges('Negotiate, Basic'), [{ scheme: 'basic', parameters: {} }]);
    assert.deepEqual(parseChallenges(''), []);
    assert.deepEqual(parseChallenges('='.repeat(100_000)), []);
    assert.equal(parseChallenges(`Bearer ${'a="b",'.repeat(10_000)}`).length, 1);
  });

  it('knows which registries may be insecure', () => {
    const access = (insecureRegistries: readonly string[], loopbackInsecure = false) =>
      new RegistryAccess({ insecureRegistries, loopbackInsecure, certificateDirectories: [], systemCertificates: [] });
    assert.ok(access([], true).isInsecure('127.0.0.1:5000') && access([], true).isInsecure('localhost'));
    assert.ok(access([], true).isInsecure('[::1]:5000'));
    assert.ok(!access([], true).isInsecure('127.0.0.1.example.com') && !access([], true).isInsecure('10.0.0.1:5000'));
    const some = access(['*.lan', 'r.example:5000']);
    assert.ok(some.isInsecure('a.lan') && some.isInsecure('a.lan:5000') && some.isInsecure('r.example:5000'));
    assert.ok(!some.isInsecure('lan') && !some.isInsecure('evillan') && !some.isInsecure('r.example'));
    assert.throws(() => access(['http://r.example']), /is not a registry/);
  });
});
