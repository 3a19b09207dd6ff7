/** Streams of messages, either way and both ways: all that was sent arrives in order, and who is slow slows the other down. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { SwarmError } from '#common/errors.ts';
import type { ListNodesResponse } from '#gen/swarm/v1/control.ts';
import type { BuildImageRequest, BuildImageResponse, LoadImageRequest } from '#gen/swarm/v1/images.ts';
import { Node } from '#gen/swarm/v1/objects.ts';
import type { ResponseStream } from '#proto/grpc/methods.ts';
import { eventually } from '#test/support/eventually.ts';
import { failure } from '#test/support/failure.ts';
import { collect, describeCalls } from './scripted-server.ts';

describeCalls(': streams', (calls) => {
  const { control, images } = calls;

  it('a stream of answers, yielded', async () => {
    const { script } = calls.host;
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
    const { script } = calls.host;
    const write = async (responses: ResponseStream<ListNodesResponse>): Promise<void> => {
      for (let index = 0; index < 100; index++) await responses.write({ nodes: [Node.create({ id: String(index) })] });
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
    const { script } = calls.host;
    let written = 0;
    const page = { nodes: [Node.create({ id: 'x'.repeat(256 * 1024) })] };
    script.listNodes = async function* () {
      for (; written < 200; written++) yield page;
    };
    const stream = control().listNodes({});
    await stream.next();
    await calls.comeAndGo();
    // 50 MiB are offered; windows and buffers on the way hold a part of them.
    assert.ok(written < 100, `${written} written`);

    let read = 1;
    for await (const _answer of stream) read++;
    assert.equal(read, 200);
  });

  it('a reader that stops early ends the handler', async () => {
    const { host } = calls;
    const { script } = host;
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
    await eventually('the call to be reported', () => host.finished.length === 1);
    assert.equal(host.server.callsInFlight, 0);
  });

  it('a stream of requests', async () => {
    const { script } = calls.host;
    script.loadImage = async (requests: AsyncIterable<LoadImageRequest>) => {
      let bytes = 0;
      for await (const request of requests) bytes += request.chunk.length;
      return { images: [{ id: String(bytes), names: [] }] };
    };
    const chunks = Array.from({ length: 16 }, () => ({ chunk: new Uint8Array(1024 * 1024) }));
    const answer = await images().loadImage(chunks);
    assert.equal(answer.images[0]?.id, String(16 * 1024 * 1024));
  });

  it('a handler that does not read slows the sender down', async () => {
    const { script } = calls.host;
    let sent = 0;
    const release = Promise.withResolvers<undefined>();
    script.loadImage = async (requests) => {
      await release.promise;
      for await (const _request of requests);
      return { images: [] };
    };
    const chunks = async function* () {
      for (; sent < 80; sent++) yield await Promise.resolve({ chunk: new Uint8Array(1024 * 1024) });
    };
    const upload = images().loadImage(chunks());
    await calls.comeAndGo();
    assert.ok(sent > 0 && sent < 50, `${sent} sent`);
    release.resolve(undefined);
    await upload;
    assert.equal(sent, 80);
  });

  it('both ways at once', async () => {
    const { script } = calls.host;
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
    const { script } = calls.host;
    script.buildImage = async function* (requests) {
      for await (const request of requests)
        if (request.part?.kind === 'chunk') yield { event: { kind: 'line', value: String(request.part.value.length) } };
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
});
