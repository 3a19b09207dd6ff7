/**
 * Goal: another user of a host gets nothing of the swarm from its disk or its sockets, nor does a container that shares the
 * host's network. Method: real daemons with a task and a secret; a process of user nobody tries to read every file and to
 * open every socket, also after the directories around them were opened by mistake.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, readFile, stat } from 'node:fs/promises';
import { dirname, relative } from 'node:path';
import { promisify } from 'node:util';
import { IMAGE, MANAGER, useCluster, WORKERS } from './support/cluster.ts';

const run = promisify(execFile);
const [WORKER] = WORKERS;
/** As an unprivileged user that is in no group. */
const NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--no-new-privs'];
/** Content of images and containers has the modes that their makers gave it; certificates are shown to everybody. */
const PUBLIC = /^(images|containers|volumes|network)\/|^node\/(node|root)\.crt$/;

async function lines(program: string, args: readonly string[]): Promise<readonly string[]> {
  const { stdout } = await run(program, args, { maxBuffer: 64 << 20 }).catch(
    (failed: { readonly stdout: string }) => failed, // find ends with 1 where it may not look
  );
  return stdout.split('\n').filter((line) => line !== '');
}

const asNobody = (...command: readonly string[]): Promise<readonly string[]> => {
  const [program = '', ...args] = [...NOBODY, ...command];
  return lines(program, args);
};

describe('e2e: what other users of a host get of the swarm', function () {
  const cluster = useCluster(this);
  let directories: readonly string[] = [];

  before(async () => {
    await cluster().must(['secret', 'create', 'hidden', '-'], { input: 'open-sesame-1f9a' });
    await cluster().createService('guarded', 2, ['--secret', 'hidden', '--env', 'TOKEN=abc', '--network', 'host']);
    await cluster().settled('guarded', 2);
    directories = [MANAGER, ...WORKERS].flatMap((host) => {
      const { stateDirectory, runDirectory } = cluster().host(host).paths;
      return [stateDirectory, runDirectory];
    });
  });
  after(async () => {
    await cluster().must(['secret', 'prune', '--force']);
  });

  it('nothing: no file can be read, no directory listed, no socket opened', async () => {
    const before = await lines('find', [...directories, '-xdev', '-type', 'f', '-size', '+0']);
    assert.ok(before.length > 50, 'there is something to find');
    assert.deepEqual(await asNobody('find', ...directories, '-mindepth', '1'), []);
    const read = await asNobody('sh', '-c', 'for f; do cat "$f"; done 2>/dev/null', 'sh', ...before.slice(0, 2_000));
    assert.deepEqual(read, []);
  });

  it('nothing of what counts either, when the directories above were opened by mistake', async () => {
    for (const host of [MANAGER, WORKER]) {
      const { stateDirectory, runDirectory } = cluster().host(host).paths;
      for (const top of [stateDirectory, runDirectory]) {
        const opened: { readonly path: string; readonly mode: number }[] = [];
        for (
          let path = top;
          path !== '/var/lib' && path !== '/run' && path !== '/tmp' && path !== '/';
          path = dirname(path)
        ) {
          const { mode, uid } = await stat(path);
          if (uid !== 0 || path.split('/').length < 3) break;
          opened.push({ path, mode: mode & 0o7777 });
        }
        try {
          for (const { path, mode } of opened) await chmod(path, mode | 0o055);
          assert.notDeepEqual(await asNobody('find', top, '-mindepth', '1', '-maxdepth', '1'), [], 'the way is open');
          const readable = await asNobody('find', top, '-xdev', '-type', 'f', '-readable');
          const exposed = readable.map((path) => relative(top, path)).filter((path) => !PUBLIC.test(path));
          assert.deepEqual(exposed, [], `${host}: ${top}`);
          const writable = await asNobody('find', top, '-xdev', '!', '-type', 'l', '-writable');
          assert.deepEqual(
            writable.map((path) => relative(top, path)).filter((path) => !PUBLIC.test(path)),
            [],
          );
        } finally {
          for (const { path, mode } of opened) await chmod(path, mode);
        }
      }
    }
  });

  it('keys, log, tokens and databases have modes of their own that let nobody else in', async () => {
    const { stateDirectory, socket } = cluster().host(MANAGER).paths;
    for (const name of ['node', 'raft', 'node/node.key', 'node/state.json', 'agent.db', 'raft.key']) {
      const { mode, uid } = await stat(`${stateDirectory}/${name}`);
      assert.deepEqual([mode & 0o077, uid], [0, 0], `${name}: ${(mode & 0o777).toString(8)}`);
    }
    assert.equal((await stat(socket)).mode & 0o777, 0o600);
  });

  it('no socket of ours is abstract, where modes count for nothing and host networks reach', async () => {
    for (const host of [MANAGER, ...WORKERS]) {
      const pid = await cluster().host(host).daemon.pid();
      assert.ok(pid !== undefined);
      const inodes = new Set(
        (await lines('find', [`/proc/${pid}/fd`, '-printf', '%l\n'])).flatMap(
          (target) => /^socket:\[(\d+)\]$/.exec(target)?.[1] ?? [],
        ),
      );
      const table = (await readFile(`/proc/${pid}/net/unix`, 'utf8')).split('\n').slice(1);
      const own = table.map((line) => line.split(/\s+/)).filter((fields) => inodes.has(fields[6] ?? ''));
      assert.ok(own.length > 0, 'it listens on one at least');
      assert.deepEqual(
        own.filter((fields) => fields[7]?.startsWith('@') === true),
        [],
      );
    }
  });

  it('a container in the network of its host finds no control socket and no abstract one of the daemon', async () => {
    const output = await cluster().must([
      ...['run', '--rm', '--network', 'host', IMAGE, 'sh', '-c'],
      'grep -c . /proc/net/unix; grep " @" /proc/net/unix | grep -i -E "swarm|starling|containerd|shim"; find / -xdev -type s 2>/dev/null; ls /run /var/run 2>/dev/null; true',
    ]);
    assert.doesNotMatch(output, /@|\.sock/);
  });
});
