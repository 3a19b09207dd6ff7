import type { CliContext } from '../../context.ts';

/** Resolves after that time, or at once when the signal is aborted. */
export async function pause(
  { clock }: Pick<CliContext, 'clock'>,
  delayMs: number,
  signal?: AbortSignal,
): Promise<void> {
  if (signal?.aborted === true) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const cancel = clock.setTimer(delayMs, resolve);
  const end = (): void => resolve();
  signal?.addEventListener('abort', end);
  try {
    await promise;
  } finally {
    cancel();
    // The signal lives on: of the many pauses of a long wait none may stay with it.
    signal?.removeEventListener('abort', end);
  }
}
