/**
 * How far a reader is in the output of each task, so that it can be gone on with elsewhere: no line is lost, and those that
 * come a second time are known. A place in a log is a time, and how many lines of that time have come.
 */
import { type LogMessage, LogResumption, type LogStream, TaskLogPosition } from '#gen/swarm/v1/logs.ts';

interface StreamPosition {
  readonly timestampUs: number;
  /** Lines of that very time. */
  readonly lines: number;
}

interface TaskProgress {
  /** Of the last line of either stream. */
  lastUs: number;
  readonly streams: Map<LogStream, StreamPosition>;
  /** Positions whose lines may come again, with how many of their last time have not; gone as soon as a new line comes. */
  readonly repeating: Map<LogStream, StreamPosition>;
}

/** Tasks whose position is kept; the one that was silent longest is forgotten, and would be read from the beginning. */
const TASKS_MAX = 10_000;

export class LogProgress {
  /** In the order of their last lines. */
  readonly #tasks = new Map<string, TaskProgress>();

  /** Takes up what a resumption says. */
  constructor(resumption?: LogResumption) {
    for (const { taskId, lastUs, streams } of (resumption?.tasks ?? []).slice(0, TASKS_MAX)) {
      const positions = streams.map(({ stream, timestampUs, lines }) => [stream, { timestampUs, lines }] as const);
      this.#tasks.set(taskId, { lastUs, streams: new Map(positions), repeating: new Map() });
    }
  }

  /** The task's log is read again from its position. */
  expectRepeats(taskId: string): void {
    const task = this.#tasks.get(taskId);
    for (const [stream, position] of task?.streams ?? []) task?.repeating.set(stream, position);
  }

  /** Notes the line; false when it has come before. */
  take(message: LogMessage): boolean {
    const { taskId, stream, timestampUs } = message;
    const task = this.#tasks.get(taskId) ?? { lastUs: 0, streams: new Map(), repeating: new Map() };
    if (isRepeated(task, stream, timestampUs)) return false;
    const before = task.streams.get(stream);
    const lines = before?.timestampUs === timestampUs ? before.lines + 1 : 1;
    task.streams.set(stream, { timestampUs, lines });
    task.lastUs = timestampUs;
    this.#tasks.delete(taskId);
    this.#tasks.set(taskId, task);
    const [oldest] = this.#tasks.keys();
    if (this.#tasks.size > TASKS_MAX && oldest !== undefined) this.#tasks.delete(oldest);
    return true;
  }

  /** For going on with these tasks, or with all. */
  resumption(beganUs: number, taskIds: Iterable<string> = this.#tasks.keys()): LogResumption {
    const tasks: TaskLogPosition[] = [];
    for (const taskId of taskIds) {
      const task = this.#tasks.get(taskId);
      if (task === undefined) continue;
      const streams = [...task.streams].map(([stream, position]) => ({ stream, ...position }));
      tasks.push(TaskLogPosition.create({ taskId, lastUs: task.lastUs, streams }));
    }
    return LogResumption.create({ beganUs, tasks });
  }
}

/** Lines of one stream come in the order of their times: with the first that is later, repetitions are over. */
function isRepeated({ repeating }: TaskProgress, stream: LogStream, timestampUs: number): boolean {
  const position = repeating.get(stream);
  if (position === undefined || timestampUs < position.timestampUs) return position !== undefined;
  if (timestampUs > position.timestampUs || position.lines === 0) {
    repeating.delete(stream);
    return false;
  }
  repeating.set(stream, { timestampUs, lines: position.lines - 1 });
  return true;
}
