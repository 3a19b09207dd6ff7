/**
 * Goal: a check asks what it is told to, where it is told to, and comes back in time with words for the user. Method:
 * real servers and sockets in a network namespace of their own; commands are made up.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CheckedContainer, DEFAULT_HEALTH_CONFIG, runCheck } from '#agent/health/index.ts';
import { NetlinkSocket } from '#agent/kernel/netlink.ts';
import { setLinkUp } from '#agent/kernel/netlink-link.ts';
import { createNetworkNamespace, NetworkNamespace, removeNetworkNamespace } from '#agent/kernel/netns.ts';
import type { ExecResult } from '#agent/runtime/index.ts';
import type { Check } from '#agent/tasks/index.ts';
import { createRootAuthority } from '#certs/authority.ts';
import { certificatesPem } from '#certs/certificate.ts';
import { skipBecause } from '#test/support/skip-because.ts';

const NEVER = new AbortController().signal;

describe('checks of a task', function () {
  this.timeout(20_000);
  let directory: string;
  let path: string;
  let inside: NetworkNamespace;
  const servers: Server[] = [];
  const sockets = new Set<Socket>();

  before(async function () {
    if (process.getuid?.() !== 0) skipBecause(this, 'makes a network namespace: needs root');
    directory = await mkdtemp(join(tmpdir(), 'starling-check-'));
    path = join(directory, 'net');
    inside = createNetworkNamespace(path);
    const netlink = NetlinkSocket.open(inside);
    await netlink.execute([setLinkUp('lo')]);
    await netlink.close();
  });

  after(async () => {
    for (const socket of sockets) socket.destroy();
    for (const server of servers) server.close();
    inside.close();
    removeNetworkNamespace(path);
    await rm(directory, { recursive: true, force: true });
  });

  /** Its port, in the namespace. */
  function listen(server: Server, host?: string): Promise<number> {
    servers.push(server);
    server.on('connection', (socket: Socket) => sockets.add(socket));
    return new Promise((resolve) => {
      const bound = (): void => resolve((server.address() as AddressInfo).port);
      // With no address to look up the socket is made in the call itself.
      inside.run(() => (host === undefined ? server.listen(0, bound) : server.listen({ port: 0, host }, bound)));
    });
  }

  const http = (listener: RequestListener): Promise<number> => listen(createHttpServer(listener));

  function container(changes: Partial<CheckedContainer> = {}): CheckedContainer {
    return {
      exec: async () => ({ exitCode: 0, output: '' }),
      networkNamespace: () => NetworkNamespace.open(path),
      addresses: [],
      ...changes,
    };
  }

  const get = (port: number, fields: Partial<Extract<Check, { kind: 'http' }>> = {}): Check => ({
    kind: 'http',
    port,
    path: '/',
    isTls: false,
    host: '',
    headers: [],
    ...fields,
  });

  const check = (what: Check, timeoutMs = 10_000, on = container()) =>
    runCheck(on, what, timeoutMs, DEFAULT_HEALTH_CONFIG, NEVER);

  it('a port that somebody listens on in the container’s network, and in no other', async () => {
    const port = await listen(createServer());
    assert.deepEqual(await check({ kind: 'tcp', port }), { ok: true, message: '' });
    const ours = createServer();
    servers.push(ours);
    await new Promise<void>((resolve) => ours.listen(0, '127.0.0.1', resolve));
    const other = (ours.address() as AddressInfo).port;
    assert.deepEqual(await check({ kind: 'tcp', port: other }), {
      ok: false,
      message: `nobody listens on port ${other}`,
    });
  });

  it('what the request is, and which answers are good', async () => {
    let seen: readonly unknown[] = [];
    let status = 200;
    const port = await http((request, response) => {
      seen = [request.method, request.url, request.headers.host, request.headers['x-a'], request.headers['user-agent']];
      response.writeHead(status).end('some text\nin lines');
    });
    const asked = get(port, { path: '/ready?full=1', headers: [{ name: 'X-A', value: 'b' }] });
    assert.deepEqual(await check(asked), { ok: true, message: '' });
    assert.deepEqual(seen, ['GET', '/ready?full=1', `127.0.0.1:${port}`, 'b', 'starling-probe']);
    for (const good of [204, 302, 399]) {
      status = good;
      assert.equal((await check(get(port))).ok, true, String(good));
    }
    for (const wrong of [400, 404, 500]) {
      status = wrong;
      const { ok, message } = await check(get(port, { host: 'web.example' }));
      assert.deepEqual([ok, message], [false, `GET / at port ${port} answered ${wrong}: some text in lines`]);
    }
    assert.equal(seen[2], 'web.example');
  });

  it('HTTPS, whoever the server says it is; plain HTTP where TLS is spoken is a failure, and the reverse', async () => {
    const { certificate, privateKey } = createRootAuthority(Date.now());
    const key = privateKey.export({ type: 'pkcs8', format: 'pem' });
    const secure = await listen(
      createHttpsServer({ cert: certificatesPem([certificate]), key }, (_request, response) => response.end('secret')),
    );
    const plain = await http((_request, response) => response.end());
    assert.deepEqual(await check(get(secure, { isTls: true })), { ok: true, message: '' });
    assert.equal((await check(get(secure))).ok, false);
    assert.match((await check(get(plain, { isTls: true }))).message, /^GET \/ at port \d+: ./);
  });

  it('a server that accepts and says nothing, or half of it, or without an end, is given up in time', async () => {
    const silent = await listen(createServer());
    const { ok, message } = await check(get(silent), 200);
    assert.deepEqual([ok, message], [false, `GET / at port ${silent} took longer than 200 ms`]);
    const half = await listen(createServer((socket) => socket.write('HTTP/1.1 20')));
    assert.match((await check(get(half), 200)).message, /took longer/);
    const endless = await http((_request, response) => {
      const more = setInterval(() => response.write('x'.repeat(1000)), 1);
      response.on('close', () => clearInterval(more));
    });
    assert.equal((await check(get(endless))).ok, true, 'its status is enough once enough was read');
    const rubbish = await listen(createServer((socket) => socket.end('SSH-2.0-x\r\n')));
    assert.match((await check(get(rubbish))).message, /^GET \/ at port \d+: .*Parse Error/);
  });

  it('a server on IPv6 alone, and one on an address of the container’s own', async () => {
    const six = await new Promise<number>((resolve) => {
      const server = createServer();
      servers.push(server);
      inside.run(() =>
        server.listen({ port: 0, ipv6Only: true }, () => resolve((server.address() as AddressInfo).port)),
      );
    });
    assert.equal((await check({ kind: 'tcp', port: six })).ok, true);
    const none = container({ addresses: ['10.77.0.9'] });
    assert.match((await check({ kind: 'tcp', port: 9 }, 1000, none)).message, /nobody listens/);
  });

  it('commands: their code, their words, and too much of both', async () => {
    const run = (result: ExecResult) =>
      check({ kind: 'exec', command: ['x'] }, 100, container({ exec: async () => result }));
    assert.equal((await run({ exitCode: 0, output: 'fine' })).ok, true);
    assert.deepEqual(await run({ exitCode: 2, output: 'bad\n\u001b[31mred' }), {
      ok: false,
      message: 'exit code 2: bad [31mred',
    });
    assert.equal((await run({ exitCode: undefined, output: '' })).message, 'took longer than 100 ms');
    const long = (await run({ exitCode: 1, output: 'é'.repeat(5000) })).message;
    assert.ok(Buffer.byteLength(long) <= DEFAULT_HEALTH_CONFIG.messageBytesMax);
    assert.match(long, /é\.\.\.$/);
  });

  it('a container that does not run, and a command that cannot be run, are failures; the signal is not', async () => {
    const gone = container({ networkNamespace: () => undefined });
    assert.match((await check({ kind: 'tcp', port: 1 }, 100, gone)).message, /does not run/);
    const broken = container({
      exec: async () => {
        throw new Error('no such thing');
      },
    });
    assert.equal((await check({ kind: 'exec', command: ['x'] }, 100, broken)).message, 'no such thing');
    const giveUp = new AbortController();
    const silent = await listen(createServer());
    const pending = runCheck(container(), get(silent), 10_000, DEFAULT_HEALTH_CONFIG, giveUp.signal);
    giveUp.abort();
    await assert.rejects(pending, { reason: 'cancelled' });
  });
});
