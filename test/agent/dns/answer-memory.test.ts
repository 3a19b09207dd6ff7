/**
 * Goal: a question that is asked again gets what it would get if it were read anew, in another order, and nothing that
 * belongs to another asker, another question or an earlier state of the tables. Method: the handler with and without its
 * memory, on the same questions.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { addressesOf, askerOf, bookOf, changesOf, Dns, handling, type NetworkInput, question } from './support.ts';

const ONE = '127.0.0.1';
const OTHER = '127.0.0.2';

const task = (id: string, service: string, slot: number, last: number, serving = true) => ({
  ...{ id: id.padEnd(25, '0'), service, slot, serving },
  addresses: [`10.0.1.${last}`, `fd00:1::${last}`],
});
const FRONT: NetworkInput = {
  name: 'front',
  services: [{ name: 'web', addresses: ['10.0.1.2', 'fd00:1::2'] }, { name: 'jobs' }],
  endpoints: [task('a', 'jobs', 1, 11), task('b', 'jobs', 2, 12), task('c', 'jobs', 3, 13), task('d', 'web', 1, 14)],
};
const BACK: NetworkInput = { name: 'back', services: [{ name: 'web', addresses: ['10.0.2.2'] }] };

const made = () => {
  const book = bookOf([FRONT, BACK], [askerOf(ONE, ['front']), askerOf(OTHER, ['back'])]);
  return { book, ...handling({ book }) };
};

/** The answer without its id, its addresses in order. */
function plain(answer: Buffer | undefined): unknown {
  assert.ok(answer, 'there is an answer');
  const { header, questions, answers, additionals } = Dns.parse(answer);
  const records = answers.map(({ name, type, ttl, address }) => `${name} ${type} ${ttl} ${address}`).toSorted();
  const { aa, tc, rd, ra, rcode } = header;
  return { aa, tc, rd, ra, rcode, questions, records, additionals };
}

/** Another question of the same kind: only its id differs. */
function withId(message: Buffer, id: number): Buffer {
  const copy = Buffer.from(message);
  copy.writeUInt16BE(id, 0);
  return copy;
}

describe('dns: answers that are given again', () => {
  it('are those that would be given anew, with the id of the question', () => {
    const name = fc.constantFrom(
      'web',
      'WeB',
      'tasks.web',
      'jobs',
      'tasks.jobs',
      '2.jobs',
      'jobs.front',
      'c00000000000',
    );
    const edns = fc.option(fc.constantFrom(512, 1232, 4096), { nil: undefined });
    const asked = fc.record({ name, type: fc.constantFrom(1, 28), edns, dnssecOk: fc.boolean(), id: fc.nat(0xffff) });
    const { handler } = made();
    let again = 0;
    fc.assert(
      fc.property(asked, ({ name: about, id, type, dnssecOk, edns: bytes }) => {
        const options = { type, dnssecOk, ...(bytes === undefined ? {} : { edns: bytes }) };
        const message = withId(question(about, options), id);
        const first = handler.handle(message, ONE, 'udp') as Buffer;
        const next = withId(message, id ^ 1);
        const second = handler.handleAgain(next, next.length, ONE);
        assert.equal(second?.readUInt16BE(0), id ^ 1);
        assert.deepEqual(plain(second), plain(first));
        again++;
      }),
      { numRuns: 300 },
    );
    assert.equal(again, 300);
  });

  it('are in random order', () => {
    const { handler } = made();
    const message = question('tasks.jobs');
    void handler.handle(message, ONE, 'udp');
    const orders = new Map<string, number>();
    for (let round = 0; round < 600; round++) {
      const answer = handler.handleAgain(message, message.length, ONE);
      assert.ok(answer);
      const order = Dns.parse(answer)
        .answers.map(({ address }) => address?.split('.').at(-1))
        .join(' ');
      orders.set(order, (orders.get(order) ?? 0) + 1);
    }
    assert.equal(orders.size, 6);
    for (const [order, times] of orders) assert.ok(times > 50 && times < 160, `${order}: ${times} times of 600`);
  });

  it('are for the one who asked, and for that very question', () => {
    const { handler } = made();
    const message = question('web');
    void handler.handle(message, ONE, 'udp');
    assert.ok(handler.handleAgain(message, message.length, ONE));
    const longer = Buffer.concat([message, Buffer.from([0])]);
    for (const [other, from] of [
      [message, OTHER],
      [message, '127.0.0.3'],
      [question('web', { type: 28 }), ONE],
      [question('wea'), ONE],
      [longer, ONE],
      [message.subarray(0, message.length - 1), ONE],
    ] as const)
      assert.equal(handler.handleAgain(other, other.length, from), undefined);
    // What lies behind a datagram in memory is not of it.
    assert.ok(handler.handleAgain(longer, message.length, ONE));
  });

  it('are forgotten when the tables, or who asks, change', () => {
    const { book, handler } = made();
    const message = question('tasks.jobs');
    const isKnown = (): boolean => {
      const known = handler.handleAgain(message, message.length, ONE) !== undefined;
      void handler.handle(message, ONE, 'udp');
      return known;
    };
    assert.deepEqual([isKnown(), isKnown()], [false, true]);
    const [first, ...rest] = FRONT.endpoints ?? [];
    assert.ok(first);
    book.applyNetworks(changesOf({ ...FRONT, endpoints: [{ ...first, serving: false }, ...rest] }, BACK));
    assert.deepEqual([isKnown(), isKnown()], [false, true]);
    const left = Dns.parse(handler.handleAgain(message, message.length, ONE) ?? assert.fail());
    assert.deepEqual(addressesOf(left), ['10.0.1.12', '10.0.1.13']);
    book.setAsker(askerOf(ONE, ['front', 'back']));
    assert.deepEqual([isKnown(), isKnown()], [false, true]);
    book.removeAsker(`asker-${ONE}`);
    assert.equal(isKnown(), false);
  });

  it('are not kept where only some of many addresses fit, nor for options that are new each time', () => {
    const endpoints = Array.from({ length: 100 }, (_, index) => task(`t${index}x`, 'jobs', index + 1, index + 1));
    const book = bookOf([{ ...FRONT, endpoints }], [askerOf(ONE, ['front'])]);
    const { handler } = handling({ book });
    const many = question('tasks.jobs');
    void handler.handle(many, ONE, 'udp');
    assert.equal(handler.handleAgain(many, many.length, ONE), undefined);
    const plainOpt = question('web', { edns: 1232 });
    const cookie = Buffer.concat([plainOpt, Buffer.from([0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8])]);
    cookie.writeUInt16BE(12, plainOpt.length - 2);
    assert.ok(handler.handle(cookie, ONE, 'udp'));
    assert.equal(handler.handleAgain(cookie, cookie.length, ONE), undefined);
  });
});
