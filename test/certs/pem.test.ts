import assert from 'node:assert/strict';
import fc from 'fast-check';
import { decodePem, encodePem } from '#certs/pem.ts';
import { SwarmError } from '#common/errors.ts';
import { rejects } from './rejects.ts';

const LIMITS = { maxBytes: 4096, maxBlocks: 2 };

function decode(text: string): Buffer[] {
  return decodePem(text, 'CERTIFICATE', LIMITS, 'bundle');
}

describe('PEM', () => {
  it('reads back what it writes, with either line ending and blank lines around', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), fc.uint8Array({ minLength: 1 }), (a, b) => {
        const text = `\n${encodePem('CERTIFICATE', Buffer.from(a))}\n\n${encodePem('CERTIFICATE', Buffer.from(b))}\n`;
        assert.deepEqual(decode(text), [Buffer.from(a), Buffer.from(b)]);
        assert.deepEqual(decode(text.replaceAll('\n', '\r\n')), [Buffer.from(a), Buffer.from(b)]);
      }),
    );
  });

  const good = encodePem('CERTIFICATE', Buffer.from('some bytes of a certificate'));
  const refusals: readonly [name: string, text: string, message: RegExp][] = [
    ['nothing', '', /is empty/],
    ['text', 'hello', /is not PEM/],
    ['another label', encodePem('PRIVATE KEY', Buffer.from('x')), /other than "-----BEGIN CERTIFICATE-----"/],
    ['text before a block', `Bag Attributes\n${good}`, /is not PEM/],
    ['text after a block', `${good}trailing`, /is not PEM/],
    ['no end', good.replace(/-----END.*\n/, ''), /is cut short/],
    ['an empty block', '-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n', /not base64/],
    ['characters outside base64', good.replace('\n', '\n!'), /not base64/],
    ['base64 that is not canonical', '-----BEGIN CERTIFICATE-----\nAAB=\n-----END CERTIFICATE-----', /not base64/],
    ['missing padding', '-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----', /not base64/],
    ['too many blocks', good.repeat(3), /more than 2 PEM blocks/],
    ['too many bytes', ' '.repeat(5000), /larger than 4096 bytes \(5000 bytes\)/],
  ];
  for (const [name, text, message] of refusals)
    it(`refuses ${name}`, () => assert.throws(() => decode(text), rejects('bad-certificate', message)));

  it('throws nothing but bad-certificate for broken texts', () => {
    const piece = fc.oneof(
      fc.constantFrom('-----BEGIN CERTIFICATE-----', '-----END CERTIFICATE-----', '\n', '\r', 'AAAA', '=', '-----'),
      fc.string({ maxLength: 5, unit: 'binary' }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        try {
          decode(pieces.join(''));
        } catch (error) {
          assert.ok(error instanceof SwarmError, String(error));
          assert.equal(error.reason, 'bad-certificate');
        }
      }),
      { numRuns: 2000 },
    );
  });
});
