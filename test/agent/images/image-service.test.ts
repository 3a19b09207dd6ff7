/** The service on a real socket, spoken to by the real client. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { imageHandlers } from '#agent/images/index.ts';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { encodeRegistryAuth } from '#common/system/registry-auth.ts';
import { type BuildImageRequest, DiskUsageKind, ImageService, PullPhase } from '#gen/swarm/v1/images.ts';
import { RpcServer } from '#proto/grpc/server.ts';
import { connectLocal } from '#src/client/local.ts';
import type { SwarmClient } from '#src/client/swarm-client.ts';
import { busyboxArchiveBytes } from '#test/fixtures/busybox-image.ts';
import { chunks, type Member, tar } from '#test/fixtures/image-archive.ts';
import { registryInstalled, TestRegistry } from '#test/fixtures/registry.ts';
import { eventually } from '#test/support/eventually.ts';
import { skipBecause } from '#test/support/skip-because.ts';
import { requireBuildah, StoreFixture } from './store-fixture.ts';

const KIB = 1024;

describe('image service', function () {
  this.timeout(30_000);
  let fixture: StoreFixture;
  let server: RpcServer;
  let client: SwarmClient;

  before(async function () {
    requireBuildah(this);
    fixture = await StoreFixture.make();
    server = new RpcServer({ trust: { kind: 'local' }, logger: silentLogger });
    server.addService(
      ImageService,
      imageHandlers(fixture.store, {
        containers: () => Promise.resolve({ total: 3, active: 2, sizeBytes: 10, reclaimableBytes: 4 }),
        volumes: () => Promise.resolve({ total: 1, active: 0, sizeBytes: 7, reclaimableBytes: 7 }),
      }),
    );
    const path = join(fixture.directory, 's.sock');
    await server.listenSocket(path);
    client = connectLocal(path);
  });

  after(async () => {
    client?.close();
    await server?.close();
    await fixture?.remove();
  });

  afterEach(async () => {
    fixture.store.restore(new Map());
    await client.images.pruneImages({ all: true });
    assert.deepEqual(await fixture.leftovers(), []);
  });

  async function* archive(bytes: Buffer, chunkBytes = 256 * KIB): AsyncGenerator<{ chunk: Uint8Array }> {
    for await (const chunk of chunks(bytes, chunkBytes)) yield { chunk };
  }

  async function* build(
    options: Record<string, unknown>,
    ...members: readonly Member[]
  ): AsyncGenerator<Partial<BuildImageRequest>> {
    yield { part: { kind: 'options', value: { ...EMPTY_OPTIONS, ...options } } };
    for await (const value of chunks(tar(members), 700)) yield { part: { kind: 'chunk', value } };
  }

  const EMPTY_OPTIONS = {
    tags: [],
    dockerfile: '',
    buildArgs: {},
    target: '',
    noCache: false,
    pull: false,
    labels: {},
    platform: '',
    registryAuths: {},
    network: '',
  };

  async function fails(work: Promise<unknown>, reason: string, message: RegExp): Promise<void> {
    await assert.rejects(work, (error: unknown) => {
      assert.ok(error instanceof SwarmError, String(error));
      assert.equal(error.reason, reason, error.message);
      assert.match(error.message, message);
      return true;
    });
  }

  async function all<T>(stream: AsyncIterable<T>): Promise<readonly T[]> {
    const read: T[] = [];
    for await (const value of stream) read.push(value);
    return read;
  }

  async function list(request: Parameters<typeof client.images.listImages>[0] = {}): Promise<readonly string[]> {
    const pages = await all(client.images.listImages(request));
    return pages.flatMap(({ images }) => images.flatMap(({ repoTags }) => repoTags)).toSorted();
  }

  it('loads, lists, inspects, tags and removes', async () => {
    const bytes = await busyboxArchiveBytes({
      name: 'app:1',
      env: ['A=b'],
      healthcheck: { Test: ['NONE'] },
      volumes: ['/v'],
    });
    const { images } = await client.images.loadImage(archive(bytes));
    assert.deepEqual(images[0]?.names, ['app:1']);
    await client.images.tagImage({ source: 'app:1', target: 'registry:5000/app:2' });
    assert.deepEqual(await list(), ['app:1', 'registry:5000/app:2']);
    assert.deepEqual(await list({ reference: 'app' }), ['app:1', 'registry:5000/app:2']);
    const { image } = await client.images.inspectImage({ reference: images[0].id.slice(0, 8) });
    assert.ok(image !== undefined);
    assert.equal(image.id, images[0].id);
    assert.deepEqual(image.repoTags, ['app:1', 'registry:5000/app:2']);
    assert.deepEqual(image.config?.env, ['PATH=/bin', 'A=b']);
    assert.deepEqual(image.config.healthcheck?.test, ['NONE']);
    assert.deepEqual(image.config.volumes, ['/v']);
    assert.equal(image.layerDirectories.length, 1);
    assert.equal(image.platform?.os, 'linux');
    assert.ok(image.lastTaggedAtMs > 0 && image.createdAtMs > 0 && image.sizeBytes > 1_000_000);
    const removed = await client.images.removeImage({ reference: 'app:1' });
    assert.deepEqual(removed.removal?.untagged, ['app:1']);
    await fails(client.images.inspectImage({ reference: 'app:1' }), 'image-not-found', /No such image: app:1/);
    await fails(
      client.images.tagImage({ source: 'x', target: `y@sha256:${'a'.repeat(64)}` }),
      'bad-field',
      /cannot have a digest/,
    );
    await fails(
      client.images.tagImage({ source: 'x', target: '../y' }),
      'bad-reference',
      /not a valid image reference/,
    );
  });

  it('refuses bad archives and chunks, and goes on', async () => {
    await fails(client.images.loadImage(archive(Buffer.from('rubbish'))), 'image-invalid', /ends in the middle/);
    await fails(
      client.images.loadImage(archive(Buffer.alloc(2 * KIB * KIB), 2 * KIB * KIB)),
      'too-large',
      /at most 1048576/,
    );
    await fails(client.images.loadImage([]), 'image-invalid', /empty/);
    assert.deepEqual(await list(), []);
  });

  it('removes what it has begun when the caller goes', async () => {
    const stop = new AbortController();
    const refused = Promise.withResolvers<void>();
    async function* slow(): AsyncGenerator<{ chunk: Uint8Array }> {
      yield { chunk: Buffer.alloc(512) };
      await eventually('the load has begun', async () => (await fixture.leftovers()).length > 0);
      stop.abort(new SwarmError({ code: 'cancelled', reason: 'cancelled', message: 'gone' }));
      await refused.promise;
      yield { chunk: Buffer.alloc(512) };
    }
    await assert.rejects(client.images.loadImage(slow(), { signal: stop.signal }));
    refused.resolve();
    await eventually('nothing is left of it', async () => (await fixture.leftovers()).length === 0);
  });

  it('builds, and streams what the build says', async () => {
    await client.images.loadImage(archive(await busyboxArchiveBytes()));
    const dockerfile = { name: 'Dockerfile', content: 'FROM busybox\nARG A\nRUN echo "it is $A"\n' };
    const events = await all(client.images.buildImage(build({ tags: ['built'], buildArgs: { A: '7' } }, dockerfile)));
    const lines = events.flatMap(({ event }) => (event?.kind === 'line' ? [event.value] : []));
    assert.ok(lines.includes('it is 7'), lines.join('\n'));
    const last = events.at(-1)?.event;
    assert.ok(last?.kind === 'imageId');
    assert.equal((await client.images.inspectImage({ reference: 'built' })).image?.id, last.value);
  });

  it('tells the output of a failing build before the failure', async () => {
    await client.images.loadImage(archive(await busyboxArchiveBytes()));
    const lines: string[] = [];
    const failing = (async () => {
      const dockerfile = { name: 'Dockerfile', content: 'FROM busybox\nRUN echo last words; exit 3\n' };
      for await (const { event } of client.images.buildImage(build({}, dockerfile)))
        if (event?.kind === 'line') lines.push(event.value);
    })();
    await fails(failing, 'build-failed', /non-zero code: 3/);
    assert.ok(lines.includes('last words'));
  });

  it('refuses builds that begin wrong', async () => {
    const context = (): AsyncGenerator<Partial<BuildImageRequest>> =>
      build({}, { name: 'Dockerfile', content: 'FROM scratch\n' });
    async function* withoutOptions(): AsyncGenerator<Partial<BuildImageRequest>> {
      let first = true;
      for await (const message of context()) {
        if (!first) yield message;
        first = false;
      }
    }
    async function* optionsTwice(): AsyncGenerator<Partial<BuildImageRequest>> {
      for await (const message of context()) {
        yield message;
        yield message;
      }
    }
    await fails(all(client.images.buildImage(withoutOptions())), 'bad-field', /first message of a build/);
    await fails(all(client.images.buildImage(optionsTwice())), 'bad-field', /only chunks of its context/);
    await fails(
      all(client.images.buildImage(build({ network: 'bridge' }))),
      'bad-field',
      /cannot have the network "bridge"/,
    );
    await fails(all(client.images.buildImage(build({ tags: ['Bad'] }))), 'bad-reference', /lowercase/);
    await fails(all(client.images.buildImage(build({ platform: 'x' }))), 'bad-flag', /not a platform/);
  });

  it('tells who uses an image, and refuses to remove it', async () => {
    const { images } = await client.images.loadImage(archive(await busyboxArchiveBytes({ name: 'used:1' })));
    fixture.store.restore(new Map([['sometask', images[0]?.id ?? '']]));
    const { image } = await client.images.inspectImage({ reference: 'used:1' });
    assert.deepEqual(image?.containers, ['sometask']);
    await fails(client.images.removeImage({ reference: 'used:1', force: true }), 'in-use', /sometask/);
  });

  it('sums up the disk', async () => {
    await client.images.loadImage(archive(await busyboxArchiveBytes({ name: 'size:1' })));
    const usage = await client.images.getDiskUsage({});
    const of = (kind: DiskUsageKind) => usage.entries.find((entry) => entry.kind === kind);
    assert.equal(of(DiskUsageKind.IMAGES)?.total, 1);
    assert.ok((of(DiskUsageKind.IMAGES)?.sizeBytes ?? 0) > 1_000_000);
    assert.deepEqual([of(DiskUsageKind.CONTAINERS)?.active, of(DiskUsageKind.VOLUMES)?.reclaimableBytes], [2, 7]);
    assert.equal(of(DiskUsageKind.BUILD_CACHE)?.total, 0);
    assert.equal(usage.images.length, 1);
  });

  it('pulls with login, resolves digests, and says what happens', async function () {
    if (!registryInstalled) skipBecause(this, 'docker-registry is not installed');
    const registry = await TestRegistry.start({ user: { name: 'u', password: 'p' } });
    try {
      const pushed = await registry.push('app', '1', { layers: [tar([{ name: 'a' }])] });
      const reference = `${registry.host}/app:1`;
      const registryAuth = encodeRegistryAuth(
        { username: 'u', password: 'p', identityToken: '', registryToken: '' },
        registry.host,
      );
      await fails(all(client.images.pullImage({ reference })), 'image-auth', /docker login/);
      const resolved = await client.images.resolveImage({ reference, registryAuth });
      assert.equal(resolved.digest, pushed.digest);
      assert.equal(resolved.pinned, `${reference}@${pushed.digest}`);
      assert.equal(resolved.platforms[0]?.os, 'linux');
      const events = await all(client.images.pullImage({ reference, registryAuth }));
      const phases = events.flatMap(({ event }) => (event?.kind === 'progress' ? [event.value.phase] : []));
      assert.deepEqual(phases, [PullPhase.RESOLVING, PullPhase.LAYER_WAITING, PullPhase.LAYER_COMPLETE]);
      const last = events.at(-1)?.event;
      assert.ok(last?.kind === 'result');
      assert.deepEqual(
        [last.value.id, last.value.digest, last.value.upToDate, last.value.name],
        [pushed.imageId, pushed.digest, false, reference],
      );
    } finally {
      await registry.stop();
    }
  });
});
