/** The store itself: loading, resolving, naming, listing, removing, pruning, and who holds what. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { ALL_IMAGES, type ResolvedImage } from '#agent/images/index.ts';
import { SwarmError } from '#common/errors.ts';
import { familiarName, type ImageReference, parseImageReference } from '#common/image-reference.ts';
import { busyboxArchive, busyboxArchiveBytes } from '#test/fixtures/busybox-image.ts';
import { chunks, dockerArchive, ociArchive, tar } from '#test/fixtures/image-archive.ts';
import { never, requireBuildah, StoreFixture } from './store-fixture.ts';

const run = promisify(execFile);
const layer = (text: string): Buffer => tar([{ name: 'file', content: text }]);

function reference(text: string): ImageReference {
  const parsed = parseImageReference(text);
  assert.ok(parsed.ok);
  return parsed.value;
}

describe('image store', function () {
  this.timeout(30_000);
  let fixture: StoreFixture;

  before(async function () {
    requireBuildah(this);
    fixture = await StoreFixture.make();
  });

  after(() => fixture?.remove());

  afterEach(async () => {
    fixture.store.restore(new Map());
    for (const image of await fixture.store.list()) await fixture.store.remove(image.id, true, never());
    assert.deepEqual(await fixture.leftovers(), []);
    assert.deepEqual(await fixture.store.list({ ...ALL_IMAGES, all: true }), []);
  });

  async function names(): Promise<readonly string[]> {
    return (await fixture.store.list()).flatMap((image) => image.names.map(familiarName)).toSorted();
  }

  function hold(taskId: string, what: string): Promise<ResolvedImage> {
    return fixture.store.hold({ taskId, reference: what, registryAuth: '', progress: () => {}, signal: never() });
  }

  async function fails(work: Promise<unknown>, reason: string, message: RegExp): Promise<void> {
    await assert.rejects(work, (error: unknown) => {
      assert.ok(error instanceof SwarmError, String(error));
      assert.equal(error.reason, reason, error.message);
      assert.match(error.message, message);
      return true;
    });
  }

  describe('loading', () => {
    it('takes archives of docker, plain and compressed, with several images', async () => {
      const archive = dockerArchive(
        { layers: [layer('a'), layer('b')], names: ['one:1', 'registry:5000/one:2'] },
        { layers: [layer('a')], names: ['two'].map((name) => `${name}:latest`) },
        { layers: [layer('c')] },
      );
      for (const packed of [archive, gzipSync(archive), zstdCompressSync(archive)]) {
        const loaded = await fixture.store.load(chunks(packed), never());
        assert.deepEqual(
          loaded.map((image) => image.names),
          [['one:1', 'registry:5000/one:2'], ['two:latest'], []],
        );
      }
      assert.deepEqual(await names(), ['one:1', 'registry:5000/one:2', 'two:latest']);
      const { layers } = await fixture.store.resolve('one:1');
      assert.equal(layers.length, 2);
      assert.equal(await readFile(join(layers[0] ?? '', 'file'), 'utf8'), 'b');
      assert.equal(await readFile(join(layers[1] ?? '', 'file'), 'utf8'), 'a');
    });

    it('takes archives of OCI, plain and compressed, named in either way', async () => {
      const pack = { '+gzip': (bytes: Buffer) => gzipSync(bytes), '+zstd': (bytes: Buffer) => zstdCompressSync(bytes) };
      for (const suffix of ['+gzip', '+zstd'] as const) {
        const archive = ociArchive({
          layers: [layer(suffix)],
          names: [`oci:${suffix.slice(1)}`],
          compress: { suffix, pack: pack[suffix] },
        });
        const [loaded] = await fixture.store.load(chunks(archive), never());
        assert.deepEqual(loaded?.names, [`oci:${suffix.slice(1)}`]);
        assert.equal(
          await readFile(join((await fixture.store.resolve(loaded.id)).layers[0] ?? '', 'file'), 'utf8'),
          suffix,
        );
      }
      const full = { 'io.containerd.image.name': 'docker.io/library/full:3', 'org.opencontainers.image.ref.name': '3' };
      const [named] = await fixture.store.load(
        chunks(ociArchive({ layers: [layer('x')], annotations: full })),
        never(),
      );
      assert.deepEqual(named?.names, ['full:3']);
      const tagOnly = { 'org.opencontainers.image.ref.name': 'latest' };
      const [unnamed] = await fixture.store.load(
        chunks(ociArchive({ layers: [layer('y')], annotations: tagOnly })),
        never(),
      );
      assert.deepEqual(unnamed?.names, []);
    });

    it('takes what skopeo and buildah write', async () => {
      const directory = await mkdtemp(join(tmpdir(), 'starling-skopeo-'));
      try {
        const source = await busyboxArchive();
        for (const [transport, name] of [
          ['docker-archive', 'copy:1'],
          ['oci-archive', 'copy:2'],
        ] as const) {
          const path = join(directory, transport);
          await run('skopeo', [
            '--insecure-policy',
            'copy',
            '-q',
            `docker-archive:${source}`,
            `${transport}:${path}:${name}`,
          ]);
          const [loaded] = await fixture.store.load(chunks(await readFile(path)), never());
          assert.deepEqual(loaded?.names, [name]);
        }
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
    });

    it('moves a name to what is loaded later', async () => {
      const [first] = await fixture.store.load(
        chunks(dockerArchive({ layers: [layer('old')], names: ['moving:1'] })),
        never(),
      );
      const [second] = await fixture.store.load(
        chunks(dockerArchive({ layers: [layer('new')], names: ['moving:1'] })),
        never(),
      );
      assert.equal((await fixture.store.resolve('moving:1')).id, second?.id);
      const dangling = await fixture.store.list({ ...ALL_IMAGES, dangling: true });
      assert.deepEqual(
        dangling.map(({ id }) => id),
        [first?.id],
      );
    });

    it('stops when it is cancelled or when nothing comes', async () => {
      const stop = new AbortController();
      async function* endless(): AsyncGenerator<Uint8Array> {
        const bytes = await busyboxArchiveBytes();
        yield bytes.subarray(0, 100_000);
        stop.abort();
        yield bytes.subarray(100_000, 200_000);
        yield bytes.subarray(200_000);
      }
      await fails(fixture.store.load(endless(), stop.signal), 'cancelled', /cancelled/);
    });

    it('passes on why the sender failed', async () => {
      async function* failing(): AsyncGenerator<Uint8Array> {
        yield await Promise.resolve(Buffer.alloc(10));
        throw new SwarmError({ code: 'cancelled', reason: 'cancelled', message: 'gone' });
      }
      await fails(fixture.store.load(failing(), never()), 'cancelled', /gone/);
    });
  });

  describe('resolving', () => {
    it('tells all that running takes', async () => {
      const id = await fixture.loadBusybox({
        name: 'full:1',
        entrypoint: ['/bin/sh', '-c'],
        command: ['true'],
        env: ['A=b'],
        user: 'nobody',
        workingDirectory: '/tmp',
        stopSignal: 'SIGQUIT',
        volumes: ['/data'],
        labels: { __proto__x: '1', constructor: '2' },
        healthcheck: { Test: ['CMD', 'true'], Interval: 2_000_000_000, Retries: 4 },
      });
      const image = await fixture.store.resolve('full:1');
      assert.equal(image.id, id);
      assert.equal(image.os, 'linux');
      const { config } = image;
      assert.deepEqual(config.entrypoint, ['/bin/sh', '-c']);
      assert.deepEqual(config.env, ['PATH=/bin', 'A=b']);
      assert.deepEqual([config.user, config.workingDirectory, config.stopSignal], ['nobody', '/tmp', 'SIGQUIT']);
      assert.deepEqual(config.volumes, ['/data']);
      assert.deepEqual(Object.keys(config.labels), ['__proto__x', 'constructor']);
      assert.equal(config.healthcheck?.intervalMs, 2000);
      assert.equal(config.healthcheck.retries, 4);
    });

    it('knows an image by name, whole id, and digest, but not by a piece of an id', async () => {
      const id = await fixture.loadBusybox({ name: 'byname:1' });
      for (const text of ['byname:1', 'docker.io/library/byname:1', id, `sha256:${id}`])
        assert.equal((await fixture.store.resolve(text)).id, id);
      await fails(fixture.store.resolve(id.slice(0, 12)), 'image-not-found', /No such image/);
      await fails(fixture.store.resolve('byname'), 'image-not-found', /No such image: byname/);
      await fails(fixture.store.resolve('By Name'), 'bad-reference', /lowercase/);
      assert.equal((await fixture.store.inspect(id.slice(0, 12))).id, id);
    });

    it('is quick, and sees changes at once', async () => {
      await fixture.loadBusybox({ name: 'quick:1' });
      await fixture.store.resolve('quick:1');
      const start = performance.now();
      for (let round = 0; round < 100; round++) await fixture.store.resolve('quick:1');
      const each = (performance.now() - start) / 100;
      assert.ok(each < 5, `${each} ms`);
      await fixture.store.tag('quick:1', reference('quick:2'), never());
      await fixture.store.resolve('quick:2');
    });

    it('reads nothing outside the store, whatever its lists say', async () => {
      const list = join(fixture.stateDirectory, 'storage/overlay-images/images.json');
      const id = await fixture.loadBusybox({ name: 'real:1' });
      const before = await readFile(list, 'utf8');
      const entries = JSON.parse(before) as Record<string, unknown>[];
      const evil = { id: '../../../../etc', names: ['docker.io/library/evil:1'], layer: '' };
      const evilLayer = { ...entries[0], id: 'f'.repeat(64), names: ['docker.io/library/evil:2'], layer: '../../..' };
      try {
        await writeFile(list, JSON.stringify([...entries, evil, evilLayer]));
        await fails(fixture.store.resolve('evil:1'), 'image-not-found', /No such image/);
        await fails(fixture.store.resolve('evil:2'), 'image-not-found', /No such image/);
        assert.equal((await fixture.store.resolve('real:1')).id, id);
      } finally {
        await writeFile(list, before);
      }
    });
  });

  describe('names', () => {
    it('come, move and go', async () => {
      const id = await fixture.loadBusybox({ name: 'a:1' });
      await fixture.store.tag('a:1', reference('b'), never());
      await fixture.store.tag(id.slice(0, 10), reference('registry:5000/c:x'), never());
      assert.deepEqual(await names(), ['a:1', 'b:latest', 'registry:5000/c:x']);
      await fails(fixture.store.tag('nothing', reference('x'), never()), 'image-not-found', /No such image/);
      const removal = await fixture.store.remove('b', false, never());
      assert.deepEqual(removal, { untagged: ['b:latest'], deleted: [], reclaimedBytes: 0 });
      await fails(fixture.store.remove(id, false, never()), 'needs-force', /must be forced/);
      const last = await fixture.store.remove(id, true, never());
      assert.deepEqual(last.untagged.toSorted(), ['a:1', 'registry:5000/c:x']);
      assert.deepEqual(last.deleted, [id]);
      assert.ok(last.reclaimedBytes > 1_000_000);
      await fails(fixture.store.remove('a:1', true, never()), 'image-not-found', /No such image: a:1/);
    });

    it('survive many changes at once', async () => {
      await fixture.loadBusybox({ name: 'many:0' });
      await Promise.all(
        Array.from({ length: 12 }, (_, index) => fixture.store.tag('many:0', reference(`many:${index + 1}`), never())),
      );
      assert.equal((await names()).length, 13);
      await Promise.all(
        Array.from({ length: 13 }, (_, index) => fixture.store.remove(`many:${index}`, false, never())),
      );
      assert.deepEqual(await names(), []);
    });
  });

  describe('holding', () => {
    it('keeps an image from being removed, and names who holds it', async () => {
      const id = await fixture.loadBusybox({ name: 'held:1' });
      await fixture.store.tag('held:1', reference('held:2'), never());
      await hold('taskone', 'held:1');
      await hold('taskone', 'held:1');
      await hold('tasktwo', 'held:2');
      assert.deepEqual(fixture.store.usersOf(id), ['taskone', 'tasktwo']);
      await fixture.store.remove('held:1', false, never());
      for (const force of [false, true]) {
        await fails(
          fixture.store.remove('held:2', force, never()),
          'in-use',
          /used by running container taskone, tasktwo/,
        );
        await fails(fixture.store.remove(id, force, never()), 'in-use', /cannot be forced/);
      }
      await fixture.store.prune({
        all: true,
        createdBeforeMs: undefined,
        labels: [],
        withoutLabels: [],
        signal: never(),
      });
      const { layers } = await fixture.store.resolve('held:2');
      assert.ok((await readdir(layers[0] ?? '')).includes('bin'), 'the layers are still there');
      fixture.store.release('taskone');
      fixture.store.release('tasktwo');
      fixture.store.release('nobody');
      await fixture.store.remove('held:2', false, never());
    });

    it('holds again after a restart what it is told', async () => {
      const id = await fixture.loadBusybox({ name: 'kept:1' });
      await hold('task', 'kept:1');
      await fixture.close();
      await fixture.open();
      fixture.store.restore(new Map([['task', id]]));
      await fails(fixture.store.remove('kept:1', true, never()), 'in-use', /task/);
    });

    it('keeps the image below one that goes, when somebody uses that', async () => {
      const below = dockerArchive({ layers: [layer('1')], config: {} });
      const [parent] = await fixture.store.load(chunks(below), never());
      assert.ok(parent !== undefined);
      await fixture.store.tag(parent.id, reference('parent:1'), never());
      const archive = tar([{ name: 'Dockerfile', content: 'FROM parent:1\nENV A=1\nENV B=2\n' }]);
      const platform = { os: 'linux', architecture: 'amd64' } as const;
      const child = await fixture.build(archive, { tags: [reference('child:1')], platform });
      const [step] = (await fixture.store.list({ ...ALL_IMAGES, all: true })).filter((image) => image.intermediate);
      assert.ok(step !== undefined, 'a build leaves its steps');
      assert.equal((await fixture.store.inspect(child)).parent, step.id);
      await hold('task', step.id);
      await fails(fixture.store.remove('child:1', true, never()), 'in-use', /the image below it, .* is used by task/);
      fixture.store.release('task');
      const removal = await fixture.store.remove('child:1', false, never());
      assert.deepEqual(removal.deleted.toSorted(), [child, step.id].toSorted());
    });

    it('cannot begin while the image goes', async () => {
      // A registry that refuses at once: whoever comes too late looks there.
      const name = '127.0.0.1:1/race:1';
      await fixture.loadBusybox({ name });
      const removing = fixture.store.remove(name, false, never()).then(
        () => true,
        () => false,
      );
      const holding = Array.from({ length: 20 }, (_, index) => hold(`task${index}`, name));
      const winners = (await Promise.allSettled(holding)).filter(({ status }) => status === 'fulfilled').length;
      const removed = await removing;
      assert.ok(removed ? winners === 0 : winners > 0, `removed ${removed}, held by ${winners}`);
      if (removed) await fails(fixture.store.resolve(name), 'image-not-found', /./);
    });
  });

  describe('lists', () => {
    it('are filtered', async () => {
      await fixture.loadBusybox({ name: 'app:1', labels: { tier: 'web' } });
      await fixture.loadBusybox({ name: 'app:2', labels: { tier: 'db', x: '' } });
      await fixture.loadBusybox({ name: 'registry:5000/team/app:1', labels: { other: '1' } });
      const found = async (changes: Partial<typeof ALL_IMAGES>): Promise<readonly string[]> =>
        (await fixture.store.list({ ...ALL_IMAGES, ...changes }))
          .flatMap((image) => image.names.map(familiarName))
          .toSorted();
      assert.equal((await found({})).length, 3);
      assert.deepEqual(await found({ reference: 'app' }), ['app:1', 'app:2']);
      assert.deepEqual(await found({ reference: 'app:2' }), ['app:2']);
      assert.deepEqual(await found({ patterns: ['*:1'] }), ['app:1']);
      assert.deepEqual(await found({ patterns: ['*/*/app', 'app:2'] }), ['app:2', 'registry:5000/team/app:1']);
      assert.deepEqual(await found({ patterns: ['a[o-q]p:[^1]'] }), ['app:2']);
      assert.deepEqual(await found({ labels: ['tier'] }), ['app:1', 'app:2']);
      assert.deepEqual(await found({ labels: ['tier=db', 'x'] }), ['app:2']);
      assert.deepEqual(await found({ labels: ['toString'] }), []);
      assert.deepEqual(await found({ dangling: true }), []);
      assert.equal((await found({ dangling: false })).length, 3);
      await fails(found({ patterns: ['['] }), 'bad-flag', /not a pattern/);
      assert.deepEqual(await found({ patterns: [`${'*'.repeat(200)}x`] }), [], 'and quickly');
    });
  });

  describe('pruning', () => {
    const prune = (changes: Partial<Parameters<typeof fixture.store.prune>[0]> = {}) =>
      fixture.store.prune({
        all: false,
        createdBeforeMs: undefined,
        labels: [],
        withoutLabels: [],
        signal: never(),
        ...changes,
      });

    it('removes what has no name, and with --all what nobody uses', async () => {
      await fixture.loadBusybox({ name: 'x:1', labels: { keep: '1' } });
      await fixture.loadBusybox({ name: 'x:1', labels: { drop: '1' } });
      await fixture.loadBusybox({ name: 'used:1', command: ['x'] });
      await hold('task', 'used:1');
      assert.equal((await prune({ createdBeforeMs: 1 })).deleted.length, 0);
      assert.equal((await prune({ withoutLabels: ['keep'] })).deleted.length, 0);
      assert.equal((await prune()).deleted.length, 1);
      assert.deepEqual(await names(), ['used:1', 'x:1']);
      assert.equal((await prune({ all: true, labels: ['nolabel'] })).deleted.length, 0);
      const all = await prune({ all: true });
      assert.deepEqual(all.untagged, ['x:1']);
      assert.deepEqual(await names(), ['used:1']);
    });

    it('leaves alone what is just arriving', async () => {
      async function* slow(): AsyncGenerator<Uint8Array> {
        yield* chunks(await busyboxArchiveBytes({ name: 'slow:1' }));
      }
      for (let round = 0; round < 3; round++) {
        const loading = fixture.store.load(slow(), never());
        let done = false;
        void loading.finally(() => {
          done = true;
        });
        while (!done) await prune();
        await loading;
        await fixture.store.resolve('slow:1');
        await fixture.store.remove('slow:1', false, never());
      }
    });
  });

  it('keeps others out of its directories', async () => {
    for (const path of [
      fixture.stateDirectory,
      join(fixture.stateDirectory, 'storage'),
      join(fixture.directory, 'run'),
    ])
      assert.equal((await stat(path)).mode & 0o077, 0, path);
  });

  it('refuses to work in a directory that mounts could not name', async () => {
    await assert.rejects(StoreFixture.make({ stateDirectory: '/tmp/a:b' }), /cannot hold images/);
  });

  it('counts every layer once', async () => {
    await fixture.loadBusybox({ name: 'u:1' });
    await fixture.loadBusybox({ name: 'u:2', files: { x: 'y' } });
    const before = await fixture.store.diskUsage();
    assert.equal(before.reclaimableBytes, before.layersBytes);
    await hold('task', 'u:1');
    const after = await fixture.store.diskUsage();
    assert.equal(after.layersBytes, before.layersBytes);
    assert.ok(after.reclaimableBytes > 0 && after.reclaimableBytes < 10_000, String(after.reclaimableBytes));
  });
});
