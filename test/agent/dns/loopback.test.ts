/**
 * Goal: what is published on 127.0.0.1 answers on [::1] as well, with ends and resets passed on, within bounds. Method:
 * real sockets on both loopback addresses.
 */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { DEFAULT_RESOLVER_CONFIG, type LoopbackConfig } from '#agent/dns/config.ts';
import { LoopbackProxy } from '#agent/dns/loopback/loopback-proxy.ts';
import { silentLogger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { LoopbackPort } from '#gen/swarm/v1/resolver.ts';
import { PortProtocol } from '#gen/swarm/v1/specs.ts';
import { eventually } from '#test/support/eventually.ts';
import { askUdp } from './client.ts';

async function serveTcp(onConnection: (socket: Socket) => void): Promise<{ server: Server; port: number }> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    onConnection(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port };
}

function tcp(port: number): LoopbackPort {
  return LoopbackPort.create({ protocol: PortProtocol.TCP, port });
}

/** Whether it ended well or not. */
function closed(socket: Socket): Promise<void> {
  socket.on('error', () => {});
  return new Promise((resolve) => socket.once('close', () => resolve()));
}

async function textOf(socket: Socket): Promise<string> {
  let text = '';
  socket.setEncoding('utf8');
  socket.on('data', (chunk: string) => {
    text += chunk;
  });
  await withDeadline(once(socket, 'end'), 3000, 'the end of a connection');
  return text;
}

describe('dns: loopback proxy', () => {
  const proxies: LoopbackProxy[] = [];
  const servers: Server[] = [];

  function proxy(config: Partial<LoopbackConfig> = {}): LoopbackProxy {
    const options = { ...DEFAULT_RESOLVER_CONFIG.loopback, listenRetryMs: 20, ...config };
    const made = new LoopbackProxy({ config: options, clock: systemClock, logger: silentLogger });
    proxies.push(made);
    return made;
  }
  async function echo(): Promise<number> {
    const { server, port } = await serveTcp((socket) => socket.pipe(socket));
    servers.push(server);
    return port;
  }
  afterEach(() => {
    for (const one of proxies.splice(0)) one.close();
    for (const server of servers.splice(0)) server.close();
  });

  it('carries megabytes both ways', async () => {
    const port = await echo();
    await proxy().serve([tcp(port)]);
    const sent = 'starling '.repeat(500_000);
    const socket = connect(port, '::1');
    socket.end(sent);
    assert.equal((await textOf(socket)) === sent, true);
  });

  it('either side may end first and still hear the other', async () => {
    const { server, port } = await serveTcp((socket) => {
      socket.write('welcome ');
      // Answers only once the client has ended.
      void textOf(socket).then((text) => socket.end(`heard ${text}`));
    });
    servers.push(server);
    const made = proxy();
    await made.serve([tcp(port)]);
    const first = connect(port, '::1');
    first.end('this');
    assert.equal(await textOf(first), 'welcome heard this');

    const other = await serveTcp((socket) => {
      socket.end('said');
      socket.on('data', (chunk: Buffer) => {
        if (chunk.includes('late')) heardLate = true;
      });
    });
    let heardLate = false;
    servers.push(other.server);
    await made.serve([tcp(port), tcp(other.port)]);
    const second = connect({ port: other.port, host: '::1', allowHalfOpen: true });
    assert.equal(await textOf(second), 'said');
    second.end('late');
    await eventually('what was said after the server had ended', () => heardLate);
    await eventually('every connection is gone', () => made.connections === 0);
  });

  it('a refusal and a reset come through', async () => {
    const { server, port } = await serveTcp((socket) => socket.once('data', () => socket.resetAndDestroy()));
    const made = proxy();
    await made.serve([tcp(port)]);
    const reset = connect(port, '::1');
    const failed = once(reset, 'error');
    reset.write('x');
    assert.equal(((await withDeadline(failed, 3000, 'a reset')) as NodeJS.ErrnoException[])[0]?.code, 'ECONNRESET');
    await new Promise((resolve) => server.close(resolve));
    const refused = connect(port, '::1');
    await withDeadline(closed(refused), 3000, 'a refusal');
    await eventually('every connection is gone', () => made.connections === 0);
  });

  it('takes no more connections than it may', async () => {
    const port = await echo();
    const made = proxy({ connectionsPerPort: 2 });
    await made.serve([tcp(port)]);
    const held = [connect(port, '::1'), connect(port, '::1')];
    for (const socket of held) {
      socket.write('x');
      await once(socket, 'data');
    }
    const third = connect(port, '::1');
    await withDeadline(closed(third), 3000, 'one too many');
    for (const socket of held) socket.destroy();
    await eventually('room again', () => made.connections === 0);
  });

  it('carries datagrams, each client with its own answers, and forgets idle clients', async () => {
    const socket = createSocket('udp4').bind(0, '127.0.0.1');
    await once(socket, 'listening');
    socket.on('message', (message, from) => socket.send(`${message} back`, from.port, from.address));
    const { port } = socket.address();
    const made = proxy({ udpIdleMs: 60, udpClientsPerPort: 3 });
    await made.serve([LoopbackPort.create({ protocol: PortProtocol.UDP, port })]);
    const ask = (text: string): Promise<Buffer | undefined> =>
      askUdp({ address: '::1', port }, Buffer.from(text), { localAddress: '::1' });
    const answers = await Promise.all(['one', 'two', 'three'].map(ask));
    assert.deepEqual(answers.map(String), ['one back', 'two back', 'three back']);
    await eventually('idle clients are forgotten', () => made.connections === 0);
    assert.equal(String(await ask('four')), 'four back');
    socket.close();
  });

  it('a port that is taken is said to be, and served once it is free; one that is dropped is closed', async () => {
    const port = await echo();
    const blocker = createServer().listen(port, '::1');
    await once(blocker, 'listening');
    const made = proxy();
    await made.serve([tcp(port)]);
    assert.deepEqual(made.warnings, [`[::1]:${port}/tcp is in use by another program`]);
    blocker.close();
    await eventually('it is served', () => made.warnings.length === 0);
    const going = connect(port, '::1');
    going.write('x');
    await once(going, 'data');
    await made.serve([]);
    const refused = connect(port, '::1');
    const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException];
    assert.equal(error.code, 'ECONNREFUSED');
    going.write('y');
    assert.equal(String((await once(going, 'data'))[0]), 'y');
    going.destroy();
  });

  it('one that retires lets connections end by themselves', async () => {
    const port = await echo();
    const old = proxy();
    const next = proxy();
    await old.serve([tcp(port)]);
    const going = connect(port, '::1');
    going.write('x');
    await once(going, 'data');
    await next.serve([tcp(port)]);
    const retired = old.retire(10_000);
    for (let count = 0; count < 10; count++) {
      const socket = connect(port, '::1');
      socket.end('new');
      assert.equal(await textOf(socket), 'new');
    }
    going.end('y');
    assert.equal(await textOf(going), 'y');
    await withDeadline(retired, 3000, 'the old one to be done');
  });
});
