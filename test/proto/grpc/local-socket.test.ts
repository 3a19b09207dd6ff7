/** The socket of the daemon: for root alone, there as long as the daemon is, and never taken from another. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { silentLogger } from '#common/log.ts';
import { HealthService } from '#gen/swarm/v1/health.ts';
import { createClient } from '#proto/grpc/client.ts';
import { RpcServer } from '#proto/grpc/server.ts';
import { SocketTransport } from '#proto/grpc/socket-transport.ts';
import { failure } from '#test/support/failure.ts';
import { ScriptedServer } from './scripted-server.ts';

describe('the local socket', () => {
  let host: ScriptedServer;
  beforeEach(async () => {
    host = await ScriptedServer.start();
  });
  afterEach(() => host.close());

  it('is for root alone, and gone after the server', async () => {
    assert.equal((await stat(host.path)).mode & 0o777, 0o600);
    await host.server.close();
    await assert.rejects(stat(host.path), { code: 'ENOENT' });
  });

  it('that a dead daemon left behind is replaced', async () => {
    await host.server.close(0);
    const listen = `require('node:net').createServer().listen(${JSON.stringify(host.path)}, () => console.log('up'))`;
    const left = spawn(process.execPath, ['-e', listen]);
    await once(left.stdout, 'data');
    const second = new RpcServer({ trust: { kind: 'local' }, logger: silentLogger });
    await assert.rejects(second.listenSocket(host.path), { reason: 'in-use' });
    left.kill('SIGKILL');
    await once(left, 'exit');
    assert.ok((await stat(host.path)).isSocket());
    await second.listenSocket(host.path);
    const transport = new SocketTransport(host.path);
    assert.equal((await failure(createClient(HealthService, transport).check({}))).reason, 'not-supported');
    transport.close();
    await second.close(0);
  });

  it('with a path that the kernel would cut is refused', async () => {
    const second = new RpcServer({ trust: { kind: 'local' }, logger: silentLogger });
    await assert.rejects(second.listenSocket(join(host.directory, 'x'.repeat(120))), { reason: 'bad-flag' });
  });
});
