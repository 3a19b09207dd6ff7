import { SwarmError } from '#common/errors.ts';
import { type CliContext, printWarning } from '../../context.ts';
import { pause } from './pause.ts';

/** Removal may go on for the grace period of the tasks. */
const POLL_MS = 500;
const PATIENCE_MS = 120_000;

/**
 * Tries again while what had the name before, or was a member of the stack, is on its way out, for two minutes: scripts
 * that remove and create need not know how long tasks take to stop.
 */
export async function whenNothingLeaves<T>(context: CliContext, isQuiet: boolean, work: () => Promise<T>): Promise<T> {
  const begunMs = context.clock.monotonic();
  for (let isTold = false; ; ) {
    try {
      return await work();
    } catch (thrown) {
      const leaves =
        thrown instanceof SwarmError && thrown.reason === 'in-use' && thrown.message.endsWith(' is being removed');
      if (!leaves || context.clock.monotonic() - begunMs > PATIENCE_MS) throw thrown;
      if (!isTold && !isQuiet) printWarning(context, `${thrown.message}: waiting until it is gone`);
      isTold = true;
      await pause(context, POLL_MS);
    }
  }
}
