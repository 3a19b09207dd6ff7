/**
 * Goal: a thousand nodes that come at once do not hold up the manager's loop, and none waits when it comes alone. Method:
 * a clock on which every session that is told takes a few milliseconds.
 */
import assert from 'node:assert/strict';
import { ManualClock } from '#common/clock.ts';
import type { DispatcherSession } from '#manager/dispatcher/index.ts';
import { SessionBegins } from '#manager/dispatcher/session-begins.ts';
import type { SharedMessages } from '#manager/dispatcher/shared-messages.ts';

const SLICE_MS = 10;
const EACH_MS = 3;

/** Time passes also while somebody works. */
class WorkingClock extends ManualClock {
  workedMs = 0;

  override monotonic(): number {
    return super.monotonic() + this.workedMs;
  }
}

describe('dispatcher: sessions that begin', () => {
  let clock: WorkingClock;
  let begins: SessionBegins;
  let told: { readonly session: DispatcherSession; readonly shared: SharedMessages }[];
  const sessionOf = (nodeId: string): DispatcherSession => ({ nodeId }) as DispatcherSession; // nothing else is asked of it

  beforeEach(() => {
    clock = new WorkingClock();
    told = [];
    const begin = (session: DispatcherSession, shared: SharedMessages): void => {
      told.push({ session, shared });
      clock.workedMs += EACH_MS;
    };
    begins = new SessionBegins({ begin, clock, sliceMs: SLICE_MS });
  });

  it('one alone is told at once, the next one too when it comes later', () => {
    begins.push(sessionOf('a'));
    assert.equal(told.length, 1);
    clock.advance(1);
    begins.push(sessionOf('b'));
    assert.equal(told.length, 2);
    clock.advance(1);
    assert.equal(clock.nextDue(), undefined);
  });

  it('many are told in slices, each once and in order, and share what is the same', () => {
    const sessions = Array.from({ length: 50 }, (_, number) => sessionOf(String(number)));
    for (const session of sessions) begins.push(session);
    assert.equal(told.length, 1);
    clock.advance(1);
    assert.equal(clock.nextDue(), undefined);
    assert.deepEqual(
      told.map(({ session }) => session),
      sessions,
    );
    const slices = new Map<SharedMessages, number>();
    for (const { shared } of told) slices.set(shared, (slices.get(shared) ?? 0) + 1);
    assert.ok(Math.max(...slices.values()) <= Math.ceil(SLICE_MS / EACH_MS), [...slices.values()].join(' '));
    assert.ok(slices.size <= 1 + Math.ceil(50 / Math.ceil(SLICE_MS / EACH_MS)));
  });

  it('none is told any more when the lead is lost', () => {
    for (const id of ['a', 'b', 'c']) begins.push(sessionOf(id));
    begins.clear();
    assert.equal(clock.nextDue(), undefined);
    assert.equal(told.length, 1);
  });
});
