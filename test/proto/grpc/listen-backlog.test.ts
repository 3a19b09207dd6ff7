/** Goal: the kernel keeps a thousand connections that come at once. Method: a real server; `ss` says what it listens with. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { RPC_CONFIG } from '#proto/grpc/config.ts';
import { testAuthority, testNode } from '#test/certs/fixtures.ts';
import { TlsServer } from './tls-server.ts';

describe('the backlog of a server', () => {
  const server = new TlsServer(testNode(testAuthority(), 'manager'));
  before(() => server.listen());
  after(() => server.close());

  it('is what was asked for, as far as the kernel allows it', async () => {
    const port = server.address.split(':').at(-1) ?? '';
    const { stdout } = await promisify(execFile)('ss', ['-Hltn', `sport = :${port}`]);
    const allowed = Number(await readFile('/proc/sys/net/core/somaxconn', 'utf8'));
    assert.equal(Number(stdout.trim().split(/\s+/)[2]), Math.min(RPC_CONFIG.backlog, allowed), stdout);
  });
});
