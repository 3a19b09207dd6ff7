/** The last words of a task that has failed, for its status. */
import type { Executor } from '#agent/executor/index.ts';
import { isTerminal, needsExplanation, type TaskExit, type TaskMachine } from '#agent/tasks/index.ts';
import type { WorkerConfig } from './config.ts';

/** The end with what the task wrote last, where that says why it ended. Never rejects. */
export async function explained(
  executor: Executor,
  machine: TaskMachine,
  exit: TaskExit,
  config: WorkerConfig,
): Promise<TaskExit> {
  if (isTerminal(machine.status.state) || !needsExplanation(machine, exit)) return exit;
  return { ...exit, lastLog: await lastLines(executor, machine.assignment.task.id, config) };
}

/** Never rejects: a log that cannot be read in time explains nothing. Oldest line first. */
export async function lastLines(
  executor: Executor,
  taskId: string,
  { lastLinesMax, lastLinesBytesMax, lastLinesTimeoutMs }: WorkerConfig,
): Promise<readonly string[]> {
  const lines: string[] = [];
  const query = { follow: false, tail: lastLinesMax, sinceNs: undefined, untilNs: undefined };
  try {
    for await (const { data } of executor.logs(taskId, query, AbortSignal.timeout(lastLinesTimeoutMs)))
      lines.push(printable(Buffer.from(data).toString('utf8')));
  } catch {
    // What was read before is better than nothing.
  }
  return fitting(lines.slice(-lastLinesMax), lastLinesBytesMax);
}

/** Without what would move a terminal's cursor or colour what comes after it. */
function printable(line: string): string {
  // oxlint-disable-next-line no-control-regex -- they are what is looked for
  return line.replaceAll(/\u001b\[[0-9;?]*[ -/]*[@-~]/g, '').replaceAll(/(?!\t)\p{Cc}/gu, '');
}

/** The newest lines count most; of one that is too long its beginning is kept. */
function fitting(lines: readonly string[], bytesMax: number): readonly string[] {
  const kept: string[] = [];
  let left = bytesMax;
  for (const line of lines.toReversed()) {
    const bytes = Buffer.from(line);
    if (bytes.length <= left) kept.push(line);
    else if (kept.length === 0)
      kept.push(
        bytes
          .subarray(0, left)
          .toString('utf8')
          .replace(/\uFFFD+$/, ''),
      );
    else break;
    left -= bytes.length;
  }
  return kept.toReversed();
}
