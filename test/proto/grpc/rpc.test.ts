/**
 * Goal: all kinds of calls work over both transports, with errors that survive the wire. Method: a real server on a socket
 * in a temporary directory, with handlers that the tests script.
 */
import assert from 'node:assert/strict';
import { SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import { CheckResponse, HealthService, ServingState } from '#gen/swarm/v1/health.ts';
import { Node } from '#gen/swarm/v1/objects.ts';
import type { CallContext } from '#proto/grpc/call-context.ts';
import { createClient } from '#proto/grpc/client.ts';
import { eventually } from '#test/support/eventually.ts';
import { failure } from '#test/support/failure.ts';
import { collect, describeCalls } from './scripted-server.ts';

describeCalls('', (calls) => {
  const { health, control } = calls;

  it('one there, one back', async () => {
    const { host } = calls;
    const { script } = host;
    let seen: CallContext | undefined;
    script.check = (request, context) => {
      seen = context;
      return Promise.resolve({ state: ServingState.SERVING, message: `you asked for ${request.service}` });
    };
    const answer = await health().check({ service: 'agent' });
    assert.deepEqual(answer, { state: ServingState.SERVING, message: 'you asked for agent' });
    assert.deepEqual(seen?.caller, { kind: 'local' });
    assert.equal(seen?.path, '/swarm.v1.HealthService/Check');
    assert.ok(seen?.deadlineMs !== undefined && seen.deadlineMs > Date.now() && seen.deadlineMs < Date.now() + 31_000);
    await eventually('the call to be reported', () => host.finished.length === 1);
    assert.equal(host.finished[0]?.error, undefined);
  });

  it('errors with everything they say', async () => {
    const { host } = calls;
    const { script } = host;
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
    assert.equal(host.logged.length, 0);
  });

  it('errors that are long or oddly cut', async () => {
    const { script } = calls.host;
    for (const message of ['x'.repeat(100_000), `${'x'.repeat(1499)}🙂🙂`, 'half \ud800', '🙂'.repeat(10_000), '']) {
      script.check = () => Promise.reject(new SwarmError({ code: 'exists', reason: 'in-use', message, hint: message }));
      const received = await failure(health().check({}));
      assert.equal(received.reason, 'in-use');
      assert.equal(received.message.slice(0, 5), message.toWellFormed().slice(0, 5));
    }
  });

  it('a defect of a handler is internal, logged, and shows no stack', async () => {
    const { host } = calls;
    const { script } = host;
    script.check = () => {
      throw new TypeError('x is not a function');
    };
    const received = await failure(health().check({}));
    assert.deepEqual([received.code, received.reason], ['internal', 'internal']);
    assert.ok(!JSON.stringify([received.message, received.hint]).includes('rpc.test'));
    assert.equal(host.logged.length, 1);
    assert.match(String(host.logged[0]?.fields?.['stack']), /rpc\.test/);
  });

  it('an answer that cannot be encoded is a defect of ours', async () => {
    const { script } = calls.host;
    script.listNodes = async function* () {
      yield { nodes: [Node.create({ version: 2 ** 60 })] };
    };
    const received = await failure(collect(control().listNodes({})));
    assert.match(received.message, /cannot encode swarm\.v1\.ListNodesResponse/);
  });

  it('a message beyond the limit is refused by name before it is sent', async () => {
    const { script } = calls.host;
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
    const { script } = calls.host;
    script.check = () => Promise.resolve(CheckResponse.create({ message: 'x'.repeat(LIMITS.MESSAGE_BYTES) }));
    const received = await failure(health().check({}));
    assert.deepEqual([received.code, received.reason, received.limit], ['exhausted', 'too-large', 'MESSAGE_BYTES']);
  });

  it('a method that nobody serves is refused clearly', async () => {
    const other = { check: { ...HealthService.check, path: '/swarm.v1.HealthService/Missing' } } as const;
    const received = await failure(createClient(other, calls.transport).check({}));
    assert.deepEqual([received.code, received.reason], ['unimplemented', 'not-supported']);
    assert.match(received.message, /does not serve Missing/);
  });

  it('a service may be refused as a whole, and served again', async () => {
    const { host } = calls;
    host.server.refuseService(
      HealthService,
      () => new SwarmError({ code: 'unavailable', reason: 'not-a-manager', message: 'not a manager' }),
    );
    assert.equal((await failure(health().check({}))).reason, 'not-a-manager');
    host.server.addService(HealthService, { check: () => Promise.resolve(CheckResponse.create()) });
    assert.equal((await health().check({})).message, '');
  });
});
