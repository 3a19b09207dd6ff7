/**
 * Goal: contexts are kept so that only their owner has them, nothing that is not whole is ever used, and every way in which
 * one cannot be used is said with its way out. Method: the command line in this process, in a configuration directory of
 * its own, with bundles of a real authority.
 */
import assert from 'node:assert/strict';
import { appendFile, chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManualClock } from '#common/clock.ts';
import { SeededRandom } from '#common/random.ts';
import { writeBundle } from '#src/cli/contexts/client-bundle.ts';
import { connectEndpoint } from '#src/cli/contexts/connect-endpoint.ts';
import { runCommandLine } from '#src/cli/run.ts';
import { type TestClientOptions, testAuthority, testClient } from '#test/certs/fixtures.ts';
import { clientFacts } from './support/client-facts.ts';
import { type CliResult, runCli } from './support/run-cli.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const authority = testAuthority();

/** The document of a client that exists nowhere. */
function bundle(options: TestClientOptions = {}, facts: Readonly<Record<string, unknown>> = {}): string {
  const client = testClient(authority, 'operator', options);
  const made = writeBundle({
    facts: clientFacts(client, '127.0.0.1:1'),
    rootsPem: client.rootsPem,
    certificatePem: client.certificatePem,
    keyPem: client.privateKeyPem,
  });
  return JSON.stringify({ ...JSON.parse(made), ...facts });
}

describe('cli: contexts', () => {
  let home = '';
  let contexts = '';
  const variables: Record<string, string> = {};

  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'starling-contexts-'));
    contexts = join(home, '.config/starling/contexts');
    for (const name of Object.keys(variables)) delete variables[name];
    variables['HOME'] = home;
  });
  afterEach(() => rm(home, { recursive: true, force: true }));

  const run = (words: readonly string[], input = '', nowMs = Date.now()): Promise<CliResult> =>
    runCli(words, { variables, stdin: [Buffer.from(input)], clock: new ManualClock(nowMs) });

  /** With real connections, which lead nowhere here. */
  async function connecting(words: readonly string[], nowMs = Date.now()): Promise<CliResult> {
    const output = { stdout: '', stderr: '' };
    const stream = (name: 'stdout' | 'stderr') => ({
      write: (text: string | Uint8Array) => {
        output[name] += Buffer.from(text).toString();
      },
      isTerminal: false,
      columns: undefined,
    });
    const exitCode = await runCommandLine(words, {
      environment: {
        stdout: stream('stdout'),
        stderr: stream('stderr'),
        stdin: { isTerminal: false, chunks: async function* () {} },
        variables,
        clock: new ManualClock(nowMs),
        onInterrupt: () => () => {},
      },
      connect: connectEndpoint,
    });
    return { ...output, exitCode };
  }

  const importing = (name = 'prod', document = bundle(), ...flags: string[]) =>
    run(['context', 'import', ...flags, name, '-'], document);

  it('takes a bundle in, for its owner alone, and gives it back as it was', async () => {
    const document = bundle();
    const imported = await importing('prod', document);
    assert.deepEqual([imported.stdout, imported.exitCode], ['prod\n', 0], imported.stderr);
    const directory = join(contexts, 'prod');
    for (const path of [contexts, directory]) assert.equal((await stat(path)).mode & 0o777, 0o700);
    for (const file of await readdir(directory))
      assert.equal((await stat(join(directory, file))).mode & 0o077, 0, file);
    const exported = await run(['context', 'export', 'prod', '-']);
    assert.deepEqual(JSON.parse(exported.stdout), JSON.parse(document));
    const file = join(home, 'copy');
    assert.equal((await run(['context', 'export', 'prod', file])).exitCode, 0);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    assert.match((await run(['context', 'export', 'prod', file])).stderr, /exists/);
    assert.equal((await run(['context', 'import', 'again', file])).exitCode, 0);
    assert.equal((await run(['context', 'import', 'third', directory])).exitCode, 0);
    assert.deepEqual(await readdir(contexts), ['again', 'prod', 'third']);
  });

  it('refuses bundles that are none, and nothing is there afterwards', async () => {
    const other = JSON.parse(bundle()) as Record<string, unknown>;
    const cases: readonly [string, RegExp][] = [
      ['', /is not JSON/],
      ['[]', /is not an object/],
      ['{}', /no ca, certificate or key/],
      [bundle({}, { format: 2 }), /format that this release does not read/],
      [bundle({}, { key: undefined }), /no ca, certificate or key/],
      [bundle({}, { key: 'x' }), /holds no key/],
      [bundle({}, { key: other['key'] }), /key is not the one of its certificate/],
      [bundle({}, { certificate: other['certificate'] }), /key is not the one of its certificate/],
      [bundle({}, { ca: 'x' }), /ca: is not PEM/],
      [bundle({}, { addresses: [] }), /addresses has to be a list/],
      [bundle({}, { addresses: ['http://a'] }), /not host:port/],
      [bundle({}, { addresses: ['a:99999'] }), /not host:port/],
      [bundle({}, { clusterId: '../..' }), /clusterId is none/],
      [bundle({}, { clientId: '0'.repeat(25) }), /of another client/],
      [bundle({}, { role: 'admin' }), /of another client/],
      ['x'.repeat(300 * 1024), /too large/],
    ];
    for (const [document, expected] of cases) {
      const { stderr, exitCode } = await importing('prod', document);
      assert.equal(exitCode, 1, document.slice(0, 80));
      assert.match(stderr, expected);
      assert.match(stderr, /\nHint: /);
      assert.ok(!stderr.includes('PRIVATE KEY'));
    }
    await assert.rejects(stat(contexts));
  });

  it('does not read files that never end', async () => {
    const { exitCode, stderr } = await run(['context', 'import', 'prod', '/dev/zero']);
    assert.equal(exitCode, 1);
    assert.match(stderr, /the bundle \/dev\/zero is damaged: it is too large\nHint: /);
  });

  it('makes no directory of what is no name of a client', async () => {
    for (const name of ['', '../../etc', '/etc', 'a/b']) {
      const { exitCode, stderr } = await run(['client', 'create', name]);
      assert.equal(exitCode, 1, name);
      assert.match(stderr, /^name: name (must be provided|.* must be valid as a DNS name component)\nHint: /);
    }
  });

  it('refuses names that are no names, and never makes a path of them', async () => {
    for (const name of ['..', '../x', '/etc', '.hidden', 'a/b', '', '-x', 'a'.repeat(64), 'a\nb']) {
      const { exitCode, stderr } = await run(['context', 'import', '--', name, '-'], bundle());
      assert.equal(exitCode, 1, name);
      assert.match(stderr, /context name .* is invalid/);
      for (const words of [
        ['context', 'use', '--', name],
        ['context', 'rm', '--force', '--', name],
      ])
        assert.equal((await run(words)).exitCode, 1, words.join(' '));
    }
    assert.match((await importing('default')).stderr, /reserved context name/);
    assert.deepEqual(await readdir(home), []);
  });

  it('keeps what is there unless it is told to replace it', async () => {
    await importing();
    const key = await readFile(join(contexts, 'prod/key.pem'), 'utf8');
    assert.match((await importing()).stderr, /already exists\n.*--force/s);
    assert.equal(await readFile(join(contexts, 'prod/key.pem'), 'utf8'), key);
    assert.equal((await importing('prod', bundle(), '--force')).exitCode, 0);
    assert.notEqual(await readFile(join(contexts, 'prod/key.pem'), 'utf8'), key);
    assert.deepEqual(await readdir(contexts), ['prod']);
  });

  it('is chosen by flag, variable or use, in this order, and not beside a socket', async () => {
    for (const name of ['one', 'two', 'three']) await importing(name);
    const shown = async (...words: string[]) => (await run([...words, 'context', 'show'])).stdout.trim();
    assert.equal(await shown(), 'default');
    assert.match((await run(['context', 'use', 'one'])).stderr, /Current context is now "one"/);
    assert.equal(await shown(), 'one');
    variables['STARLING_CONTEXT'] = 'two';
    assert.equal(await shown(), 'two');
    assert.equal(await shown('--context', 'three'), 'three');
    assert.equal(await shown('-c', 'default'), 'default');
    variables['STARLING_SOCKET'] = '/run/x.sock';
    assert.equal(await shown(), 'default');
    assert.match((await run(['context', 'use', 'one'])).stderr, /STARLING_SOCKET environment variable overrides/);
    const both = await run(['--context', 'one', '--socket', '/x', 'node', 'ls']);
    assert.deepEqual([both.exitCode, /cannot specify both/.test(both.stderr)], [125, true], both.stderr);
    assert.equal((await run(['context', 'use', 'nowhere'])).exitCode, 1);
  });

  it('is listed with what is wrong with it, inspected without its key, and removed only when it is not in use', async () => {
    await importing('good');
    await importing('bad');
    await appendFile(join(contexts, 'bad/cert.pem'), 'x');
    await run(['context', 'use', 'good']);
    const listed = await run(['context', 'ls', '--format', '{{.Name}}|{{.Current}}|{{.Role}}|{{.Error}}']);
    const rows = listed.stdout.trim().split('\n');
    assert.deepEqual([rows[0], rows[2]], ['default|false||', 'good|true|operator|']);
    assert.match(rows[1] ?? '', /^bad\|false\|\|context bad is damaged/);
    const inspected = await run(['context', 'inspect', 'good']);
    assert.ok(!inspected.stdout.includes('PRIVATE'));
    assert.equal((JSON.parse(inspected.stdout) as { Role: string }[])[0]?.Role, 'operator');
    assert.match((await run(['context', 'rm', 'good'])).stderr, /is in use, set -f flag/);
    assert.equal((await run(['context', 'rm', '-f', 'good', 'bad'])).stdout, 'good\nbad\n');
    assert.equal((await run(['context', 'show'])).stdout, 'default\n');
    assert.match((await run(['context', 'rm', 'good'])).stderr, /context not found\nHint: /);
    assert.match((await run(['context', 'rm', 'default'])).stderr, /cannot be removed/);
  });

  it('that others can read, that is expired, not valid yet or damaged is refused before anything is sent', async () => {
    await importing();
    const key = join(contexts, 'prod/key.pem');
    const words = ['--context', 'prod', 'node', 'ls'];
    for (const [path, open, closed] of [
      [key, 0o640, 0o600],
      [join(contexts, 'prod'), 0o750, 0o700],
    ] as const) {
      await chmod(path, open);
      assert.match((await connecting(words)).stderr, /is open to other users \(mode \d+\)\nHint: .*chmod/);
      await chmod(path, closed);
    }
    const late = await connecting(words, Date.now() + 91 * DAY_MS);
    assert.match(late.stderr, /certificate of context prod expired at .*\nHint: .*swarm client renew ci/);
    assert.match((await connecting(words, Date.now() - 2 * DAY_MS)).stderr, /holds only from .*\nHint: set the clock/);
    assert.match((await connecting(words, Date.now() + 88 * DAY_MS)).stderr, /WARNING: context prod expires at/);
    const version = await connecting(['--context', 'other', 'version']);
    assert.equal(version.exitCode, 1);
    assert.match(version.stdout, /^Client: Starling\n/);
    assert.match(version.stderr, /"other": context not found\nHint: /);
    // It is whole: only nobody is there.
    const away = await connecting(words);
    assert.match(away.stderr, /127\.0\.0\.1:1 refused the connection/);
    assert.match((await connecting(['--context', 'other', 'node', 'ls'])).stderr, /"other": context not found\nHint: /);
    await rm(key);
    assert.match((await connecting(words)).stderr, /context prod is damaged: key\.pem: no such file/);
  });

  it('whatever happens to its files: an error that says so, never a connection, never a stack', async () => {
    const random = new SeededRandom(11);
    for (let round = 0; round < 15; round++) {
      await importing('prod', bundle(), '--force');
      const files = (await readdir(join(contexts, 'prod'))).toSorted();
      const path = join(contexts, 'prod', files[Math.floor(random.next() * files.length)] ?? '');
      const bytes = await readFile(path);
      const at = Math.floor(random.next() * bytes.length);
      const cut = random.next() < 0.5;
      const broken = cut ? bytes.subarray(0, at) : Buffer.from(bytes);
      if (!cut) broken.writeUInt8(broken.readUInt8(at) ^ (1 << Math.floor(random.next() * 7)), at);
      await writeFile(path, broken);
      const { exitCode, stderr } = await connecting(['--context', 'prod', 'node', 'ls']);
      assert.equal(exitCode, 1, `${path} at ${at}`);
      assert.ok(!/defect of the command line|\n {4}at /.test(stderr), `${path} at ${at}: ${stderr}`);
    }
  });

  it('without a home that can be read there are no contexts, and the socket is used', async () => {
    variables['XDG_CONFIG_HOME'] = join(home, 'none');
    assert.equal((await run(['context', 'show'])).stdout, 'default\n');
    variables['XDG_CONFIG_HOME'] = 'relative';
    assert.equal((await run(['context', 'show'])).stdout, 'default\n');
    await mkdir(join(home, '.config/starling'), { recursive: true });
    await writeFile(join(home, '.config/starling/current-context'), '../../etc');
    assert.match((await run(['context', 'show'])).stderr, /is invalid/);
  });

  it('a client that cannot be written is not made', async () => {
    const taken = join(home, 'taken');
    await mkdir(taken);
    for (const [output, expected] of [
      [taken, /exists/],
      [join(home, 'no/where'), /cannot write/],
      ['', /name of the directory is empty/],
    ] as const)
      assert.match((await run(['client', 'create', 'x', '--output', output])).stderr, expected);
    assert.equal((await run(['client', 'create', 'x', '--role', 'root'])).exitCode, 125);
    assert.equal((await run(['client', 'create', 'x', '--expiry', 'soon'])).exitCode, 125);
  });
});
