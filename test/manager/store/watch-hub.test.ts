/** Watching: whoever begins or resumes at any version sees exactly the commits after it, or is told that it cannot. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { SwarmError } from '#common/errors.ts';
import { type CommitEvents, type SubscribeOptions, type Subscription, WatchHub } from '#manager/store/index.ts';
import { task } from './support.ts';

function commit(version: number, events = 1): CommitEvents {
  return {
    version,
    timeMs: version,
    events: Array.from({ length: events }, (_, index) => ({
      kind: 'create' as const,
      table: 'task' as const,
      object: task(`t${version}-${index}`, { slot: version }),
    })),
  };
}

function subscribe(hub: WatchHub, options: SubscribeOptions = {}): Subscription {
  const subscription = hub.subscribe(options);
  assert.ok(!(subscription instanceof SwarmError), 'the subscription was refused');
  return subscription;
}

function drain(subscription: Subscription): number[] {
  const versions: number[] = [];
  for (let next = subscription.take(); next !== undefined; next = subscription.take()) versions.push(next.version);
  return versions;
}

const LIMITS = { historyEvents: 50, watcherEvents: 100 };

describe('manager/store: WatchHub', () => {
  it('shows every watcher what came after its version, without gap or repetition', () => {
    const scripts = fc.array(
      fc.oneof(
        {
          weight: 5,
          arbitrary: fc.record({ kind: fc.constant('commit' as const), events: fc.integer({ min: 1, max: 8 }) }),
        },
        { weight: 2, arbitrary: fc.record({ kind: fc.constant('watch' as const), back: fc.nat(30) }) },
        { weight: 2, arbitrary: fc.record({ kind: fc.constant('read' as const), who: fc.nat(20) }) },
      ),
      { maxLength: 120, size: 'max' },
    );
    fc.assert(
      fc.property(scripts, (script) => {
        const hub = new WatchHub(0, LIMITS);
        let version = 0;
        const watchers: { subscription: Subscription; after: number; seen: number[] }[] = [];
        for (const step of script) {
          if (step.kind === 'commit') hub.publish(commit(++version, step.events));
          else if (step.kind === 'watch') {
            const after = Math.max(0, version - step.back);
            const subscription = hub.subscribe({ after });
            if (subscription instanceof SwarmError) {
              assert.equal(subscription.reason, 'version-gone');
              assert.ok(after < hub.oldestVersion);
            } else watchers.push({ subscription, after, seen: [] });
          } else {
            const watcher = watchers[step.who % (watchers.length || 1)];
            watcher?.seen.push(...drain(watcher.subscription));
          }
        }
        for (const { subscription, after, seen } of watchers) {
          seen.push(...drain(subscription));
          const expected = Array.from({ length: version - after }, (_, index) => after + 1 + index);
          if (subscription.end === undefined) assert.deepEqual(seen, expected);
          else {
            assert.equal(subscription.end.error?.reason, 'slow-watcher');
            assert.deepEqual(seen, expected.slice(0, seen.length));
          }
        }
      }),
    );
  });

  it('keeps as many events as it is told, whole commits only', () => {
    const hub = new WatchHub(0, LIMITS);
    for (let version = 1; version <= 30; version++) hub.publish(commit(version, 4));
    assert.equal(hub.oldestVersion, 30 - 12);
    assert.deepEqual(drain(subscribe(hub, { after: 18 })).length, 12);
    assert.ok(hub.subscribe({ after: 17 }) instanceof SwarmError);
    hub.publish(commit(31, 60));
    assert.equal(hub.oldestVersion, 31, 'a commit larger than the whole history is not kept');
    assert.ok(hub.subscribe({ after: 30 }) instanceof SwarmError);
  });

  it('does not know the future', () => {
    const hub = new WatchHub(7, LIMITS);
    assert.equal(hub.oldestVersion, 7);
    const refused = hub.subscribe({ after: 8 });
    assert.ok(refused instanceof SwarmError && refused.reason === 'version-gone');
    subscribe(hub, { after: 7 });
  });

  it('passes on only what the filter takes, and skips commits without any', () => {
    const hub = new WatchHub(0, LIMITS);
    const even = subscribe(hub, { filter: ({ object }) => Number(object.id.at(-1)) % 2 === 0 });
    const none = subscribe(hub, { filter: () => false });
    hub.publish(commit(1, 5));
    hub.publish(commit(2, 1));
    assert.deepEqual(
      even.take()?.events.map(({ object }) => object.id),
      ['t1-0', 't1-2', 't1-4'],
    );
    assert.deepEqual(drain(even), [2]);
    assert.equal(none.take(), undefined);
  });

  it('wakes a watcher once until it has read, and at the end', () => {
    const hub = new WatchHub(0, LIMITS);
    let woken = 0;
    const subscription = subscribe(hub, { wake: () => woken++ });
    hub.publish(commit(1));
    hub.publish(commit(2));
    assert.equal(woken, 1);
    drain(subscription);
    hub.publish(commit(3));
    assert.equal(woken, 2);
    hub.endAll(undefined);
    assert.equal(woken, 3);
    assert.deepEqual(drain(subscription), [3], 'what waited can still be read');
    assert.deepEqual(subscription.end, { error: undefined });
    assert.equal(hub.watcherCount, 0);
  });

  it('ends a watcher that does not keep up, and only that one', () => {
    const hub = new WatchHub(0, LIMITS);
    const slow = subscribe(hub);
    const quick = subscribe(hub);
    for (let version = 1; version <= 30; version++) {
      hub.publish(commit(version, 4));
      drain(quick);
    }
    assert.equal(slow.end?.error?.reason, 'slow-watcher');
    assert.equal(slow.take(), undefined, 'half a backlog would look like all of it');
    assert.equal(quick.end, undefined);
    assert.equal(hub.watcherCount, 1);
  });

  it('takes one commit larger than what may wait', () => {
    const hub = new WatchHub(0, LIMITS);
    const subscription = subscribe(hub);
    hub.publish(commit(1, 150));
    assert.deepEqual(drain(subscription), [1]);
  });

  it('ends everybody when the state jumps, and begins a new history', () => {
    const hub = new WatchHub(0, LIMITS);
    hub.publish(commit(1));
    const subscription = subscribe(hub);
    hub.reset(40);
    assert.equal(subscription.end?.error?.reason, 'version-gone');
    assert.ok(hub.subscribe({ after: 1 }) instanceof SwarmError);
    hub.publish(commit(41));
    assert.deepEqual(drain(subscribe(hub, { after: 40 })), [41]);
  });

  it('gives a closed watcher nothing more', () => {
    const hub = new WatchHub(0, LIMITS);
    const subscription = subscribe(hub);
    hub.publish(commit(1));
    subscription.close();
    hub.publish(commit(2));
    assert.equal(subscription.take(), undefined);
    assert.deepEqual(subscription.end, { error: undefined });
  });
});
