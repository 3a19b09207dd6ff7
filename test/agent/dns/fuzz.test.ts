/**
 * Goal: no packet harms the server: no crash, no place that stays taken, no answer that is not well-formed. Method:
 * 100,000 packets, random ones and damaged questions, through the whole handler, with another server that answers with
 * damage as well.
 */
import assert from 'node:assert/strict';
import { readQuestion, readRecords } from '#agent/dns/answer/wire.ts';
import { readUpstreamAnswer } from '#agent/dns/forward/upstream-message.ts';
import { type Random, randomInt, SeededRandom } from '#common/random.ts';
import { askerOf, bookOf, Dns, handling, question } from './support.ts';
import { record, reply, Upstream } from './upstream.ts';

const PACKETS = 100_000;
const ASKERS = ['10.255.0.1', '10.255.0.2', '192.0.2.1'];
const BOOK = bookOf(
  [
    {
      name: 'front',
      services: [
        { name: 'web', addresses: ['10.0.1.2', 'fd00:1::2'], ports: ['80/tcp'] },
        { name: 'db', ports: ['5432/tcp'] },
      ],
      endpoints: [
        { id: 'task1', service: 'db', slot: 1, addresses: ['10.0.1.11', 'fd00:1::11'] },
        { id: 'task2', service: 'db', slot: 2, addresses: ['10.0.1.12'] },
      ],
    },
    { name: 'closed', internal: true, services: [{ name: 'inside', addresses: ['10.0.2.2'] }] },
  ],
  [askerOf('10.255.0.1', ['front']), askerOf('10.255.0.2', ['closed'])],
);
const NAMES = [
  'web',
  'db',
  'tasks.db',
  '1.db',
  '_80._tcp.web',
  '_5432._tcp.db',
  '2.1.0.10.in-addr.arpa',
  'example.org',
  '',
];
const TYPES = [1, 28, 33, 12, 255, 15, 65, 6, 41, 250, 252, 0];

function damaged(random: Random, message: Buffer): Buffer {
  let made = Buffer.from(message);
  for (let count = randomInt(random, 4); count >= 0; count--)
    switch (randomInt(random, 6)) {
      case 0:
        if (made.length > 0) made[randomInt(random, made.length)] = randomInt(random, 256);
        break;
      case 1:
        made = made.subarray(0, randomInt(random, made.length + 1));
        break;
      case 2:
        made = Buffer.concat([
          made,
          Buffer.from(Array.from({ length: randomInt(random, 40) }, () => randomInt(random, 256))),
        ]);
        break;
      case 3: // counts and flags
        if (made.length >= 12) made[2 + randomInt(random, 10)] = randomInt(random, 256);
        break;
      case 4: // a pointer somewhere
        if (made.length > 14)
          made.writeUInt16BE(0xc000 | randomInt(random, made.length), 12 + randomInt(random, made.length - 14));
        break;
      default: // a part twice
        made = Buffer.concat([made, made.subarray(randomInt(random, made.length + 1))]);
    }
  return made.subarray(0, 4000);
}

function packet(random: Random): Buffer {
  const roll = randomInt(random, 20);
  if (roll === 0) return Buffer.from(Array.from({ length: randomInt(random, 200) }, () => randomInt(random, 256)));
  const edns = randomInt(random, 3) === 0 ? { edns: randomInt(random, 65_536) } : {};
  const made = question(NAMES[randomInt(random, NAMES.length)] ?? '', {
    type: TYPES[randomInt(random, TYPES.length)] ?? 1,
    ...edns,
  });
  return roll === 1 ? made : damaged(random, made);
}

function checkAnswer(query: Buffer, answer: Buffer, transport: string): void {
  assert.ok(answer.length >= 12 && answer.length <= (transport === 'udp' ? 4096 : 65_535));
  assert.equal(answer.readUInt16BE(0), query.readUInt16BE(0));
  assert.ok((answer.readUInt16BE(2) & 0x8000) !== 0, 'an answer says that it is one');
  const asked = readQuestion(answer);
  const end = answer.readUInt16BE(4) === 1 ? asked?.end : 12;
  assert.ok(end !== undefined && readRecords(answer, end) !== undefined, `well-formed: ${answer.toString('hex')}`);
  // dns2, as a reader, agrees.
  if (randomInt(judge, 20) === 0) assert.deepEqual(Dns.parse(answer).errors, [], answer.toString('hex'));
}
const judge = new SeededRandom(5);

describe('dns: fuzz', function () {
  this.timeout(120_000);

  it(`${PACKETS} packets: no crash, no place that stays taken, every answer well-formed`, async () => {
    const seed = Date.now() % 1e9;
    const random = new SeededRandom(seed);
    const upstream = new Upstream();
    const upstreamPort = await upstream.listen();
    upstream.script = ({ query }) => {
      const good = reply(query, [
        record(query.questions[0]?.name ?? 'x', '192.0.2.1', randomInt(random, 5)),
      ]).toBuffer();
      return randomInt(random, 2) === 0 ? good : damaged(random, good);
    };
    const { handler, forwarder } = handling({
      book: BOOK,
      nameservers: ['127.0.0.1'],
      upstreamPort,
      forwarder: { attemptTimeoutMs: 20, totalTimeoutMs: 30, cacheEntries: 100 },
    });
    let answers = 0;
    let late: Promise<unknown>[] = [];
    for (let index = 0; index < PACKETS; index++) {
      const query = packet(random);
      const transport = index % 5 === 0 ? 'tcp' : 'udp';
      const answer = handler.handle(query, ASKERS[index % ASKERS.length] ?? '', transport);
      if (answer instanceof Promise) late.push(answer.then((one) => checkAnswer(query, one, transport)));
      else if (answer !== undefined) {
        answers++;
        checkAnswer(query, answer, transport);
      }
      if (late.length >= 200) {
        await Promise.all(late);
        answers += late.length;
        late = [];
      }
    }
    await Promise.all(late);
    assert.ok(answers > PACKETS / 4, `${answers} answers, seed ${seed}`);
    assert.equal(handler.counts.failed, 0, `seed ${seed}`);
    assert.equal(forwarder.waiting, 0);
    assert.ok(forwarder.cached.entries <= 100);
    forwarder.close();
    upstream.close();
  });

  it('answers of other servers, damaged: read or refused, never out of bounds', () => {
    const random = new SeededRandom(11);
    const query = Dns.parse(question('example.org', { edns: 1232 }));
    const good = reply(query, [record('example.org', '192.0.2.1'), record('www.example.org', '192.0.2.2')]).toBuffer();
    for (let index = 0; index < 20_000; index++) {
      const message = damaged(random, good);
      const end = message.length >= 12 ? readQuestion(message)?.end : undefined;
      const answer = end === undefined ? undefined : readUpstreamAnswer(message, end);
      if (answer === undefined) continue;
      assert.ok(readRecords(answer.message, answer.questionEnd) !== undefined);
      assert.ok(answer.ttlOffsets.every((offset) => offset + 4 <= answer.message.length));
    }
  });
});
