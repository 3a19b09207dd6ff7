/** Pulls from real registries: plain, with TLS, with login; shared, retried, cancelled, pinned. */
import assert from 'node:assert/strict';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PullEvent, PullResult } from '#agent/images/index.ts';
import { SwarmError } from '#common/errors.ts';
import { type ImageReference, parseImageReference } from '#common/image-reference.ts';
import { encodeRegistryAuth, type RegistryCredential } from '#common/system/registry-auth.ts';
import { tar } from '#test/fixtures/image-archive.ts';
import { freePort, registryInstalled, TestRegistry } from '#test/fixtures/registry.ts';
import { skipBecause } from '#test/support/skip-because.ts';
import { never, requireBuildah, StoreFixture } from './store-fixture.ts';

const layer = (text: string): Buffer => tar([{ name: 'file', content: text }]);
const image = (text: string) => ({ layers: [layer(text)] });

function reference(text: string): ImageReference {
  const parsed = parseImageReference(text);
  assert.ok(parsed.ok, text);
  return parsed.value;
}

function credential(username: string, password: string): RegistryCredential {
  return { username, password, identityToken: '', registryToken: '' };
}

interface PullOptions {
  readonly credential?: RegistryCredential;
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: PullEvent) => void;
}

function pull(fixture: StoreFixture, name: string, options: PullOptions = {}): Promise<PullResult> {
  return fixture.store.pull({
    reference: reference(name),
    credential: options.credential,
    signal: options.signal ?? never(),
    onEvent: options.onEvent ?? (() => {}),
  });
}

async function refused(work: Promise<unknown>, reason: string, message: RegExp): Promise<void> {
  await assert.rejects(work, (error: unknown) => {
    assert.ok(error instanceof SwarmError, String(error));
    assert.equal(error.reason, reason, error.message);
    assert.match(error.message, message);
    return true;
  });
}

/** Whether any file below the directory holds the text. */
async function holds(directory: string, text: string): Promise<boolean> {
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const content = await readFile(join(entry.parentPath, entry.name)).catch(() => Buffer.alloc(0));
    if (content.includes(text)) return true;
  }
  return false;
}

describe('pulling', function () {
  this.timeout(30_000);
  let fixture: StoreFixture;
  let plain: TestRegistry;

  before(async function () {
    requireBuildah(this);
    if (!registryInstalled) skipBecause(this, 'docker-registry is not installed');
    plain = await TestRegistry.start();
    fixture = await StoreFixture.make();
  });

  after(async () => {
    await plain?.stop();
    await fixture?.remove();
  });

  afterEach(async () => assert.deepEqual(await fixture.leftovers(), []));

  it('fetches by tag, names the image by tag and by digest, and tells what it does', async () => {
    const pushed = await plain.push('team/app', '1', image('one'));
    const events: PullEvent[] = [];
    const result = await pull(fixture, `${plain.host}/team/app:1`, { onEvent: (event) => events.push(event) });
    assert.deepEqual(result, { imageId: pushed.imageId, digest: pushed.digest, upToDate: false });
    assert.deepEqual(
      events.map(({ kind }) => kind),
      ['resolving', 'layer-waiting', 'layer-complete'],
    );
    const resolved = await fixture.store.resolve(`${plain.host}/team/app:1`);
    assert.equal(resolved.id, pushed.imageId);
    assert.deepEqual(resolved.repoDigests, [`${plain.host}/team/app@${pushed.digest}`]);
    const [top] = resolved.layers;
    assert.equal(await readFile(join(top ?? '', 'file'), 'utf8'), 'one');
  });

  it('does not fetch what is here, but looks whether the tag has moved', async () => {
    await plain.push('team/moves', '1', image('before'));
    const first = await pull(fixture, `${plain.host}/team/moves:1`);
    const again = await pull(fixture, `${plain.host}/team/moves:1`);
    assert.deepEqual([again.upToDate, again.imageId], [true, first.imageId]);
    const moved = await plain.push('team/moves', '1', image('after'));
    const third = await pull(fixture, `${plain.host}/team/moves:1`);
    assert.deepEqual([third.upToDate, third.imageId], [false, moved.imageId]);
    assert.equal((await fixture.store.resolve(`${plain.host}/team/moves:1`)).id, moved.imageId);
    assert.equal((await fixture.store.resolve(`${plain.host}/team/moves@${first.digest}`)).id, first.imageId);
  });

  it('fetches by digest, whatever the tag beside it', async () => {
    const old = await plain.push('team/pinned', '1', image('pinned'));
    await plain.push('team/pinned', '1', image('newer'));
    const result = await pull(fixture, `${plain.host}/team/pinned:1@${old.digest}`);
    assert.equal(result.imageId, old.imageId);
    await refused(
      pull(fixture, `${plain.host}/team/pinned@sha256:${'0'.repeat(64)}`),
      'image-not-found',
      /No such image/,
    );
  });

  it('takes the image for its platform out of an index, and refuses an index without', async () => {
    const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';
    const mine = await plain.push('team/multi', 'mine', image('mine'));
    const other = await plain.push('team/multi', 'other', { ...image('other'), architecture: 's390x' });
    const digest = await plain.pushIndex('team/multi', 'all', [
      { image: other, os: 'linux', architecture: 's390x' },
      { image: mine, os: 'linux', architecture },
    ]);
    const result = await pull(fixture, `${plain.host}/team/multi:all`);
    assert.deepEqual([result.imageId, result.digest], [mine.imageId, digest]);
    const answer = await fixture.store.resolveDigest(`${plain.host}/team/multi:all`, '');
    assert.equal(answer?.digest, digest);
    assert.deepEqual(answer.platforms, [
      { os: 'linux', architecture: 's390x' },
      { os: 'linux', architecture },
    ]);
    await plain.pushIndex('team/multi', 'foreign', [{ image: other, os: 'linux', architecture: 's390x' }]);
    await refused(
      pull(fixture, `${plain.host}/team/multi:foreign`),
      'image-not-found',
      /no matching manifest for linux/,
    );
  });

  it('shares one pull among all who ask for the same', async () => {
    const pushed = await plain.push('team/shared', '1', image('shared'));
    const before = plain.log.length;
    const name = `${plain.host}/team/shared:1`;
    const results = await Promise.all(Array.from({ length: 10 }, () => pull(fixture, name)));
    assert.ok(results.every((result) => result.imageId === pushed.imageId));
    const manifests = plain.log.slice(before).match(/"GET \/v2\/team\/shared\/manifests\/1 /g);
    assert.equal(manifests?.length, 1);
  });

  it('goes on when one of those who share it leaves, and stops when all have', async () => {
    await plain.push('team/leaving', '1', image('leaving'));
    const name = `${plain.host}/team/leaving:1`;
    const leaving = new AbortController();
    const first = pull(fixture, name, { signal: leaving.signal });
    const second = pull(fixture, name);
    leaving.abort();
    await refused(first, 'cancelled', /cancelled/);
    assert.equal((await second).upToDate, false);
    const alone = new AbortController();
    await plain.push('team/alone', '1', image('alone'));
    const third = pull(fixture, `${plain.host}/team/alone:1`, { signal: alone.signal, onEvent: () => alone.abort() });
    await refused(third, 'cancelled', /cancelled/);
    await refused(fixture.store.resolve(`${plain.host}/team/alone:1`), 'image-not-found', /No such image/);
  });

  it('says that an image or a tag does not exist', async () => {
    await refused(pull(fixture, `${plain.host}/team/app:nope`), 'image-not-found', /No such image: .*team\/app:nope/);
    await refused(pull(fixture, `${plain.host}/nobody/nothing`), 'image-not-found', /nobody\/nothing:latest/);
  });

  it('tries again when the registry comes back, and gives up after a while when it does not', async () => {
    const registry = await TestRegistry.start();
    try {
      await registry.push('app', '1', image('back'));
      await registry.down();
      const name = `${registry.host}/app:1`;
      const retries: string[] = [];
      const failing = pull(fixture, name, {
        onEvent: (event) => {
          if (event.kind === 'retrying') retries.push(event.reason);
        },
      });
      await refused(failing, 'registry-unreachable', /cannot be reached/);
      assert.equal(retries.length, 2);
      let up: Promise<void> | undefined;
      await fixture.close();
      await fixture.open({ tuning: { pullAttemptsMax: 50 } });
      const result = await pull(fixture, name, {
        onEvent: (event) => {
          if (event.kind === 'retrying') up ??= registry.up();
        },
      });
      assert.equal(result.upToDate, false);
      await up;
    } finally {
      await registry.stop();
      await fixture.close();
      await fixture.open();
    }
  });

  it('does not speak HTTP unless it may', async () => {
    await fixture.close();
    await fixture.open({ loopbackInsecure: false });
    try {
      const name = `${plain.host}/team/app:1`;
      await refused(pull(fixture, name), 'registry-tls', /speaks HTTP, not HTTPS/);
      await fixture.close();
      await fixture.open({ loopbackInsecure: false, insecureRegistries: [plain.host] });
      assert.equal((await pull(fixture, name)).digest.length, 71);
    } finally {
      await fixture.close();
      await fixture.open();
    }
  });

  it('gives a local image when the registry cannot be asked, and keeps to what a digest names', async () => {
    const registry = await TestRegistry.start();
    const pushed = await registry.push('app', '1', image('kept'));
    const name = `${registry.host}/app:1`;
    const messages: string[] = [];
    const request = (taskId: string, what: string) => ({
      taskId,
      reference: what,
      registryAuth: '',
      signal: never(),
      progress: (message: string) => messages.push(message),
    });
    const held = await fixture.store.hold(request('task1', name));
    assert.equal(held.id, pushed.imageId);
    assert.match(messages.join('\n'), /asking .*\npulling .* \(1 layer\)/);
    await registry.stop();
    await fixture.close();
    await fixture.open();
    assert.equal((await fixture.store.hold(request('task2', name))).id, pushed.imageId);
    const pinned = `${registry.host}/app@${pushed.digest}`;
    messages.length = 0;
    assert.equal((await fixture.store.hold(request('task3', pinned))).id, pushed.imageId);
    assert.deepEqual(messages, [], 'a digest that is here needs no registry');
    await refused(fixture.store.hold(request('task4', `${registry.host}/app:2`)), 'registry-unreachable', /reached/);
    for (const task of ['task1', 'task2', 'task3', 'task4']) fixture.store.release(task);
  });

  it('never asks a registry for what was made here under an official name', async () => {
    const id = await fixture.loadBusybox({ name: 'made-here:1' });
    const messages: string[] = [];
    const held = await fixture.store.hold({
      taskId: 'task',
      reference: 'made-here:1',
      registryAuth: '',
      progress: (message) => messages.push(message),
      signal: never(),
    });
    assert.equal(held.id, id);
    assert.deepEqual(messages, []);
    assert.equal(await fixture.store.resolveDigest('made-here:1', ''), undefined);
    fixture.store.release('task');
  });

  it('says so when nobody listens', async () => {
    const port = await freePort();
    await refused(
      fixture.store.resolveDigest(`127.0.0.1:${port}/app`, ''),
      'registry-unreachable',
      /cannot be reached/,
    );
  });
});

describe('pulling with TLS and login', function () {
  this.timeout(30_000);
  const user = { name: 'someone', password: 'a:very secret ✓ word' };
  let registry: TestRegistry;
  let fixture: StoreFixture;

  before(async function () {
    requireBuildah(this);
    if (!registryInstalled) skipBecause(this, 'docker-registry is not installed');
    registry = await TestRegistry.start({ tls: true, user });
    await registry.push('private/app', '1', image('private'));
    fixture = await StoreFixture.make({ loopbackInsecure: false });
  });

  after(async () => {
    await registry?.stop();
    await fixture?.remove();
  });

  it('does not trust a certificate without a known root', async () => {
    await refused(
      pull(fixture, `${registry.host}/private/app:1`),
      'registry-tls',
      /certificate of registry .* is not trusted/,
    );
  });

  it('pulls with the root and the right credential, and with nothing less', async () => {
    await registry.trustIn(join(fixture.directory, 'certs.d'));
    const name = `${registry.host}/private/app:1`;
    await refused(pull(fixture, name), 'image-auth', /may require 'docker login'/);
    await refused(pull(fixture, name, { credential: credential(user.name, 'wrong') }), 'image-auth', /does not accept/);
    const result = await pull(fixture, name, { credential: credential(user.name, user.password) });
    assert.equal(result.upToDate, false);
    const auth = encodeRegistryAuth(credential(user.name, user.password), registry.host);
    assert.equal((await fixture.store.resolveDigest(name, auth))?.digest, result.digest);
    await refused(fixture.store.resolveDigest(name, 'not base64 of json'), 'image-auth', /not base64/);
    assert.ok(!(await holds(fixture.stateDirectory, user.password)), 'a password stays on the disk');
    assert.deepEqual(await fixture.leftovers(), []);
  });

  it('never puts a credential on a command line or into the environment', async () => {
    const secret = Buffer.from(`${user.name}:${user.password}`).toString('base64');
    await registry.push('private/other', '1', image('other'));
    const seen = join(fixture.directory, 'seen');
    const program = join(fixture.directory, 'buildah');
    // Stands before the real one and notes what it is given.
    const script = `#!/bin/sh\n{ printf '%s\\n' "$@"; env; } >> ${seen}\nexec /usr/bin/buildah "$@"\n`;
    await writeFile(program, script, { mode: 0o755 });
    await fixture.close();
    await fixture.open({ loopbackInsecure: false, buildah: program });
    await pull(fixture, `${registry.host}/private/other:1`, { credential: credential(user.name, user.password) });
    const text = await readFile(seen, 'utf8');
    assert.match(text, /--authfile/);
    assert.ok(!text.includes(secret) && !text.includes(user.password));
    assert.ok(!text.includes('LOGNAME=') && !text.includes('npm_'), 'our own environment was passed on');
    await fixture.close();
    await fixture.open({ loopbackInsecure: false });
  });

  it('lets a build have its base image in the same way', async () => {
    await registry.push('private/base', '1', { layers: [layer('base')] });
    const archive = tar([{ name: 'Dockerfile', content: `FROM ${registry.host}/private/base:1\nENV A=b\n` }]);
    const build = (credentials: ReadonlyMap<string, RegistryCredential>): Promise<string> =>
      fixture.build(archive, { tags: [reference('built:1')], credentials });
    await refused(build(new Map()), 'image-auth', /refuses access/);
    await build(new Map([[registry.host, credential(user.name, user.password)]]));
    assert.ok((await fixture.store.resolve('built:1')).config.env.includes('A=b'));
    assert.deepEqual(await fixture.leftovers(), []);
  });

  it('says so when the certificate is for somebody else', async () => {
    const directory = join(fixture.directory, 'certs.d', registry.host);
    await rm(directory, { recursive: true });
    const stranger = await TestRegistry.start({ tls: true });
    try {
      await stranger.trustIn(join(fixture.directory, 'certs.d'));
      await refused(pull(fixture, `${registry.host}/private/app:1`), 'registry-tls', /not trusted/);
    } finally {
      await stranger.stop();
    }
  });
});
