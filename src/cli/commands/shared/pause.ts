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
  signal?.addEventListener('abort', () => resolve());
  await promise;
  cancel();
}
