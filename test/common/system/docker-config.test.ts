import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SwarmError } from '#common/errors.ts';
import { DockerConfig } from '#common/system/docker-config.ts';
import { decodeRegistryAuth, encodeRegistryAuth, joinBasic } from '#common/system/registry-auth.ts';

describe("Docker's config.json", () => {
  let directory: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-docker-config-'));
  });

  afterEach(() => rm(directory, { recursive: true, force: true }));

  async function load(document: unknown): Promise<DockerConfig> {
    const content = typeof document === 'string' ? document : JSON.stringify(document);
    await writeFile(join(directory, 'config.json'), content);
    const environment = { PATH: `${directory}:/usr/bin:/bin`, HOME: directory };
    return DockerConfig.load({ directory, environment, helperTimeoutMs: 1_000 });
  }

  /** A credential helper as a shell script. */
  async function helper(name: string, script: string): Promise<void> {
    await writeFile(join(directory, `docker-credential-${name}`), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  }

  async function refused(work: Promise<unknown>, message: RegExp): Promise<void> {
    await assert.rejects(work, (error: unknown) => {
      assert.ok(error instanceof SwarmError, String(error));
      assert.equal(error.reason, 'image-auth');
      assert.match(error.message, message);
      return true;
    });
  }

  it('holds credentials by host, however the key is written', async () => {
    const config = await load({
      auths: {
        'registry:5000': { auth: joinBasic('a', 'b:c') },
        'https://other.example/v1/': { username: 'u', password: 'p' },
        'https://index.docker.io/v1/': { auth: joinBasic('hub', 'x'), identitytoken: 'token' },
        'empty.example': {},
      },
    });
    assert.deepEqual(await config.credential('registry:5000'), {
      username: 'a',
      password: 'b:c',
      identityToken: '',
      registryToken: '',
    });
    assert.equal((await config.credential('other.example'))?.username, 'u');
    assert.equal((await config.credential('docker.io'))?.identityToken, 'token');
    assert.equal(await config.credential('empty.example'), undefined);
    assert.equal(await config.credential('registry'), undefined);
    assert.equal(await config.credential('registry:5001'), undefined);
    assert.deepEqual(config.registries(), ['registry:5000', 'other.example', 'docker.io', 'empty.example']);
  });

  it('asks the helper of the registry, else the one for all', async () => {
    await helper(
      'one',
      `read server; [ "$1" = get ] && echo "{\\"ServerURL\\":\\"$server\\",\\"Username\\":\\"of $server\\",\\"Secret\\":\\"s\\"}"`,
    );
    await helper('all', 'cat > /dev/null; echo "{\\"Username\\":\\"<token>\\",\\"Secret\\":\\"refresh\\"}"');
    const config = await load({
      credHelpers: { 'one.example': 'one' },
      credsStore: 'all',
      auths: { 'https://index.docker.io/v1/': {} },
    });
    assert.equal((await config.credential('one.example'))?.username, 'of one.example');
    assert.deepEqual(await config.credential('docker.io'), {
      username: '',
      password: '',
      identityToken: 'refresh',
      registryToken: '',
    });
    const hub = await load({ credHelpers: { 'https://index.docker.io/v1/': 'one' } });
    assert.equal((await hub.credential('docker.io'))?.username, 'of https://index.docker.io/v1/');
  });

  it('falls back to the file when the helper has nothing', async () => {
    await helper('none', 'cat > /dev/null; echo "credentials not found in native keychain"; exit 1');
    const config = await load({ credsStore: 'none', auths: { 'r.example': { auth: joinBasic('u', 'p') } } });
    assert.equal((await config.credential('r.example'))?.username, 'u');
    assert.equal(await config.credential('s.example'), undefined);
  });

  it('says what is wrong with a helper', async () => {
    await helper('failing', 'echo "the key ring is locked"; exit 1');
    await helper('rubbish', 'echo "not json"');
    await helper('deaf', 'exec sleep 100');
    const ask = async (name: string): Promise<unknown> => (await load({ credsStore: name })).credential('r.example');
    await refused(ask('failing'), /docker-credential-failing: the key ring is locked/);
    await refused(ask('rubbish'), /not JSON/);
    await refused(ask('missing'), /not installed/);
    await refused(ask('../../bin/sh'), /names the helper/);
    await refused(ask('a b'), /names the helper/);
    await refused(ask('deaf'), /did not answer in time/);
  });

  it('leaves no timer behind, whatever became of the helper', async () => {
    await helper('none', 'cat > /dev/null; echo "credentials not found in native keychain"; exit 1');
    const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    const ask = async (name: string): Promise<unknown> => (await load({ credsStore: name })).credential('r.example');
    await refused(ask('missing'), /not installed/);
    assert.equal(await ask('none'), undefined);
    assert.equal(timers(), before);
  });

  it('is empty when it is not there, and refused when it is broken', async () => {
    const environment = {};
    const empty = await DockerConfig.load({ directory: join(directory, 'nowhere'), environment });
    assert.equal(await empty.credential('docker.io'), undefined);
    await refused(load('{'), /not JSON/);
    assert.equal(await (await load([])).credential('x'), undefined);
    assert.equal(await (await load({ auths: 'x', credHelpers: 7 })).credential('x'), undefined);
    assert.equal(await (await load({ auths: { x: { auth: 'bm8gY29sb24=' } } })).credential('x'), undefined);
  });

  it('does not tell one registry the secret of another', async () => {
    await helper('spy', `cat > ${directory}/asked; echo "{}"`);
    const config = await load({
      credHelpers: { 'one.example': 'spy' },
      auths: { 'one.example.evil': { auth: joinBasic('u', 'p') } },
    });
    assert.equal(await config.credential('two.example'), undefined);
    assert.equal((await config.credential('one.example'))?.username ?? '', '');
    assert.equal((await readFile(join(directory, 'asked'), 'utf8')).trim(), 'one.example');
  });
});

describe('registry credentials on the way', () => {
  it('come out as they went in', () => {
    const credential = { username: 'ü', password: 'p:ß?>~', identityToken: 'i', registryToken: 'r' };
    const encoded = encodeRegistryAuth(credential, 'r.example');
    assert.match(encoded, /^[A-Za-z0-9_-]+=*$/);
    assert.equal(encoded.length % 4, 0);
    assert.deepEqual(decodeRegistryAuth(encoded), credential);
    const standard = Buffer.from(JSON.stringify({ auth: joinBasic('a', 'b') })).toString('base64');
    assert.deepEqual(decodeRegistryAuth(standard), {
      username: 'a',
      password: 'b',
      identityToken: '',
      registryToken: '',
    });
  });

  it('may be none', () => {
    assert.equal(decodeRegistryAuth(''), undefined);
    assert.equal(decodeRegistryAuth(Buffer.from('{}').toString('base64')), undefined);
  });

  it('are refused when they are something else, without being quoted', () => {
    const encode = (text: string): string => Buffer.from(text).toString('base64');
    for (const bad of [
      '%%%',
      encode('secret'),
      encode('"secret"'),
      encode('{"username":{"secret":1}}'),
      'a'.repeat(70_000),
    ])
      assert.throws(
        () => decodeRegistryAuth(bad),
        (error: unknown) =>
          error instanceof SwarmError &&
          error.reason === 'image-auth' &&
          !error.message.includes('secret') &&
          !error.message.includes('%%%'),
      );
  });
});
