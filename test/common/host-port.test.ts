import assert from 'node:assert/strict';
import fc from 'fast-check';
import { formatHostPort, parseHostPort } from '#common/host-port.ts';

describe('host and port', () => {
  const good: readonly [text: string, formatted: string][] = [
    ['10.0.0.1', '10.0.0.1:2377'],
    ['10.0.0.1:99', '10.0.0.1:99'],
    ['node-1', 'node-1:2377'],
    ['node-1.example.com.:1', 'node-1.example.com.:1'],
    ['a_b', 'a_b:2377'],
    ['fe80::1', '[fe80::1]:2377'],
    ['[fe80::1]', '[fe80::1]:2377'],
    ['[::ffff:1.2.3.4]:65535', '[::ffff:1.2.3.4]:65535'],
    ['[fe80::1%eth0]:5', '[fe80::1%eth0]:5'],
    ['::', '[::]:2377'],
    ['1:2:3:4:5:6:7:8', '[1:2:3:4:5:6:7:8]:2377'],
    ['[1:2:3:4:5:6:1.2.3.4]', '[1:2:3:4:5:6:1.2.3.4]:2377'],
  ];
  for (const [text, formatted] of good)
    it(`reads ${text}`, () => {
      const parsed = parseHostPort(text, 2377);
      assert.ok(parsed);
      assert.equal(formatHostPort(parsed), formatted);
      assert.deepEqual(parseHostPort(formatted, 1), parsed);
    });

  const bad = [
    '',
    ':',
    ':2377',
    'a:',
    'a:0',
    'a:65536',
    'a:1e3',
    'a b',
    'a/b',
    'http://a:1',
    '-a',
    'a..b',
    '[a]:1',
    '[::1',
    '::1]:5',
  ];
  for (const text of [
    ...bad,
    '[::1]x',
    'a'.repeat(254),
    'a:1:2',
    '1::2::3',
    '1:2:3:4:5:6:7:8:9',
    '::1.2.3.256',
    '1.2.3.4::',
    '12345::',
    'a:-1',
    'a\n',
  ])
    it(`refuses ${JSON.stringify(text.slice(0, 20))}`, () => assert.equal(parseHostPort(text, 2377), undefined));

  it('gives a port in range and a host without blanks for any text, or nothing', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.ipV6(),
          fc.tuple(fc.ipV4(), fc.nat(70_000)).map((x) => x.join(':')),
        ),
        (text) => {
          const parsed = parseHostPort(text, 2377);
          if (parsed === undefined) return;
          assert.ok(parsed.port > 0 && parsed.port < 65_536);
          assert.match(parsed.host, /^[\w.:%-]+$/);
        },
      ),
    );
  });
});
