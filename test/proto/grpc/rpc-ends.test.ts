/**
 * Goal: whatever ends a call early, both ends learn of it, and neither takes half of something for the whole. Method: a
 * real server with handlers that wait, sources that fail, connections that are cut.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { SwarmError } from '#common/errors.ts';
import { CheckResponse } from '#gen/swarm/v1/health.ts';
import { ImageService } from '#gen/swarm/v1/images.ts';
import { createClient } from '#proto/grpc/client.ts';
import { eventually } from '#test/support/eventually.ts';
import { failure } from '#test/support/failure.ts';
import { describeCalls } from './scripted-server.ts';

describeCalls(' that end early', (calls) => {
  const { health, control, images } = calls;

  it('a refusal in the middle of an upload reaches the sender, and the source is closed', async () => {
    const { script } = calls.host;
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
    const { script } = calls.host;
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
    const { script } = calls.host;
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
      const own = calls.connect();
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
    const { host } = calls;
    const { script } = host;
    script.buildImage = async function* (_requests, context) {
      yield { event: { kind: 'line', value: 'begun' } };
      await once(context.signal, 'abort');
    };
    const call = images().buildImage();
    const answers = call[Symbol.asyncIterator]();
    await answers.next();
    const rest = failure(answers.next());
    calls.transport.close();
    assert.equal((await rest).message, 'the connection was closed');
    await eventually('the call to end on the server', () => host.server.callsInFlight === 0);
  });

  it('a deadline ends the call on both ends', async () => {
    const { script } = calls.host;
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
    const { script } = calls.host;
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

  it('a server that closes ends the calls and says so; the next server is found again', async () => {
    const { host } = calls;
    const { script } = host;
    script.listNodes = async function* (_request, context) {
      yield { nodes: [] };
      await once(context.signal, 'abort');
    };
    const stream = control().listNodes({});
    await stream.next();
    const rest = failure(stream.next());
    await host.server.close(50);
    assert.match((await rest).message, /shut down before it answered/);
    assert.equal((await failure(health().check({}))).reason, 'daemon-unreachable');
    await host.startAgain();
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
    const { host } = calls;
    await host.server.close(0);
    const missing = await failure(health().check({}));
    assert.deepEqual([missing.code, missing.reason], ['unavailable', 'daemon-unreachable']);
    assert.ok(missing.message.includes(host.path));
    assert.match(missing.hint ?? '', /is swarmd running\?/);
  });
});
