/** When a task that has been started is there for others: once it listens where they will be led to. */
import type { Clock } from '#common/clock.ts';
import type { ListenTimes } from './config.ts';
import { pollUntil } from './poll-until.ts';

/** TCP ports of a task that others expect something behind. */
export interface ExpectedPorts {
  /** The service publishes them: all are waited for, the others not for long once one is there. */
  readonly published: readonly number[];
  /** The image says that its programs listen there; which of them does, the command decides. */
  readonly exposed: readonly number[];
}

/**
 * Resolves once the task listens, or when waiting for it has ended. Returns the published ports that nobody listens on.
 * Rejects when the signal aborts.
 */
export async function listening(
  ports: ExpectedPorts,
  listened: () => Promise<ReadonlySet<number>>,
  { clock, times }: { readonly clock: Clock; readonly times: ListenTimes },
  signal: AbortSignal,
): Promise<readonly number[]> {
  const { published, exposed } = ports;
  let absent: readonly number[] = published;
  const anyOf = (wanted: readonly number[]) => async (): Promise<boolean> => {
    const found = await listened();
    absent = published.filter((port) => !found.has(port));
    return wanted.some((port) => found.has(port));
  };
  const { pollMs, publishedMs, othersMs, exposedMs } = times;
  if (published.length === 0) {
    if (exposed.length > 0) await pollUntil(anyOf(exposed), clock, pollMs, exposedMs, signal);
    return [];
  }
  if (await pollUntil(anyOf(published), clock, pollMs, publishedMs, signal)) {
    const all = async (): Promise<boolean> => {
      await anyOf(published)();
      return absent.length === 0;
    };
    await pollUntil(all, clock, pollMs, othersMs, signal);
  }
  return absent;
}
