/**
 * Goal: what the daemon is asked follows from the flags, nothing that is not supported is ignored, and of the user's
 * logins only those that are needed are sent. Method: run command lines against a fake daemon that keeps what it is
 * asked, over the real server and client.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SwarmError } from '#common/errors.ts';
import { PullPhase } from '#gen/swarm/v1/images.ts';
import { type CliResult, NOW_MS, runCli } from '../support/run-cli.ts';
import { type FakeImageDaemon, type FakeOptions, startFakeImageDaemon } from './fake-image-daemon.ts';
import { IDS } from './image-fixture.ts';

let daemon: FakeImageDaemon | undefined;
let directory: string;

async function run(words: readonly string[], options: FakeOptions = {}): Promise<CliResult> {
  await daemon?.close();
  daemon = await startFakeImageDaemon(options);
  const variables = { HOME: '/nonexistent', DOCKER_CONFIG: directory, PATH: directory, FROM_CALLER: 'yes' };
  return runCli(words, { api: { images: daemon.images }, variables });
}

async function asked(words: readonly string[], options: FakeOptions = {}): Promise<FakeImageDaemon['asked']> {
  const { exitCode, stderr } = await run(words, options);
  assert.equal(exitCode, 0, stderr);
  return (daemon as FakeImageDaemon).asked;
}

async function file(name: string, text: string): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, text);
  return path;
}

function login(user: string): { readonly auth: string } {
  return { auth: Buffer.from(`${user}:secret-of-${user}`).toString('base64') };
}

function decoded(auth: string | undefined): unknown {
  return JSON.parse(Buffer.from(auth ?? '', 'base64').toString());
}

/** Each test has a directory of its own. */
function useDirectory(): void {
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'swarm-cli-image-'));
  });
  afterEach(async () => {
    await daemon?.close();
    daemon = undefined;
    await rm(directory, { recursive: true });
  });
}

describe('cli: image ls', () => {
  useDirectory();

  it('asks for what the filters say', async () => {
    const words = ['-f', 'dangling=false', '-f', 'label=a', '-f', 'label=b=c', '-f', 'before=x', '-f', 'since=y'];
    const [request] = (await asked(['images', '-a', ...words, '-f', 'reference=r*', 'web'])).lists;
    const { all, dangling, labels, before, since, referencePatterns } = request ?? {};
    assert.deepEqual(
      { all, dangling, labels, before, since, referencePatterns },
      { all: true, dangling: false, labels: ['a', 'b=c'], before: 'x', since: 'y', referencePatterns: ['web', 'r*'] },
    );
  });

  const patterns: readonly (readonly [string, readonly string[]])[] = [
    ['localhost:5000/team/web', ['localhost:5000/team/web:1.0', 'localhost:5000/team/web:latest']],
    ['localhost:5000/team/web:1.0', ['localhost:5000/team/web:1.0']],
    ['localhost:5000/*/*:l*', ['localhost:5000/team/web:latest']],
    ['localhost/*', ['localhost/only:<none>']],
    ['*', []],
  ];
  for (const [pattern, names] of patterns)
    it(`shows of an image only the names that fit ${pattern}`, async () => {
      const { stdout } = await run(['images', '--format', '{{.Repository}}:{{.Tag}}', pattern]);
      assert.deepEqual(stdout.split('\n').slice(0, -1), names);
    });

  it('leaves out what is younger than `until`', async () => {
    const { stdout } = await run(['images', '-q', '--filter', 'until=24h']);
    assert.deepEqual(
      [...new Set(stdout.split('\n').slice(0, -1))],
      [IDS.web.slice(0, 12), IDS.digestOnly.slice(0, 12)],
    );
  });

  const refused: readonly (readonly [readonly string[], RegExp])[] = [
    [['-f', 'bar=x'], /invalid filter 'bar'/],
    [['-f', 'dangling=maybe'], /invalid filter 'dangling=maybe'/],
    [['-f', 'before=a', '-f', 'before=b'], /more than one filter 'before'/],
    [['-f', 'until=x'], /invalid filter 'until=x'/],
    [['-f', 'reference=['], /syntax error in pattern/],
    [['--tree'], /--tree is not supported/],
  ];
  for (const [words, message] of refused)
    it(`refuses ${words.join(' ')}`, async () => {
      const { exitCode, stderr } = await run(['images', ...words]);
      assert.notEqual(exitCode, 0);
      assert.match(stderr, message);
      assert.deepEqual(daemon?.asked.lists, []);
    });

  it('prints one array with -o json', async () => {
    const { stdout } = await run(['image', 'ls', '-o', 'json', '--no-trunc']);
    const rows = JSON.parse(stdout) as { ID: string }[];
    assert.deepEqual(
      rows.map(({ ID }) => ID),
      [IDS.dangling, IDS.web, IDS.web, IDS.digestOnly].map((id) => `sha256:${id}`),
    );
  });
});

describe('cli: image rm, prune and tag', () => {
  useDirectory();

  it('passes the force on', async () => {
    const { removals } = await asked(['rmi', '--force', 'a:1', 'b:2']);
    assert.deepEqual(
      removals.map(({ reference, force }) => [reference, force]),
      [
        ['a:1', true],
        ['b:2', true],
      ],
    );
  });

  it('prunes what the filters say', async () => {
    const filters = ['--filter', 'until=1h', '--filter', 'label=a', '--filter', 'label!=b=c'];
    const [request] = (await asked(['image', 'prune', '-af', ...filters])).prunes;
    assert.deepEqual(
      { ...request },
      { all: true, createdBeforeMs: NOW_MS - 3_600_000, labels: ['a'], withoutLabels: ['b=c'] },
    );
  });

  it('tags', async () => {
    const [request] = (await asked(['tag', 'a1a1', 'localhost/x:2'])).tags;
    assert.deepEqual({ ...request }, { source: 'a1a1', target: 'localhost/x:2' });
  });

  it('refuses a target that is no name', async () => {
    const { exitCode, stderr } = await run(['tag', 'a', 'localhost/X Y']);
    assert.equal(exitCode, 1);
    assert.match(stderr, /^Error parsing reference: /);
    assert.deepEqual(daemon?.asked.tags, []);
  });

  const refused = [
    ['rmi', '--no-prune', 'x'],
    ['rmi', '--platform', 'linux/amd64', 'x'],
    ['image', 'inspect', '--platform', 'linux/amd64', 'x'],
    ['load', '--platform', 'linux/amd64'],
    ['pull', '--all-tags', 'localhost/x'],
    ['system', 'df', '--verbose'],
  ];
  for (const words of refused)
    it(`refuses ${words.join(' ')}`, async () => {
      const { exitCode, stderr } = await run(words);
      assert.equal(exitCode, 125);
      assert.match(stderr, / is not supported: /);
    });
});

describe('cli: image load', () => {
  useDirectory();

  it('sends a file in pieces that the daemon takes', async () => {
    const bytes = Buffer.alloc(700_000, 'archive ');
    const path = join(directory, 'x.tar');
    await writeFile(path, bytes);
    const { received, chunkBytes } = await asked(['load', '-i', path]);
    assert.ok(received.equals(bytes));
    assert.deepEqual(chunkBytes, [262_144, 262_144, 175_712]);
  });

  it('says that a directory is no archive', async () => {
    const { exitCode, stderr } = await run(['load', '-i', directory]);
    assert.equal(exitCode, 1);
    assert.equal(stderr, `read ${directory}: is a directory\n`);
  });
});

describe('cli: image pull', () => {
  useDirectory();

  it("sends the login of the image's registry and no other", async () => {
    const auths = {
      'localhost:5000': login('own'),
      'other.test': login('other'),
      'https://index.docker.io/v1/': login('hub'),
    };
    await file('config.json', JSON.stringify({ auths }));
    const [request] = (await asked(['pull', '-q', '--platform', 'linux/arm64', 'localhost:5000/x'])).pulls;
    assert.equal(request?.reference, 'localhost:5000/x:latest');
    assert.equal(request?.platform, 'linux/arm64');
    assert.deepEqual(decoded(request?.registryAuth), {
      username: 'own',
      password: 'secret-of-own',
      serveraddress: 'localhost:5000',
    });
    const [anonymous] = (await asked(['pull', '-q', 'localhost:5001/x'])).pulls;
    assert.equal(anonymous?.registryAuth, '');
  });

  it('says what is wrong with the configuration', async () => {
    await file('config.json', '{');
    const { exitCode, stderr } = await run(['pull', 'localhost/x']);
    assert.equal(exitCode, 1);
    assert.equal(stderr, `${directory}/config.json is not JSON\nHint: correct the file, or log in again\n`);
  });

  it('says that an image is up to date, and why it tries again', async () => {
    const pullProgress = [{ phase: PullPhase.RETRYING, message: 'the registry hung up' }];
    const { stdout } = await run(['pull', 'localhost/x:1'], { upToDate: true, pullProgress });
    assert.match(
      stdout,
      /^Retrying: the registry hung up\nDigest: sha256:d+\nStatus: Image is up to date for localhost\/x:1\nlocalhost\/x:1\n$/,
    );
  });

  it('names images of the default registry in full at the end', async () => {
    const { stdout } = await run(['pull', '-q', 'busybox']);
    assert.equal(stdout, 'docker.io/library/busybox:latest\n');
  });

  it('does not pretend to verify signatures', async () => {
    assert.equal((await run(['pull', '--disable-content-trust', 'localhost/x'])).exitCode, 0);
    const { exitCode, stderr } = await run(['pull', '--disable-content-trust=false', 'localhost/x']);
    assert.equal(exitCode, 1);
    assert.match(stderr, /signatures of images are not verified/);
  });
});

describe('cli: image build', () => {
  useDirectory();

  it('passes its flags on', async () => {
    await file('Dockerfile', 'FROM scratch\n');
    const words = ['-t', 'localhost/a:1', '--tag', 'localhost/b', '--target', 'last', '--no-cache', '--pull'];
    const values = [
      '--build-arg',
      'A=1=2',
      '--build-arg',
      'FROM_CALLER',
      '--build-arg',
      'UNSET',
      '--label',
      'l=m',
      '--label',
      'n',
    ];
    const more = ['--network', 'none', '--platform', 'linux/amd64', '--rm', '--force-rm'];
    const [options] = (await asked(['build', ...words, ...values, ...more, directory])).builds;
    assert.deepEqual(
      { ...options },
      {
        tags: ['localhost/a:1', 'localhost/b'],
        dockerfile: 'Dockerfile',
        buildArgs: { A: '1=2', FROM_CALLER: 'yes' },
        target: 'last',
        noCache: true,
        pull: true,
        labels: { l: 'm', n: '' },
        platform: 'linux/amd64',
        registryAuths: {},
        network: 'none',
      },
    );
  });

  it('prints the output as it comes', async () => {
    await file('Dockerfile', 'FROM scratch\n');
    const { stdout, stderr } = await run(['build', directory], {
      buildLines: ['STEP 1/1: FROM scratch', 'Successfully built a1'],
    });
    assert.equal(stdout, 'Sending build context to swarmd  2.048kB\nSTEP 1/1: FROM scratch\nSuccessfully built a1\n');
    assert.equal(stderr, '');
  });

  it('prints the id alone with --quiet, and writes it to a file', async () => {
    await file('Dockerfile', 'FROM scratch\n');
    const idFile = join(directory, 'id');
    const { stdout, stderr } = await run(['build', '-q', '--iidfile', idFile, directory], { buildLines: ['x'] });
    assert.equal(stdout, `sha256:${IDS.web}\n`);
    assert.equal(stderr, '');
    assert.equal(await readFile(idFile, 'utf8'), `sha256:${IDS.web}`);
  });

  it('shows the output of a quiet build that fails, and leaves no id of an earlier one', async () => {
    await file('Dockerfile', 'FROM scratch\n');
    const idFile = await file('id', 'sha256:old');
    const buildError = new SwarmError({
      code: 'invalid',
      reason: 'build-failed',
      message: 'step 2 failed',
      hint: 'look',
    });
    const result = await run(['build', '-q', '--iidfile', idFile, directory], {
      buildLines: ['one', 'two'],
      buildError,
    });
    assert.deepEqual(result, {
      stdout: '',
      stderr: 'one\ntwo\nError response from daemon: step 2 failed\nHint: look\n',
      exitCode: 1,
    });
    await assert.rejects(readFile(idFile), { code: 'ENOENT' });
  });

  it('sends the logins of the registries that its images are from', async () => {
    const hosts = ['a.test', 'b.test:5000', 'c.test', 'd.test', 'unused.test'];
    await file('config.json', JSON.stringify({ auths: Object.fromEntries(hosts.map((host) => [host, login(host)])) }));
    const lines = [
      '# FROM unused.test/comment',
      'ARG REGISTRY=unused.test',
      'ARG TAG=1',
      'FROM --platform=linux/amd64 ${REGISTRY}/base:$TAG AS unused.test',
      'FROM \\',
      '  b.test:5000/x',
      'COPY --from=unused.test /a /b',
      'COPY --chown=0 --from=c.test/tools /a /b',
      'RUN --mount=type=bind,from=d.test/m,target=/m \\',
      '  echo from=nothing',
      'FROM scratch',
    ];
    await file('Dockerfile', `${lines.join('\n')}\n`);
    const [options] = (await asked(['build', '-q', '--build-arg', 'REGISTRY=a.test', directory])).builds;
    const auths = options?.registryAuths ?? {};
    assert.deepEqual(Object.keys(auths).toSorted(), ['a.test', 'b.test:5000', 'c.test', 'd.test']);
    assert.deepEqual(decoded(auths['a.test']), {
      username: 'a.test',
      password: 'secret-of-a.test',
      serveraddress: 'a.test',
    });
  });

  it('builds without logins that cannot be had', async () => {
    await file('Dockerfile', 'FROM localhost/base\n');
    await file('config.json', JSON.stringify({ credsStore: 'absent' }));
    const { exitCode, stderr } = await run(['build', '-q', directory]);
    assert.equal(exitCode, 0);
    assert.match(stderr, /^warning: building without registry logins: credential helper docker-credential-absent: /);
  });

  const refused = [
    ...['--add-host=a:1.2.3.4', '--cache-from=x', '--cgroup-parent=x', '--compress', '--cpu-period=1', '--cpu-quota=1'],
    ...[
      '--cpu-shares=1',
      '--cpuset-cpus=0',
      '--cpuset-mems=0',
      '--isolation=default',
      '--memory=1g',
      '--memory-swap=1',
    ],
    ...['--security-opt=x', '--shm-size=1', '--squash', '--ulimit=core=1', '--secret=id=x', '--progress=plain'],
    ...['--output=x', '--push', '--load', '--rm=false', '--force-rm=false', '--disable-content-trust=false'],
  ];
  for (const flag of refused)
    it(`refuses ${flag}`, async () => {
      const { exitCode, stderr } = await run(['build', flag, directory]);
      assert.notEqual(exitCode, 0);
      assert.match(stderr, /^--[a-z-]+(?:=false)? is not supported: .+\n[^]*Hint: /);
      assert.deepEqual(daemon?.asked.builds, []);
    });
});
