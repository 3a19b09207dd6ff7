/**
 * Goal: commands and flags for secrets and configs are Docker's, byte for byte where Docker has them; what Docker has not
 * works as its help says. Method: what the docker CLI printed and sent for the same swarm; the others on the real API.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeJson } from '#common/template/encode-json.ts';
import type { ServiceSpec } from '#gen/swarm/v1/specs.ts';
import { serviceSpecShape } from '#src/docker-shape/from-specs.ts';
import { SERVICE_SPEC } from '#src/docker-shape/swarm-types.ts';
import { asOurs, recordedPayloadRequests, recordedPayloads } from './docker-reference/golden.ts';
import { controlClient, fakeApi, NOW_MS, runCli } from './support/run-cli.ts';
import { swarmFixture } from './swarm-fixture.ts';

/** Without our hints, the versions that Docker has not, and times, which are those of the recording. */
function withoutOwn(text: string): string {
  return text
    .replaceAll(/^Hint: .*\n/gm, '')
    .replaceAll(/,\n {8}"Versions": \[[^\]]*\]/g, '')
    .replaceAll(/^Versions: .*\n/gm, '')
    .replaceAll(/\d{4}-\d\d-\d\d[T ][\d:.]+(?:Z| \+0000 utc)/g, 'TIME');
}

describe('cli: secrets and configs as Docker has them', () => {
  for (const { words, stdout, stderr, exitCode } of recordedPayloads('payloads'))
    it(`docker ${words.join(' ')}`, async () => {
      const ours = await runCli(words);
      assert.equal(withoutOwn(ours.stderr), withoutOwn(asOurs(stderr)));
      assert.equal(withoutOwn(ours.stdout), withoutOwn(asOurs(stdout)));
      assert.equal(ours.exitCode, exitCode);
    });

  for (const { words, stdout } of recordedPayloads('payload-help'))
    it(`docker ${words.join(' ')}: every flag`, async () => {
      const ours = await runCli(words);
      for (const [flag] of stdout.matchAll(/^ +(?:-\w, )? *--[\w-]+(?: \w+)?(?= {2})/gm))
        if (!flag.includes('--driver')) assert.ok(ours.stdout.includes(flag.trim()), `${flag}: ${ours.stdout}`);
    });

  for (const { words, body } of recordedPayloadRequests())
    it(`docker ${words.slice(5).join(' ')}`, async () => {
      const container = containerOf(await requested(words));
      const wanted = containerOf(body as ServiceShape);
      for (const kind of ['Secrets', 'Configs'] as const)
        assert.deepEqual((container[kind] ?? []).map(withoutIds), (wanted[kind] ?? []).map(withoutIds));
    });
});

interface ServiceShape {
  readonly TaskTemplate: {
    readonly ContainerSpec: Readonly<Record<'Secrets' | 'Configs', readonly object[] | undefined>>;
  };
}

const containerOf = (spec: ServiceShape): ServiceShape['TaskTemplate']['ContainerSpec'] =>
  spec.TaskTemplate.ContainerSpec;

/** Docker's client looks ids up; here the daemon does. */
function withoutIds(reference: object): object {
  const {
    SecretID: _secret,
    ConfigID: _config,
    Version: _version,
    Follow: _follow,
    ...rest
  } = reference as Record<string, unknown>;
  return rest;
}

async function requested(words: readonly string[]): Promise<ServiceShape> {
  const asked: ServiceSpec[] = [];
  const control = {
    ...controlClient(swarmFixture(NOW_MS)),
    createService: async ({ spec }: { readonly spec?: ServiceSpec | undefined }) => {
      if (spec !== undefined) asked.push(spec);
      return Promise.reject(new Error('asked'));
    },
  };
  await runCli(words, { api: { control } }).catch(() => undefined);
  const [spec] = asked;
  assert.ok(spec !== undefined);
  return JSON.parse(encodeJson(SERVICE_SPEC, serviceSpecShape(spec))) as ServiceShape;
}

describe('cli: secrets and configs beyond Docker', () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'payloads-'));
    await writeFile(join(directory, 'new'), 'another text');
  });
  after(() => rm(directory, { recursive: true }));

  it('a version is made, listed, and looked at', async () => {
    const api = fakeApi(swarmFixture(NOW_MS));
    const file = join(directory, 'new');
    const updated = await runCli(['config', 'update', '--label-add', 'x=y', '--label-rm', 'team', 'app.conf', file], {
      api,
    });
    assert.deepEqual([updated.exitCode, updated.stdout], [0, 'app.conf\n'], updated.stderr);
    assert.match(updated.stderr, /^version 3 was made; no service follows it\n/);
    const again = await runCli(['config', 'update', 'app.conf', file], { api });
    assert.match(again.stderr, /^version 3 holds the same already: no new version was made\n/);
    const { stdout } = await runCli(
      ['config', 'versions', '--format', '{{.Version}} {{.Size}} {{.CreatedBy}}', 'app.conf'],
      { api },
    );
    assert.equal(stdout, '3 12B test\n2 12B local\n1 12B local\n');
    const newest = await runCli(['config', 'inspect', '--pretty', 'app.conf'], { api });
    assert.match(newest.stdout, /Labels:\n - x=y\n[^]*Versions: +1, 2, 3\nData:\nanother text\n/);
    const old = await runCli(['config', 'inspect', '--pretty', '--version', '1', 'app.conf'], { api });
    assert.match(old.stdout, /Data:\nhello\nworld\n/);
    const none = await runCli(['config', 'inspect', '--version', '9', 'app.conf'], { api });
    assert.match(none.stderr, /has no version 9; it has 1, 2, 3/);
  });

  it('an update needs something to change', async () => {
    const { stderr, exitCode } = await runCli(['secret', 'update', 'db10']);
    assert.equal(exitCode, 1);
    assert.match(stderr, /^nothing to change was given\nHint: /);
  });

  it('what nothing refers to is pruned, when it is asked for or agreed to', async () => {
    const api = fakeApi(swarmFixture(NOW_MS));
    const refused = await runCli(['secret', 'prune'], { api });
    assert.match(refused.stdout, /^WARNING! This will remove all secrets .*\n.*\[y\/N\] $/);
    const { stdout } = await runCli(['secret', 'prune', '--force', '--filter', 'label=team'], { api });
    assert.equal(stdout, 'Deleted Secrets:\ndb10\n\n');
    assert.equal((await runCli(['secret', 'ls', '--format', '{{.Name}}'], { api })).stdout, 'db2\n');
  });

  it('references name versions and variables, and say what is wrong with them', async () => {
    const flags = ['service', 'create', '-d', '--no-resolve-image', '--name', 'x'];
    const { TaskTemplate } = await requested([
      ...flags,
      '--secret',
      'source=db2,version=1,env=KEY',
      '--secret',
      'db10',
      'busybox',
    ]);
    assert.deepEqual(TaskTemplate.ContainerSpec.Secrets, [
      { File: null, SecretID: '', SecretName: 'db2', Version: 1, Follow: false, Env: 'KEY' },
      {
        File: { Name: 'db10', UID: '0', GID: '0', Mode: 0o444 },
        SecretID: '',
        SecretName: 'db10',
        Version: 0,
        Follow: true,
      },
    ]);
    for (const [value, message] of [
      ['target=x', /source is required/],
      ['source=a,foo=b', /invalid field in secret request: foo/],
      ['source=a,b', /invalid field 'b' must be a key=value pair/],
      ['source=a,mode=0999', /invalid mode specified/],
      ['source=a,version=0', /invalid version "0"/],
    ] as const) {
      const { stderr, exitCode } = await runCli([...flags, '--secret', value, 'busybox']);
      assert.equal(exitCode, 125, value);
      assert.match(stderr, message);
    }
    const twice = await runCli([
      ...flags,
      '--secret',
      'source=db2,target=x',
      '--secret',
      'source=db10,target=x',
      'busybox',
    ]);
    assert.match(twice.stderr, /duplicate secret target for db10 not allowed/);
  });

  it('an update of a service takes, adds and replaces', async () => {
    const api = fakeApi(swarmFixture(NOW_MS));
    const flags = ['service', 'update', '-d'];
    const names = async (): Promise<string> => {
      const format =
        '{{range .Spec.TaskTemplate.ContainerSpec.Secrets}}{{.SecretName}} {{.Version}} {{.Follow}}|{{end}}';
      return (await runCli(['service', 'inspect', '--format', format, 'web'], { api })).stdout;
    };
    const must = async (...more: readonly string[]): Promise<void> => {
      const { exitCode, stderr } = await runCli([...flags, ...more, 'web'], { api });
      assert.equal(exitCode, 0, stderr);
    };
    await must('--secret-add', 'source=db10,version=1,target=db10', '--secret-add', 'db2');
    assert.equal(await names(), 'db10 1 false|db2 1 true|\n');
    await must('--secret-add', 'db10');
    assert.equal(await names(), 'db2 1 true|db10 2 true|\n');
    await must('--secret-rm', 'db2');
    assert.equal(await names(), 'db10 2 true|\n');
    const pretty = await runCli(['service', 'inspect', '--pretty', 'web'], { api });
    assert.match(pretty.stdout, /Secrets:\n Target:\tdb10\n {2}Source:\tdb10\n {2}Version:\t2, follows the newest\n/);
    const gone = await runCli(['secret', 'rm', 'db10'], { api });
    assert.match(gone.stderr, /secret 'db10' is in use by the following service: web/);
  });
});
