import type { CancelTimer } from '#common/clock.ts';
import type { CliContext } from '../context.ts';

/** Lets a time pass between two looks, unless the user interrupts. */
export async function pause(
  context: CliContext,
  interrupted: Promise<'interrupted'>,
  durationMs: number,
): Promise<'interrupted' | 'elapsed'> {
  let cancel: CancelTimer = () => {};
  const elapsed = new Promise<'elapsed'>((resolve) => {
    cancel = context.clock.setTimer(durationMs, () => resolve('elapsed'));
  });
  const outcome = await Promise.race([interrupted, elapsed]);
  cancel();
  return outcome;
}
