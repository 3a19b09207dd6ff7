/**
 * Goal: a container asks 127.0.0.11 by UDP and TCP and is known by its own address. Method: a host and containers made
 * of network namespaces, the cable and devices as the node's network makes them, and the resolver process on the host.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { completeUpdates } from '#agent/dns/control/complete-updates.ts';
import { resolverFiles } from '#agent/dns/control/resolver-files.ts';
import { containerDns } from '#agent/dns/index.ts';
import { ResolverLink } from '#agent/dns/process/resolver-link.ts';
import { NetlinkSocket } from '#agent/kernel/netlink.ts';
import { addAddress } from '#agent/kernel/netlink-address.ts';
import { addVeth, setLinkUp } from '#agent/kernel/netlink-link.ts';
import { replaceRoute } from '#agent/kernel/netlink-route.ts';
import { createNetworkNamespace, type NetworkNamespace, removeNetworkNamespace } from '#agent/kernel/netns.ts';
import { Nftables } from '#agent/kernel/nftables.ts';
import { ResolverSettings } from '#gen/swarm/v1/resolver.ts';
import { eventually } from '#test/support/eventually.ts';
import { askerOf, endpointOf, serviceOf, tableOf } from './support.ts';

const ENTRY = join(import.meta.dirname, '../../../src/resolver/main.ts');
const CABLE = '169.254.77.1';

/** What a program in a container does: Node's own resolver, which is c-ares, by UDP and by TCP where it has to. */
const ASK = `
import { Resolver } from 'node:dns/promises';
const resolver = new Resolver({ timeout: 2000, tries: 1 });
resolver.setServers(['127.0.0.11']);
const [method, name] = process.argv.slice(-2);
try { console.log(JSON.stringify(await resolver[method](name))); } catch (error) { console.log(JSON.stringify(error.code)); }
`;

interface Container {
  readonly path: string;
  readonly address: string;
}

describe('dns: in containers', function () {
  this.timeout(60_000);
  const directory = mkdtempSync(join(tmpdir(), 'starling-container-dns-'));
  const hostPath = join(directory, 'host');
  const resolverDirectory = join(directory, 'resolver');
  const containers: Container[] = [];
  let host: NetworkNamespace;
  let resolver: ChildProcess;

  async function makeContainer(index: number): Promise<Container> {
    const path = join(directory, `container${index}`);
    const address = `10.255.0.${index}`;
    const namespace = createNetworkNamespace(path);
    const inside = NetlinkSocket.open(namespace);
    const outside = NetlinkSocket.open(host);
    try {
      await inside.execute([
        addVeth(
          { name: 'gw', index: 2, mtu: 1500 },
          { name: `g${index}`, index: 10 + index, mtu: 1500 },
          host.descriptor,
        ),
        setLinkUp(1),
        setLinkUp(2),
        addAddress(2, `${address}/32`),
      ]);
      await outside.execute([
        setLinkUp(10 + index),
        replaceRoute({ destination: `${address}/32`, linkIndex: 10 + index }),
      ]);
      await inside.execute([replaceRoute({ destination: `${CABLE}/32`, linkIndex: 2 })]);
      const dns = containerDns({ serverAddress: CABLE });
      const nftables = Nftables.open(namespace);
      await nftables.run('let the container ask', dns.nftables);
      // Again: it takes its own place.
      await nftables.run('let the container ask', dns.nftables);
      await nftables.close();
      namespace.run(() => {
        for (const [name, value] of dns.settings) writeFileSync(`/proc/sys/net/${name}`, value);
      });
    } finally {
      await inside.close();
      await outside.close();
      namespace.close();
    }
    return { path, address };
  }

  async function ask(container: Container | undefined, method: string, name: string): Promise<unknown> {
    assert.ok(container);
    const args = [`--net=${container.path}`, process.execPath, '--input-type=module', '-', method, name];
    const running = promisify(execFile)('nsenter', args, { timeout: 15_000 });
    running.child.stdin?.end(ASK);
    return JSON.parse((await running).stdout) as unknown;
  }

  before(async () => {
    host = createNetworkNamespace(hostPath);
    const socket = NetlinkSocket.open(host);
    await socket.execute([setLinkUp(1), addAddress(1, `${CABLE}/32`)]);
    await socket.close();
    for (const index of [1, 2]) containers.push(await makeContainer(index));
    mkdirSync(resolverDirectory, { mode: 0o700 });
    resolver = spawn('nsenter', [`--net=${hostPath}`, process.execPath, ENTRY, '--directory', resolverDirectory], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    let link: ResolverLink | undefined;
    await eventually('the resolver', async () => {
      link = await ResolverLink.open(resolverFiles(resolverDirectory).socket);
      return link !== undefined;
    });
    const tasks = Array.from({ length: 60 }, (_, index) =>
      endpointOf({ id: `task${index}`, service: 'many', slot: index + 1, addresses: [`10.0.1.${index + 100}`] }),
    );
    const services = [
      serviceOf({ name: 'web', addresses: ['10.0.1.2'], ports: ['80/tcp'] }),
      serviceOf({ name: 'many' }),
    ];
    const everything = {
      version: 1,
      networks: [{ table: tableOf({ name: 'front' }), services, endpoints: tasks }],
      askers: containers.map(({ address }, index) => askerOf(address, index === 0 ? ['front'] : ['other'])),
      settings: ResolverSettings.create({ listenAddresses: [CABLE] }),
    };
    for (const value of completeUpdates(everything, 100)) {
      const reply = await link?.request({ kind: 'update', value }, 10_000);
      assert.equal(reply?.problem, '');
    }
    link?.close();
  });

  after(async () => {
    resolver.kill('SIGKILL');
    await once(resolver, 'exit');
    host.close();
    for (const { path } of containers) removeNetworkNamespace(path);
    removeNetworkNamespace(hostPath);
    rmSync(directory, { recursive: true, force: true });
  });

  it('127.0.0.11 answers by UDP', async () => {
    assert.deepEqual(await ask(containers[0], 'resolve4', 'web'), ['10.0.1.2']);
    assert.deepEqual(await ask(containers[0], 'reverse', '10.0.1.2'), ['web.front']);
    assert.deepEqual(await ask(containers[0], 'resolveSrv', '_http._tcp.web'), [
      { type: 'SRV', name: 'web', port: 80, priority: 0, weight: 1 },
    ]);
    assert.deepEqual(await ask(containers[0], 'resolve6', 'web'), 'ENODATA');
    assert.deepEqual(await ask(containers[0], 'resolve4', 'tasks.nobody'), 'ENOTFOUND');
  });

  it('and by TCP, for what does not fit', async () => {
    const script = `
      import { connect } from 'node:net';
      const query = Buffer.from('${Buffer.from('many').toString('hex')}', 'hex');
      const body = Buffer.concat([Buffer.from([0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, query.length]), query, Buffer.from([0, 0, 1, 0, 1])]);
      const socket = connect({ host: '127.0.0.11', port: 53, timeout: 3000 });
      socket.on('timeout', () => socket.destroy());
      socket.on('error', (error) => console.log(JSON.stringify(error.code)));
      socket.write(Buffer.concat([Buffer.from([0, body.length]), body]));
      socket.on('data', (chunk) => { console.log(JSON.stringify(chunk.readUInt16BE(2 + 6))); socket.destroy(); });
    `;
    const [first] = containers;
    assert.ok(first);
    const args = [`--net=${first.path}`, process.execPath, '--input-type=module', '-'];
    const running = promisify(execFile)('nsenter', args, { timeout: 15_000 });
    running.child.stdin?.end(script);
    assert.equal(JSON.parse((await running).stdout), 60);
    const all = await ask(first, 'resolve4', 'many');
    assert.ok(Array.isArray(all) && all.length === 60);
  });

  it('a container on other networks is told nothing', async () => {
    assert.deepEqual(await ask(containers[1], 'resolve4', 'web'), 'ENOTFOUND');
  });
});
