/** Goal: related limits fit each other. */
import assert from 'node:assert/strict';
import { LIMITS } from '#common/limits.ts';

describe('limits', () => {
  it('a whole transaction fits one message', () => {
    assert.ok(LIMITS.TRANSACTION_BYTES < LIMITS.MESSAGE_BYTES);
    // Its proposal has the events of its changes, too.
    assert.ok(
      LIMITS.TRANSACTION_BYTES + LIMITS.CHANGES_PER_TRANSACTION * LIMITS.EVENT_BYTES * 4 < LIMITS.MESSAGE_BYTES,
    );
    assert.ok(LIMITS.EVENTS_KEPT > LIMITS.CHANGES_PER_TRANSACTION * 10);
  });
  it('the largest spec fits a transaction twice: as the service and as its revision', () => {
    assert.ok(LIMITS.SPEC_BYTES * 2 <= LIMITS.TRANSACTION_BYTES);
  });
  it('environment and arguments fit a spec', () => {
    assert.ok(LIMITS.ENV_TOTAL_BYTES <= LIMITS.SPEC_BYTES && LIMITS.ARGS_TOTAL_BYTES <= LIMITS.SPEC_BYTES);
    assert.ok(LIMITS.ENV_ENTRY_BYTES <= LIMITS.ENV_TOTAL_BYTES);
  });
  it('secrets and configs fit a transaction', () => {
    assert.ok(LIMITS.SECRET_BYTES < LIMITS.TRANSACTION_BYTES && LIMITS.CONFIG_BYTES < LIMITS.TRANSACTION_BYTES);
  });
});
