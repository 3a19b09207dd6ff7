/** Goal: messages survive the wire, whatever is in them; what is no message is refused and nothing worse happens. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Message, message } from 'raft-ts';
import { SwarmError } from '#common/errors.ts';
import { ExchangeRequest, type RaftMessage } from '#gen/swarm/v1/raft.ts';
import { encodeMessages, fromWire, toWire, travels } from '#manager/raft/transport/message-codec.ts';

const number = fc.oneof(fc.nat(), fc.maxSafeNat());
const id = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const bytes = fc.uint8Array({ maxLength: 40 });
const types = [
  'MsgApp',
  'MsgAppResp',
  'MsgVote',
  'MsgHeartbeat',
  'MsgPreVoteResp',
  'MsgTimeoutNow',
  'MsgReadIndexResp',
] as const;

const anyMessage: fc.Arbitrary<Message> = fc
  .record({
    type: fc.constantFrom(...types),
    to: id,
    from: id,
    term: number,
    logTerm: number,
    index: fc.nat(),
    commit: number,
    reject: fc.boolean(),
    rejectHint: number,
    context: bytes,
    data: fc.array(fc.tuple(fc.constantFrom('EntryNormal' as const, 'EntryConfChangeV2' as const), number, bytes)),
  })
  .map(({ data, ...fields }) =>
    message({
      ...fields,
      entries: data.map(([type, term, payload], at) => ({ type, term, index: fields.index + 1 + at, data: payload })),
    }),
  );

function decoded(request: Uint8Array): readonly RaftMessage[] {
  const { message: content } = ExchangeRequest.decode(request);
  assert.equal(content?.kind, 'messages');
  return content?.kind === 'messages' ? content.value.messages : [];
}

describe('messages on the wire', () => {
  it('come back as they were', () => {
    fc.assert(
      fc.property(fc.array(anyMessage, { maxLength: 5 }), (messages) => {
        assert.deepEqual(decoded(encodeMessages(messages)).map(fromWire), messages);
      }),
    );
  });

  it('that are broken are refused, or read as something; nothing else happens', () => {
    const damaged = fc.tuple(anyMessage, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }));
    fc.assert(
      fc.property(damaged, ([whole, changes]) => {
        const request = encodeMessages([whole]).slice();
        for (const [at, value] of changes) request[at % request.length] = value;
        try {
          const { message: content } = ExchangeRequest.decode(request);
          if (content?.kind === 'messages') content.value.messages.map(fromWire);
        } catch (error) {
          assert.ok(error instanceof SwarmError && error.reason === 'bad-message', String(error));
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('are only those that travel', () => {
    for (const type of types) assert.ok(travels(type));
    for (const type of ['MsgHup', 'MsgStorageAppend', 'MsgForgetLeader'] as const) assert.ok(!travels(type));
  });

  it('carry no configuration change of the old form', () => {
    const entry = { type: 'EntryConfChange', term: 1, index: 1, data: new Uint8Array() } as const;
    assert.throws(() => toWire(message({ type: 'MsgApp', entries: [entry] })), { name: 'SwarmError' });
  });
});
