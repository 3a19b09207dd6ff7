import type { Clock } from '../clock.ts';
import { SwarmError } from '../errors.ts';
import { systemClock } from './clock.ts';

/**
 * Settles as `work` does, or rejects with `deadline` after `timeoutMs`. The work itself is not stopped: pass an
 * AbortSignal to it for that. `what` completes the sentence "timed out after N ms waiting for ...".
 */
export async function withDeadline<T>(
  work: Promise<T>,
  timeoutMs: number,
  what: string,
  clock: Clock = systemClock,
): Promise<T> {
  let cancel = (): void => {};
  const expired = new Promise<never>((_resolve, reject) => {
    cancel = clock.setTimer(timeoutMs, () =>
      reject(
        new SwarmError({
          code: 'deadline',
          reason: 'timeout',
          message: `timed out after ${timeoutMs} ms waiting for ${what}`,
        }),
      ),
    );
  });
  try {
    return await Promise.race([work, expired]);
  } finally {
    cancel();
  }
}
