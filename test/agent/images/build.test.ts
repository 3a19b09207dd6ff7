/** Builds by the real buildah: from scratch, in stages, with arguments; failures, cancelling, hostile contexts. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BuildRequest } from '#agent/images/index.ts';
import { SwarmError } from '#common/errors.ts';
import { parseImageReference } from '#common/image-reference.ts';
import { type Member, tar } from '#test/fixtures/image-archive.ts';
import { eventually } from '#test/support/eventually.ts';
import { requireBuildah, StoreFixture } from './store-fixture.ts';

const DOCKERFILE = `FROM base:1
ARG VERSION=none
ENV VERSION=\${VERSION}
COPY hello.txt /www/
RUN echo "$VERSION" > /version
HEALTHCHECK --interval=5s CMD true
LABEL from=dockerfile
STOPSIGNAL SIGINT
ENTRYPOINT ["/bin/sh", "-c"]
CMD ["cat /www/hello.txt"]
`;

function context(dockerfile: string, ...members: readonly Member[]): Buffer {
  return tar([{ name: 'Dockerfile', content: dockerfile }, ...members]);
}

describe('building', function () {
  this.timeout(60_000);
  let fixture: StoreFixture;
  const lines: string[] = [];

  before(async function () {
    requireBuildah(this);
    fixture = await StoreFixture.make();
    await fixture.loadBusybox({ name: 'base:1' });
  });

  after(() => fixture?.remove());

  beforeEach(() => {
    lines.length = 0;
  });

  afterEach(async () => assert.deepEqual(await fixture.leftovers(), []));

  function build(
    archive: Buffer,
    changes: Partial<Omit<BuildRequest, 'tags'>> & { readonly tags?: readonly string[] } = {},
  ): Promise<string> {
    const tags = (changes.tags ?? []).map((tag) => {
      const parsed = parseImageReference(tag);
      assert.ok(parsed.ok);
      return { ...parsed.value, tag: parsed.value.tag ?? 'latest' };
    });
    return fixture.build(archive, { onLine: (line) => lines.push(line), ...changes, tags });
  }

  async function fails(work: Promise<unknown>, reason: string, message: RegExp): Promise<void> {
    await assert.rejects(work, (error: unknown) => {
      assert.ok(error instanceof SwarmError, String(error));
      assert.equal(error.reason, reason, error.message);
      assert.match(error.message, message);
      return true;
    });
  }

  /** No process of this machine has the text in its command line; those that are just dying get a moment. */
  async function noProcessWith(text: string): Promise<void> {
    let found: readonly string[] = [];
    const isGone = async (): Promise<boolean> => {
      const commands: string[] = [];
      for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name)))
        commands.push(await readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => ''));
      found = commands.filter((command) => command.includes(text));
      return found.length === 0;
    };
    await eventually(() => `the end of ${found.join()}`, isGone, { timeoutMs: 2_000, everyMs: 50 });
  }

  /** The content of a file of the image, from the highest layer that has it. */
  async function fileOf(reference: string, path: string): Promise<string> {
    const { layers } = await fixture.store.resolve(reference);
    for (const layer of layers) {
      const content = await readFile(join(layer, path), 'utf8').catch(() => undefined);
      if (content !== undefined) return content;
    }
    throw new Error(`${path} is not in ${reference}`);
  }

  it('runs every step, names the image and reports what it does', async () => {
    const hello = { name: 'hello.txt', content: 'hello' };
    const id = await build(context(DOCKERFILE, hello), {
      tags: ['app:1', 'registry.example:5000/team/app'],
      buildArgs: { VERSION: '7 "quoted" $x', PATH_LIKE: 'x', PATH: '/bin' },
      labels: { given: 'on the command line' },
    });
    const { config, ...image } = await fixture.store.resolve('app:1');
    assert.equal(image.id, id);
    assert.equal((await fixture.store.resolve('registry.example:5000/team/app')).id, id);
    assert.deepEqual(config.entrypoint, ['/bin/sh', '-c']);
    assert.deepEqual(config.command, ['cat /www/hello.txt']);
    assert.ok(config.env.includes('VERSION=7 "quoted" $x'));
    assert.equal(config.stopSignal, 'SIGINT');
    assert.deepEqual(config.labels, { from: 'dockerfile', given: 'on the command line' });
    assert.deepEqual([config.healthcheck?.test, config.healthcheck?.intervalMs], [['CMD-SHELL', 'true'], 5000]);
    assert.equal(await fileOf('app:1', 'www/hello.txt'), 'hello');
    assert.equal(await fileOf('app:1', 'version'), '7 "quoted" $x\n');
    assert.match(
      lines.join('\n'),
      /STEP 1\/\d+: FROM base:1\n[^]*RUN echo[^]*Successfully built [a-f0-9]{12}\nSuccessfully tagged app:1\n/,
    );
  });

  it('uses what it has built before, unless told not to', async () => {
    const archive = context('FROM base:1\nRUN cat /proc/sys/kernel/random/uuid > /id\n');
    await build(archive, { tags: ['cache:1'] });
    await build(archive, { tags: ['cache:2'] });
    assert.equal(await fileOf('cache:1', 'id'), await fileOf('cache:2', 'id'));
    assert.match(lines.join('\n'), /Using cache/);
    await build(archive, { tags: ['cache:3'], noCache: true });
    assert.notEqual(await fileOf('cache:1', 'id'), await fileOf('cache:3', 'id'));
  });

  it('builds the stage it is asked for, from another file, and hides the steps', async () => {
    const dockerfile =
      'FROM base:1 AS first\nRUN echo 1 > /stage\nFROM scratch AS last\nCOPY --from=first /stage /two\n';
    const archive = tar([{ name: 'build/My.Dockerfile', content: dockerfile }]);
    const changes = { dockerfile: 'build/My.Dockerfile', tags: ['stage:1'] };
    await build(archive, { ...changes, target: 'first' });
    assert.equal(await fileOf('stage:1', 'stage'), '1\n');
    await build(archive, { ...changes, tags: ['stage:2'] });
    assert.equal((await fixture.store.resolve('stage:2')).layers.length, 1);
    const shown = await fixture.store.list();
    const all = await fixture.store.list({ ...(await import('#agent/images/index.ts')).ALL_IMAGES, all: true });
    assert.ok(all.length > shown.length);
    assert.ok(shown.every((image) => !image.intermediate));
  });

  it('honours .dockerignore, and keeps modes and links', async () => {
    const archive = context(
      'FROM scratch\nCOPY . /\n',
      { name: '.dockerignore', content: 'secret*\n' },
      { name: 'secret.key', content: 'x' },
      { name: 'deep/er/file', content: 'x', mode: 0o4711 },
      { name: 'link', type: 'symlink', linkName: 'deep/er' },
      { name: 'hard', type: 'hardlink', linkName: 'deep/er/file' },
    );
    await build(archive, { tags: ['ignore:1'] });
    const [layer] = (await fixture.store.resolve('ignore:1')).layers;
    const names = (await readdir(layer ?? '')).toSorted();
    assert.deepEqual(
      names.filter((name) => name.startsWith('secret')),
      [],
    );
    assert.ok(
      ['Dockerfile', 'deep', 'hard', 'link'].every((name) => names.includes(name)),
      names.join(),
    );
  });

  it('says which command failed, and with what', async () => {
    await fails(
      build(context('FROM base:1\nRUN exit 7\n')),
      'build-failed',
      /The command 'exit 7' returned a non-zero code: 7/,
    );
    await fails(build(context('FROM base:1\nRUN nosuchprogram\n')), 'build-failed', /non-zero code: 127/);
    await fails(build(context('FROM base:1\nCOPY nothing /\n')), 'build-failed', /nothing/);
    await fails(build(context('RUN true\n')), 'build-failed', /no FROM statement|FROM/);
    await fails(build(context('FROM base:1\nNONSENSE x\n')), 'build-failed', /NONSENSE|unknown/i);
    await fails(build(context('FROM base:1\n'), { target: 'nowhere' }), 'build-failed', /nowhere/);
    await fails(
      build(tar([{ name: 'other', content: 'x' }])),
      'build-failed',
      /cannot read the Dockerfile "Dockerfile": no such file/,
    );
    await fails(build(context('FROM 127.0.0.1:1/nobody/nothing:1\n')), 'registry-unreachable', /refused/);
  });

  it('refuses options that are not what they should be', async () => {
    const archive = context('FROM base:1\n');
    await fails(build(archive, { buildArgs: { 'A-B': 'x' } }), 'bad-field', /not the name of a build argument/);
    await fails(build(archive, { buildArgs: { A: 'x\0' } }), 'bad-field', /NUL/);
    await fails(build(archive, { labels: { '': 'x' } }), 'bad-field', /have a name/);
    await fails(build(archive, { target: '--root' }), 'bad-field', /not a stage/);
    await fails(build(archive, { dockerfile: '../../etc/passwd' }), 'build-failed', /not in the build context/);
    await fails(build(archive, { dockerfile: '/etc/passwd' }), 'build-failed', /not in the build context/);
  });

  it('reads nothing outside the context, and writes nothing there', async () => {
    const evil: readonly (readonly [Buffer, RegExp])[] = [
      [tar([{ name: 'Dockerfile', type: 'symlink', linkName: '/etc/hostname' }]), /leads out of the build context/],
      [
        tar([{ name: 'Dockerfile', type: 'symlink', linkName: '../../../../../etc/hostname' }]),
        /leads out of the build context|no such file/,
      ],
      [context('FROM scratch\n', { name: '.dockerignore', type: 'symlink', linkName: '/etc/hostname' }), /not a file/],
      [context('FROM scratch\n', { name: '../evil', content: 'x' }), /leads out of it/],
      [context('FROM scratch\n', { name: '/tmp/evil', content: 'x' }), /leads out of it/],
      [
        context(
          'FROM scratch\n',
          { name: 'out', type: 'symlink', linkName: '/tmp' },
          { name: 'out/evil', content: 'x' },
        ),
        /below a symlink/,
      ],
      [
        context(
          'FROM scratch\n',
          { name: 'out', type: 'symlink', linkName: '/etc' },
          { name: 'h', type: 'hardlink', linkName: 'out/shadow' },
        ),
        /no file of it/,
      ],
      [context('FROM scratch\n', { name: 'h', type: 'hardlink', linkName: '/etc/shadow' }), /no file of it/],
      [context('FROM scratch\n', { name: 'd', type: 'block-device', deviceMajor: 8, deviceMinor: 0 }), /block-device/],
      [context('FROM scratch\n', { name: 'Dockerfile', content: 'FROM other' }), /there twice/],
    ];
    for (const [archive, message] of evil) await fails(build(archive), 'build-failed', message);
    const escape = context('FROM scratch\nCOPY out/hostname /\n', { name: 'out', type: 'symlink', linkName: '/etc' });
    await fails(build(escape), 'build-failed', /hostname/);
  });

  it('keeps the caches of steps from one build to the next', async () => {
    const step = 'RUN --mount=type=cache,target=/cache cat /cache/last > /last || true; echo filled > /cache/last\n';
    await build(context(`FROM base:1\n${step}`), { tags: ['cached:1'] });
    await build(context(`FROM base:1\n${step}`), { tags: ['cached:2'], noCache: true });
    assert.equal(await fileOf('cached:2', 'last'), 'filled\n');
    assert.ok((await fixture.store.diskUsage()).buildCacheBytes > 0);
  });

  it('shows a step no process of the host, and leaves none of its processes behind', async () => {
    const marker = `starling-daemon-${process.pid}-${Date.now()}`;
    const steps = [
      'RUN ls -d /proc/[0-9]* | wc -l > /processes',
      `RUN setsid sh -c 'sleep 1000; echo ${marker}' < /dev/null > /dev/null 2>&1 & true`,
    ];
    await build(context(`FROM base:1\n${steps.join('\n')}\n`), { tags: ['contained:1'], noCache: true });
    assert.ok(Number(await fileOf('contained:1', 'processes')) < 12);
    await noProcessWith(marker);
  });

  it('has no network when it must not', async () => {
    const archive = context('FROM base:1\nRUN tail -n +3 /proc/net/dev | cut -d: -f1 > /interfaces\n');
    await build(archive, { tags: ['network:none'], network: 'none', noCache: true });
    assert.equal((await fileOf('network:none', 'interfaces')).trim(), 'lo');
  });

  it('stops when it is cancelled: no process, mount or container stays', async () => {
    const stop = new AbortController();
    const marker = `starling-test-${process.pid}-${Date.now()}`;
    const archive = context(
      `FROM base:1\nRUN sh -c 'sleep 1000; echo ${marker}' & echo begun; sleep 1000; echo ${marker}\n`,
    );
    const running = build(archive, {
      noCache: true,
      signal: stop.signal,
      onLine: (line) => {
        if (line === 'begun') stop.abort();
      },
    });
    await fails(running, 'cancelled', /cancelled/);
    await noProcessWith(marker);
    const containers = await readFile(
      join(fixture.stateDirectory, 'storage/overlay-containers/containers.json'),
      'utf8',
    ).catch(() => '[]');
    assert.ok(['[]', 'null'].includes(containers.trim()), containers);
  });

  it('ends when the context does not', async () => {
    await fixture.close();
    await fixture.open({ tuning: { inputIdleMs: 100 } });
    async function* silent(): AsyncGenerator<Uint8Array> {
      yield context('FROM scratch\n').subarray(0, 512);
      await new Promise(() => {});
    }
    await fails(build(Buffer.alloc(0), { context: silent() }), 'timeout', /no data came for the build context/);
  });
});
