/** Waits until the services of a deployment have converged, a few at a time, and says what each waits for. */
import { SwarmError } from '#common/errors.ts';
import { CliError } from '../../cli-errors.ts';
import { type CliContext, printLine } from '../../context.ts';
import { isJobService, waitForJob } from '../../progress/wait-for-job.ts';
import { waitForService } from '../../progress/wait-for-service.ts';
import { collectFailures, isNotFound } from '../shared/each.ts';
import { pause } from '../shared/pause.ts';

/** Each asks for its tasks several times a second. */
const WAITS_AT_ONCE = 6;
const NEWS_POLL_MS = 1000;

export async function waitForServices(context: CliContext, names: readonly string[], isQuiet: boolean): Promise<void> {
  if (names.length === 0) return;
  const failures = collectFailures();
  const waiting = new Set(names);
  const news = new AbortController();
  let interrupted = false;
  const release = context.onInterrupt(() => {
    interrupted = true;
    news.abort();
  });
  const queue = [...names];
  const next = async (): Promise<void> => {
    for (let name = queue.shift(); name !== undefined && !interrupted; name = queue.shift()) {
      await failures.attempt(
        () => waitForOne(context, name),
        (error) => `${name}: ${error.message}`,
      );
      waiting.delete(name);
      if (!isQuiet && !interrupted) printLine(context, `Service ${name} converged`);
    }
  };
  const told = isQuiet ? Promise.resolve() : tellWhatIsWaitedFor(context, waiting, news.signal);
  try {
    await Promise.all(Array.from({ length: WAITS_AT_ONCE }, next));
  } finally {
    news.abort();
    release();
    await told;
  }
  if (interrupted) printLine(context, 'Operation continuing in background.');
  failures.report();
}

async function waitForOne(context: CliContext, name: string): Promise<void> {
  const { service } = await (await context.api()).control.getService({ reference: name });
  if (service === undefined) throw new CliError(`${name}: the service is gone`);
  try {
    const wait = { context, serviceId: service.id, reference: name, isQuiet: true };
    if (isJobService(service)) await waitForJob({ ...wait, iteration: undefined });
    else await waitForService({ ...wait, knownStatus: undefined });
  } catch (thrown) {
    if (thrown instanceof CliError) throw new CliError(`${name}: ${thrown.message}`, { hint: thrown.hint });
    throw thrown;
  }
}

/** A line whenever the reason of a service changes. */
async function tellWhatIsWaitedFor(
  context: CliContext,
  waiting: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<void> {
  const told = new Map<string, string>();
  const api = await context.api();
  while (!signal.aborted) {
    for (const name of [...waiting]) {
      try {
        const { service } = await api.control.getService({ reference: name });
        const reason = service?.waitsFor ?? '';
        if (reason !== '' && told.get(name) !== reason) printLine(context, `Service ${name} waits for ${reason}`);
        told.set(name, reason);
      } catch (thrown) {
        // The wait itself says what is wrong.
        if (!(thrown instanceof SwarmError) && !isNotFound(thrown)) throw thrown;
      }
    }
    await pause(context, NEWS_POLL_MS, signal);
  }
}
