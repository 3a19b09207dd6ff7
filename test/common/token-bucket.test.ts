/**
 * Goal: so many at once, so many a second after that, never more, for each key by itself and for a bounded number of keys.
 * Method: times that are given.
 */
import assert from 'node:assert/strict';
import { TokenBucket, TokenBuckets } from '#common/token-bucket.ts';

describe('token bucket', () => {
  const taken = (bucket: TokenBucket, nowMs: number): number => {
    let count = 0;
    while (bucket.take(nowMs)) count++;
    return count;
  };

  it('gives a burst, then as many as time brings, and never saves more than a burst', () => {
    const bucket = new TokenBucket(2, 5, 1000);
    assert.equal(taken(bucket, 1000), 5);
    assert.equal(taken(bucket, 1400), 0);
    assert.equal(taken(bucket, 1500), 1);
    assert.equal(taken(bucket, 3000), 3);
    assert.equal(taken(bucket, 1_000_000), 5);
  });

  it('has one for each key, and forgets the one that was used longest ago when there are too many', () => {
    const buckets = new TokenBuckets(1, 1, 2);
    assert.ok(buckets.take('a', 0));
    assert.ok(buckets.take('b', 0));
    assert.ok(!buckets.take('a', 0));
    assert.ok(buckets.take('c', 0), 'b was used longest ago');
    assert.ok(!buckets.take('a', 0));
    assert.ok(buckets.take('b', 0));
  });
});
