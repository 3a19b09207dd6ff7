/** Streams of answers come from the leader, and from the next one as long as nothing has come. */
import assert from 'node:assert/strict';
import { withDeadline } from '#common/system/deadline.ts';
import { LogsService, SubscribeLogsResponse } from '#gen/swarm/v1/logs.ts';
import { createClient } from '#proto/grpc/client.ts';
import { failure } from '#test/support/failure.ts';
import { CallsToLeader, context, refusal } from './support/calls-to-leader.ts';

describe('streams from the leader', () => {
  let setup: CallsToLeader;

  beforeEach(() => {
    setup = new CallsToLeader();
  });
  afterEach(() => setup.close());

  async function collect(): Promise<string[]> {
    const all: string[] = [];
    const answers = setup.calls.stream(context({ path: LogsService.subscribeLogs.path }), {
      local: async function* () {
        yield SubscribeLogsResponse.create({ warnings: ['here'] });
      },
      remote: (transport, options) => createClient(LogsService, transport).subscribeLogs({}, options),
    });
    for await (const { warnings } of answers) all.push(...warnings);
    return all;
  }

  it('bring the answers of the leader, wherever it is', async () => {
    const { log, other } = setup;
    const leader = await other();
    leader.logs = async function* () {
      yield* ['a', 'b'];
    };
    log.follow(leader.id);
    assert.deepEqual(await collect(), ['a', 'b']);
    assert.deepEqual(leader.seen[0]?.caller, { kind: 'local' });
    log.lead();
    assert.deepEqual(await collect(), ['here']);
  });

  it('begin anew at the next leader as long as nothing has come', async () => {
    const { log, other } = setup;
    const [old, next] = [await other(), await other()];
    old.logs = async function* () {
      log.follow(next.id);
      yield await Promise.reject<string>(refusal('not-leader'));
    };
    next.logs = async function* () {
      yield 'next';
    };
    log.follow(old.id);
    assert.deepEqual(await collect(), ['next']);
  });

  it('end with the error once something has come', async () => {
    const { log, other } = setup;
    const [old, next] = [await other(), await other()];
    old.logs = async function* () {
      yield 'first';
      log.follow(next.id);
      await Promise.reject(refusal('not-leader'));
    };
    log.follow(old.id);
    const reason = (await failure(collect())).reason;
    assert.ok(reason === 'not-leader' || reason === 'leadership-lost', reason);
    assert.equal(next.seen.length, 0);
  });

  it('leave a leader that is none any more', async () => {
    const { log, other } = setup;
    const [old, next] = [await other(), await other()];
    const reached = Promise.withResolvers<undefined>();
    old.logs = async function* (seen) {
      reached.resolve(undefined);
      await new Promise((resolve) => seen.signal.addEventListener('abort', resolve));
      yield 'to nobody';
    };
    next.logs = async function* () {
      yield 'next';
    };
    log.follow(old.id);
    const answers = collect();
    await reached.promise;
    log.follow(next.id);
    assert.deepEqual(await withDeadline(answers, 3_000, 'the next leader'), ['next']);
  });
});
