/**
 * Goal: all kinds of calls work over both transports, with backpressure, deadlines, cancellation and errors that
 * survive the wire. Method: a real server on a socket in a temporary directory, with handlers that the tests script.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import { type LogFields, type Logger, silentLogger } from '#common/log.ts';
import { ControlService, type ListNodesResponse } from '#gen/swarm/v1/control.ts';
import { CheckResponse, HealthService, ServingState } from '#gen/swarm/v1/health.ts';
import {
  type BuildImageRequest,
  type BuildImageResponse,
  ImageService,
  type LoadImageRequest,
} from '#gen/swarm/v1/images.ts';
import { Node } from '#gen/swarm/v1/objects.ts';
import type { CallContext } from '#proto/grpc/call-context.ts';
import { createClient } from '#proto/grpc/client.ts';
import { GrpcTransport } from '#proto/grpc/grpc-transport.ts';
import type { Handlers, ResponseStream } from '#proto/grpc/methods.ts';
import { type FinishedCall, RpcServer } from '#proto/grpc/server.ts';
import { SocketTransport } from '#proto/grpc/socket-transport.ts';
import type { Transport } from '#proto/grpc/transport.ts';
import { eventually } from '#test/support/eventually.ts';

type Images = Handlers<typeof ImageService>;
type Control = Handlers<typeof ControlService>;

/** What the handlers of this test do; every test sets its own. */
interface Script {
  check: Handlers<typeof HealthService>['check'];
  listNodes: Control['listNodes'];
  loadImage: Images['loadImage'];
  buildImage: Images['buildImage'];
}

const refuse = (): never => {
  throw new SwarmError({ code: 'unimplemented', reason: 'not-supported', message: 'not scripted' });
};

let script: Script;
let server: RpcServer;
let directory: string;
let path: string;
let logged: { readonly message: string; readonly fields: LogFields | undefined }[];
let finished: FinishedCall[];

async function startServer(): Promise<void> {
  const logger: Logger = { ...silentLogger, error: (message, fields) => logged.push({ message, fields }) };
  server = new RpcServer({ trust: { kind: 'local' }, logger, onCall: (call) => finished.push(call) });
  server.addService(HealthService, { check: (request, context) => script.check(request, context) });
  const control = Object.fromEntries(Object.keys(ControlService).map((name) => [name, refuse])) as unknown as Control;
  server.addService(ControlService, {
    ...control,
    listNodes: (request, context, responses) => script.listNodes(request, context, responses),
  });
  const images = Object.fromEntries(Object.keys(ImageService).map((name) => [name, refuse])) as unknown as Images;
  server.addService(ImageService, {
    ...images,
    loadImage: (requests, context) => script.loadImage(requests, context),
    buildImage: (requests, context, responses) => script.buildImage(requests, context, responses),
  });
  await server.listenSocket(path);
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rpc-'));
  path = join(directory, 'test.sock');
  script = { check: refuse, listNodes: refuse, loadImage: refuse, buildImage: refuse };
  logged = [];
  finished = [];
  await startServer();
});

afterEach(async () => {
  await server.close(0);
  await rm(directory, { recursive: true, force: true });
});

async function failure(work: Promise<unknown>): Promise<SwarmError> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof SwarmError, String(error));
    return error;
  }
  throw new assert.AssertionError({ message: 'did not fail' });
}

async function collect<T>(messages: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const message of messages) all.push(message);
  return all;
}

const transports: readonly (readonly [string, () => Transport])[] = [
  ['grpc-js', () => new GrpcTransport({ target: { kind: 'socket', name: path } })],
  ['the local socket', () => new SocketTransport(path)],
];

for (const [name, connect] of transports)
  describe(`calls over ${name}`, () => {
    let transport: Transport;
    beforeEach(() => {
      transport = connect();
    });
    afterEach(() => transport.close());
    const health = () => createClient(HealthService, transport);
    const control = () => createClient(ControlService, transport);
    const images = () => createClient(ImageService, transport);

    /** So many on the same connection that whoever is held back by nothing would have come to the end meanwhile. */
    async function callsComeAndGo(): Promise<void> {
      script.check = () => Promise.resolve(CheckResponse.create({ state: ServingState.SERVING }));
      for (let call = 0; call < 200; call++) await health().check({});
    }

    it('one there, one back', async () => {
      let seen: CallContext | undefined;
      script.check = (request, context) => {
        seen = context;
        return Promise.resolve({ state: ServingState.SERVING, message: `you asked for ${request.service}` });
      };
      const answer = await health().check({ service: 'agent' });
      assert.deepEqual(answer, { state: ServingState.SERVING, message: 'you asked for agent' });
      assert.deepEqual(seen?.caller, { kind: 'local' });
      assert.equal(seen?.path, '/swarm.v1.HealthService/Check');
      assert.ok(
        seen?.deadlineMs !== undefined && seen.deadlineMs > Date.now() && seen.deadlineMs < Date.now() + 31_000,
      );
      await eventually('the call to be reported', () => finished.length === 1);
      assert.equal(finished[0]?.error, undefined);
    });

    it('errors with everything they say', async () => {
      const error = new SwarmError({
        code: 'invalid',
        reason: 'bad-name',
        message: 'Name 100 % wrong: “ünïcode” 🙂\nsecond line',
        field: 'spec.name',
        limit: 'NAME_LENGTH',
        hint: 'use a shorter náme',
      });
      script.check = () => Promise.reject(error);
      const received = await failure(health().check({}));
      for (const key of ['code', 'reason', 'message', 'field', 'limit', 'hint'] as const)
        assert.equal(received[key], error[key], key);
      assert.equal(logged.length, 0);
    });

    it('errors that are long or oddly cut', async () => {
      for (const message of ['x'.repeat(100_000), `${'x'.repeat(1499)}🙂🙂`, 'half \ud800', '🙂'.repeat(10_000), '']) {
        script.check = () =>
          Promise.reject(new SwarmError({ code: 'exists', reason: 'in-use', message, hint: message }));
        const received = await failure(health().check({}));
        assert.equal(received.reason, 'in-use');
        assert.equal(received.message.slice(0, 5), message.toWellFormed().slice(0, 5));
      }
    });

    it('a defect of a handler is internal, logged, and shows no stack', async () => {
      script.check = () => {
        throw new TypeError('x is not a function');
      };
      const received = await failure(health().check({}));
      assert.deepEqual([received.code, received.reason], ['internal', 'internal']);
      assert.ok(!JSON.stringify([received.message, received.hint]).includes('rpc.test'));
      assert.equal(logged.length, 1);
      assert.match(String(logged[0]?.fields?.['stack']), /rpc\.test/);
    });

    it('an answer that cannot be encoded is a defect of ours', async () => {
      script.listNodes = async function* () {
        yield { nodes: [Node.create({ version: 2 ** 60 })] };
      };
      const received = await failure(collect(control().listNodes({})));
      assert.match(received.message, /cannot encode swarm\.v1\.ListNodesResponse/);
    });

    it('a stream of answers, yielded', async () => {
      script.listNodes = async function* (request) {
        for (const id of request.idPrefixes) yield { nodes: [Node.create({ id })] };
      };
      const answers = await collect(control().listNodes({ idPrefixes: ['a', 'b', 'c'] }));
      assert.deepEqual(
        answers.map((answer) => answer.nodes[0]?.id),
        ['a', 'b', 'c'],
      );
    });

    it('a stream of answers, written, with an error after them', async () => {
      const write = async (responses: ResponseStream<ListNodesResponse>): Promise<void> => {
        for (let index = 0; index < 100; index++)
          await responses.write({ nodes: [Node.create({ id: String(index) })] });
        throw new SwarmError({ code: 'unavailable', reason: 'not-leader', message: 'lost the lead' });
      };
      script.listNodes = (_request, _context, responses) => write(responses);
      const ids: (string | undefined)[] = [];
      const received = await failure(
        (async () => {
          for await (const answer of control().listNodes({})) {
            ids.push(answer.nodes[0]?.id);
            // A reader that is late still sees all that came before the error.
            if (ids.length % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
          }
        })(),
      );
      assert.equal(ids.length, 100);
      assert.equal(received.reason, 'not-leader');
    });

    it('a slow reader slows the writer down', async () => {
      let written = 0;
      const page = { nodes: [Node.create({ id: 'x'.repeat(256 * 1024) })] };
      script.listNodes = async function* () {
        for (; written < 400; written++) yield page;
      };
      const stream = control().listNodes({});
      await stream.next();
      await callsComeAndGo();
      // 100 MiB are offered; windows and buffers on the way hold a part of them.
      assert.ok(written < 200, `${written} written`);
      let read = 1;
      for await (const _answer of stream) read++;
      assert.equal(read, 400);
    });

    it('a reader that stops early ends the handler', async () => {
      let aborted: unknown;
      let returned = false;
      script.listNodes = async function* (_request, context) {
        try {
          yield { nodes: [] };
          await once(context.signal, 'abort');
          aborted = context.signal.reason;
        } finally {
          returned = true;
        }
      };
      for await (const _answer of control().listNodes({})) break;
      await eventually('the handler to end', () => returned);
      assert.ok(aborted instanceof SwarmError && aborted.code === 'cancelled');
      await eventually('the call to be reported', () => finished.length === 1);
      assert.equal(server.callsInFlight, 0);
    });

    it('a stream of requests', async () => {
      script.loadImage = async (requests: AsyncIterable<LoadImageRequest>) => {
        let bytes = 0;
        for await (const request of requests) bytes += request.chunk.length;
        return { images: [{ id: String(bytes), names: [] }] };
      };
      const chunks = Array.from({ length: 64 }, () => ({ chunk: new Uint8Array(1024 * 1024) }));
      const answer = await images().loadImage(chunks);
      assert.equal(answer.images[0]?.id, String(64 * 1024 * 1024));
    });

    it('a handler that does not read slows the sender down', async () => {
      let sent = 0;
      const release = Promise.withResolvers<undefined>();
      script.loadImage = async (requests) => {
        await release.promise;
        for await (const _request of requests);
        return { images: [] };
      };
      const chunks = async function* () {
        for (; sent < 200; sent++) yield await Promise.resolve({ chunk: new Uint8Array(1024 * 1024) });
      };
      const upload = images().loadImage(chunks());
      await callsComeAndGo();
      assert.ok(sent > 0 && sent < 100, `${sent} sent`);
      release.resolve(undefined);
      await upload;
      assert.equal(sent, 200);
    });

    it('a refusal in the middle of an upload reaches the sender, and the source is closed', async () => {
      let closed = false;
      script.loadImage = async (requests) => {
        for await (const request of requests)
          if (request.chunk[0] === 3)
            throw new SwarmError({ code: 'invalid', reason: 'image-invalid', message: 'not an image' });
        return { images: [] };
      };
      const chunks = async function* () {
        try {
          for (let index = 0; ; index++) yield await Promise.resolve({ chunk: new Uint8Array(64 * 1024).fill(index) });
        } finally {
          closed = true;
        }
      };
      assert.equal((await failure(images().loadImage(chunks()))).reason, 'image-invalid');
      await eventually('the source to be closed', () => closed);
    });

    it('a source that fails cancels the upload', async () => {
      let seen: unknown;
      const started = Promise.withResolvers<undefined>();
      script.loadImage = async (requests) => {
        try {
          for await (const _request of requests) started.resolve(undefined);
        } catch (error) {
          seen = error;
        }
        return { images: [] };
      };
      const chunks = async function* () {
        yield { chunk: new Uint8Array(10) };
        await started.promise;
        throw new SwarmError({ code: 'invalid', reason: 'bad-flag', message: 'the file is cut off' });
      };
      assert.equal((await failure(images().loadImage(chunks()))).message, 'the file is cut off');
      await eventually('the handler to notice', () => seen instanceof SwarmError);
    });

    it('an upload that is cut never passes for a whole one', async () => {
      const outcomes = { whole: 0, cut: 0 };
      let started = Promise.withResolvers<undefined>();
      script.loadImage = async (requests) => {
        try {
          for await (const _request of requests) started.resolve(undefined);
          outcomes.whole++;
        } catch {
          outcomes.cut++;
        }
        return { images: [] };
      };
      for (let round = 0; round < 40; round++) {
        started = Promise.withResolvers();
        const controller = new AbortController();
        const own = connect();
        const chunks = async function* () {
          for (let chunk = 0; chunk <= round % 4; chunk++) yield { chunk: new Uint8Array(1000 + round * 3000) };
          await started.promise;
          if (round % 2 === 0) controller.abort();
          else own.close();
          await new Promise(() => {});
        };
        await failure(createClient(ImageService, own).loadImage(chunks(), { signal: controller.signal }));
        own.close();
        await eventually('the handler to end', () => outcomes.cut + outcomes.whole > round);
      }
      assert.deepEqual(outcomes, { whole: 0, cut: 40 });
    });

    it('a connection that is closed fails the calls on it', async () => {
      script.buildImage = async function* (_requests, context) {
        yield { event: { kind: 'line', value: 'begun' } };
        await once(context.signal, 'abort');
      };
      const call = images().buildImage();
      const answers = call[Symbol.asyncIterator]();
      await answers.next();
      const rest = failure(answers.next());
      transport.close();
      assert.equal((await rest).message, 'the connection was closed');
      await eventually('the call to end on the server', () => server.callsInFlight === 0);
    });

    it('both ways at once', async () => {
      script.buildImage = async function* (
        requests: AsyncIterable<BuildImageRequest>,
      ): AsyncGenerator<BuildImageResponse> {
        for await (const request of requests)
          if (request.part?.kind === 'chunk')
            yield { event: { kind: 'line', value: `got ${request.part.value.length}` } };
        yield { event: { kind: 'imageId', value: 'done' } };
      };
      const call = images().buildImage();
      const answers = call[Symbol.asyncIterator]();
      for (const size of [1, 2, 3]) {
        await call.write({ part: { kind: 'chunk', value: new Uint8Array(size) } });
        const answer = await answers.next();
        assert.deepEqual(answer.value?.event, { kind: 'line', value: `got ${size}` });
      }
      call.end();
      assert.deepEqual((await answers.next()).value?.event, { kind: 'imageId', value: 'done' });
      assert.equal((await answers.next()).done, true);
      assert.equal((await failure(call.write({}))).reason, 'out-of-sequence');
      const parts = [{ part: { kind: 'chunk', value: new Uint8Array(4) } }] as const;
      const events = await collect(images().buildImage(parts));
      assert.deepEqual(
        events.map((event) => event.event?.value),
        ['got 4', 'done'],
      );
    });

    it('10,000 messages both ways arrive in order', async () => {
      script.buildImage = async function* (requests) {
        for await (const request of requests)
          if (request.part?.kind === 'chunk')
            yield { event: { kind: 'line', value: String(request.part.value.length) } };
      };
      const requests = Array.from({ length: 10_000 }, (_value, index) => ({
        part: { kind: 'chunk', value: new Uint8Array(index % 100) } as const,
      }));
      const answers = await collect(images().buildImage(requests));
      assert.deepEqual(
        answers.map((answer) => answer.event?.value),
        requests.map((request) => String(request.part.value.length)),
      );
    });

    it('a deadline ends the call on both ends', async () => {
      let aborted = false;
      script.check = async (_request, context) => {
        await once(context.signal, 'abort');
        aborted = true;
        throw context.signal.reason;
      };
      const received = await failure(health().check({}, { timeoutMs: 100 }));
      assert.deepEqual([received.code, received.reason], ['deadline', 'timeout']);
      assert.match(received.message, /Check/);
      await eventually('the handler to end', () => aborted);
    });

    it('an aborted signal cancels with its own reason', async () => {
      let aborted = 0;
      script.check = async (_request, context) => {
        await once(context.signal, 'abort');
        aborted++;
        throw context.signal.reason;
      };
      script.listNodes = async function* (_request, context) {
        yield { nodes: [] };
        await once(context.signal, 'abort');
        aborted++;
      };
      const reason = new SwarmError({ code: 'cancelled', reason: 'cancelled', message: 'Ctrl-C' });
      const controller = new AbortController();
      const unary = failure(health().check({}, { signal: controller.signal }));
      const stream = control().listNodes({}, { signal: controller.signal });
      await stream.next();
      controller.abort(reason);
      assert.equal(await unary, reason);
      assert.equal(await failure(stream.next()), reason);
      await eventually('the handlers to end', () => aborted === 2);
      assert.equal(await failure(health().check({}, { signal: controller.signal })), reason);
    });

    it('a message beyond the limit is refused by name before it is sent', async () => {
      script.loadImage = async (requests) => {
        for await (const _request of requests);
        return { images: [] };
      };
      script.check = () => Promise.resolve(CheckResponse.create());
      const received = await failure(health().check({ service: 'x'.repeat(LIMITS.MESSAGE_BYTES + 1) }));
      assert.deepEqual([received.code, received.reason, received.limit], ['exhausted', 'too-large', 'MESSAGE_BYTES']);
      await health().check({});
    });

    it('an answer beyond the limit is a clear error too', async () => {
      script.check = () => Promise.resolve(CheckResponse.create({ message: 'x'.repeat(LIMITS.MESSAGE_BYTES) }));
      const received = await failure(health().check({}));
      assert.deepEqual([received.code, received.reason, received.limit], ['exhausted', 'too-large', 'MESSAGE_BYTES']);
    });

    it('a method that nobody serves is refused clearly', async () => {
      const other = { check: { ...HealthService.check, path: '/swarm.v1.HealthService/Missing' } } as const;
      const received = await failure(createClient(other, transport).check({}));
      assert.deepEqual([received.code, received.reason], ['unimplemented', 'not-supported']);
      assert.match(received.message, /does not serve Missing/);
    });

    it('a service may be refused as a whole, and served again', async () => {
      server.refuseService(
        HealthService,
        () => new SwarmError({ code: 'unavailable', reason: 'not-a-manager', message: 'not a manager' }),
      );
      assert.equal((await failure(health().check({}))).reason, 'not-a-manager');
      server.addService(HealthService, { check: () => Promise.resolve(CheckResponse.create()) });
      assert.equal((await health().check({})).message, '');
    });

    it('a server that closes ends the calls and says so; the next server is found again', async () => {
      script.listNodes = async function* (_request, context) {
        yield { nodes: [] };
        await once(context.signal, 'abort');
      };
      const stream = control().listNodes({});
      await stream.next();
      const rest = failure(stream.next());
      await server.close(50);
      assert.match((await rest).message, /shut down before it answered/);
      assert.equal((await failure(health().check({}))).reason, 'daemon-unreachable');
      await startServer();
      script.check = () => Promise.resolve(CheckResponse.create({ message: 'again' }));
      // grpc-js waits for its backoff before it dials again.
      let message = '';
      await eventually('the new server', () => {
        void health()
          .check({})
          .then((answer) => {
            message = answer.message;
          })
          .catch(() => {});
        return message === 'again';
      });
    });

    it('a daemon that is not there is named, with a way out', async () => {
      await server.close(0);
      const missing = await failure(health().check({}));
      assert.deepEqual([missing.code, missing.reason], ['unavailable', 'daemon-unreachable']);
      assert.ok(missing.message.includes(path));
      assert.match(missing.hint ?? '', /is swarmd running\?/);
    });
  });

describe('the local socket', () => {
  it('is for root alone, and gone after the server', async () => {
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    await server.close();
    await assert.rejects(stat(path), { code: 'ENOENT' });
  });

  it('that a dead daemon left behind is replaced', async () => {
    await server.close(0);
    const listen = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`;
    const left = spawn(process.execPath, ['-e', listen]);
    await once(left.stdout, 'data');
    const second = new RpcServer({ trust: { kind: 'local' }, logger: silentLogger });
    await assert.rejects(second.listenSocket(path), { reason: 'in-use' });
    left.kill('SIGKILL');
    await once(left, 'exit');
    assert.ok((await stat(path)).isSocket());
    await second.listenSocket(path);
    const transport = new SocketTransport(path);
    assert.equal((await failure(createClient(HealthService, transport).check({}))).reason, 'not-supported');
    transport.close();
    await second.close(0);
  });

  it('with a path that the kernel would cut is refused', async () => {
    const second = new RpcServer({ trust: { kind: 'local' }, logger: silentLogger });
    await assert.rejects(second.listenSocket(join(directory, 'x'.repeat(120))), { reason: 'bad-flag' });
  });
});
