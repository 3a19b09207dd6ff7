/** Waits until a drained node is empty, and shows how far it is. */
import { SwarmError } from '#common/errors.ts';
import { type DrainStatus, type Node, TaskState } from '#gen/swarm/v1/objects.ts';
import { NodeAvailability } from '#gen/swarm/v1/specs.ts';
import type { SwarmApi } from '../api.ts';
import { CliError } from '../cli-errors.ts';
import { pause } from '../commands/shared/pause.ts';
import type { CliContext } from '../context.ts';
import { mayPass } from './passing-errors.ts';
import { progressLines } from './progress-lines.ts';

export interface DrainWait {
  readonly context: CliContext;
  readonly nodeId: string;
  /** As the user calls the node, for messages. */
  readonly reference: string;
  /** Undefined: for as long as it takes. */
  readonly timeoutMs: number | undefined;
}

const POLL_MS = 250;
/** A task that was given to the node before anybody knew of the drain may be written after the first look. */
const EMPTY_LOOKS = 2;
/** Tasks that are named when time is up; the others are counted. */
const NAMES_MAX = 10;

interface Look {
  readonly isEmpty: boolean;
  readonly text: string;
  /** Share that is done. */
  readonly done?: number;
}

/** Progress goes to standard error. Throws a CliError when time is up, or when the drain is called off. */
export async function waitForDrain(wait: DrainWait): Promise<'done' | 'interrupted'> {
  const { context, nodeId, reference, timeoutMs } = wait;
  const api = await context.api();
  const lines = progressLines(context.stderr, context);
  const interrupted = new AbortController();
  const release = context.onInterrupt(() => interrupted.abort());
  const startMs = context.clock.monotonic();
  try {
    for (let emptyLooks = 0; ; ) {
      const { isEmpty, text, done } = await look(api, nodeId, reference);
      emptyLooks = isEmpty ? emptyLooks + 1 : 0;
      lines.show({ id: reference, text });
      if (done !== undefined) lines.show({ id: reference, text, done });
      if (emptyLooks >= EMPTY_LOOKS) return 'done';
      if (timeoutMs !== undefined && context.clock.monotonic() - startMs >= timeoutMs)
        throw await tooLate(api, wait, timeoutMs, text);
      await pause(context, POLL_MS, interrupted.signal);
      if (interrupted.signal.aborted) return 'interrupted';
    }
  } finally {
    release();
  }
}

async function look(api: SwarmApi, nodeId: string, reference: string): Promise<Look> {
  let node: Node | undefined;
  try {
    ({ node } = await api.control.getNode({ reference: nodeId }));
  } catch (thrown) {
    if (!(thrown instanceof SwarmError)) throw thrown;
    if (thrown.reason === 'unknown-object') throw new CliError(`node ${reference} was removed while it was drained`);
    if (!mayPass(thrown)) throw thrown;
    return { isEmpty: false, text: `waiting for the managers to answer: ${thrown.message}` };
  }
  if (node?.spec?.availability !== NodeAvailability.DRAIN)
    throw new CliError(`node ${reference} is not drained any more: somebody has set its availability`, {
      hint: 'see `swarm node ls`',
    });
  return node.drain === undefined
    ? { isEmpty: false, text: 'the drain begins' }
    : { isEmpty: node.drain.completedAtMs > 0, text: drainText(node.drain), done: shareOf(node.drain) };
}

/** `3 of 12 tasks have left; web.3: no suitable node (...)`. */
export function drainText({ total, left, message }: DrainStatus): string {
  if (left === 0)
    return total === 0 ? 'no tasks were there' : `${total === 1 ? 'its task has' : `all ${total} tasks have`} left`;
  const progress = `${total - left} of ${total} ${total === 1 ? 'task has' : 'tasks have'} left`;
  return message === '' ? progress : `${progress}; ${message}`;
}

function shareOf({ total, left }: DrainStatus): number {
  return total === 0 ? 1 : (total - left) / total;
}

async function tooLate(
  api: SwarmApi,
  { nodeId, reference }: DrainWait,
  timeoutMs: number,
  text: string,
): Promise<CliError> {
  const names = await namesLeft(api, nodeId).catch(() => []);
  const shown = names.slice(0, NAMES_MAX).join(', ');
  const more = names.length > NAMES_MAX ? ` and ${names.length - NAMES_MAX} more` : '';
  const left = names.length === 0 ? '' : ` (still there: ${shown}${more})`;
  return new CliError(`node ${reference} is not empty after ${timeoutMs / 1000} seconds: ${text}${left}`, {
    hint: `it goes on being drained: see \`swarm node inspect --pretty ${reference}\`; to stop what is left at once: swarm node update --availability drain --parallel 0 ${reference}`,
  });
}

async function namesLeft(api: SwarmApi, nodeId: string): Promise<readonly string[]> {
  const names: string[] = [];
  for await (const { tasks } of api.control.listTasks({ nodeIds: [nodeId] }))
    for (const { task, serviceName } of tasks)
      if (task !== undefined && task.oneOff === undefined && (task.status?.state ?? 0) <= TaskState.RUNNING)
        names.push(task.slot === 0 ? serviceName : `${serviceName}.${task.slot}`);
  return names.toSorted();
}
