/** When certificates are renewed, and what happens when they cannot be. Time is made by the test. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { RENEWAL_CONFIG } from '#agent/identity/config.ts';
import { CertificateRenewer, type RenewalStatus } from '#agent/identity/index.ts';
import { type Lifetime, renewalTime } from '#agent/identity/renewal-time.ts';
import { CERTIFICATE_CONFIG } from '#certs/config.ts';
import { ManualClock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { IssuanceState, NodeCertificate } from '#gen/swarm/v1/objects.ts';

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const { backdateMs } = CERTIFICATE_CONFIG;

const refused = (): SwarmError =>
  new SwarmError({ code: 'unavailable', reason: 'connection-failed', message: 'nobody answers' });

/** A node whose cluster issues as long as it is up. */
class TestNode {
  readonly clock = new ManualClock();
  readonly attempts: number[] = [];
  readonly renewer: CertificateRenewer;
  certificate: Lifetime;
  lifetimeMs: number;
  up = true;
  asksItself = false;
  /** What was issued arrives then. */
  way: Promise<void> = Promise.resolve();
  #serial = 0;

  constructor(lifetimeMs: number, seed = 1) {
    this.lifetimeMs = lifetimeMs;
    this.certificate = this.issue();
    this.renewer = new CertificateRenewer({
      current: () => this.certificate,
      renew: async () => {
        this.attempts.push(this.clock.now());
        if (!this.up) throw refused();
        const issued = this.issue();
        await this.way;
        this.certificate = issued;
        this.renewer.replaced();
      },
      renewsExpired: () => this.asksItself,
      clock: this.clock,
      random: new SeededRandom(seed),
      logger: silentLogger,
      config: RENEWAL_CONFIG,
    });
  }

  get status(): RenewalStatus {
    return this.renewer.status;
  }

  issue(): Lifetime {
    const nowMs = this.clock.now();
    const serial = createHash('sha256')
      .update(`${++this.#serial}`)
      .digest('hex')
      .slice(0, 32);
    return { notBeforeMs: nowMs - backdateMs, notAfterMs: nowMs + this.lifetimeMs, serial };
  }

  /** Time passes, and what is begun meanwhile comes to its end. */
  async pass(ms: number, stepMs = MINUTE_MS): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      this.clock.advance(Math.min(left, stepMs));
      await settled();
    }
  }

  wants(certificatePem: string): void {
    const state = IssuanceState.ROTATE;
    this.renewer.nodeTold(NodeCertificate.create({ state, certificatePem: Buffer.from(certificatePem) }));
  }
}

/** All promises that can go on have. */
async function settled(): Promise<void> {
  for (let round = 0; round < 5; round++) await Promise.resolve();
}

describe('the point at which a certificate is renewed', () => {
  const lifetimes = fc.integer({ min: HOUR_MS, max: 400 * DAY_MS });
  const serials = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes).toString('hex'));

  it('lies between 50 and 80 % of the time from the issue to the end, not from the start an hour before', () => {
    fc.assert(
      fc.property(lifetimes, serials, (lifetimeMs, serial) => {
        const issuedMs = 1_700_000_000_000;
        const certificate = { notBeforeMs: issuedMs - backdateMs, notAfterMs: issuedMs + lifetimeMs, serial };
        const share = (renewalTime(certificate, issuedMs + 5, RENEWAL_CONFIG) - issuedMs) / lifetimeMs;
        assert.ok(share >= 0.5 && share <= 0.8, `${share}`);
      }),
    );
  });

  it('is before the end whatever the certificate says and whenever it was first seen', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3 * HOUR_MS }), fc.nat(), serials, (lengthMs, seenMs, serial) => {
        const certificate = { notBeforeMs: 1_000_000, notAfterMs: 1_000_000 + lengthMs, serial };
        const timeMs = renewalTime(certificate, seenMs, RENEWAL_CONFIG);
        assert.ok(timeMs >= certificate.notBeforeMs && timeMs <= certificate.notAfterMs);
      }),
    );
  });

  it('is spread evenly over nodes, and the same after a restart', () => {
    const of = (number: number, seenMs: number): number => {
      const serial = createHash('md5').update(String(number)).digest('hex');
      return renewalTime({ notBeforeMs: -backdateMs, notAfterMs: 1_000, serial }, seenMs, RENEWAL_CONFIG);
    };
    const tenths = Array.from({ length: 10 }, () => 0);
    for (let number = 0; number < 1_000; number++) {
      assert.equal(of(number, 3), of(number, 900));
      const at = Math.floor((of(number, 3) - 500) / 30);
      tenths[at] = (tenths[at] ?? 0) + 1;
    }
    for (const count of tenths) assert.ok(count > 50 && count < 150, tenths.join());
  });
});

describe('a certificate', () => {
  it('is renewed once at its point, and again at that of the next', async () => {
    const node = new TestNode(90 * DAY_MS);
    node.renewer.start();
    const planned = node.status.renewalMs;
    await node.pass(91 * DAY_MS, HOUR_MS);
    const [first] = node.attempts;
    assert.equal(node.attempts.length, 1);
    assert.ok(first !== undefined && Math.abs(first - planned) <= HOUR_MS, 'as it was announced');
    await node.pass(90 * DAY_MS, HOUR_MS);
    assert.ok(node.attempts.length >= 2 && node.attempts.length <= 4);
    assert.equal(node.status.renewedTotal, node.attempts.length);
    assert.equal(node.status.problem, undefined);
  });

  it('of the shortest lifetime never ends unrenewed, though the cluster is away for a third of it', async () => {
    const node = new TestNode(HOUR_MS);
    node.renewer.start();
    for (let round = 0; round < 30; round++) {
      node.up = round % 3 !== 1;
      await node.pass(9 * MINUTE_MS, SECOND_MS);
      assert.ok(node.certificate.notAfterMs > node.clock.now());
    }
  });

  it('that cannot be renewed is tried for ever slower, then faster towards its end, which it is told', async () => {
    const node = new TestNode(4 * DAY_MS);
    node.up = false;
    node.renewer.start();
    await node.pass(4 * DAY_MS - HOUR_MS, MINUTE_MS);
    await node.pass(HOUR_MS + MINUTE_MS, SECOND_MS);
    const gaps = node.attempts.slice(1).map((at, index) => at - (node.attempts[index] ?? 0));
    assert.ok((gaps[0] ?? 0) <= 2 * MINUTE_MS);
    const middle = gaps.slice(20, -200);
    assert.ok(
      Math.min(...middle) >= 3 * MINUTE_MS && Math.max(...middle) <= 8 * MINUTE_MS,
      'five minutes, with jitter',
    );
    assert.ok(Math.max(...gaps.slice(-10)) <= 10 * SECOND_MS, 'towards the end');
    assert.equal(node.status.state, 'over');
    assert.match(node.status.problem?.message ?? '', /has run out at/);
    assert.match(node.status.problem?.hint ?? '', /swarm leave --force/);
  });

  it('is tried again after one second at first, and all is forgotten once it was renewed', async () => {
    const node = new TestNode(90 * DAY_MS);
    node.up = false;
    node.renewer.start();
    await node.pass(node.status.renewalMs - node.clock.now(), HOUR_MS);
    await settled();
    assert.equal(node.status.state, 'retrying');
    assert.ok(node.status.renewalMs - node.clock.now() <= 1.5 * SECOND_MS);
    await node.pass(10 * SECOND_MS, SECOND_MS);
    assert.ok(node.status.failures >= 3);
    node.up = true;
    await node.pass(MINUTE_MS, SECOND_MS);
    assert.deepEqual([node.status.failures, node.status.problem, node.status.state], [0, undefined, 'waiting']);
  });

  it('is looked at within a minute after the clock was set forwards, or the machine slept', async () => {
    const node = new TestNode(90 * DAY_MS);
    node.renewer.start();
    node.clock.setWall(node.clock.now() + 80 * DAY_MS);
    await node.pass(MINUTE_MS, SECOND_MS);
    assert.equal(node.attempts.length, 1);
  });

  it('does not hold after a clock was set back or too far forwards, and goes on when it is set right', async () => {
    for (const wrongMs of [-2 * HOUR_MS, 91 * DAY_MS]) {
      const node = new TestNode(90 * DAY_MS);
      node.renewer.start();
      node.clock.setWall(node.clock.now() + wrongMs);
      await node.pass(2 * MINUTE_MS, SECOND_MS);
      assert.equal(node.status.state, 'over');
      assert.equal(node.attempts.length, 0, 'nobody would listen');
      node.clock.setWall(node.clock.now() - wrongMs);
      await node.pass(2 * MINUTE_MS, SECOND_MS);
      assert.deepEqual([node.status.state, node.status.problem], ['waiting', undefined]);
    }
  });

  it('that a manager wants replaced is renewed at once, and once, however often it says so', async () => {
    const node = new TestNode(90 * DAY_MS);
    node.renewer.start();
    node.wants('one');
    node.wants('one');
    await settled();
    assert.equal(node.attempts.length, 1);
    node.wants('one'); // said before the manager had heard
    await node.pass(HOUR_MS);
    assert.equal(node.attempts.length, 1);
    node.wants('two');
    await settled();
    assert.equal(node.attempts.length, 2);
  });

  it('that a manager wants replaced goes on being tried, and is not forgotten', async () => {
    const node = new TestNode(90 * DAY_MS);
    node.up = false;
    node.renewer.start();
    node.wants('one');
    await node.pass(HOUR_MS);
    assert.ok(node.attempts.length > 10);
    node.up = true;
    await node.pass(10 * MINUTE_MS);
    assert.equal(node.status.renewedTotal, 1);
    node.wants('one');
    await node.pass(HOUR_MS);
    assert.equal(node.status.renewedTotal, 1);
  });

  it('that holds longer than new ones are to is renewed within minutes, spread, and once for each lifetime told', async () => {
    const times: number[] = [];
    for (let seed = 0; seed < 20; seed++) {
      const node = new TestNode(90 * DAY_MS, seed);
      node.renewer.start();
      for (let beat = 0; beat < 600; beat++) {
        node.renewer.lifetimeTold(DAY_MS); // the authority goes on with 90 days
        await node.pass(SECOND_MS, SECOND_MS);
      }
      assert.equal(node.attempts.length, 1);
      times.push((node.attempts[0] ?? 0) - 1_700_000_000_000);
    }
    assert.ok(Math.max(...times) <= RENEWAL_CONFIG.shortenedSpreadMs + SECOND_MS);
    assert.ok(Math.max(...times) - Math.min(...times) > 100 * SECOND_MS);
  });

  it('is renewed again by a lifetime that was told before, when it has become longer in between', async () => {
    const node = new TestNode(90 * DAY_MS);
    node.renewer.start();
    for (const lifetimeMs of [DAY_MS, 90 * DAY_MS, DAY_MS]) {
      node.lifetimeMs = lifetimeMs;
      node.renewer.lifetimeTold(lifetimeMs);
      await node.pass(DAY_MS, MINUTE_MS);
      assert.ok(node.certificate.notAfterMs - node.clock.now() <= lifetimeMs);
    }
    const leftMs = node.certificate.notAfterMs - node.clock.now();
    assert.ok(leftMs <= DAY_MS, `it holds for ${leftMs / DAY_MS} days`);
  });

  it('is renewed within minutes though other roots come to be trusted meanwhile', async () => {
    const node = new TestNode(90 * DAY_MS);
    node.renewer.start();
    node.lifetimeMs = DAY_MS;
    node.renewer.lifetimeTold(DAY_MS);
    node.renewer.replaced();
    await node.pass(RENEWAL_CONFIG.shortenedSpreadMs + MINUTE_MS, SECOND_MS);
    assert.equal(node.attempts.length, 1);
  });

  it('is renewed again when one of the former lifetime was on its way', async () => {
    const node = new TestNode(90 * DAY_MS);
    node.renewer.start();
    node.renewer.lifetimeTold(90 * DAY_MS);
    const slow = Promise.withResolvers<void>();
    node.way = slow.promise;
    node.wants('one');
    node.renewer.lifetimeTold(DAY_MS);
    slow.resolve();
    await settled();
    assert.equal(node.status.renewedTotal, 1);
    node.lifetimeMs = DAY_MS;
    for (let beat = 0; beat < 600; beat++) {
      node.renewer.lifetimeTold(DAY_MS);
      await node.pass(SECOND_MS, SECOND_MS);
    }
    assert.equal(node.status.renewedTotal, 2);
    assert.ok(node.certificate.notAfterMs - node.clock.now() <= DAY_MS);
  });

  it('is renewed once at its point, and no more, by an authority that does not keep to the lifetime', async () => {
    const node = new TestNode(90 * DAY_MS);
    node.renewer.start();
    for (let hour = 0; hour < 100 * 24; hour++) {
      node.renewer.lifetimeTold(DAY_MS);
      await node.pass(HOUR_MS, HOUR_MS);
    }
    assert.ok(node.attempts.length >= 2 && node.attempts.length <= 3, `${node.attempts.length}`);
  });

  it('is asked for again from such an authority when another lifetime was told in between', async () => {
    const node = new TestNode(90 * DAY_MS);
    node.renewer.start();
    for (const lifetimeMs of [DAY_MS, DAY_MS, 90 * DAY_MS, DAY_MS, DAY_MS]) {
      node.renewer.lifetimeTold(lifetimeMs);
      await node.pass(HOUR_MS);
    }
    assert.equal(node.attempts.length, 2);
  });

  it('got by somebody else, such as for another role, is renewed if it holds longer than told', async () => {
    const node = new TestNode(90 * DAY_MS);
    node.renewer.start();
    node.renewer.lifetimeTold(DAY_MS);
    node.certificate = node.issue();
    node.renewer.replaced();
    for (let beat = 0; beat < 600; beat++) {
      node.renewer.lifetimeTold(DAY_MS);
      await node.pass(SECOND_MS, SECOND_MS);
    }
    assert.equal(node.attempts.length, 1);
  });

  it('that could not be renewed is not forgotten to be late because other roots are trusted', async () => {
    const node = new TestNode(90 * DAY_MS);
    node.up = false;
    node.renewer.start();
    node.wants('one');
    await node.pass(HOUR_MS);
    const { failures } = node.status;
    node.renewer.replaced();
    assert.equal(node.status.failures, failures);
    assert.notEqual(node.status.problem, undefined);
  });

  it('is left alone by a longer lifetime, the same one, and by managers that tell none', async () => {
    const node = new TestNode(DAY_MS);
    node.renewer.start();
    for (const lifetimeMs of [0, DAY_MS, 90 * DAY_MS, DAY_MS - MINUTE_MS]) node.renewer.lifetimeTold(lifetimeMs);
    await node.pass(10 * HOUR_MS);
    assert.equal(node.attempts.length, 0);
  });

  it('that has run out is renewed by a manager that can ask itself, slowly until it answers', async () => {
    const node = new TestNode(90 * DAY_MS);
    node.clock.setWall(node.clock.now() + 100 * DAY_MS);
    node.renewer.start();
    await node.pass(5 * MINUTE_MS);
    assert.deepEqual([node.attempts.length, node.status.state], [0, 'over']);
    node.asksItself = true;
    node.up = false;
    await node.pass(HOUR_MS, SECOND_MS);
    assert.ok(node.attempts.length > 10 && node.attempts.length < 30, `${node.attempts.length}`);
    node.up = true;
    await node.pass(10 * MINUTE_MS);
    assert.deepEqual([node.status.renewedTotal, node.status.state, node.status.problem], [1, 'waiting', undefined]);
  });

  it('is not renewed after the end of its node', async () => {
    const node = new TestNode(90 * DAY_MS);
    node.renewer.start();
    node.renewer.close();
    node.wants('one');
    await node.pass(100 * DAY_MS, DAY_MS);
    assert.equal(node.attempts.length, 0);
  });

  it('never ends unrenewed over random histories of outages and clock jumps that leave a minute of good time', async function () {
    this.timeout(60_000);
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: HOUR_MS, max: 3 * DAY_MS }),
        fc.array(fc.tuple(fc.nat(40), fc.boolean()), { minLength: 3, maxLength: 12 }),
        async (lifetimeMs, history) => {
          const node = new TestNode(lifetimeMs);
          node.renewer.start();
          for (const [percent, forwards] of history) {
            // Jumps and outages together stay below the fifth that is left after the latest point.
            node.up = percent % 2 === 0;
            await node.pass((lifetimeMs * percent) / 1_000, MINUTE_MS);
            const jumpMs = (lifetimeMs * percent) / 1_000;
            node.clock.setWall(node.clock.now() + (forwards ? jumpMs : -Math.min(jumpMs, backdateMs / 2)));
            node.up = true;
            await node.pass(2 * MINUTE_MS, SECOND_MS);
            // A second attempt after the backoff of an outage takes five minutes at most.
            await node.pass(8 * MINUTE_MS, 10 * SECOND_MS);
            assert.ok(node.certificate.notAfterMs > node.clock.now());
          }
        },
      ),
      { numRuns: 20 },
    );
  });
});
