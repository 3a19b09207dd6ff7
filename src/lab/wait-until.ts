import { SwarmError } from '#common/errors.ts';
import { LAB_CONFIG } from './config.ts';

/** Looks until `check` answers yes. For states that have no event. Rejects with `timeout`, naming `what`. */
export async function waitUntil(what: string, timeoutMs: number, check: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await check())) {
    if (performance.now() >= deadline)
      throw new SwarmError({
        code: 'deadline',
        reason: 'timeout',
        message: `timed out after ${timeoutMs} ms waiting for ${what}`,
      });
    await new Promise((resolve) => setTimeout(resolve, LAB_CONFIG.pollMs));
  }
}
