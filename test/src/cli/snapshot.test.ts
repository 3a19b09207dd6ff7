/**
 * Goal: a file that was saved is whole, for its owner alone, and replaces nothing by accident; a file is told about
 * without a daemon. Method: the command line in this process, a daemon that answers with a snapshot made here.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SwarmError } from '#common/errors.ts';
import {
  GetSnapshotKeyResponse,
  type RestoreSwarmRequest,
  RestoreSwarmResponse,
  SnapshotService,
} from '#gen/swarm/v1/snapshot.ts';
import { formatSnapshotKey, keyName } from '#manager/backup/index.ts';
import type { SwarmApi } from '#src/cli/api.ts';
import { KEY, OTHER_KEY, sealed, streamOf } from '#test/manager/backup/support.ts';
import { type CliOptions, type CliResult, runCli, scriptedClient } from './support/run-cli.ts';

const KEY_TEXT = formatSnapshotKey(KEY);

function withSnapshots(methods: Partial<SwarmApi['snapshots']>): CliOptions {
  return { api: { snapshots: scriptedClient(SnapshotService, methods) } };
}

/** A daemon that saves the bytes, and fails after so many pieces when told. */
function saving(bytes: Uint8Array, failsAfter = Number.POSITIVE_INFINITY): CliOptions {
  return withSnapshots({
    async *saveSnapshot() {
      let pieces = 0;
      for await (const chunk of streamOf(bytes, 300)) {
        if (pieces++ >= failsAfter)
          throw new SwarmError({ code: 'unavailable', reason: 'connection-failed', message: 'the daemon is gone' });
        yield { chunk };
      }
    },
  });
}

describe('cli: snapshots', () => {
  let directory = '';
  let bytes: Buffer = Buffer.alloc(0);
  const at = (name: string): string => join(directory, name);

  before(async () => {
    bytes = await sealed();
  });
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'cli-snapshot-'));
  });
  afterEach(async () => {
    await rm(directory, { recursive: true });
  });

  it('are saved whole, for their owner alone', async () => {
    const { stdout, exitCode } = await runCli(['snapshot', 'save', at('a')], saving(bytes));
    assert.equal(exitCode, 0);
    assert.equal(
      stdout,
      `Saved the swarm to ${at('a')} (${(bytes.length / 1000).toPrecision(4)}kB).\nIt can be read with the key that \`swarm snapshot key\` prints, and with no other: keep the key in another place.\n`,
    );
    assert.deepEqual(await readFile(at('a')), bytes);
    assert.equal((await stat(at('a'))).mode & 0o777, 0o600);
    assert.deepEqual(await readdir(directory), ['a']);
    assert.equal((await runCli(['snapshot', 'save', '-q', at('b')], saving(bytes))).stdout, `${at('b')}\n`);
  });

  it('replace a file only when told', async () => {
    await writeFile(at('a'), 'precious');
    const { stderr, exitCode } = await runCli(['snapshot', 'save', at('a')], saving(bytes));
    assert.equal(exitCode, 1);
    assert.equal(stderr, `${at('a')} exists\nHint: name another file, or replace it with --force\n`);
    assert.equal(await readFile(at('a'), 'utf8'), 'precious');
    assert.equal((await runCli(['snapshot', 'save', '--force', at('a')], saving(bytes))).exitCode, 0);
    assert.deepEqual(await readFile(at('a')), bytes);
  });

  it('do not replace a file that somebody made meanwhile', async () => {
    const options = withSnapshots({
      async *saveSnapshot() {
        await writeFile(at('a'), 'precious');
        yield { chunk: bytes };
      },
    });
    assert.match((await runCli(['snapshot', 'save', at('a')], options)).stderr, /\/a exists\n/);
    assert.equal(await readFile(at('a'), 'utf8'), 'precious');
    assert.deepEqual(await readdir(directory), ['a']);
  });

  it('never take the place of a device, a socket or a directory, also when told to replace it', async () => {
    await mkdir(at('directory'));
    const server = createServer().listen(at('socket'));
    await once(server, 'listening');
    try {
      for (const [name, what] of [
        ['directory', 'a directory'],
        ['socket', 'no regular file'],
      ] as const) {
        const { stderr, exitCode } = await runCli(['snapshot', 'save', '--force', at(name)], saving(bytes));
        assert.equal(exitCode, 1);
        assert.equal(stderr, `${at(name)} is ${what}\nHint: name a file, or - for standard output\n`);
      }
      assert.ok((await stat(at('socket'))).isSocket());
    } finally {
      server.close();
    }
    const unnamed = await runCli(['snapshot', 'save', '--force', ''], saving(bytes));
    assert.match(unnamed.stderr, /^the name of the file is empty\nHint: /);
  });

  it('replace what a link leads to, and leave the link', async () => {
    await mkdir(at('elsewhere'));
    await writeFile(at('elsewhere/a'), 'the last one');
    await symlink(at('elsewhere/a'), at('link'));
    assert.match((await runCli(['snapshot', 'save', at('link')], saving(bytes))).stderr, /\/link exists\n/);
    assert.equal((await runCli(['snapshot', 'save', '--force', at('link')], saving(bytes))).exitCode, 0);
    assert.deepEqual(await readFile(at('elsewhere/a')), bytes);
    assert.ok((await lstat(at('link'))).isSymbolicLink());
    await symlink(at('nowhere'), at('dangling'));
    assert.match((await runCli(['snapshot', 'save', at('dangling')], saving(bytes))).stderr, /\/dangling exists\n/);
  });

  it('have names as long as the file system lets them be', async () => {
    const { exitCode, stderr } = await runCli(['snapshot', 'save', at('a'.repeat(255))], saving(bytes));
    assert.equal(exitCode, 0, stderr);
    const longer = await runCli(['snapshot', 'save', at('a'.repeat(256))], saving(bytes));
    assert.match(longer.stderr, /: file name too long\n$/);
    assert.deepEqual(await readdir(directory), ['a'.repeat(255)]);
  });

  it('leave nothing when the daemon fails in the middle, and what was there when told to replace it', async () => {
    const { stderr, exitCode } = await runCli(['snapshot', 'save', at('a')], saving(bytes, 2));
    assert.equal(exitCode, 1);
    assert.match(stderr, /the daemon is gone/);
    assert.deepEqual(await readdir(directory), []);
    await writeFile(at('a'), 'the last one');
    await runCli(['snapshot', 'save', '--force', at('a')], saving(bytes, 2));
    assert.equal(await readFile(at('a'), 'utf8'), 'the last one');
    assert.match(
      (await runCli(['snapshot', 'save', at('no/such')], saving(bytes))).stderr,
      /no such file or directory/,
    );
  });

  it('go to standard output, but not to a terminal', async () => {
    const { stdout, stderr } = await runCli(['snapshot', 'save', '-'], saving(bytes));
    // As text here, which says enough about its beginning.
    assert.match(stdout, /^STARSAVE/);
    assert.match(stderr, /keep the key in another place/);
    const terminal = await runCli(['snapshot', 'save', '-'], { ...saving(bytes), columns: 80 });
    assert.match(terminal.stderr, /refusing to save to a terminal\nHint: /);
  });

  it('have names of their own', async () => {
    const before = process.cwd();
    process.chdir(directory);
    try {
      await runCli(['snapshot', 'save'], saving(bytes));
    } finally {
      process.chdir(before);
    }
    assert.deepEqual(await readdir(directory), ['swarm-default-20260606T070809Z.snapshot']);
  });

  it('are described without daemon and key, and verified with the key', async () => {
    await writeFile(at('a'), bytes);
    await writeFile(at('key'), `${KEY_TEXT}\n`);
    const broken = new SwarmError({ code: 'unavailable', reason: 'daemon-unreachable', message: 'no daemon' });
    const offline: CliOptions = withSnapshots({
      getSnapshotKey: () => {
        throw broken;
      },
    });
    const plain = await runCli(['snapshot', 'inspect', at('a')], offline);
    assert.equal(
      plain.stdout,
      [
        'Swarm:\t\t\tprod (c1clusterrrrrrrrrrrrrrrrr)',
        'Saved at:\t\t2026-06-06 07:08:09 +0000 utc',
        'Saved by:\t\tm1',
        'Release:\t\t0.1.0',
        'Feature Level:\t\t2',
        'Version:\t\t77',
        `Key:\t\t\t${keyName(KEY)}`,
        'Verified:\t\tno, that needs the key (--key or --key-file)',
        '',
      ].join('\n'),
    );
    const verified = await runCli(['snapshot', 'inspect', '--key-file', at('key'), at('a')], offline);
    assert.match(
      verified.stdout,
      /\nVerified:\t\tyes\n[^]*\nNodes:\t\t\t4\nServices:\t\t1\nRevisions:\t\t0\nTasks:\t\t\t40\n$/,
    );
    const format = (...words: string[]): Promise<CliResult> =>
      runCli(['snapshot', 'inspect', '--key', KEY_TEXT, ...words, at('a')], offline);
    assert.equal(
      (await format('--format', '{{.ClusterName}} {{.Counts.Tasks}} {{.Verified}}')).stdout,
      'prod 40 true\n',
    );
    assert.deepEqual((JSON.parse((await format('-o', 'json')).stdout) as { Counts: unknown }).Counts, {
      Nodes: 4,
      Services: 1,
      Revisions: 0,
      Tasks: 40,
    });
    const piped = await runCli(['snapshot', 'inspect', '--key', KEY_TEXT, '-'], { ...offline, stdin: [bytes] });
    assert.equal(piped.stdout, (await format()).stdout);
  });

  it('that are bad are named with the way out', async () => {
    await writeFile(at('a'), bytes);
    const refusal = async (...words: string[]): Promise<string> => {
      const { stderr, exitCode, stdout } = await runCli(['snapshot', 'inspect', ...words]);
      assert.deepEqual([stdout, exitCode], ['', 1], stderr);
      return stderr;
    };
    assert.match(
      await refusal('--key', formatSnapshotKey(OTHER_KEY), at('a')),
      /\/a was sealed with the key .*\nHint: /,
    );
    assert.match(await refusal('--key', 'x', at('a')), /this is no snapshot key/);
    assert.match(await refusal(at('nope')), /open .*nope: no such file or directory/);
    assert.match(await refusal(directory), /is a directory/);
    assert.match(await refusal('--key', 'x', '--key-file', 'y', at('a')), /cannot be used together/);
    await truncate(at('a'), bytes.length - 1);
    assert.match(
      await refusal('--key', KEY_TEXT, at('a')),
      /\/a is damaged at offset \d+: it ends inside a chunk\nHint: /,
    );
  });

  it('are read with a key from a file that holds it alone, or the page that was printed', async () => {
    await writeFile(at('a'), bytes);
    const page = `To read or restore a saved snapshot of the swarm prod, give this key:\n\n    ${KEY_TEXT}\n\nKeep it.\n`;
    for (const text of [KEY_TEXT, `  ${KEY_TEXT}\r\n\n`, page]) {
      await writeFile(at('key'), text);
      const { stdout, stderr } = await runCli(['snapshot', 'inspect', '--key-file', at('key'), at('a')]);
      assert.match(stdout, /^Verified:\t\tyes$/m, stderr);
    }
    for (const text of ['', `${KEY_TEXT}\n${KEY_TEXT}\n`]) {
      await writeFile(at('key'), text);
      const { stderr, exitCode } = await runCli(['snapshot', 'inspect', '--key-file', at('key'), at('a')]);
      assert.equal(exitCode, 1);
      assert.match(stderr, /^this is no snapshot key: .*\nHint: /, 'no daemon has said it');
      assert.ok(!stderr.includes(KEY_TEXT.slice(-50)));
    }
  });

  it('are not read with a key from a file without end', async () => {
    await writeFile(at('a'), bytes);
    const { stderr } = await runCli(['snapshot', 'inspect', '--key-file', '/dev/zero', at('a')]);
    assert.match(stderr, /^this is no snapshot key: it is 65536 characters long/);
  });

  it('have a key, in words or alone', async () => {
    const options = withSnapshots({
      getSnapshotKey: async () =>
        Promise.resolve(GetSnapshotKeyResponse.create({ key: KEY_TEXT, clusterName: 'prod' })),
    });
    assert.equal((await runCli(['snapshot', 'key', '-q'], options)).stdout, `${KEY_TEXT}\n`);
    assert.match(
      (await runCli(['snapshot', 'key'], options)).stdout,
      new RegExp(`swarm prod, .*\n\n {4}${KEY_TEXT}\n\n`),
    );
  });

  it('are restored with everything that was said, and say what is to be done', async () => {
    await writeFile(at('a'), bytes);
    const got: Partial<RestoreSwarmRequest>[] = [];
    const options = withSnapshots({
      restoreSwarm: async (requests) => {
        for await (const request of requests) got.push(request);
        return RestoreSwarmResponse.create({
          nodeId: 'new',
          clusterName: 'prod',
          managerAddress: '10.0.0.9:2377',
          formerManagers: ['m1', 'm2'],
          services: 1,
          nodes: 5,
          warnings: ['the clock is late'],
        });
      },
    });
    const words = ['--key-file', '-', '--advertise-addr', '10.0.0.9', '--listen-addr', ':2400', '--skip-preflight'];
    const { stdout, stderr, exitCode } = await runCli(['snapshot', 'restore', ...words, at('a')], {
      ...options,
      stdin: [Buffer.from(`${KEY_TEXT}\n`)],
    });
    assert.equal(exitCode, 0, stderr);
    assert.equal(stderr, 'warning: the clock is late\n');
    assert.match(stdout, /^Swarm prod restored: current node \(new\) is now its only manager\.\n/);
    assert.match(stdout, /1 service and 5 nodes, at 10\.0\.0\.9:2377\./);
    assert.match(stdout, /managers and are workers now: m1, m2\.\nMore than half of them [^]*swarm leave --force/);
    assert.match(stdout, /Nodes come back by themselves/);
    const [first, ...chunks] = got.map(({ message }) => message);
    assert.deepEqual(first?.value, {
      key: KEY_TEXT,
      fileName: at('a'),
      listenAddress: ':2400',
      advertiseAddress: '10.0.0.9',
      dataPathAddress: '',
      skipPreflight: true,
    });
    assert.deepEqual(Buffer.concat(chunks.map((chunk) => chunk?.value as Uint8Array)), bytes);
    assert.match((await runCli(['snapshot', 'restore', at('a')], options)).stderr, /key .* is needed\nHint: /);
    const both = await runCli(['snapshot', 'restore', '--key-file', '-', '-'], options);
    assert.match(both.stderr, /cannot both come from STDIN/);
  });
});
