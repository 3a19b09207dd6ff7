/** Goal: checks are made in their rhythm, and only news is reported. Method: a clock that is moved by hand. */
import assert from 'node:assert/strict';
import { DEFAULT_HEALTH_CONFIG, TaskProber } from '#agent/health/index.ts';
import { type Check, type CheckOutcome, type HealthPlan, type HealthReport, healthPlan } from '#agent/tasks/index.ts';
import { ManualClock } from '#common/clock.ts';
import { HealthState, TaskHealth } from '#gen/swarm/v1/objects.ts';
import { ContainerSpec, HealthCheck, Probe, Probes, TcpProbe } from '#gen/swarm/v1/specs.ts';

const OK: CheckOutcome = { ok: true, message: '' };
const BAD: CheckOutcome = { ok: false, message: 'no' };

const probe = (port: number, fields: Partial<Probe> = {}): Probe =>
  Probe.create({ check: { kind: 'tcp', value: TcpProbe.create({ port }) }, ...fields });

class Bench {
  readonly clock = new ManualClock();
  readonly reports: HealthReport[] = [];
  /** When which port was asked. */
  readonly asked: { readonly port: number; readonly atMs: number }[] = [];
  outcome: (check: Check) => Promise<CheckOutcome> = async () => OK;
  readonly #plan: HealthPlan;

  constructor(container: Partial<ContainerSpec>) {
    this.#plan = healthPlan(ContainerSpec.create(container), undefined) ?? [];
  }

  begin(ranMs = 0, known: { health: TaskHealth | undefined; isRunning: boolean } = NEW): TaskProber {
    return new TaskProber({
      plan: this.#plan,
      check: (check) => {
        this.asked.push({ port: check.kind === 'tcp' ? check.port : 0, atMs: this.clock.monotonic() });
        return this.outcome(check);
      },
      clock: this.clock,
      config: DEFAULT_HEALTH_CONFIG,
      ranMs,
      known,
      onReport: (report) => this.reports.push(report),
    });
  }

  async run(forMs: number): Promise<void> {
    for (let left = forMs; left > 0; left -= 50) {
      this.clock.advance(50);
      for (let turn = 0; turn < 5; turn++) await Promise.resolve();
    }
  }
}

const NEW = { health: undefined, isRunning: false };
const PROBES = Probes.create({
  startup: probe(1, { intervalMs: 1000 }),
  liveness: probe(2, { intervalMs: 1000 }),
  readiness: probe(3, { intervalMs: 1000, failureThreshold: 2 }),
});

describe('prober of a task', () => {
  it('startup first and alone, then the others; the states on the way are reported once each', async () => {
    const bench = new Bench({ probes: PROBES });
    const prober = bench.begin();
    await bench.run(10_000);
    assert.deepEqual(new Set(bench.asked.slice(0, 1).map(({ port }) => port)), new Set([1]));
    assert.equal(bench.asked.filter(({ port }) => port === 1).length, 1);
    assert.ok(bench.asked.filter(({ port }) => port === 2).length >= 9);
    assert.deepEqual(
      bench.reports.map(({ state, started, ready }) => [state, started, ready]),
      [
        [HealthState.STARTING, true, false],
        [HealthState.HEALTHY, true, true],
      ],
    );
    prober.stop();
    const before = bench.asked.length;
    await bench.run(5000);
    assert.equal(bench.asked.length, before, 'a stopped prober asks nobody');
  });

  it('readiness comes and goes; failures that change nothing are not reported', async () => {
    const bench = new Bench({ probes: Probes.create({ readiness: PROBES.readiness }) });
    const prober = bench.begin();
    await bench.run(1000);
    bench.outcome = async () => BAD;
    await bench.run(60_000);
    bench.outcome = async () => OK;
    await bench.run(3000);
    prober.stop();
    assert.deepEqual(
      bench.reports.map(({ ready, message, failure }) => [ready, message, failure]),
      [
        [true, '', undefined],
        [false, 'no', undefined],
        [true, '', undefined],
      ],
    );
  });

  it('a check that hangs is one check: the next comes after its end', async () => {
    const bench = new Bench({ probes: Probes.create({ liveness: PROBES.liveness }) });
    let answer: (outcome: CheckOutcome) => void = () => {};
    bench.outcome = () => new Promise((resolve) => (answer = resolve));
    const prober = bench.begin();
    await bench.run(30_000);
    assert.equal(bench.asked.length, 1);
    answer(BAD);
    await bench.run(1100);
    assert.equal(bench.asked.length, 2);
    prober.stop();
  });

  it('a health check fails after so many intervals, not counting its start period', async () => {
    const healthcheck = HealthCheck.create({
      test: ['CMD', 'x'],
      intervalMs: 1000,
      retries: 3,
      startPeriodMs: 5000,
      startIntervalMs: 500,
    });
    const bench = new Bench({ healthcheck });
    bench.outcome = async () => BAD;
    const prober = bench.begin();
    await bench.run(6900);
    assert.equal(bench.reports.at(-1)?.failure, undefined);
    await bench.run(400);
    assert.match(bench.reports.at(-1)?.failure ?? '', /^unhealthy: health check failed: no$/);
    // Why it waits, said once, and the end.
    assert.equal(bench.reports.length, 2);
    prober.stop();
  });

  it('goes on where an agent before it was: nothing is reported that is known', async () => {
    const bench = new Bench({ probes: PROBES });
    const prober = bench.begin(1e6, { health: TaskHealth.create({ ready: true }), isRunning: true });
    await bench.run(10_000);
    assert.equal(bench.reports.length, 0);
    assert.ok(!bench.asked.some(({ port }) => port === 1), 'it has started long ago');
    bench.outcome = async (check) => (check.kind === 'tcp' && check.port === 2 ? BAD : OK);
    await bench.run(4000);
    assert.match(bench.reports.at(-1)?.failure ?? '', /liveness probe failed/);
    prober.stop();
  });

  it('a check that throws counts as one that failed', async () => {
    const bench = new Bench({ probes: Probes.create({ liveness: PROBES.liveness }) });
    bench.outcome = async () => {
      throw new Error('broken');
    };
    const prober = bench.begin();
    await bench.run(5000);
    assert.match(bench.reports.at(-1)?.failure ?? '', /broken/);
    prober.stop();
  });
});
