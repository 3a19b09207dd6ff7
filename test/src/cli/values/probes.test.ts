/** Goal: probes are read as people write them. Method: each form, and each mistake. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { HttpHeader, HttpProbe, Probe } from '#gen/swarm/v1/specs.ts';
import { FlagValueError } from '#src/cli/cli-errors.ts';
import { probeText } from '#src/cli/commands/service/pretty-health.ts';
import { probe } from '#src/cli/values/probes.ts';

describe('cli: probes', () => {
  it('http, https, tcp and exec, with their settings in any order', () => {
    assert.deepEqual(
      probe('interval=5s,http:8080/healthz?a=b,timeout=500ms,failures=5,successes=2,delay=1m,host=web,header=X-A:b c'),
      Probe.create({
        check: {
          kind: 'http',
          value: HttpProbe.create({
            port: 8080,
            path: '/healthz?a=b',
            scheme: 'http',
            host: 'web',
            headers: [HttpHeader.create({ name: 'X-A', value: 'b c' })],
          }),
        },
        intervalMs: 5000,
        timeoutMs: 500,
        failureThreshold: 5,
        successThreshold: 2,
        initialDelayMs: 60_000,
      }),
    );
    assert.deepEqual(probe('https:8443').check, {
      kind: 'http',
      value: HttpProbe.create({ port: 8443, scheme: 'https' }),
    });
    assert.deepEqual(probe('tcp:5432').check, { kind: 'tcp', value: { port: 5432 } });
    assert.deepEqual(probe("exec:sh -c 'a  b'").check, { kind: 'exec', value: { command: ['sh', '-c', 'a  b'] } });
    assert.deepEqual(probe('"exec:a,b",interval=1s').check, { kind: 'exec', value: { command: ['a,b'] } });
  });

  it('quotes and commas of a command are those of a shell', () => {
    for (const [text, command] of [
      ['exec:sh -c "test -f /ok"', ['sh', '-c', 'test -f /ok']],
      [`exec:sh -c 'a, "b"' x\\,y`, ['sh', '-c', 'a, "b"', 'x,y']],
      ['exec:sh -c "say \\"a, b\\""', ['sh', '-c', 'say "a, b"']],
    ] as const) {
      assert.deepEqual(probe(text).check, { kind: 'exec', value: { command } }, text);
      assert.equal(probe(`${text},interval=1s`).intervalMs, 1000, text);
    }
    assert.throws(() => probe('exec:sh -c "a,interval=1s'), /closing quote/);
    assert.throws(() => probe('exec:a,b'), /unexpected "b"/);
  });

  it('mistakes are named, with a way out', () => {
    for (const [text, words] of [
      ['', /unexpected ""/],
      ['interval=5s', /says nothing to check/],
      ['tcp:80,http:80', /checks two things/],
      ['tcp:80/path', /is not a check/],
      ['http:web', /is not a check/],
      ['ftp:21', /unexpected "ftp:21"/],
      ['tcp:80,every=5s', /unexpected "every=5s"/],
      ['tcp:80,host=a', /host and header are for http/],
      ['http:80,header=x', /is not a header/],
      ['tcp:80,interval=soon', /soon/],
      ['tcp:80,failures=-1', /-1/],
    ] as const)
      assert.throws(
        () => probe(text),
        (error) => error instanceof FlagValueError && words.test(error.message),
        text,
      );
  });

  it('property: rubbish is taken or refused, like every value of a flag', () => {
    fc.assert(
      fc.property(fc.string(), fc.constantFrom('', 'tcp:', 'http:', 'exec:', 'tcp:80,'), (text, start) => {
        try {
          probe(start + text);
        } catch (error) {
          assert.ok(error instanceof FlagValueError, String(error));
        }
      }),
    );
  });

  it('what inspect shows is read as the same probe', () => {
    for (const text of [
      'http:8080/healthz,interval=5s,timeout=500ms,delay=1m0s,failures=5,successes=2,host=web,header=X-A:b',
      'https:8443',
      'tcp:5432,interval=100ms',
      "exec:sh -c 'echo it'",
      '"exec:echo \'a,b\'",interval=1s',
    ]) {
      assert.deepEqual(probe(probeText(probe(text))), probe(text), text);
    }
    assert.equal(probeText(probe('tcp:5432,interval=100ms')), 'tcp:5432,interval=100ms');
  });
});
