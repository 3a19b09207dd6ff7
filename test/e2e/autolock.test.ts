/**
 * Goal: a manager whose keys are encrypted does nothing without the unlock key, its containers go on meanwhile, and nothing
 * on its disk, in its log lines or in what the kernel tells of it has a secret of the cluster in the clear. Method: a real
 * manager that is killed and started; its files and processes are searched for the very bytes.
 */
import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeKeyFile } from '#certs/key-file.ts';
import { parseUnlockKey } from '#certs/unlock-key.ts';
import { LocalNodeState } from '#gen/swarm/v1/node.ts';
import {
  bytesNeedle,
  foundBelow,
  foundIn,
  foundInMemory,
  foundInProcesses,
  type Needle,
  textNeedle,
} from './support/clear-text.ts';
import { useManagers } from './support/managers.ts';

const LOCKED =
  /Swarm is encrypted and needs to be unlocked before it can be used\. Please use "swarm unlock" to unlock it\./;
const SECRET = 'a secret of a service that nobody may read';

describe('e2e: autolock', function () {
  const managers = useManagers(this, { managers: 1, workers: 0 });
  const cluster = () => managers().cluster;
  const stateDirectory = (): string => cluster().host('m1').paths.stateDirectory;
  let key = '';
  let before: readonly string[] = [];

  const unlock = (input: string) => cluster().on('m1', ['unlock'], { input });
  const keyFile = async (): Promise<Buffer> => readFile(join(stateDirectory(), 'node', 'node.key'));

  async function daemonPid(): Promise<number> {
    const pid = await cluster().host('m1').daemon.pid();
    assert.ok(pid !== undefined, 'the daemon runs');
    return pid;
  }

  async function secrets(): Promise<readonly Needle[]> {
    const { privateKey } = decodeKeyFile(await keyFile(), 'node.key', key === '' ? undefined : parseUnlockKey(key));
    // The number that is the key: the rest of PKCS#8 is the same for every key, or public.
    const scalar = Buffer.from(privateKey.export({ format: 'jwk' }).d ?? '', 'base64url');
    const token = async (role: string): Promise<string> => (await cluster().must(['join-token', '-q', role])).trim();
    const needles = [
      bytesNeedle('private key', scalar),
      textNeedle('secret', SECRET),
      bytesNeedle('secret', Buffer.from(SECRET)),
      ...(await Promise.all(
        ['worker', 'manager'].map(async (role) => textNeedle(role, (await token(role)).slice(-25))),
      )),
    ];
    if (key === '') return needles;
    return [...needles, textNeedle('unlock key', key.slice(-50)), bytesNeedle('unlock key', parseUnlockKey(key))];
  }

  async function assertNowhere(needles: readonly Needle[], isExcepted?: (path: string) => boolean): Promise<void> {
    const { paths } = cluster().host('m1');
    assert.deepEqual(await foundBelow(stateDirectory(), needles, isExcepted), []);
    assert.deepEqual(await foundBelow(paths.runDirectory, needles, isExcepted), []);
    assert.deepEqual(foundIn('daemon.log', await readFile(paths.log), needles), []);
    assert.deepEqual(await foundInProcesses([await daemonPid()], needles), []);
  }

  it('without it only the key files have anything in the clear', async () => {
    await cluster().must(['secret', 'create', 'password', '-'], { input: SECRET });
    await cluster().createService('web', 1, ['--secret', 'password']);
    await cluster().settled('web', 1);
    before = await managers().containers('web');
    const needles = await secrets();
    assert.notDeepEqual(await foundBelow(stateDirectory(), needles), [], 'the method finds a key in the clear');
    await assertNowhere(needles, (path) => path.endsWith('/node/node.key'));
  });

  it('encrypts the keys, and replaces those that were in the clear', async () => {
    const plain = await keyFile();
    const [clear] = (await readFile(join(stateDirectory(), 'raft.key'), 'utf8')).match(/[0-9a-f]{64}/) ?? [];
    const said = await cluster().must(['update', '--autolock=true']);
    key = /^ {4}(SWMKEY-1-[0-9a-z]{50})$/m.exec(said)?.[1] ?? '';
    assert.notEqual(key, '', said);
    assert.equal((await cluster().must(['unlock-key', '-q'])).trim(), key);
    await cluster().until(
      keyFile,
      (file) => file.toString().startsWith('format: 2\n') && !file.includes('exposed'),
      'another key',
    );
    await cluster().until(
      () => readFile(join(stateDirectory(), 'raft.key')),
      (file) => file.length < 200 && file.includes('lock-version: 1'),
      'one data key',
    );
    const formerScalar = Buffer.from(createPrivateKey(plain).export({ format: 'jwk' }).d ?? '', 'base64url');
    const former = [
      bytesNeedle('former key', formerScalar),
      bytesNeedle('former data key', Buffer.from(clear ?? '', 'hex')),
    ];
    await assertNowhere([...(await secrets()), ...former]);
    const info = await cluster().must(['info']);
    assert.match(info, /Autolock Managers: true/);
    assert.doesNotMatch(info + (await cluster().must(['info', '--format', 'json'])), new RegExp(key.slice(-50)));
  });

  it('does nothing after a start but wait for the key; containers do not notice', async () => {
    const needles = await secrets();
    await cluster().lab.killDaemon('m1');
    await cluster().lab.start('m1');
    assert.match(await cluster().must(['info']), /^ Swarm: locked$/m);
    assert.equal((await cluster().client().node.getInfo({})).state, LocalNodeState.LOCKED);
    for (const args of [['node', 'ls'], ['init'], ['unlock-key']])
      assert.match(await cluster().refused(args), LOCKED, args.join(' '));
    assert.match(await cluster().refused(['leave']), /--force/);
    const health = await cluster().client().health.check({});
    assert.match(health.message, LOCKED);
    await assertNowhere(needles);
    for (const line of before) assert.equal(await isSame(line), true, `${line} runs on`);
    // Nobody has given this process a key: it cannot have any of them in its memory.
    assert.deepEqual(await foundInMemory(await daemonPid(), needles), []);
  });

  it('refuses another key, without a word of it, and goes on with the right one', async () => {
    const other = `SWMKEY-1-${'0'.repeat(49)}1`;
    for (const [input, said] of [
      [other, /invalid key provided.*version 1 of the unlock key/s],
      [key.slice(0, -1), /malformed: its third part is 49 characters long/],
      [`${key.slice(0, -1)}!`, /malformed: character 50/],
      ['', /no unlock key was given/],
    ] as const) {
      const { exitCode, stdout, stderr } = await unlock(input);
      assert.equal(exitCode, 1);
      assert.match(stderr, said);
      assert.ok(!(stdout + stderr).includes(input === '' ? key : input.slice(9)), 'keys are not repeated');
    }
    assert.equal((await unlock(`${key}\n`)).exitCode, 0);
    await cluster().settled('web', 1);
    assert.deepEqual(await managers().containers('web'), before);
    assert.match((await unlock(key)).stderr, /swarm is not locked/);
  });

  it('can be left with force while it is locked', async () => {
    await cluster().lab.killDaemon('m1');
    await cluster().lab.start('m1');
    await cluster().must(['leave', '--force']);
    assert.match(await cluster().must(['info']), /^ Swarm: inactive$/m);
    assert.equal(await isSame(before[0] ?? ''), false, 'its containers are gone');
  });

  /** Whether the process that a line of `containers` names is still that one. */
  async function isSame(line: string): Promise<boolean> {
    const [, pid = '', since = ''] = /: (\d+) since (\d+)$/.exec(line) ?? [];
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] === since;
  }
});
