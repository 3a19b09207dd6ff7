import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type ErrorCode, SwarmError } from '#common/errors.ts';
import { fromGrpcError, toGrpcError } from '#proto/grpc-error.ts';

describe('errors over gRPC', () => {
  it('come out as they went in', () => {
    const codes: ErrorCode[] = [
      'invalid',
      'not-found',
      'exists',
      'precondition',
      'conflict',
      'exhausted',
      'unauthenticated',
    ];
    codes.push('denied', 'unavailable', 'deadline', 'cancelled', 'unimplemented', 'data-loss', 'internal');
    fc.assert(
      fc.property(
        fc.constantFrom(...codes),
        fc.string(),
        fc.option(fc.string({ unit: 'binary' })),
        (code, message, hint) => {
          const error = new SwarmError({
            code,
            reason: 'bad-token',
            message,
            hint: hint ?? undefined,
            field: '--token',
          });
          const back = fromGrpcError(toGrpcError(error));
          assert.deepEqual(
            [back.code, back.reason, back.message, back.field, back.limit],
            [code, 'bad-token', message, '--token', undefined],
          );
          assert.equal(back.hint?.toWellFormed(), hint?.toWellFormed());
        },
      ),
    );
  });

  it('say nothing of where in the code they arose', () => {
    const cause = new Error('inner secret');
    const sent = toGrpcError(new SwarmError({ code: 'internal', reason: 'internal', message: 'outer', cause }));
    assert.ok(!JSON.stringify([sent.details, new TextDecoder().decode(sent.extra)]).includes('secret'));
    assert.equal(toGrpcError(new TypeError('x is undefined')).code, 13);
  });

  it('fit into metadata, however long they are', () => {
    const long = 'x'.repeat(100_000);
    const sent = toGrpcError(new SwarmError({ code: 'invalid', reason: 'bad-field', message: long, hint: long }));
    assert.ok(sent.details.length + (sent.extra?.length ?? 0) < 4000);
  });

  it('of strangers are understood by their code', () => {
    const bare = (code: number): SwarmError => fromGrpcError({ code, details: 'no', extra: undefined });
    assert.equal(bare(14).reason, 'connection-failed');
    assert.equal(bare(4).reason, 'timeout');
    assert.equal(bare(2).code, 'internal');
    assert.equal(bare(99).code, 'internal');
  });

  it('with rubbish beside them lose only the rubbish', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.json().map((text) => new TextEncoder().encode(text)),
        ),
        (extra) => {
          const error = fromGrpcError({ code: 5, details: 'gone', extra });
          assert.equal(error.message, 'gone');
          assert.match(error.reason, /^[a-z-]+$/);
        },
      ),
    );
    const odd = new TextEncoder().encode(JSON.stringify({ reason: 'Bad Reason!', hint: 5, field: {} }));
    const error = fromGrpcError({ code: 5, details: 'gone', extra: odd });
    assert.deepEqual([error.reason, error.hint, error.field], ['unknown-object', undefined, undefined]);
  });
});
