/**
 * Goal: a swarm whose managers are all locked comes back with everything it had, once more than half of them are unlocked;
 * one that was away while the key was rotated needs the key of before once more. Method: three real managers with services
 * on workers, killed together, unlocked one after the other.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { keyFileFacts } from '#certs/key-file.ts';
import { useManagers } from '#test/e2e/support/managers.ts';

const REPLICAS = 4;

describe('long e2e: autolock', function () {
  this.timeout(600_000);
  const managers = useManagers(this, { managers: 3, workers: 1 });
  const cluster = () => managers().cluster;

  const unlock = (host: string, key: string) => cluster().on(host, ['unlock'], { input: key });

  async function lockOf(host: string): Promise<string> {
    const { stateDirectory } = cluster().host(host).paths;
    const { lockVersion = 0, headers } = keyFileFacts(await readFile(join(stateDirectory, 'node', 'node.key')), host);
    const log = await readFile(join(stateDirectory, 'raft.key'), 'utf8').catch(() => '');
    const logVersion = /^lock-version: (\d+)$/m.exec(log)?.[1] ?? '0';
    return `${lockVersion} ${logVersion}${headers.has('exposed') ? ' exposed' : ''}${log.length > 200 ? ' former' : ''}`;
  }

  /** All of these have their keys encrypted with this version of the unlock key, 0 for in the clear, and nothing else to do. */
  async function allLockedBy(version: number, hosts = managers().names): Promise<void> {
    for (const host of hosts)
      await cluster().until(
        () => lockOf(host),
        (found) => found === `${version} ${version}`,
        `the keys of ${host} to be locked with version ${version}`,
        60_000,
      );
  }

  it('three managers that were killed come back when they are unlocked; containers do not notice', async () => {
    await managers().formed();
    await cluster().createService('web', REPLICAS, ['--constraint', 'node.role==worker']);
    await cluster().settled('web', REPLICAS);
    const before = await managers().containers('web');
    await cluster().must(['update', '--autolock=true']);
    await allLockedBy(1);
    const key = (await cluster().must(['unlock-key', '-q'])).trim();
    await Promise.all(managers().names.map((name) => cluster().lab.killDaemon(name)));
    for (const name of managers().names) await cluster().lab.start(name);
    for (const name of managers().names) assert.match(await cluster().mustOn(name, ['info']), /^ Swarm: locked$/m);
    assert.equal((await unlock('m1', key)).exitCode, 0);
    assert.match((await cluster().on('m1', ['service', 'ls'])).stderr, /does not have a leader/);
    assert.equal((await unlock('m2', key)).exitCode, 0);
    await managers().leader(['m1', 'm2']);
    assert.equal((await unlock('m3', key)).exitCode, 0);
    await managers().formed();
    await cluster().settled('web', REPLICAS, 60_000);
    assert.deepEqual(await managers().containers('web'), before);
  });

  it('one that was away while the key was rotated takes the key of before, then the new one', async () => {
    const first = (await cluster().must(['unlock-key', '-q'])).trim();
    await cluster().lab.killDaemon('m3');
    await cluster().must(['unlock-key', '--rotate', '-q']);
    const second = (await cluster().must(['unlock-key', '-q'])).trim();
    assert.notEqual(second, first);
    await allLockedBy(2, ['m1', 'm2']);
    await cluster().lab.start('m3');
    const { stderr } = await unlock('m3', second);
    assert.match(stderr, /encrypted with version 1 of the unlock key/);
    assert.match(stderr, /needs the key of before \(version 1\) once more/);
    assert.equal((await unlock('m3', first)).exitCode, 0);
    await managers().formed();
    await allLockedBy(2);
    await cluster().lab.killDaemon('m3');
    await cluster().lab.start('m3');
    assert.equal((await unlock('m3', first)).exitCode, 1, 'the key of before is of no use any more');
    assert.equal((await unlock('m3', second)).exitCode, 0);
    await managers().formed();
  });

  it('a manager that is demoted has its key in the clear, one that is promoted is locked', async () => {
    await cluster().must(['node', 'demote', 'm3']);
    await cluster().until(
      () => lockOf('m3'),
      (found) => found === '0 0',
      'the key of a worker to be in the clear',
      60_000,
    );
    await cluster().lab.killDaemon('m3');
    await cluster().lab.start('m3');
    assert.match(await cluster().mustOn('m3', ['info']), /^ Swarm: active$/m);
    await cluster().must(['node', 'promote', 'm3']);
    await managers().formed();
    await allLockedBy(2);
  });

  it('the last one that is left goes on alone, locked as before', async () => {
    const key = (await cluster().must(['unlock-key', '-q'])).trim();
    await cluster().lab.killDaemon('m1');
    await cluster().lab.killDaemon('m2');
    await cluster().lab.killDaemon('m3');
    await cluster().lab.start('m1');
    assert.match(await cluster().refused(['init', '--force-new-cluster']), /needs to be unlocked/);
    assert.equal((await unlock('m1', key)).exitCode, 0);
    await cluster().must(['init', '--force-new-cluster']);
    await cluster().settled('web', REPLICAS, 60_000);
    await allLockedBy(2, ['m1']);
  });

  it('keys are in the clear again when nobody is to be locked any more', async () => {
    await cluster().must(['update', '--autolock=false']);
    await allLockedBy(0, ['m1']);
    await cluster().lab.killDaemon('m1');
    await cluster().lab.start('m1');
    await cluster().settled('web', REPLICAS, 60_000);
  });
});
