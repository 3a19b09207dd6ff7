/** Goal: what programs print comes back unchanged. Method: records as conmon writes them, cut in every way. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { LineAssembler, type LogLine, parseRecord, parseTimestamp } from '#agent/logs/log-line.ts';

const TIME = '2026-11-21T03:15:38.382338805+00:00';

describe('logs: records', () => {
  it('reads time, stream, flag and text', () => {
    const record = parseRecord(Buffer.from(`${TIME} stderr P some  text `));
    assert.deepEqual(record, {
      timestampNs: Date.parse('2026-11-21T03:15:38Z') * 1e6 + 382338805,
      stream: 'stderr',
      isPartial: true,
      data: Buffer.from('some  text '),
    });
    assert.equal(parseRecord(Buffer.from(`${TIME} stdout F `))?.data.length, 0);
  });

  it('reads times of other zones and with fewer digits', () => {
    const base = Date.parse('2026-11-21T03:15:38Z') * 1e6;
    assert.equal(parseTimestamp('2026-11-21T05:15:38+02:00'), base);
    assert.equal(parseTimestamp('2026-11-21T03:15:38.5Z'), base + 5e8);
  });

  it('passes over what is no record', () => {
    for (const text of [
      '',
      'x',
      `${TIME} stdout`,
      `${TIME} stdout X a`,
      `${TIME} other F a`,
      `yesterday stdout F a`,
      `${TIME} stdout Fa`,
    ])
      assert.equal(parseRecord(Buffer.from(text)), undefined, text);
  });

  it('keeps bytes that are no text', () => {
    const bytes = Buffer.from([0, 255, 128, 13]);
    assert.deepEqual(parseRecord(Buffer.concat([Buffer.from(`${TIME} stdout F `), bytes]))?.data, bytes);
  });

  it('puts any cutting of lines together again, each stream for itself', () => {
    const piece = fc.record({
      stream: fc.constantFrom('stdout' as const, 'stderr' as const),
      pieces: fc.array(fc.string({ maxLength: 5 }), { minLength: 1, maxLength: 4 }),
    });
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), fc.infiniteStream(fc.boolean()), (lines, coins) => {
        // Two queues of records, one a stream, mixed as the coins fall.
        const queues = (['stdout', 'stderr'] as const).map((stream) =>
          lines
            .filter((line) => line.stream === stream)
            .flatMap((line) =>
              line.pieces.map((text, index) => ({
                timestampNs: 1,
                stream,
                isPartial: index < line.pieces.length - 1,
                data: Buffer.from(text),
              })),
            ),
        );
        const assembler = new LineAssembler(1000);
        const out: LogLine[] = [];
        while (queues.some((queue) => queue.length > 0)) {
          const record = queues[coins.next().value === true ? 0 : 1]?.shift();
          const line = record === undefined ? undefined : assembler.add(record);
          if (line !== undefined) out.push(line);
        }
        for (const stream of ['stdout', 'stderr'])
          assert.deepEqual(
            out.filter((line) => line.stream === stream).map((line) => line.data.toString()),
            lines.filter((line) => line.stream === stream).map((line) => line.pieces.join('')),
          );
        assert.deepEqual(assembler.flush(), []);
      }),
    );
  });

  it('hands out a line without end in pieces', () => {
    const assembler = new LineAssembler(10);
    const add = (text: string) =>
      assembler.add({ timestampNs: 1, stream: 'stdout', isPartial: true, data: Buffer.from(text) })?.data.toString();
    assert.deepEqual(['aaaa', 'bbbb', 'cccc', 'dd'].map(add), [undefined, undefined, 'aaaabbbbcccc', undefined]);
    assert.equal(assembler.flush()[0]?.data.toString(), 'dd');
  });
});
