/**
 * Goal: the server answers whatever comes over HTTP/2 with what gRPC asks for. Method: a bare HTTP/2 client that says
 * what no library would.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type ClientHttp2Session, type ClientHttp2Stream, connect, type IncomingHttpHeaders } from 'node:http2';
import { connect as connectSocket, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LIMITS } from '#common/limits.ts';
import { silentLogger } from '#common/log.ts';
import { CheckRequest, CheckResponse, HealthService, ServingState } from '#gen/swarm/v1/health.ts';
import type { CallContext } from '#proto/grpc/call-context.ts';
import { frame } from '#proto/grpc/framing.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import { type FinishedCall, RpcServer } from '#proto/grpc/server.ts';

const GRPC = { 'content-type': 'application/grpc', te: 'trailers' } as const;

type Check = Handlers<typeof HealthService>['check'];

describe('calls as they come over HTTP/2', () => {
  let directory: string;
  let server: RpcServer;
  let session: ClientHttp2Session;
  let check: Check;
  let finished: FinishedCall[];
  let whenFinished: () => void;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'incoming-'));
    const path = join(directory, 'test.sock');
    check = () => Promise.resolve(CheckResponse.create({ state: ServingState.SERVING }));
    finished = [];
    whenFinished = () => {};
    server = new RpcServer({
      trust: { kind: 'local' },
      logger: silentLogger,
      onCall: (call) => {
        finished.push(call);
        whenFinished();
      },
    });
    server.addService(HealthService, { check: (request, context) => check(request, context) });
    await server.listenSocket(path);
    session = connect('http://localhost', { createConnection: () => connectSocket(path) });
  });

  afterEach(async () => {
    session.destroy();
    await server.close(0);
    await rm(directory, { recursive: true, force: true });
  });

  function open(headers: Record<string, string> = {}): ClientHttp2Stream {
    return session.request({
      ':method': 'POST',
      ':path': HealthService.check.path,
      ...GRPC,
      ...headers,
    });
  }

  interface Answer {
    readonly headers: IncomingHttpHeaders;
    /** With the headers where the answer has no message. */
    readonly status: IncomingHttpHeaders;
    readonly body: Buffer;
  }

  async function answerOf(stream: ClientHttp2Stream): Promise<Answer> {
    let headers: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders = {};
    const chunks: Buffer[] = [];
    stream.on('response', (received) => {
      headers = received;
    });
    stream.on('trailers', (received) => {
      trailers = received;
    });
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    await once(stream, 'end');
    return { headers, status: { ...headers, ...trailers }, body: Buffer.concat(chunks) };
  }

  const request = frame(CheckRequest.encode(CheckRequest.create({ service: 'agent' })));

  it('are answered with one message and a status', async () => {
    const stream = open();
    stream.end(request);
    const { headers, status, body } = await answerOf(stream);
    assert.equal(headers[':status'], 200);
    assert.equal(headers['content-type'], 'application/grpc+proto');
    assert.equal(status['grpc-status'], '0');
    assert.deepEqual(body, frame(CheckResponse.encode(CheckResponse.create({ state: ServingState.SERVING }))));
  });

  it('are answered in one piece, so that the caller is woken up once', async () => {
    const pieces: Buffer[] = [];
    const proxy = createServer((socket) => {
      const upstream = connectSocket(join(directory, 'test.sock'));
      upstream.on('data', (piece: Buffer) => pieces.push(piece));
      socket.pipe(upstream).pipe(socket);
      socket.on('error', () => upstream.destroy());
    });
    const path = join(directory, 'proxy.sock');
    await once(proxy.listen(path), 'listening');
    const proxied = connect('http://localhost', { createConnection: () => connectSocket(path) });
    try {
      const call = async (): Promise<Answer> => {
        const stream = proxied.request({ ':method': 'POST', ':path': HealthService.check.path, ...GRPC });
        stream.end(request);
        return answerOf(stream);
      };
      // Settings go to and fro around the first.
      await call();
      for (let count = 1; count <= 5; count++) {
        pieces.length = 0;
        assert.equal((await call()).status['grpc-status'], '0');
        assert.equal(pieces.length, 1);
      }
    } finally {
      proxied.destroy();
      proxy.close();
    }
  });

  it('are put together from pieces of any size', async () => {
    const stream = open();
    for (const byte of request) {
      stream.write(Buffer.from([byte]));
      await new Promise(setImmediate);
    }
    stream.end();
    assert.equal((await answerOf(stream)).status['grpc-status'], '0');
  });

  it('of another content type are refused', async () => {
    const stream = open({ 'content-type': 'application/json' });
    stream.end('{}');
    assert.equal((await answerOf(stream)).headers[':status'], 415);
  });

  it('of no method are refused', async () => {
    const stream = open({ ':path': '/swarm.v1.HealthService/Nothing' });
    stream.end(request);
    assert.equal((await answerOf(stream)).status['grpc-status'], '12');
  });

  it('that are compressed, cut off, or too large are refused', async () => {
    const compressed = Buffer.from(request);
    compressed[0] = 1;
    const large = Buffer.alloc(5);
    large.writeUInt32BE(LIMITS.MESSAGE_BYTES + 1, 1);
    for (const [bytes, code] of [
      [compressed, '3'],
      [request.subarray(0, -1), '3'],
      [large, '8'],
    ] as const) {
      const stream = open();
      stream.end(bytes);
      assert.equal((await answerOf(stream)).status['grpc-status'], code);
    }
  });

  it('say what went wrong in any language', async () => {
    check = () => {
      throw new Error('100 % kaputt: größer als \ud800');
    };
    const stream = open();
    stream.end(request);
    const { status } = await answerOf(stream);
    assert.equal(status['grpc-status'], '13');
    assert.ok(decodeURI(String(status['grpc-message'])).includes('größer'));
  });

  it('end at their deadline, whatever their handler does', async () => {
    let context: CallContext | undefined;
    check = (_request, given) => {
      context = given;
      return new Promise(() => {});
    };
    const stream = open({ 'grpc-timeout': '50m' });
    stream.end(request);
    assert.equal((await answerOf(stream)).status['grpc-status'], '4');
    assert.equal(context?.signal.aborted, true);
    assert.ok((context?.deadlineMs ?? 0) <= Date.now());
  });

  it('are over for the server when their connection is', async () => {
    const begun = new Promise<void>((resolve) => {
      check = (_request, { signal }) => {
        resolve();
        return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
      };
    });
    const ended = new Promise<void>((resolve) => {
      whenFinished = resolve;
    });
    const stream = open();
    stream.on('error', () => {});
    stream.end(request);
    await begun;
    session.destroy();
    await ended;
    assert.equal(finished[0]?.error?.code, 'cancelled');
    assert.equal(server.callsInFlight, 0);
  });
});
