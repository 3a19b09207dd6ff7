/**
 * Goal: stacks are deployed, shown and removed by the command line in Docker's words. Method: the command line in this
 * process with the real API behind it; files in a directory of their own.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CliOptions, type CliResult, fakeApi, runCli } from './support/run-cli.ts';
import { stackFixture } from './support/stack-fixture.ts';

const FILE = `
services:
  db: {image: "db:\${TAG:-1}"}
  web: {image: web, networks: [front], depends_on: [db], deploy: {replicas: 2}}
networks: {front: }
`;

describe('cli: stacks', () => {
  let directory = '';
  let file = '';
  let options: CliOptions = {};

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-stack-'));
    file = join(directory, 'compose.yml');
    await writeFile(file, FILE);
  });

  beforeEach(() => {
    options = { api: fakeApi(stackFixture()) };
  });

  after(() => rm(directory, { recursive: true, force: true }));

  const cli = (...words: readonly string[]): Promise<CliResult> => runCli(words, options);
  const deploy = (...flags: readonly string[]): Promise<CliResult> =>
    cli('stack', 'deploy', '--detach', '-c', file, ...flags, 'shop');

  it('deploy says what it does, ls, services and ps show it', async () => {
    const { stdout, exitCode } = await deploy();
    assert.equal(exitCode, 0);
    assert.equal(
      stdout,
      'Creating network shop_front\nCreating network shop_default\nCreating service shop_db\nCreating service shop_web\n',
    );
    assert.equal((await cli('stack', 'ls')).stdout, 'NAME      SERVICES   STATE\nshop      2          deployed\n');
    assert.equal((await cli('stack', 'ls', '--format', '{{.Name}}/{{.Services}}')).stdout, 'shop/2\n');
    const services = (await cli('stack', 'services', 'shop', '--format', '{{.Name}} {{.Image}}')).stdout;
    assert.equal(services, 'shop_db db:1\nshop_web web\n');
    const { stderr } = await cli('service', 'ps', 'shop_web');
    assert.equal(stderr, 'service shop_web waits for shop_db to run\n');
    const pretty = (await cli('service', 'inspect', '--pretty', 'shop_web')).stdout;
    assert.match(pretty, /Depends On:\n {1,2}\S+:\s+service_started\nWaits For:\s+shop_db to run/);
    const [shown] = JSON.parse((await cli('service', 'inspect', 'shop_web')).stdout) as {
      WaitsFor: string;
      Spec: { DependsOn: unknown[] };
    }[];
    assert.deepEqual([shown?.WaitsFor, shown?.Spec.DependsOn.length], ['shop_db to run', 1]);
    assert.equal((await cli('stack', 'ps', 'shop')).exitCode, 0);
  });

  it('a dry run shows every field, and changes nothing', async () => {
    await deploy();
    options = { ...options, variables: { TAG: '2' } };
    const { stdout } = await deploy('--dry-run');
    assert.match(
      stdout,
      /~ service shop_db \(replaces its tasks\)\n {4}labels\[com\.docker\.stack\.image\]: "db:1" -> "db:2"\n {4}task\.container\.image: "db:1" -> "db:2"/,
    );
    assert.match(stdout, /0 to create, 1 to update, 0 to remove, 3 as they are\. Nothing was changed\./);
    assert.match((await cli('stack', 'services', 'shop', '--format', '{{.Image}}')).stdout, /db:1/);
    assert.match((await deploy()).stdout, /^Updating service shop_db\n$/);
  });

  it('prune takes what left the file', async () => {
    await deploy();
    const small = join(directory, 'small.yml');
    await writeFile(small, 'services: {db: {image: "db:1"}}');
    const { stdout } = await cli('stack', 'deploy', '--detach', '--prune', '-c', small, 'shop');
    assert.match(stdout, /Removing service shop_web\nRemoving network shop_front/);
  });

  it('config prints the merged file, from standard input too', async () => {
    const over = join(directory, 'over.yml');
    await writeFile(over, 'services: {db: {environment: [A=1]}, web: {deploy: {replicas: 5}}}');
    const { stdout } = await cli('stack', 'config', '-c', file, '-c', over);
    assert.match(stdout, /db:\n {4}image: db:1\n {4}environment:\n {6}A: "1"/);
    assert.match(stdout, /replicas: 5/);
    assert.match((await cli('stack', 'config', '--skip-interpolation', '-c', file)).stdout, /image: db:\$\{TAG:-1\}/);
    options = { ...options, stdin: [Buffer.from('name: fed\nservices: {a: {image: i}}')] };
    assert.match((await cli('stack', 'config', '-c', '-')).stdout, /image: i/);
    assert.match((await cli('stack', 'deploy', '-d', '-c', '-')).stdout, /Creating service fed_a/);
  });

  it('what is wrong with a file is no answer of the daemon, and has its place', async () => {
    const bad = join(directory, 'bad.yml');
    await writeFile(bad, 'services:\n  a:\n    imag: i\n');
    const { stderr, exitCode } = await cli('stack', 'deploy', '-c', bad, 'x');
    assert.equal(exitCode, 1);
    assert.match(stderr, /bad\.yml:3:5: services\.a\.imag: there is no such key; did you mean image\?/);
    assert.doesNotMatch(stderr, /daemon/);
    assert.match((await cli('stack', 'deploy', 'x')).stderr, /please specify a Compose file \(with --compose-file\)/);
    assert.match(
      (await cli('stack', 'deploy', '-c', join(directory, 'none.yml'), 'x')).stderr,
      /none\.yml:1:1: the file cannot be read/,
    );
    assert.match((await cli('stack', 'deploy', '-c', file)).stderr, /the stack has no name/);
  });

  it('what a manager refuses has the place of what it is about', async () => {
    const bad = join(directory, 'refused.yml');
    await writeFile(bad, 'services:\n  good: {image: i}\n  a: {image: i, privileged: true}\n');
    const { stderr, exitCode } = await cli('stack', 'deploy', '-c', bad, 'x');
    assert.equal(exitCode, 1);
    assert.match(stderr, /daemon: \S+refused\.yml:3:3: service x_a: privileged: the policy .*\nHint: leave it out, or/);
    await writeFile(bad, 'services:\n  a: {image: i, networks: [n]}\nnetworks:\n  n: {driver: nosuch}\n');
    assert.match((await cli('stack', 'deploy', '-c', bad, 'x')).stderr, /refused\.yml:4:3: network x_n: .*nosuch/);
  });

  it('rm says what goes; what is not there is named as Docker names it', async () => {
    await deploy();
    const { stdout, exitCode } = await cli('stack', 'rm', '--detach', 'shop');
    assert.deepEqual(
      [exitCode, stdout.split('\n').toSorted().join('\n').trim()],
      [
        0,
        'Removing network shop_default\nRemoving network shop_front\nRemoving service shop_db\nRemoving service shop_web',
      ],
    );
    assert.match((await cli('stack', 'ls')).stdout, /shop\s+2\s+removing/);
    const more = join(directory, 'more.yml');
    const members = 'secrets: {k: {environment: KEY}}\nconfigs: {c: {content: x}}\nvolumes: {v: }\n';
    await writeFile(more, `services: {a: {image: i, secrets: [k], configs: [c], volumes: ["v:/v"]}}\n${members}`);
    options = { ...options, variables: { KEY: 'x' } };
    assert.equal((await cli('stack', 'deploy', '--detach', '-q', '-c', more, 'more')).exitCode, 0);
    assert.equal(
      (await cli('stack', 'rm', '--detach', '--volumes', 'more')).stdout,
      'Removing service more_a\nRemoving network more_default\nRemoving secret more_k\nRemoving config more_c\nRemoving volume more_v\n',
    );
    for (const verb of ['ps', 'services', 'rm'])
      assert.match((await cli('stack', verb, 'ghost')).stderr, /^nothing found in stack: ghost\n/, verb);
  });
});
