import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';

/** The same stream, but one that says nothing for too long has failed. `what` completes "no data came for". */
export async function* withIdleLimit<T>(
  source: AsyncIterable<T>,
  idleMs: number,
  what: string,
  clock: Clock,
): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]();
  try {
    for (;;) {
      let cancel: CancelTimer = () => {};
      const idle = new Promise<never>((_resolve, reject) => {
        cancel = clock.setTimer(idleMs, () => reject(idleError(idleMs, what)));
      });
      // The clock runs while the source is waited for, not while the reader is.
      const next = await Promise.race([iterator.next(), idle]).finally(cancel);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    // Not awaited: a source that hangs in next() hangs in return() too.
    iterator.return?.().catch(() => {});
  }
}

function idleError(idleMs: number, what: string): SwarmError {
  return new SwarmError({
    code: 'deadline',
    reason: 'timeout',
    message: `no data came for ${what} within ${idleMs / 1000} s`,
    hint: 'send it again',
  });
}
