/**
 * Goal: the resolver is there whatever happens to the daemon or to itself: it survives, is found again, is replaced
 * without losing a question, and never runs twice. Method: real processes, asked over real sockets.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { NetworkTables } from '#agent/discovery/index.ts';
import { DEFAULT_RESOLVER_PROCESS_CONFIG, type ResolverProcessConfig } from '#agent/dns/config.ts';
import { resolverFiles } from '#agent/dns/control/resolver-files.ts';
import { type ResolverContents, ResolverProcess } from '#agent/dns/process/resolver-process.ts';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { systemRandom } from '#common/system/random.ts';
import { type NetworkChange, NetworkChanges, NetworkChangesType } from '#gen/swarm/v1/networks.ts';
import { LoopbackPort, ResolverSettings } from '#gen/swarm/v1/resolver.ts';
import { PortProtocol } from '#gen/swarm/v1/specs.ts';
import { eventually } from '#test/support/eventually.ts';
import { CODEC_OF_DNS2 } from '../../../tools/codec-of-dns2.ts';
import { askUdp, TcpAsker } from './client.ts';
import { addressesOf, askerOf, changesOf, Dns, type NetworkInput, question } from './support.ts';

const ROOT = join(import.meta.dirname, '../../..');
const ADDRESS = '127.0.0.1';
const NEVER = new AbortController().signal;
const FRONT: NetworkInput = { name: 'front', services: [{ name: 'web', addresses: ['10.0.1.2'] }] };

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, ADDRESS, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

function stateOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.[0] ?? '';
  } catch {
    return '';
  }
}

function isAlive(pid: number): boolean {
  const state = stateOf(pid);
  return state !== '' && state !== 'Z';
}

describe('dns: the resolver process', function () {
  this.timeout(60_000);
  let bundles = '';
  let entry = '';
  let directory = '';
  let port = 0;
  let tables = new NetworkTables();
  const daemons: ResolverProcess[] = [];

  function daemon(version = 'one', config: Partial<ResolverProcessConfig> = {}): ResolverProcess {
    const made = new ResolverProcess({
      directory,
      program: { node: process.execPath, entry, version },
      config: { ...DEFAULT_RESOLVER_PROCESS_CONFIG, ...config },
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
    });
    daemons.push(made);
    return made;
  }

  function contents(extra: Partial<ResolverSettings> = {}): ResolverContents {
    const settings = ResolverSettings.create({ listenAddresses: [ADDRESS], listenPort: port, ...extra });
    return { views: tables.views, askers: [askerOf(ADDRESS, ['front'])], settings };
  }

  /** As a manager's message reaches the appliers. */
  function receive(...networks: readonly NetworkInput[]): readonly NetworkChange[] {
    const { changes } = changesOf(...networks);
    const message = NetworkChanges.create({ type: NetworkChangesType.COMPLETE, version: 9, changes });
    return tables.receive(message)?.changes ?? [];
  }

  async function lookUp(name = 'web', timeoutMs = 3000): Promise<readonly string[] | undefined> {
    const answer = await askUdp({ address: ADDRESS, port }, question(name), { timeoutMs });
    return answer === undefined ? undefined : addressesOf(Dns.parse(answer));
  }

  before(async () => {
    // As it is shipped; from source every one of the many processes here would take a second to start.
    mkdirSync(join(ROOT, 'node_modules/.cache'), { recursive: true });
    bundles = mkdtempSync(join(ROOT, 'node_modules/.cache/resolver-'));
    entry = join(bundles, 'resolver.mjs');
    await build({
      absWorkingDir: ROOT,
      entryPoints: ['src/resolver/main.ts'],
      outfile: entry,
      bundle: true,
      platform: 'node',
      target: 'node24',
      format: 'esm',
      external: ['koffi'],
      plugins: [CODEC_OF_DNS2],
      banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
    });
  });
  after(() => rmSync(bundles, { recursive: true, force: true }));
  beforeEach(async () => {
    directory = join(mkdtempSync(join(tmpdir(), 'starling-resolver-')), 'resolver');
    port = await freePort();
    tables = new NetworkTables();
    receive(FRONT);
  });
  afterEach(async () => {
    for (const one of daemons.splice(0)) await one.close();
    await daemon().destroy();
    daemons.splice(0);
    rmSync(join(directory, '..'), { recursive: true, force: true });
  });

  it('is started, answers, and keeps nothing of the daemon', async () => {
    const one = daemon();
    await one.start(contents());
    assert.deepEqual(await lookUp(), ['10.0.1.2']);
    const { pid } = one;
    assert.ok(pid);
    assert.equal(readlinkSync(`/proc/${pid}/cwd`), '/');
    const [, , , , , session] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ');
    assert.equal(Number(session), pid, 'a session of its own');
    const descriptors = readdirSync(`/proc/${pid}/fd`).map((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`);
      } catch {
        return '';
      }
    });
    const files = descriptors.filter((target) => target.startsWith('/') && !target.startsWith('/dev/null'));
    assert.deepEqual(
      files.filter((target) => !target.startsWith('/dev/')),
      [],
    );
    assert.equal(statSync(resolverFiles(directory).socket).mode & 0o777, 0o600);
    assert.equal(statSync(directory).mode & 0o777, 0o700);
    const environment = readFileSync(`/proc/${pid}/environ`, 'utf8');
    assert.ok(!environment.includes('HOME='));
  });

  it('a change is in force when it is acknowledged, in order', async () => {
    const one = daemon();
    await one.start(contents());
    for (let last = 3; last < 23; last++) {
      const changes = receive({ name: 'front', services: [{ name: 'web', addresses: [`10.0.1.${last}`] }] });
      assert.deepEqual(await one.apply(tables.views, changes, NEVER), []);
      assert.deepEqual(await lookUp(), [`10.0.1.${last}`]);
    }
    await one.removeAsker(`asker-${ADDRESS}`);
    assert.deepEqual(await lookUp(), []);
    await one.setAsker(askerOf(ADDRESS, ['front']));
    assert.deepEqual(await lookUp(), ['10.0.1.22']);
    const pause = new AbortController();
    pause.abort();
    await assert.rejects(one.apply(tables.views, [], pause.signal));
  });

  it('goes on when the daemon ends, and the next daemon finds it', async () => {
    const one = daemon();
    await one.start(contents());
    const { pid } = one;
    await one.close();
    assert.deepEqual(await lookUp(), ['10.0.1.2']);
    const two = daemon();
    await two.start(contents());
    assert.equal(two.pid, pid);
    receive({ name: 'front', services: [{ name: 'api', addresses: ['10.0.1.9'] }] });
    const three = daemon();
    await two.close();
    await three.start(contents());
    assert.deepEqual([three.pid, await lookUp('api'), await lookUp('web')], [pid, ['10.0.1.9'], []]);
  });

  it('is started again when it is killed, and knows everything', async () => {
    const one = daemon();
    await one.start(contents());
    for (let round = 0; round < 2; round++) {
      const { pid } = one;
      assert.ok(pid);
      process.kill(pid, 'SIGKILL');
      await eventually('another process', () => one.pid !== pid && one.state === 'following');
      assert.deepEqual(await lookUp(), ['10.0.1.2']);
    }
  });

  it('a change that comes while it is down is in force once it is back', async () => {
    const one = daemon();
    await one.start(contents());
    const { pid } = one;
    assert.ok(pid);
    process.kill(pid, 'SIGKILL');
    await eventually('the daemon knows', () => one.state === 'seeking');
    const changes = receive({ name: 'front', services: [{ name: 'web', addresses: ['10.0.1.7'] }] });
    await withRetries(() => one.apply(tables.views, changes, NEVER));
    assert.deepEqual(await lookUp(), ['10.0.1.7']);
  });

  it('one that hangs is killed and replaced; who waits is told in time', async () => {
    const one = daemon('one', { hangTimeoutMs: 300, acknowledgeTimeoutMs: 100 });
    await one.start(contents());
    const { pid } = one;
    assert.ok(pid);
    process.kill(pid, 'SIGSTOP');
    await assert.rejects(
      one.apply(tables.views, [], NEVER),
      (error) => error instanceof SwarmError && error.code === 'deadline',
    );
    await eventually('another process', () => one.pid !== pid && one.state === 'following');
    assert.equal(isAlive(pid), false);
    assert.deepEqual(await lookUp(), ['10.0.1.2']);
  });

  it('started alone, it answers from its copy', async () => {
    const one = daemon();
    await one.start(contents());
    const { state } = resolverFiles(directory);
    await eventually('the copy', () => existsSync(state));
    const { pid } = one;
    assert.ok(pid);
    await one.close();
    process.kill(pid, 'SIGKILL');
    await eventually('it is gone', () => !isAlive(pid));
    const alone = spawn(process.execPath, [entry, '--directory', directory], { stdio: 'ignore' });
    await eventually('an answer', async () => (await lookUp('web', 100)) !== undefined);
    assert.deepEqual(await lookUp(), ['10.0.1.2']);
    // A second one is turned away.
    const second = spawn(process.execPath, [entry, '--directory', directory], { stdio: 'ignore' });
    const [code] = (await once(second, 'exit')) as [number];
    assert.equal(code, 3);
    alone.kill('SIGKILL');
    await once(alone, 'exit');
  });

  it('another release takes its place without a question lost', async () => {
    const one = daemon('one');
    await one.start(contents());
    const old = one.pid;
    await one.close();
    let going = true;
    let asked = 0;
    const lost: string[] = [];
    const udp = Array.from({ length: 6 }, async () => {
      while (going) {
        asked++;
        if ((await lookUp())?.[0] !== '10.0.1.2') lost.push('udp');
      }
    });
    const longLived = new TcpAsker({ address: ADDRESS, port });
    longLived.send(question('web'));
    assert.ok(await longLived.next());
    await eventually('questions', () => asked > 100);
    const two = daemon('two');
    await two.start(contents());
    assert.notEqual(two.pid, old);
    await eventually('the old one is gone', () => !isAlive(old ?? 0), { timeoutMs: 20_000 });
    const after = asked;
    await eventually('more questions', () => asked > after + 100);
    going = false;
    await Promise.all(udp);
    assert.deepEqual(lost, []);
    longLived.socket.destroy();
    assert.deepEqual(
      readdirSync(directory).filter((name) => name.endsWith('.sock')),
      ['control.sock'],
    );
    await two.close();
    const three = daemon('two');
    await three.start(contents());
    assert.equal(three.pid, two.pid, 'the same release stays');
  });

  it('a daemon that died while it replaced the process leaves one', async () => {
    const one = daemon('one');
    await one.start(contents());
    await one.close();
    const half = spawn(process.execPath, [entry, '--directory', directory, '--program-version', 'two', '--next'], {
      stdio: 'ignore',
    });
    const files = resolverFiles(directory);
    await eventually('two of them', () => existsSync(files.nextSocket));
    const two = daemon('one');
    await two.start(contents());
    assert.equal(two.pid, one.pid);
    await withDeadline(once(half, 'exit'), 5000, 'the half-way one to end');
    assert.equal(existsSync(files.nextSocket), false);
  });

  it('says when it cannot listen, and goes on trying', async () => {
    const one = daemon();
    const elsewhere = ResolverSettings.create({ listenAddresses: ['192.0.2.123'], listenPort: port });
    await assert.rejects(
      one.start({ ...contents(), settings: elsewhere }),
      (error) => error instanceof SwarmError && /cannot listen on 192\.0\.2\.123/.test(error.message),
    );
    await one.configure(contents().settings);
    assert.deepEqual(await lookUp(), ['10.0.1.2']);
  });

  it('carries [::1], and says what it cannot carry', async () => {
    const server = createServer((socket) => socket.end('hello')).listen(0, ADDRESS);
    const blocker = createServer().listen(0, '::1');
    await Promise.all([once(server, 'listening'), once(blocker, 'listening')]);
    const portOf = (one: typeof server): number => {
      const address = one.address();
      return typeof address === 'object' && address !== null ? address.port : 0;
    };
    const loopbackPorts = [server, blocker].map((one) =>
      LoopbackPort.create({ protocol: PortProtocol.TCP, port: portOf(one) }),
    );
    const one = daemon();
    await one.start(contents({ loopbackPorts }));
    const asker = new TcpAsker({ address: '::1', port: portOf(server) }, '::1');
    const [chunk] = (await once(asker.socket, 'data')) as [Buffer];
    assert.equal(chunk.toString(), 'hello');
    asker.socket.destroy(); // the process, when it ends, may reset what is open
    assert.deepEqual(one.warnings, [`[::1]:${portOf(blocker)}/tcp is in use by another program`]);
    server.close();
    blocker.close();
  });

  it('a table of 5,000 tasks is told whole, and answers go on meanwhile', async () => {
    const one = daemon();
    await one.start(contents());
    const endpoints = Array.from({ length: 5000 }, (_, index) => ({
      id: `task${index}`,
      service: 'many',
      slot: index + 1,
      addresses: [`10.1.${index >> 8}.${index & 255}`],
    }));
    const changes = receive({ name: 'front', services: [...(FRONT.services ?? []), { name: 'many' }], endpoints });
    const applied = one.apply(tables.views, changes, NEVER);
    assert.deepEqual(await lookUp(), ['10.0.1.2']);
    await applied;
    assert.deepEqual(await lookUp('4999.many'), ['10.1.19.134']);
    const { pid } = one;
    process.kill(pid ?? 0, 'SIGKILL');
    await eventually('another process', () => one.pid !== pid && one.state === 'following');
    assert.deepEqual(await lookUp('4999.many'), ['10.1.19.134']);
  });

  it('ends when it is told to, and leaves nothing', async () => {
    const one = daemon();
    await one.start(contents());
    const { pid } = one;
    await one.destroy();
    assert.equal(existsSync(directory), false);
    await eventually('it is gone', () => !isAlive(pid ?? 0));
  });
});

/** As discovery does: what could not be applied is tried again. */
async function withRetries(work: () => Promise<unknown>): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      await work();
      return;
    } catch (error) {
      if (attempt === 5) throw error;
    }
  }
}
