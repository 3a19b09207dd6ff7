import type { Task } from '#gen/swarm/v1/objects.ts';
import { EXIT_INTERRUPTED, SilentExit } from '../../cli-errors.ts';
import type { CliContext } from '../../context.ts';
import { isNotFound } from '../shared/each.ts';
import { pause } from '../shared/pause.ts';

const POLL_MS = 200;

/** Resolves when the container is as wanted, or is not there any more. Ctrl-C ends the command and nothing else. */
export async function waitForContainer(
  context: CliContext,
  id: string,
  isWanted: (task: Task) => boolean,
): Promise<void> {
  const api = await context.api();
  const interrupted = new AbortController();
  const release = context.onInterrupt(() => interrupted.abort());
  try {
    while (!interrupted.signal.aborted) {
      const { container } = await api.containers.getContainer({ reference: id });
      if (container?.task !== undefined && isWanted(container.task)) return;
      await pause(context, POLL_MS, interrupted.signal);
    }
  } catch (thrown) {
    if (!isNotFound(thrown)) throw thrown;
    return;
  } finally {
    release();
  }
  throw new SilentExit(EXIT_INTERRUPTED);
}
