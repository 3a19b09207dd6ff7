/**
 * Goal: the client finds the daemon, or says why not and what to do. Method: real sockets in a temporary directory, and
 * a server with mutual TLS.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { peerIdentity } from '#certs/peer.ts';
import { NodeChannelCredentials, NodeServerCredentials } from '#certs/tls.ts';
import { silentLogger } from '#common/log.ts';
import { services } from '#gen/services.ts';
import { CheckResponse, HealthService } from '#gen/swarm/v1/health.ts';
import { RpcServer } from '#proto/grpc/server.ts';
import { connectLocal, DEFAULT_SOCKET_PATH, socketPath } from '#src/client/local.ts';
import { connectRemote } from '#src/client/remote.ts';
import { CLUSTER_ID, testAuthority, testNode } from '#test/certs/fixtures.ts';
import { failure } from '#test/support/failure.ts';
import { skipBecause } from '#test/support/skip-because.ts';

const ROOT = join(import.meta.dirname, '../../..');

describe('client', () => {
  let directory: string;
  let path: string;
  let server: RpcServer | undefined;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'client-'));
    path = join(directory, 'swarm.sock');
  });
  afterEach(async () => {
    await server?.close(0);
    server = undefined;
    await rm(directory, { recursive: true, force: true });
  });

  const healthHandlers = (message: string) => ({ check: () => Promise.resolve(CheckResponse.create({ message })) });

  async function serveLocally(): Promise<void> {
    server = new RpcServer({ trust: { kind: 'local' }, logger: silentLogger });
    server.addService(HealthService, healthHandlers('local'));
    await server.listenSocket(path);
  }

  it('takes the socket that the environment names', () => {
    assert.equal(socketPath({}), DEFAULT_SOCKET_PATH);
    assert.equal(socketPath({ STARLING_SOCKET: '' }), DEFAULT_SOCKET_PATH);
    assert.equal(socketPath({ STARLING_SOCKET: '/tmp/x.sock' }), '/tmp/x.sock');
    assert.equal(socketPath({ STARLING_SOCKET: 'unix:///tmp/x.sock' }), '/tmp/x.sock');
    assert.throws(() => socketPath({ STARLING_SOCKET: 'relative.sock' }), {
      name: 'SwarmError',
      code: 'invalid',
      field: 'STARLING_SOCKET',
    });
  });

  it('offers every service of the contract', () => {
    const client = connectLocal(path);
    const { target, close: _close, ...offered } = client;
    assert.deepEqual(target, { kind: 'socket', name: path });
    const methods = (of: Readonly<Record<string, object>>): Set<string> =>
      new Set(Object.values(of).map((service) => Object.keys(service).join()));
    assert.deepEqual(methods(offered), methods(services));
    client.close();
  });

  it('calls the daemon through its socket', async () => {
    await serveLocally();
    const client = connectLocal(path);
    assert.equal((await client.health.check({})).message, 'local');
    client.close();
  });

  it('finds a daemon that was restarted', async () => {
    await serveLocally();
    const client = connectLocal(path);
    await client.health.check({});
    await server?.close(0);
    assert.equal((await failure(client.health.check({}))).reason, 'daemon-unreachable');
    await serveLocally();
    assert.equal((await client.health.check({})).message, 'local');
    client.close();
  });

  it('says that there is no daemon, and what to do', async () => {
    const client = connectLocal(path);
    const missing = await failure(client.health.check({}));
    assert.deepEqual([missing.code, missing.reason], ['unavailable', 'daemon-unreachable']);
    assert.equal(missing.message, `cannot reach swarmd at ${path}: there is no such socket`);
    assert.match(missing.hint ?? '', /is swarmd running\?/);
    await writeFile(path, '');
    const dead = await failure(client.health.check({}));
    assert.equal(dead.message, `cannot reach swarmd at ${path}: nothing listens on the socket`);
    client.close();
  });

  it('says so when the socket is not for this user', async function () {
    if (process.getuid?.() !== 0) skipBecause(this, 'only root can become someone else to be refused');
    await serveLocally();
    await promisify(execFile)('chmod', ['755', directory]);
    const script = `
      const { connectLocal } = await import(${JSON.stringify(join(ROOT, 'src/client/local.ts'))});
      process.setgid(65534); process.setuid(65534);
      const client = connectLocal(${JSON.stringify(path)});
      await client.health.check({}).catch((error) => console.log(JSON.stringify([error.code, error.reason, error.hint])));
      client.close();`;
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
      cwd: ROOT,
    });
    assert.deepEqual(JSON.parse(stdout), ['denied', 'daemon-unreachable', 'run the command as root: `sudo swarm ...`']);
  });

  it('calls a manager over TLS', async () => {
    const authority = testAuthority();
    const manager = testNode(authority, 'manager');
    const worker = testNode(authority, 'worker');
    server = new RpcServer({
      trust: {
        kind: 'certificate',
        identify: (call) => peerIdentity(call, Date.now()),
        clusterId: () => CLUSTER_ID,
      },
      logger: silentLogger,
    });
    server.addService(HealthService, healthHandlers('remote'));
    const port = await server.listen('127.0.0.1:0', new NodeServerCredentials(manager));
    const credentials = new NodeChannelCredentials({
      kind: 'member',
      identity: () => worker,
      expect: { role: 'manager', clusterId: CLUSTER_ID },
    });
    const client = connectRemote({ address: `127.0.0.1:${port}`, credentials });
    assert.equal((await client.health.check({})).message, 'remote');
    client.close();
  });

  it('loads for the local socket without grpc-js', async () => {
    const script = `
      import module from 'node:module';
      const loaded = [];
      module.registerHooks({ load(url, context, next) { loaded.push(url); return next(url, context); } });
      const { connectLocal } = await import(${JSON.stringify(join(ROOT, 'src/client/local.ts'))});
      connectLocal('/nowhere').control;
      console.log(loaded.filter((url) => url.includes('grpc-js')).length, loaded.length);`;
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
      cwd: ROOT,
    });
    const [grpc, all] = stdout.split(' ').map(Number);
    assert.equal(grpc, 0);
    assert.ok((all ?? 0) > 10);
  });
});
