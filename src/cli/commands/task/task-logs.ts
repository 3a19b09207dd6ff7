import type { LogMessage, LogOptions } from '#gen/swarm/v1/logs.ts';
import { LogStream } from '#gen/swarm/v1/logs.ts';
import type { SwarmApi } from '../../api.ts';
import { EXIT_INTERRUPTED, SilentExit } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printWarning } from '../../context.ts';
import { FOLLOW, logOptions, SINCE, TAIL, TIMESTAMPS, timeText } from '../shared/log-flags.ts';
import { isOnWorker } from '../shared/on-worker.ts';

export const taskLogs: CommandImplementation = {
  flags: [FOLLOW, SINCE, TAIL, TIMESTAMPS],
  examples: ['swarm task logs --follow relay', 'swarm task logs --tail 20 4xn3jjkb8bz6'],
  argumentKind: 'task',
  run: showLogs,
};

/** What came from one task, as it was written. */
async function showLogs(invocation: Invocation): Promise<void> {
  const { context, flags, arguments: references } = invocation;
  const [reference = ''] = references;
  const api = await context.api();
  const options = logOptions(flags, context.clock.now());
  const interrupted = new AbortController();
  const release = context.onInterrupt(() => interrupted.abort());
  try {
    for await (const { messages, warnings } of await read(api, reference, options, interrupted.signal)) {
      for (const warning of warnings) printWarning(context, `warning: ${warning}`);
      for (const { stream, data, timestampUs } of messages) {
        const time = flags.isSet(TIMESTAMPS) ? `${timeText(timestampUs)} ` : '';
        const text = Buffer.concat([Buffer.from(time), data, Buffer.from('\n')]);
        (stream === LogStream.STDERR ? context.stderr : context.stdout).write(text);
      }
    }
  } catch (thrown) {
    if (!interrupted.signal.aborted) throw thrown;
  } finally {
    release();
  }
  if (interrupted.signal.aborted) throw new SilentExit(EXIT_INTERRUPTED);
}

interface Portion {
  readonly messages: readonly LogMessage[];
  readonly warnings: readonly string[];
}

/** A manager has all tasks; a worker has the output of its own containers. */
async function read(
  api: SwarmApi,
  reference: string,
  options: LogOptions,
  signal: AbortSignal,
): Promise<AsyncIterable<Portion>> {
  try {
    const { task: view } = await api.control.getTask({ reference });
    const selector = { serviceIds: [], taskIds: [view?.task?.id ?? ''], nodeIds: [] };
    return api.logs.subscribeLogs({ selector, options }, { signal });
  } catch (thrown) {
    if (!isOnWorker(thrown)) throw thrown;
  }
  const { container } = await api.containers.getContainer({ reference });
  return ownOutput(api, container?.task?.id ?? '', options, signal);
}

async function* ownOutput(
  api: SwarmApi,
  id: string,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<Portion> {
  for await (const { messages } of api.containers.followContainer({ id, options }, { signal }))
    yield { messages, warnings: [] };
}
