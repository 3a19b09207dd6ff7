/**
 * The checks against this very machine: its kernel, real sockets, a real firewall and real routes in a network
 * namespace of the test's own.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { cp, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { IdentityStore } from '#agent/identity/index.ts';
import { decodeKeyFile, encodeKeyFile } from '#certs/key-file.ts';
import { createUnlockKey } from '#certs/unlock-key.ts';
import { parseHostPort } from '#common/host-port.ts';
import { CHECKS, type DoctorContext, type Host, runChecks, systemHost } from '#src/doctor/index.ts';
import { parseDockerInfo } from '#src/doctor/system-host.ts';
import { CaServer } from '#test/agent/identity/ca-server.ts';
import { testAuthority, testNode } from '#test/certs/fixtures.ts';
import { eventually } from '#test/support/eventually.ts';
import { skipBecause } from '#test/support/skip-because.ts';
import { contextOf, say, sentence } from './fake-host.ts';

const run = promisify(execFile);
const IS_ROOT = process.geteuid?.() === 0;

describe('doctor: this machine', () => {
  let directory = '';
  const context = (more: Partial<DoctorContext> = {}, host: Host = systemHost): DoctorContext =>
    contextOf(host, { stateDirectory: directory, nowMs: Date.now(), ...more });

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-doctor-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  it('can run containers, as the other tests do, and the looking leaves nothing behind', async function () {
    if (!IS_ROOT) skipBecause(this, 'namespaces and mounts need root');
    const findings = await runChecks(CHECKS, context({ purpose: 'doctor', addressPools: undefined }));
    const about = new Map(findings.map((finding) => [finding.check, sentence(finding)]));
    for (const name of ['privileges', 'kernel', 'namespaces', 'overlayfs', 'seccomp', 'veth', 'vxlan', 'nftables'])
      assert.match(about.get(name) ?? '', /^OK /, name);
    for (const name of ['cgroups', 'conmon', 'buildah', 'programs', 'identity', 'disk', 'clock', 'ip-forward'])
      assert.match(about.get(name) ?? '', /^(OK|WARN) (?!could not be checked)/, name);
    assert.match(about.get('oci-runtime') ?? '', /^(OK|WARN) (crun|runc) \d/);
    for (const finding of findings) assert.doesNotMatch(finding.message, /could not be checked|undefined/);
    assert.deepEqual(await readdir(directory), []);
    const { stdout } = await run('ip', ['-o', 'link']);
    assert.doesNotMatch(stdout, /probe0/);
  });

  it('sees a port in use, and by whom', async () => {
    const server = createTcpServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const listen = { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
    try {
      const said = await say('cluster-port', context({ listen }));
      assert.match(
        said ?? '',
        new RegExp(`^FAIL 127.0.0.1:${listen.port}/tcp is in use by \\S+ \\(pid ${process.pid}\\)`),
      );
    } finally {
      server.close();
      await once(server, 'close');
    }
    assert.match((await say('cluster-port', context({ listen }))) ?? '', /^OK .* is free/);
    const elsewhere = { host: '192.0.2.254', port: 1 };
    assert.match((await say('cluster-port', context({ listen: elsewhere }))) ?? '', /not an address of this host/);
  });

  it('sees a UDP port in use', async () => {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const { port } = socket.address();
    try {
      const said = await say('data-path-port', context({ dataPathPort: port }));
      assert.match(said ?? '', new RegExp(`^FAIL ${port}/udp is in use by \\S+ \\(pid ${process.pid}\\)`));
    } finally {
      socket.close();
    }
  });

  it('sees which managers answer, and compares clocks with one', async () => {
    const server = await new CaServer(5000).start();
    try {
      const manager = parseHostPort(server.address, 0);
      assert.ok(manager);
      const free = createTcpServer().listen(0, '127.0.0.1');
      await once(free, 'listening');
      const closed = { host: '127.0.0.1', port: (free.address() as AddressInfo).port };
      free.close();
      await once(free, 'close');

      const both = context({ purpose: 'join', managers: [closed, manager] });
      assert.match((await say('manager-port', both)) ?? '', new RegExp(`^WARN 127.0.0.1:${closed.port}: refused`));
      assert.match((await say('clock', both)) ?? '', /^WARN the clock is [45]\.\d s behind the manager's/);
      const none = context({ purpose: 'join', managers: [closed] });
      assert.match((await say('manager-port', none)) ?? '', /^FAIL .* refused: nothing listens there/);
      assert.match((await say('clock', none)) ?? '', /^OK .* no manager to compare/);
    } finally {
      server.stop();
    }
  });

  it('sees a cloned and a damaged state directory', async () => {
    const node = testNode(testAuthority(), 'worker');
    const { privateKey } = decodeKeyFile(Buffer.from(node.privateKeyPem), 'key');
    const fresh = {
      privateKey,
      certificatePem: node.certificatePem,
      rootPem: node.rootsPem,
      managers: [],
      addresses: { listen: '', advertise: '', dataPath: '' },
    };
    const look = (more: Partial<DoctorContext> = {}): Promise<string | undefined> =>
      say('identity', context({ purpose: 'doctor', ...more }));
    assert.match((await look()) ?? '', /^OK this host is in no swarm/);
    await new IdentityStore(directory).install(fresh);
    assert.match((await look()) ?? '', new RegExp(`^OK worker ${node.identity.nodeId}, certified until 20`));

    const copy = await mkdtemp(join(tmpdir(), 'starling-doctor-copy-'));
    const other = await mkdtemp(join(tmpdir(), 'starling-doctor-other-'));
    try {
      await cp(directory, copy, { recursive: true });
      const said = await look({ stateDirectory: copy });
      assert.match(said ?? '', /^WARN .* is not where node \w+ was made: it is a copy/);
      await new IdentityStore(other, async () => ({ machine: 'another', product: undefined })).install(fresh);
      assert.match((await look({ stateDirectory: other })) ?? '', /^(FAIL .* was cloned: it was made on a machine|OK)/);
    } finally {
      await rm(copy, { recursive: true });
      await rm(other, { recursive: true });
    }
    await rm(join(directory, 'node', 'node.key'));
    assert.match((await look()) ?? '', /^FAIL .*node.key is missing -> restore it/);
  });

  it('looks at a state directory beside whoever is changing it, and changes nothing', async () => {
    const authority = testAuthority();
    const node = testNode(authority, 'manager');
    const store = new IdentityStore(directory);
    const keyOf = (pem: string) => decodeKeyFile(Buffer.from(pem), 'key').privateKey;
    await store.install({
      privateKey: keyOf(node.privateKeyPem),
      certificatePem: node.certificatePem,
      rootPem: node.rootsPem,
      managers: [],
      addresses: { listen: '', advertise: '', dataPath: '' },
    });
    const at = (name: string): string => join(directory, 'node', name);
    const look = (more: Partial<DoctorContext> = {}): Promise<string | undefined> =>
      say('identity', context({ purpose: 'doctor', ...more }));
    const everything = async (): Promise<readonly string[]> =>
      Promise.all((await readdir(join(directory, 'node'))).sort().map((name) => readFile(at(name), 'utf8')));
    const fine = new RegExp(`^OK manager ${node.identity.nodeId}, certified`);

    const renewed = testNode(authority, 'manager', { identity: node.identity });
    const key = encodeKeyFile({ privateKey: keyOf(renewed.privateKeyPem), headers: new Map() });
    await writeFile(at('renewal.json'), JSON.stringify({ format: 1, key, certificate: renewed.certificatePem }));
    // A renewal has got as far as the key.
    await writeFile(at('node.key'), key);
    const found = await everything();
    assert.match((await look()) ?? '', fine);
    assert.deepEqual(await everything(), found);

    await store.load(Date.now());
    await store.keys.relock({ key: createUnlockKey(), version: 1 }, 'log keys');
    const decided = await everything();
    assert.match((await look()) ?? '', /^OK a manager whose keys are encrypted/);
    const identity = await store.load(Date.now());
    assert.match((await look({ identity })) ?? '', fine, 'the daemon itself has the keys');
    const late = { identity, nowMs: (identity?.identity.notAfterMs ?? 0) + 1 };
    assert.match((await look(late)) ?? '', /^FAIL the certificate of node \w+ has run out/);
    assert.notDeepEqual(await everything(), decided, 'it is the daemon that completes what it has decided');
  });

  it('understands what a Docker engine says of itself', async () => {
    const socket = join(directory, 'docker.sock');
    const answers = { body: '', server: undefined as Server | undefined };
    answers.server = createServer((_request, response) => response.end(answers.body)).listen(socket);
    await once(answers.server, 'listening');
    try {
      const look = (): Promise<string | undefined> => say('docker-engine', context({ dockerSocket: socket }));
      answers.body = JSON.stringify({ ServerVersion: '28.2.2', Swarm: { LocalNodeState: 'inactive' } });
      assert.match((await look()) ?? '', /^OK Docker 28.2.2 runs beside/);
      answers.body = JSON.stringify({ ServerVersion: '28.2.2', Swarm: { LocalNodeState: 'active' } });
      assert.match((await look()) ?? '', /^WARN Docker 28.2.2/);
      for (const body of ['', 'no JSON', 'null', '[]', 'x'.repeat(2 * 1024 * 1024)]) {
        answers.body = body;
        assert.match((await look()) ?? '', /^OK no Docker engine/, body.slice(0, 10));
      }
    } finally {
      answers.server.close();
    }
    assert.equal(parseDockerInfo('{"ServerVersion":5}'), undefined);
  });

  describe('in a network namespace of its own', () => {
    let holder: ChildProcess | undefined;
    let inside: Host = systemHost;

    const command = (...words: string[]): Promise<unknown> =>
      run('nsenter', [`--net=/proc/${holder?.pid}/ns/net`, '--', ...words], { timeout: 5000 });

    before(async function () {
      if (!IS_ROOT) skipBecause(this, 'network namespaces need root');
      holder = spawn('unshare', ['--net', '--', 'sleep', '300'], { stdio: 'ignore' });
      const own = await readlink('/proc/self/ns/net');
      const path = `/proc/${holder.pid}/ns/net`;
      await eventually('the namespace to appear', async () => (await readlink(path).catch(() => own)) !== own);
      const enter = ['nsenter', `--net=/proc/${holder.pid}/ns/net`, '--'] as const;
      inside = { ...systemHost, run: (...words) => systemHost.run(...enter, ...words) };
    });
    after(() => holder?.kill('SIGKILL'));

    it('sees a FORWARD policy of drop, and the rules that make it harmless', async () => {
      const look = (): Promise<string | undefined> => say('forward-policy', context({}, inside));
      assert.match((await look()) ?? '', /^OK no other firewall/);
      await command('iptables-nft', '-P', 'FORWARD', 'DROP');
      const said = (await look()) ?? '';
      assert.match(said, /^WARN ip filter FORWARD drops forwarded packets/);
      // The way out that it names is taken to the letter.
      const wayOut = said.split('let the links of this node pass: ')[1] ?? '';
      for (const line of wayOut.split('; ')) await command(...line.replace('iptables', 'iptables-nft').split(' '));
      assert.match((await look()) ?? '', /^OK ip filter FORWARD drops by default, and lets the links/);
      await command('nft', 'flush', 'ruleset');
    });

    it('sees the same of an administrator who writes nft', async () => {
      const look = (): Promise<string | undefined> => say('forward-policy', context({}, inside));
      await command(
        'nft',
        'add table inet site; add chain inet site forward { type filter hook forward priority 0; policy drop; }',
      );
      const said = (await look()) ?? '';
      assert.match(said, /^WARN inet site forward drops/);
      const wayOut = said.split('add rules to that chain: ')[1] ?? '';
      for (const rule of wayOut.split('; ')) await command('nft', `add rule inet site forward ${rule}`);
      assert.match((await look()) ?? '', /^OK inet site forward drops by default/);
      await command('nft', 'flush', 'ruleset');
    });

    it('sees a closed INPUT chain', async () => {
      await command(
        'nft',
        'add table inet site; add chain inet site in { type filter hook input priority 0; policy drop; }',
      );
      assert.match((await say('input-policy', context({}, inside))) ?? '', /^WARN inet site in drops incoming packets/);
      await command('nft', 'flush', 'ruleset');
      assert.match((await say('input-policy', context({}, inside))) ?? '', /^OK/);
    });

    it('sees a route into an address pool, and offers a pool that is free', async () => {
      const look = (pool: string): Promise<string | undefined> =>
        say('address-pools', context({ addressPools: [pool] }, inside));
      await command('ip', 'link', 'add', 'lan0', 'type', 'veth', 'peer', 'name', 'lan1');
      await command('ip', 'addr', 'add', '10.9.8.7/16', 'dev', 'lan0');
      await command('ip', 'link', 'set', 'lan0', 'up');
      await command('ip', 'route', 'add', '172.16.5.0/24', 'via', '10.9.0.1', 'table', '77');
      const said = (await look('10.0.0.0/8')) ?? '';
      assert.match(said, /^FAIL 10.0.0.0\/8 overlaps the route 10.9.0.0\/16 \(lan0\) -> /);
      const offer = /--default-addr-pool (\S+)$/.exec(said)?.[1] ?? '';
      assert.equal(offer, '192.168.0.0/16');
      assert.match((await look(offer)) ?? '', /^OK/);
      assert.match(
        (await look('172.16.0.0/12')) ?? '',
        /^FAIL 172.16.0.0\/12 overlaps the route 172.16.5.0\/24 \(lan0\)/,
      );
    });
  });
});
