/**
 * Goal: what tasks of an encrypted network say to one another is nowhere to be read between hosts, keys change and devices
 * break without anything in the clear, and who cannot encrypt gets no such task. Method: a lab, real tasks, and every
 * frame of the fabric looked at.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { instanceNames } from '#agent/network/instance.ts';
import { tunnelLinkName } from '#agent/network/wireguard/tunnel.ts';
import { TaskState } from '#gen/swarm/v1/objects.ts';
import { Lab } from '#src/lab/lab.ts';
import { FABRIC, labPaths } from '#src/lab/names.ts';
import type { Methods } from '#test/agent/network/overlay/endpoint-process.ts';
import { Cluster, SOON_MS } from '#test/e2e/support/cluster.ts';
import { labTraces } from '#test/e2e/support/footprint.ts';
import { eventually } from '#test/support/eventually.ts';
import { NamespaceProgram } from '#test/support/namespace-program.ts';
import { PacketSocket } from '#test/support/packet-socket.ts';

const ENDPOINT = new URL('../../agent/network/overlay/endpoint-process.ts', import.meta.url);
const HOSTS = ['m1', 'w1', 'w2'] as const;
const PORT = 80;
const DATAGRAMS = 53;
const TUNNEL = 51_820;
const PLAIN_VXLAN = 4789;
const TUNNELLED_VXLAN = 4790;
const KEY_LIFE_MS = 12 * 3_600_000;
/** A new key takes over a minute after it was announced. */
const ROTATION_MS = 120_000;
const HEALED_MS = 30_000;
/** Ethernet, IPv4 without options, UDP: where the number of a VXLAN packet's network stands. */
const VNI_AT = 14 + 20 + 8 + 4;

type Program = NamespaceProgram<Methods>;

/** What is to be seen between the hosts. */
class Wire {
  readonly #socket: PacketSocket;
  readonly #secret: string;
  /** Frames that have the secret in them. */
  readable = 0;
  /** By UDP port that they are for. */
  readonly ports = new Map<number, number>();
  /** Numbers of networks whose packets are not encrypted. */
  readonly networks = new Set<number>();

  constructor(lab: string, secret: string) {
    this.#secret = secret;
    this.#socket = PacketSocket.open(`${labPaths(lab).networks}/${FABRIC}`, 0);
    this.#socket.watch((frame) => this.#see(frame));
  }

  #see(frame: Buffer): void {
    if (frame.includes(this.#secret)) this.readable++;
    if (frame.length < VNI_AT + 4 || frame.readUInt16BE(12) !== 0x0800 || frame[23] !== 17) return;
    const port = frame.readUInt16BE(36);
    this.ports.set(port, (this.ports.get(port) ?? 0) + 1);
    if (port === PLAIN_VXLAN || port === TUNNELLED_VXLAN) this.networks.add(frame.readUInt32BE(VNI_AT) >>> 8);
  }

  close(): void {
    this.#socket.close();
  }
}

describe('long e2e: encryption', function () {
  this.timeout(300_000);
  const name = `c${process.pid.toString(36)}`;
  const secret = `secret-${randomBytes(12).toString('hex')}`;
  let cluster: Cluster;
  let wire: Wire;
  let programs: Program[] = [];

  before(async () => {
    cluster = await Cluster.start(name, { managers: 1, workers: 2, formSwarm: false });
    await cluster.mustOn('m1', ['init', '--encrypt-data-path', '--advertise-addr', cluster.host('m1').address]);
    const token = (await cluster.must(['join-token', '-q', 'worker'])).trim();
    for (const host of ['w1', 'w2']) {
      const { address } = cluster.host(host);
      await cluster.mustOn(host, ['join', '--token', token, '--advertise-addr', address, cluster.host('m1').address]);
    }
  });

  beforeEach(() => {
    wire = new Wire(name, secret);
  });

  afterEach(async function () {
    wire.close();
    await Promise.all(programs.map((program) => program.kill()));
    programs = [];
    if (this.currentTest?.state === 'failed') process.stderr.write(await cluster.complaints());
  });

  after(async () => {
    cluster?.close();
    await Lab.remove(name);
    assert.deepEqual(await labTraces(name), []);
  });

  /** A program in the task's network, on its host. */
  async function inTask(host: string, taskId: string): Promise<Program> {
    const root = `/proc/${await cluster.host(host).daemon.pid()}/root`;
    const network = `${root}${cluster.host(host).paths.runDirectory}/network`;
    const record = JSON.parse(readFileSync(`${network}/tasks/${taskId}.json`, 'utf8')) as { readonly number: number };
    const program: Program = new NamespaceProgram(ENDPOINT, `${network}/ns/${record.number}`);
    programs.push(program);
    return program;
  }

  interface Member {
    readonly host: string;
    readonly program: Program;
    readonly address: string;
  }

  /** A task of the service on every host, each with a server that says the secret. */
  async function members(service: string, hosts: readonly string[] = HOSTS): Promise<readonly Member[]> {
    const tasks = await cluster.settled(service, hosts.length, 2 * SOON_MS);
    const nodes = await cluster.nodes();
    const found: Member[] = [];
    for (const host of hosts) {
      const task = tasks.find((one) => one.nodeId === nodes.get(host)?.id);
      const address = task?.networks.flatMap((one) => one.addresses)[0];
      assert.ok(task !== undefined && address !== undefined, `${service} on ${host}`);
      const program = await inTask(host, task.id);
      await program.call('serve', `${secret}-${host}`, PORT);
      await program.call('serveDatagrams', `${secret}-${host}`, '0.0.0.0', DATAGRAMS);
      found.push({ host, program, address });
    }
    return found;
  }

  async function createGlobal(service: string, network: string, ...flags: readonly string[]): Promise<void> {
    await cluster.must(['network', 'create', '--driver', 'overlay', ...flags, network]);
    const command = ['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 1000 & wait $!; done'];
    const create = ['service', 'create', '-d', '--mode', 'global', '--name', service, '--network', network];
    await cluster.must([...create, 'localhost/busybox:e2e', ...command]);
  }

  /** Everybody asks everybody. */
  async function allTalk(all: readonly Member[]): Promise<void> {
    for (const from of all)
      for (const to of all) {
        await eventually(
          `${from.host} to hear ${to.host}`,
          async () => (await from.program.call('ask', to.address, PORT)) === `${secret}-${to.host} ${from.address}`,
          { timeoutMs: SOON_MS },
        );
        const said = await from.program.call('askDatagram', to.address, DATAGRAMS);
        assert.equal(said, `${secret}-${to.host} ${from.address} 1`);
      }
  }

  function assertSealed(vni: number): void {
    assert.equal(wire.readable, 0, 'nobody could read along');
    assert.ok(!wire.networks.has(vni), `no VXLAN of network ${vni} was in the clear`);
    assert.ok(!wire.ports.has(TUNNELLED_VXLAN), 'what belongs into the tunnel was in it');
  }

  async function vniOf(network: string): Promise<number> {
    const { network: found } = await cluster.client().control.getNetwork({ reference: network });
    assert.ok(found !== undefined && found.vni > 4096);
    return found.vni;
  }

  it('`init --encrypt-data-path` encrypts every network, and published ports on their way', async () => {
    await createGlobal('all', 'plainly-made');
    const all = await members('all');
    await allTalk(all);
    await cluster.must(
      ['service', 'create', '-d', '--name', 'page', '--publish', '18080:80', '--replicas', '1'].concat([
        'localhost/busybox:e2e',
        ...['sh', '-c', `mkdir /www; echo ${secret} > /www/index.html; exec httpd -f -p 80 -h /www`],
      ]),
    );
    await cluster.settled('page', 1);
    for (const host of HOSTS) {
      const fetching = `fetch('http://127.0.0.1:18080/').then(async (a) => console.log(await a.text()))`;
      await cluster.until(
        async () => (await cluster.lab.exec(host, [process.execPath, '-e', fetching])).stdout.trim(),
        (text) => text === secret,
        `${host} to answer`,
      );
    }
    assertSealed(await vniOf('plainly-made'));
    assert.ok((wire.ports.get(TUNNEL) ?? 0) > 0);
  });

  it('turned off, the same can be read; a network that asks for it stays sealed', async () => {
    await cluster.must(['update', '--encrypt-data-path=false']);
    const open = await vniOf('plainly-made');
    await cluster.must(['service', 'rm', 'page']);
    const all = await members('all');
    await eventually('packets in the clear', async () => {
      await allTalk(all);
      return wire.readable > 0 && wire.networks.has(open);
    });
    await cluster.remove('all');
    wire.close();
    wire = new Wire(name, secret);
    await createGlobal('sealed', 'sealed', '--opt', 'encrypted');
    await allTalk(await members('sealed'));
    assertSealed(await vniOf('sealed'));
    assert.ok((wire.ports.get(TUNNEL) ?? 0) > 0);
  });

  it('without its tunnel a node says nothing rather than in the clear, and has it back', async () => {
    const [first, second, third] = await members('sealed');
    assert.ok(first !== undefined && second !== undefined && third !== undefined);
    const host = cluster.host('w1');
    const device = tunnelLinkName(instanceNames(host.paths.stateDirectory));
    await cluster.lab.exec('w1', ['ip', 'link', 'del', device]);
    const silent = await second.program.call('askDatagram', first.address, DATAGRAMS, 1, undefined, 300);
    assert.match(silent, /^(timeout|E(HOST|NET)UNREACH)$/);
    await third.program.call('askDatagram', second.address, DATAGRAMS, 1, undefined, 300);
    await eventually(
      'the tunnel to be back',
      async () => (await second.program.call('askDatagram', first.address, DATAGRAMS)).startsWith(secret),
      { timeoutMs: HEALED_MS },
    );
    await allTalk([first, second, third]);
    assertSealed(await vniOf('sealed'));
  });

  it('keys change while tasks talk, and no connection ends', async () => {
    const [first, second, third] = await members('sealed');
    assert.ok(first !== undefined && second !== undefined && third !== undefined);
    const keysOf = async (): Promise<readonly string[]> => {
      const node = (await cluster.nodes()).get('w1');
      const keys = node?.description?.dataPath?.wireguardKeys ?? [];
      return keys.map((key) => Buffer.from(key).toString('base64'));
    };
    const [before] = await keysOf();
    assert.ok(before !== undefined);
    const host = cluster.host('w1');
    await cluster.lab.killDaemon('w1');
    const file = join(host.paths.stateDirectory, 'wireguard.keys');
    const keys = JSON.parse(readFileSync(file, 'utf8')) as readonly { readonly createdAtMs: number }[];
    writeFileSync(file, JSON.stringify(keys.map((key) => ({ ...key, createdAtMs: Date.now() - KEY_LIFE_MS }))));
    await cluster.lab.start('w1');
    assert.match(await second.program.call('converse', 'long', first.address, PORT), /^secret-/);
    assert.match(await third.program.call('converse', 'long', second.address, PORT), /^secret-/);
    let said = 0;
    const deadline = performance.now() + ROTATION_MS;
    for (let now = await keysOf(); now.length !== 1 || now[0] === before; now = await keysOf()) {
      assert.ok(performance.now() < deadline, 'the key changes');
      for (const { program } of [second, third]) {
        const text = `${secret} ${said++}`;
        const heard: string = await program.call('say', 'long', text, 5_000);
        assert.equal(heard, text);
      }
    }
    for (const { program } of [second, third])
      assert.equal(await program.call('say', 'long', `${secret} last`, 5_000), `${secret} last`);
    await allTalk([first, second, third]);
    assertSealed(await vniOf('sealed'));
  });

  it('a node that cannot encrypt says so and gets no such task, which says why', async () => {
    // On this host alone, until it loses power; before the daemon has a mount namespace of its own.
    await cluster.lab.kill('w2');
    await cluster.host('w2').boot();
    await cluster.lab.exec('w2', ['mount', '--bind', '/dev/null', '/usr/bin/wg']);
    await cluster.lab.start('w2');
    await cluster.until(
      () => cluster.must(['node', 'inspect', '--pretty', 'w2']),
      (text) => /Data Path Encryption: not possible: the program wg is not installed/.test(text),
      'w2 to say that it cannot',
      2 * SOON_MS,
    );
    const tasks = await cluster.until(
      () => cluster.tasks('sealed'),
      (found) => found.some((task) => /network encryption not available on 1 node/.test(task.status?.error ?? '')),
      'the reason on the task',
      2 * SOON_MS,
    );
    const w2 = await cluster.nodeId('w2');
    for (const { nodeId, status } of tasks)
      if (nodeId === w2) assert.notEqual(status?.state, TaskState.RUNNING, 'what ran there does not start again');
    assert.equal((await cluster.running('sealed')).length, 2);
    // Networks that are not encrypted are none of its business.
    await createGlobal('open', 'open');
    await allTalk(await members('open'));
    const log = readFileSync(cluster.host('w2').paths.log, 'utf8');
    assert.doesNotMatch(log, /could not be looked at/, 'what else there is goes on being compared');
  });
});
