/**
 * Goal: who opens calls and takes them back as fast as the wire allows (CVE-2023-44487) is cut off, and costs others nothing.
 * Method: a real server, a client without a certificate that speaks HTTP/2 itself.
 */
import assert from 'node:assert/strict';
import { type ClientHttp2Session, connect, constants } from 'node:http2';
import { setImmediate as turn } from 'node:timers/promises';
import { ControlService } from '#gen/swarm/v1/control.ts';
import { createClient } from '#proto/grpc/client.ts';
import { testAuthority, testNode } from '#test/certs/fixtures.ts';
import { failure } from '#test/support/failure.ts';
import { TlsServer } from './tls-server.ts';

const manager = testNode(testAuthority(), 'manager');

/** Far beyond what anybody needs, in batches as large as a connection may have open. */
const RESETS = 50_000;
const BATCH = 100;

const HEADERS = {
  ':method': 'POST',
  ':path': ControlService.getNode.path,
  'content-type': 'application/grpc',
  te: 'trailers',
};

describe('floods of calls', function () {
  this.timeout(60_000);
  const server = new TlsServer(manager);
  before(() => server.listen());
  after(() => server.close());

  const isServed = async (): Promise<void> => {
    const error = await failure(createClient(ControlService, server.connect(manager)).getNode({ reference: 'x' }));
    assert.equal(error.reason, 'unknown-object');
  };

  /** Gives how many calls were taken back until the server had enough. */
  async function flood(session: ClientHttp2Session): Promise<number> {
    let isOver = false;
    session.on('error', () => {});
    session.once('close', () => {
      isOver = true;
    });
    session.once('goaway', () => {
      isOver = true;
    });
    for (let count = 0; count < RESETS; count += BATCH) {
      const streams = Array.from({ length: BATCH }, () => (isOver ? undefined : session.request(HEADERS)));
      for (const stream of streams) stream?.on('error', () => {});
      // On their way before they are taken back, or nothing would be sent at all.
      await turn();
      for (const stream of streams) stream?.close(constants.NGHTTP2_CANCEL);
      await turn();
      if (isOver) return count;
    }
    return RESETS;
  }

  it('a connection that does so is cut off soon, and others are served as ever', async () => {
    const before = process.memoryUsage().rss;
    const session = connect(`https://${server.address}`, { rejectUnauthorized: false });
    await new Promise((resolve, reject) => session.once('connect', resolve).once('error', reject));
    const flooding = flood(session);
    await isServed();
    assert.ok((await flooding) < RESETS, 'it is cut off');
    await isServed();
    assert.ok(process.memoryUsage().rss - before < 200 * 1024 * 1024, 'nothing of it is kept');
    session.destroy();
  });
});
