/**
 * Goal: logins made with `docker login` are found, whichever way Docker keeps them. Method: configuration files and
 * credential helpers in a temporary directory.
 */
import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CliError } from '#src/cli/cli-errors.ts';
import { registryAuthOf } from '#src/cli/docker-config.ts';

describe('cli: registry logins', () => {
  let directory = '';
  const path = process.env.PATH;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'docker-config-'));
    process.env.PATH = `${directory}:${path ?? ''}`;
  });

  afterEach(async () => {
    process.env.PATH = path;
    await rm(directory, { recursive: true });
  });

  const configure = async (config: object): Promise<void> => {
    await writeFile(join(directory, 'config.json'), JSON.stringify(config));
  };

  /** A helper that answers for one registry. */
  const installHelper = async (name: string, script: string): Promise<void> => {
    const file = join(directory, `docker-credential-${name}`);
    await writeFile(file, `#!/bin/sh\n${script}\n`);
    await chmod(file, 0o755);
  };

  const login = async (image: string): Promise<unknown> => {
    const auth = await registryAuthOf(image, directory);
    return auth === '' ? undefined : JSON.parse(Buffer.from(auth, 'base64url').toString());
  };

  const entry = { auth: Buffer.from('user:pa:ss').toString('base64') };

  it('are read from config.json, for the registry of the image', async () => {
    await configure({ auths: { 'registry.example.com:5000': entry, 'https://index.docker.io/v1/': entry } });
    assert.deepEqual(await login('registry.example.com:5000/app:1'), {
      username: 'user',
      password: 'pa:ss',
      serveraddress: 'registry.example.com:5000',
    });
    assert.deepEqual(await login('busybox'), {
      username: 'user',
      password: 'pa:ss',
      serveraddress: 'https://index.docker.io/v1/',
    });
    assert.equal(await login('other.example.com/app'), undefined);
  });

  it('are found under an address, and may be tokens', async () => {
    await configure({ auths: { 'https://registry.example.com/v2/': { identitytoken: 'tok' } } });
    assert.deepEqual(await login('registry.example.com/app'), {
      identitytoken: 'tok',
      serveraddress: 'registry.example.com',
    });
  });

  it('come from a helper where one is named', async () => {
    await configure({ credsStore: 'all', credHelpers: { 'one.example.com': 'one' } });
    await installHelper('one', 'read server; echo "{\\"Username\\":\\"u1\\",\\"Secret\\":\\"$server\\"}"');
    await installHelper('all', 'echo "{\\"Username\\":\\"<token>\\",\\"Secret\\":\\"t\\"}"');
    assert.deepEqual(await login('one.example.com/app'), {
      username: 'u1',
      password: 'one.example.com',
      serveraddress: 'one.example.com',
    });
    assert.deepEqual(await login('two.example.com/app'), { identitytoken: 't', serveraddress: 'two.example.com' });
  });

  it('that a helper has not are none, and its failures are told', async () => {
    await configure({ credsStore: 'none' });
    await installHelper('none', 'echo "credentials not found in native keychain"; exit 1');
    assert.equal(await login('busybox'), undefined);
    await installHelper('none', 'echo "keychain is locked"; exit 1');
    await assert.rejects(login('busybox'), /docker-credential-none failed: keychain is locked/);
    await configure({ credsStore: 'missing' });
    await assert.rejects(login('busybox'), /cannot run docker-credential-missing/);
    await configure({ credsStore: '../../evil' });
    await assert.rejects(login('busybox'), /not a valid name/);
  });

  it('without a file there are none; a broken file is an error', async () => {
    assert.equal(await login('busybox'), undefined);
    await writeFile(join(directory, 'config.json'), '{');
    await assert.rejects(
      login('busybox'),
      (thrown) => thrown instanceof CliError && /not valid JSON/.test(thrown.message),
    );
  });
});
