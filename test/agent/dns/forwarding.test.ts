/**
 * Goal: other names are asked of the right servers, by nobody who may not, and no server's silence, lie or flood hurts
 * anybody. Method: real servers on the loopback that say what a script says.
 */
import assert from 'node:assert/strict';
import { DEFAULT_RESOLVER_CONFIG } from '#agent/dns/config.ts';
import { AnswerCache } from '#agent/dns/forward/answer-cache.ts';
import { readUpstreamAnswer } from '#agent/dns/forward/upstream-message.ts';
import { systemClock } from '#common/system/clock.ts';
import { eventually } from '#test/support/eventually.ts';
import {
  addressesOf,
  askerOf,
  bookOf,
  Dns,
  type HandlerInput,
  type Handling,
  handling,
  optOf,
  question,
} from './support.ts';
import { record, reply, soa, Upstream } from './upstream.ts';

const ASKER = '10.255.0.1';
const CONFINED = '10.255.0.2';
const MIXED = '10.255.0.3';
const OWN_SERVERS = '10.255.0.4';
const NDOTS = '10.255.0.5';
const BRIDGE = '10.255.0.6';
const UNKNOWN_NETWORK = '10.255.0.7';

const BOOK = bookOf(
  [
    { name: 'open', services: [{ name: 'web', addresses: ['10.0.1.2'] }] },
    { name: 'closed', internal: true, services: [{ name: 'db', addresses: ['10.0.2.2'] }] },
  ],
  [
    askerOf(ASKER, ['open']),
    askerOf(CONFINED, ['closed']),
    askerOf(MIXED, ['closed', 'open']),
    askerOf(OWN_SERVERS, ['open'], { nameservers: ['127.0.0.1', '127.0.0.3', '127.9.9.9'] }),
    askerOf(NDOTS, ['open'], { options: ['ndots:2'] }),
    askerOf(BRIDGE, []),
    askerOf(UNKNOWN_NETWORK, ['gone']),
  ],
);

describe('dns: forwarding', () => {
  const first = new Upstream('127.0.0.1');
  const second = new Upstream('127.0.0.2');
  let port = 0;
  const handlings: Handling[] = [];
  const make = (input: Partial<HandlerInput> = {}): Handling => {
    const made = handling({
      book: BOOK,
      nameservers: ['127.0.0.1', '127.0.0.2'],
      upstreamPort: port,
      ...input,
      forwarder: { attemptTimeoutMs: 100, totalTimeoutMs: 400, ...input.forwarder },
    });
    handlings.push(made);
    return made;
  };
  const usual = first.script;

  before(async () => {
    port = await first.listen();
    await second.listen(port);
  });
  beforeEach(() => {
    for (const server of [first, second]) {
      server.script = usual;
      server.heard.length = 0;
    }
  });
  afterEach(() => {
    for (const { forwarder } of handlings.splice(0)) {
      assert.equal(forwarder.waiting, 0);
      forwarder.close();
    }
  });
  after(() => {
    first.close();
    second.close();
  });

  it('asks the first server, and hands the answer on with RA and without its OPT record', async () => {
    const { ask } = make();
    const answer = await ask(ASKER, question('example.org'));
    assert.deepEqual(addressesOf(answer), ['192.0.2.1']);
    assert.deepEqual([answer.header.id, answer.header.ra, answer.header.aa, answer.header.rd], [4711, 1, 0, 1]);
    assert.equal(optOf(answer), undefined);
    assert.equal(second.heard.length, 0);
    assert.ok(optOf(await ask(ASKER, question('example.org', { edns: 1232 }))));
  });

  it('names of ours are never asked outside', async () => {
    const { ask } = make();
    for (const name of ['web', 'WEB.', 'tasks.web', 'tasks.nobody', '7.web', '_1._tcp.web'])
      await ask(ASKER, question(name));
    assert.equal(first.heard.length, 0);
  });

  it('single labels that are not ours are asked outside, as Docker does, unless ndots was set', async () => {
    const { ask } = make();
    assert.deepEqual(addressesOf(await ask(ASKER, question('printer'))), ['192.0.2.1']);
    const kept = await ask(NDOTS, question('printer'));
    assert.equal(kept.header.rcode, Dns.RCODE.NXDOMAIN);
    assert.deepEqual(addressesOf(await ask(NDOTS, question('printer.example.org'))), ['192.0.2.1']);
    assert.equal(first.heard.length, 2);
  });

  it('a container on internal networks alone gets its names and nothing from outside (CVE-2024-29018)', async () => {
    const { ask } = make();
    // Somebody else's answer in the cache must not reach it either.
    await ask(ASKER, question('example.org'));
    first.heard.length = 0;
    assert.deepEqual(addressesOf(await ask(CONFINED, question('db'))), ['10.0.2.2']);
    for (const address of [CONFINED, UNKNOWN_NETWORK])
      for (const name of ['example.org', 'secret.attacker.example', 'printer', 'tasks.example.org'])
        for (const type of [Dns.TYPE.A, Dns.TYPE.TXT, Dns.TYPE.PTR]) {
          const answer = await ask(address, question(name, { type, edns: 1232 }));
          assert.deepEqual([answer.header.rcode, answer.answers.length], [Dns.RCODE.NXDOMAIN, 0], name);
        }
    assert.equal(first.heard.length + second.heard.length, 0);
    assert.deepEqual(addressesOf(await ask(MIXED, question('example.org'))), ['192.0.2.1']);
    assert.deepEqual(addressesOf(await ask(BRIDGE, question('example.org'))), ['192.0.2.1']);
  });

  it('a stranger is asked for nothing', async () => {
    const { ask } = make();
    assert.equal((await ask('192.0.2.99', question('example.org'))).header.rcode, Dns.RCODE.REFUSED);
    assert.equal(first.heard.length, 0);
  });

  it("a task's own servers are asked instead; those on the host's loopback would be the host's", async () => {
    const { ask } = make();
    // All of them are loopback addresses: the host's servers count.
    await ask(OWN_SERVERS, question('example.org'));
    assert.equal(first.heard.length, 1);
    const book = bookOf([{ name: 'open' }], [askerOf(ASKER, ['open'], { nameservers: ['203.0.113.1'] })]);
    const own = make({ book });
    const failed = await own.ask(ASKER, question('own.example.org'));
    assert.equal(failed.header.rcode, Dns.RCODE.SERVFAIL);
    assert.equal(first.heard.length, 1);
  });

  it('a silent server is passed over, and comes last from then on', async () => {
    first.script = () => undefined;
    second.script = ({ query }) => reply(query, [record(query.questions[0]?.name ?? '', '192.0.2.2')]);
    const { ask } = make();
    assert.deepEqual(addressesOf(await ask(ASKER, question('one.example.org'))), ['192.0.2.2']);
    assert.deepEqual(addressesOf(await ask(ASKER, question('two.example.org'))), ['192.0.2.2']);
    assert.deepEqual([first.heard.length, second.heard.length], [1, 2]);
  });

  it('SERVFAIL of one server sends the question to the next; of all, is the answer', async () => {
    const failing = ({ query }: { query: ReturnType<typeof Dns.parse> }) => reply(query, [], Dns.RCODE.SERVFAIL);
    first.script = failing;
    const { ask } = make();
    assert.deepEqual(addressesOf(await ask(ASKER, question('one.example.org'))), ['192.0.2.1']);
    second.script = failing;
    assert.equal((await ask(ASKER, question('two.example.org'))).header.rcode, Dns.RCODE.SERVFAIL);
    // Not kept: the next question is asked again.
    first.script = usual;
    assert.deepEqual(addressesOf(await ask(ASKER, question('two.example.org'))), ['192.0.2.1']);
  });

  it('when all are silent the answer is SERVFAIL, in time', async () => {
    for (const server of [first, second]) server.script = () => undefined;
    const { ask } = make();
    const begin = performance.now();
    assert.equal((await ask(ASKER, question('example.org', { edns: 1232 }))).header.rcode, Dns.RCODE.SERVFAIL);
    assert.ok(performance.now() - begin < 2000);
  });

  it('with no servers at all too', async () => {
    const { ask } = make({ nameservers: [] });
    assert.equal((await ask(ASKER, question('example.org'))).header.rcode, Dns.RCODE.SERVFAIL);
  });

  it('answers are kept for as long as they say; their TTL goes down', async () => {
    first.script = ({ query }) => reply(query, [record(query.questions[0]?.name ?? '', '192.0.2.1', 2)]);
    let laterMs = 0;
    const clock = { ...systemClock, monotonic: () => performance.now() + laterMs };
    const { ask } = make({ clock });
    await ask(ASKER, question('example.org'));
    const again = await ask(ASKER, question('EXAMPLE.org'));
    assert.equal(again.questions[0]?.name, 'EXAMPLE.org');
    assert.equal(first.heard.length, 1);
    laterMs = 1100;
    assert.deepEqual(
      (await ask(ASKER, question('example.org'))).answers.map(({ ttl }) => ttl),
      [1],
    );
    assert.equal(first.heard.length, 1);
    laterMs = 2100;
    await ask(ASKER, question('example.org'));
    assert.equal(first.heard.length, 2);
  });

  it('a long TTL is cut', async () => {
    first.script = ({ query }) => reply(query, [record(query.questions[0]?.name ?? '', '192.0.2.1', 2 ** 31 - 1)]);
    const { ask } = make();
    for (let round = 0; round < 2; round++)
      assert.ok(((await ask(ASKER, question('example.org'))).answers[0]?.ttl ?? 1e9) <= 300);
  });

  it('a "no" is kept as long as its SOA record says', async () => {
    first.script = ({ query }) => {
      const packet = reply(query, [], Dns.RCODE.NXDOMAIN);
      packet.authorities.push(soa('org', 30));
      return packet;
    };
    const { ask } = make();
    for (let round = 0; round < 3; round++) {
      const answer = await ask(ASKER, question('nobody.example.org'));
      assert.equal(answer.header.rcode, Dns.RCODE.NXDOMAIN);
      assert.equal(answer.authorities.length, 1);
    }
    assert.equal(first.heard.length, 1);
  });

  it('the same question of many is asked once', async () => {
    let answerLater: (() => void) | undefined;
    first.script = ({ query, from }) => {
      answerLater = () => first.send(reply(query, [record('example.org', '192.0.2.1')]).toBuffer(), from);
      return undefined;
    };
    const { ask } = make({ forwarder: { attemptTimeoutMs: 5000, totalTimeoutMs: 5000 } });
    const asked = [ASKER, MIXED, BRIDGE, ASKER].map((from) => ask(from, question('example.org')));
    await eventually('the question', () => answerLater !== undefined);
    answerLater?.();
    for (const answer of await Promise.all(asked)) assert.deepEqual(addressesOf(answer), ['192.0.2.1']);
    assert.equal(first.heard.length, 1);
  });

  it('one container that floods is answered SERVFAIL, others are served', async () => {
    for (const server of [first, second]) server.script = () => undefined;
    const { ask, forwarder } = make({ forwarder: { inFlightPerAsker: 10, inFlightMax: 15 } });
    const flood = Array.from({ length: 50 }, (_, index) => ask(ASKER, question(`n${index}.example.org`)));
    assert.equal(forwarder.waiting, 10);
    first.script = usual;
    assert.deepEqual(addressesOf(await ask(BRIDGE, question('good.example.org'))), ['192.0.2.1']);
    const codes = (await Promise.all(flood)).map(({ header }) => header.rcode);
    assert.ok(codes.slice(10).every((code) => code === Dns.RCODE.SERVFAIL));
  });

  it('ids and ports of questions are not to be guessed', async () => {
    const { ask } = make({ forwarder: { questionsPerSocket: 8 } });
    for (let index = 0; index < 64; index++) await ask(ASKER, question(`n${index}.example.org`));
    const ids = first.heard.map(({ query }) => query.header.id);
    const ports = new Set(first.heard.map(({ from }) => from.port));
    assert.ok(new Set(ids).size > 60);
    assert.ok(ids.some((id, index) => Math.abs(id - (ids[index - 1] ?? id)) > 256));
    assert.ok(ports.size >= 8, `${ports.size} ports`);
  });

  it('forged answers are passed over: wrong server, wrong id, wrong question, a question', async () => {
    first.script = ({ query, from }) => {
      const forge = (change: (packet: ReturnType<typeof reply>) => void): Buffer => {
        const packet = reply(query, [record('example.org', '203.0.113.66')]);
        change(packet);
        return packet.toBuffer();
      };
      second.send(
        forge(() => {}),
        from,
      );
      first.send(
        forge((packet) => (packet.header.id = (query.header.id + 1) % 65_536)),
        from,
      );
      first.send(
        forge((packet) => (packet.questions = [new Dns.Question('example.com', 1, 1)])),
        from,
      );
      first.send(
        forge((packet) => (packet.questions = [])),
        from,
      );
      first.send(
        forge((packet) => (packet.header.qr = 0)),
        from,
      );
      first.send(Buffer.from([1, 2, 3]), from);
      return reply(query, [record('example.org', '192.0.2.1')]);
    };
    const { ask } = make();
    assert.deepEqual(addressesOf(await ask(ASKER, question('example.org'))), ['192.0.2.1']);
  });

  it('a damaged answer counts as none', async () => {
    first.script = ({ query }) =>
      reply(query, [record('example.org', '192.0.2.1')])
        .toBuffer()
        .subarray(0, -15);
    second.script = ({ query }) => reply(query, [record('example.org', '192.0.2.2')]);
    const { ask } = make();
    assert.deepEqual(addressesOf(await ask(ASKER, question('example.org'))), ['192.0.2.2']);
  });

  it('an answer cut short is asked for by TCP, and cut again to what the asker takes', async () => {
    const many = Array.from({ length: 100 }, (_, index) => record('example.org', `192.0.2.${index}`));
    first.script = ({ query, transport }) => {
      const packet = reply(query, transport === 'tcp' ? many : many.slice(0, 3));
      packet.header.tc = transport === 'tcp' ? 0 : 1;
      return packet;
    };
    const { ask } = make();
    const byTcp = await ask(ASKER, question('example.org'), 'tcp');
    assert.deepEqual([byTcp.answers.length, byTcp.header.tc], [100, 0]);
    const small = await ask(ASKER, question('example.org'));
    assert.equal(small.header.tc, 1);
    assert.ok(small.answers.length > 20 && small.toBuffer().length <= 512);
    assert.deepEqual(
      first.heard.map(({ transport }) => transport),
      ['udp', 'tcp'],
    );
  });

  it('types that nobody here knows pass through unchanged', async () => {
    const data = Buffer.from('00010000020001', 'hex');
    first.script = ({ query }) =>
      reply(query, [new Dns.Resource({ name: 'example.org', type: 65, class: 1, ttl: 9, data })]);
    const { ask } = make();
    const answer = await ask(ASKER, question('example.org', { type: 65 }));
    assert.deepEqual(answer.answers[0]?.data, data);
  });
});

describe('dns: cache of answers', () => {
  const config = { ...DEFAULT_RESOLVER_CONFIG.forwarder, cacheEntries: 10, cacheBytes: 10_000 };
  const answerOf = (name: string, ttl: number, records = 1) => {
    const query = Dns.parse(question(name));
    const message = reply(
      query,
      Array.from({ length: records }, () => record(name, '192.0.2.1', ttl)),
    ).toBuffer();
    const answer = readUpstreamAnswer(message, 12 + name.length + 2 + 4);
    assert.ok(answer);
    return answer;
  };

  it('holds no more entries and bytes than it may; what was not asked for the longest goes first', () => {
    const cache = new AnswerCache(config);
    for (let index = 0; index < 10; index++) cache.put(`k${index}`, answerOf('a.b', 60), 0);
    assert.ok(cache.get('k0', 1));
    cache.put('k10', answerOf('a.b', 60), 1);
    assert.equal(cache.size, 10);
    assert.ok(cache.get('k0', 1));
    assert.equal(cache.get('k1', 1), undefined);
    for (let index = 0; index < 100; index++) cache.put(`big${index}`, answerOf('a.b', 60, 200), 1);
    assert.ok(cache.bytes <= 10_000);
    cache.clear();
    assert.deepEqual([cache.size, cache.bytes], [0, 0]);
  });

  it('counts what it holds right, whatever happens', () => {
    const cache = new AnswerCache(config);
    for (let round = 0; round < 500; round++) {
      cache.put(`k${round % 17}`, answerOf('a.b', round % 3, 1 + (round % 5)), round * 100);
      cache.get(`k${(round * 7) % 17}`, round * 100);
    }
    for (let index = 0; index < 17; index++) cache.get(`k${index}`, 1e9);
    assert.deepEqual([cache.size, cache.bytes], [0, 0]);
  });
});
