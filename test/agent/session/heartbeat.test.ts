/**
 * Goal: what an agent takes for a sign of a manager is never later than when a manager had heard of it. Method: heartbeats
 * under a manual clock, answered late, in part, or by a manager that has not made the session count.
 */
import assert from 'node:assert/strict';
import { Heartbeat } from '#agent/session/heartbeat.ts';
import { ManualClock } from '#common/clock.ts';
import { SeededRandom } from '#common/random.ts';

describe('agent: heartbeats', () => {
  let clock: ManualClock;
  let sent: number[];
  let signs: number[];
  let heart: Heartbeat;
  /** Of the host, in which only one of its clocks goes on. */
  let sleptMs: number;

  beforeEach(() => {
    clock = new ManualClock();
    sent = [];
    signs = [];
    sleptMs = 0;
    heart = new Heartbeat({
      send: () => sent.push(clock.monotonic()),
      signs: { nowMs: () => clock.monotonic() + sleptMs, heard: (atMs) => signs.push(atMs) },
      clock,
      random: new SeededRandom(1),
    });
    clock.advance(100);
  });
  afterEach(() => heart.stop());

  it('prove what they prove: that a manager had heard of the node when the answered one was sent', () => {
    heart.helloSent();
    clock.advance(50);
    heart.begin(1000);
    clock.advance(20);
    heart.counts();
    assert.deepEqual(signs, [100], 'the hello was heard, when nobody knows');
    clock.advance(2900);
    assert.equal(sent.length, 4);
    heart.answered(1000);
    heart.answered(1000);
    assert.deepEqual(signs.slice(1), sent.slice(0, 2), 'not when the answer came');
  });

  it('prove nothing in a session that does not count, and what was proven meanwhile once it does', () => {
    heart.helloSent();
    heart.begin(1000);
    clock.advance(5000);
    heart.answered(1000);
    heart.answered(1000);
    assert.deepEqual(signs, []);
    heart.counts();
    assert.deepEqual(signs, [sent[1]]);
    heart.helloSent();
    heart.begin(1000);
    clock.advance(1000);
    heart.answered(1000);
    assert.equal(signs.length, 1, 'the next session has to count anew');
  });

  it('prove what was when they were sent, also when the host slept before the answer was read', () => {
    heart.helloSent();
    heart.begin(1000);
    heart.counts();
    const sentMs = clock.monotonic();
    clock.advance(10);
    sleptMs += 3_600_000;
    heart.answered(1000);
    assert.equal(signs.at(-1), sentMs);
    clock.advance(1000);
    heart.answered(1000);
    assert.equal(signs.at(-1), (sent[1] ?? 0) + sleptMs);
  });

  it('come as often as the manager wants, which may change', () => {
    heart.helloSent();
    heart.begin(1000);
    heart.answered(4000);
    clock.advance(1000);
    const before = sent.length;
    clock.advance(8000);
    assert.ok(sent.length - before <= 3, `${sent.length - before} in 8 s`);
    assert.equal(heart.periodMs, 4000);
    heart.stop();
    clock.advance(60_000);
    assert.ok(sent.length - before <= 3);
  });

  it('come sooner at once when the manager wants them more often', () => {
    heart.helloSent();
    heart.begin(30_000);
    clock.advance(200);
    heart.answered(1000);
    clock.advance(900);
    assert.equal(sent.length, 2, 'within a period of the last one');
    clock.advance(5000);
    assert.ok(sent.length >= 7);
    heart.answered(10);
    const before = sent.length;
    clock.advance(1);
    assert.ok(sent.length > before, 'at once when it is overdue by the new period');
  });

  it('do not begin again by an answer that comes when the session is over', () => {
    heart.helloSent();
    heart.begin(30_000);
    heart.stop();
    heart.answered(1000);
    clock.advance(60_000);
    assert.equal(sent.length, 1);
  });
});
