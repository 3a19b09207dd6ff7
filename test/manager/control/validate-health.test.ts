/**
 * Goal: what is declared about health is refused where no agent could do it, in words that name the field. Method: each
 * rule by an example; then rubbish in every field.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import {
  ContainerSpec,
  ExecProbe,
  HealthCheck,
  HttpHeader,
  HttpProbe,
  Probe,
  Probes,
  TcpProbe,
} from '#gen/swarm/v1/specs.ts';
import { validateHealth } from '#manager/control/validate-health.ts';

const container = (fields: Partial<ContainerSpec>): ContainerSpec => ContainerSpec.create({ image: 'x', ...fields });
const withCheck = (check: Partial<HealthCheck>): ContainerSpec => container({ healthcheck: HealthCheck.create(check) });
const withProbe = (probe: Partial<Probe>, role: keyof Probes = 'readiness'): ContainerSpec =>
  container({ probes: Probes.create({ [role]: Probe.create(probe) }) });

const TCP: Probe['check'] = { kind: 'tcp', value: TcpProbe.create({ port: 5432 }) };
const http = (fields: Partial<HttpProbe>): Probe['check'] => ({
  kind: 'http',
  value: HttpProbe.create({ port: 80, ...fields }),
});
const exec = (...command: string[]): Probe['check'] => ({ kind: 'exec', value: ExecProbe.create({ command }) });

function refusal(spec: ContainerSpec): SwarmError {
  try {
    validateHealth(spec);
  } catch (error) {
    assert.ok(error instanceof SwarmError);
    return error;
  }
  assert.fail('it was not refused');
}

describe('control: rules of health', () => {
  it('takes what Docker takes, and probes of every kind', () => {
    for (const spec of [
      container({}),
      withCheck({}),
      withCheck({ test: ['NONE'] }),
      withCheck({ test: ['CMD', 'a', ''] }),
      withCheck({ test: ['CMD-SHELL', 'a || b'], intervalMs: 1, timeoutMs: 0, retries: 0, startPeriodMs: 1 }),
      withCheck({ intervalMs: LIMITS.CHECK_DURATION_MS }),
      withProbe({ check: TCP, successThreshold: 3, failureThreshold: 1, intervalMs: 100, initialDelayMs: 0 }),
      withProbe({ check: exec('true') }, 'startup'),
      withProbe({ check: http({ path: '/a?b=%20', scheme: 'https', host: 'a.example:8443' }) }, 'liveness'),
      withProbe({ check: http({ headers: [HttpHeader.create({ name: 'X-Probe', value: '1 2' })] }) }),
    ])
      validateHealth(spec);
  });

  const wrong: readonly (readonly [string, ContainerSpec, RegExp])[] = [
    ['a kind that does not exist', withCheck({ test: ['SHELL', 'x'] }), /health-cmd: "SHELL"/],
    ['no command', withCheck({ test: ['CMD'] }), /health-cmd: there is no command/],
    ['an empty line', withCheck({ test: ['CMD-SHELL', ' '] }), /health-cmd: there is no command/],
    ['two lines', withCheck({ test: ['CMD-SHELL', 'a', 'b'] }), /CMD-SHELL takes one line/],
    ['none, and a time', withCheck({ test: ['NONE'], intervalMs: 5 }), /no-healthcheck: conflicts/],
    ['a negative time', withCheck({ timeoutMs: -1 }), /health-timeout: -1 ms is negative/],
    [
      'more than a day',
      withCheck({ startPeriodMs: LIMITS.CHECK_DURATION_MS + 1 }),
      /health-start-period: .*CHECK_DURATION/,
    ],
    ['endless retries', withCheck({ retries: 1e9 }), /health-retries: 1000000000/],
    ['NUL', withCheck({ test: ['CMD', 'a\0'] }), /health-cmd: contains a NUL/],
    ['too long', withCheck({ test: ['CMD', 'x'.repeat(LIMITS.CHECK_COMMAND_BYTES)] }), /CHECK_COMMAND_BYTES/],
    ['no probe at all', container({ probes: Probes.create({}) }), /probes: there is none/],
    ['nothing to check', withProbe({}), /readiness-probe: it says nothing/],
    ['port 0', withProbe({ check: http({ port: 0 }) }), /readiness-probe port: 0/],
    ['port 65536', withProbe({ check: { kind: 'tcp', value: TcpProbe.create({ port: 65_536 }) } }), /port: 65536/],
    ['a path without /', withProbe({ check: http({ path: 'ready' }) }), /readiness-probe path: "ready"/],
    ['a path with a line', withProbe({ check: http({ path: '/a\r\nHost: b' }) }), /readiness-probe path/],
    ['another scheme', withProbe({ check: http({ scheme: 'ftp' }) }), /scheme: "ftp"/],
    ['a host with a line', withProbe({ check: http({ host: 'a\nb' }) }), /readiness-probe host/],
    [
      'a header of HTTP’s own',
      withProbe({ check: http({ headers: [HttpHeader.create({ name: 'Content-Length', value: '5' })] }) }),
      /header: Content-Length cannot be chosen/,
    ],
    [
      'a header with a line',
      withProbe({ check: http({ headers: [HttpHeader.create({ name: 'A', value: 'b\r\nC: d' })] }) }),
      /the value of A/,
    ],
    ['too often', withProbe({ check: TCP, intervalMs: 99 }), /readiness-probe interval: 99 ms is less than 100/],
    ['no time', withProbe({ check: TCP, timeoutMs: 0 }), /readiness-probe timeout: 0 ms/],
    ['never failing', withProbe({ check: TCP, failureThreshold: 0 }), /readiness-probe failures: 0/],
    ['twice alive', withProbe({ check: TCP, successThreshold: 2 }, 'liveness'), /liveness-probe successes: 2/],
    ['twice started', withProbe({ check: TCP, successThreshold: 2 }, 'startup'), /startup-probe successes: 2/],
  ];
  for (const [what, spec, words] of wrong)
    it(`refuses ${what}, with a way out`, () => {
      const error = refusal(spec);
      assert.match(error.message, words);
      assert.ok(error.field !== undefined && error.field !== '');
      assert.notEqual(error.hint, '');
    });

  it('property: rubbish in any field is taken or refused by a SwarmError that names it, and nothing else happens', () => {
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: 'binary' }),
      fc.constantFrom('', 'NONE', 'CMD', 'CMD-SHELL', '/'),
    );
    const number = fc.oneof(fc.integer(), fc.constantFrom(undefined, 0, 1, -1, Number.MAX_SAFE_INTEGER));
    const check = fc.oneof(
      fc.constant(undefined),
      fc.record({ kind: fc.constant('exec' as const), value: fc.record({ command: fc.array(text) }) }),
      fc.record({ kind: fc.constant('tcp' as const), value: fc.record({ port: fc.integer() }) }),
      fc.record({
        kind: fc.constant('http' as const),
        value: fc.record({
          port: fc.integer(),
          path: text,
          scheme: text,
          host: text,
          headers: fc.array(fc.record({ name: text, value: text }), { maxLength: 40 }),
        }),
      }),
    );
    const probe = fc.option(
      fc.record({
        check,
        intervalMs: number,
        timeoutMs: number,
        failureThreshold: number,
        successThreshold: number,
        initialDelayMs: number,
      }),
      { nil: undefined },
    );
    const spec = fc.record({
      healthcheck: fc.option(
        fc.record({
          test: fc.array(text),
          intervalMs: number,
          timeoutMs: number,
          retries: number,
          startPeriodMs: number,
          startIntervalMs: number,
        }),
        { nil: undefined },
      ),
      probes: fc.option(fc.record({ startup: probe, liveness: probe, readiness: probe }), { nil: undefined }),
    });
    fc.assert(
      fc.property(spec, (fields) => {
        const declared = container(fields);
        try {
          validateHealth(declared);
        } catch (error) {
          assert.ok(error instanceof SwarmError, String(error));
          assert.match(error.message, /^(health-|no-healthcheck|probes|(startup|liveness|readiness)-probe)/);
          assert.ok((error.hint ?? '') !== '');
          assert.ok(error.message.length < 400);
        }
      }),
      { numRuns: 1000 },
    );
  });
});
