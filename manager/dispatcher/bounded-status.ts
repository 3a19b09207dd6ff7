/** What a node says of a task, cut to what every manager keeps of it: a node that says more is not well. */
import type { TaskHealth, TaskStatus } from '#gen/swarm/v1/objects.ts';

/** Agents keep to these: an error is a line or two, a check says a kilobyte, ten lines come to four. */
const TEXT_LENGTH_MAX = 4096;
const LAST_LINES_MAX = 10;
/** In UTF-16 units, of which UTF-8 has at least one byte each. */
const LAST_LINES_LENGTH_MAX = 4096;

export function boundedStatus(status: TaskStatus): TaskStatus {
  const { message, error, lastLog, health } = status;
  const isBounded =
    message.length <= TEXT_LENGTH_MAX &&
    error.length <= TEXT_LENGTH_MAX &&
    (health?.message.length ?? 0) <= TEXT_LENGTH_MAX &&
    isShort(lastLog);
  if (isBounded) return status;
  return {
    ...status,
    message: cut(message),
    error: cut(error),
    health: health && boundedHealth(health),
    lastLog: shortened(lastLog),
  };
}

function boundedHealth(health: TaskHealth): TaskHealth {
  return { ...health, message: cut(health.message) };
}

function cut(text: string): string {
  return text.length <= TEXT_LENGTH_MAX ? text : text.slice(0, TEXT_LENGTH_MAX);
}

function isShort(lines: readonly string[]): boolean {
  return lines.length <= LAST_LINES_MAX && lines.reduce((sum, line) => sum + line.length, 0) <= LAST_LINES_LENGTH_MAX;
}

/** The newest lines count most. */
function shortened(lines: readonly string[]): readonly string[] {
  const kept: string[] = [];
  let left = LAST_LINES_LENGTH_MAX;
  for (const line of lines.slice(-LAST_LINES_MAX).toReversed()) {
    if (left <= 0) break;
    kept.push(line.slice(0, left));
    left -= line.length;
  }
  return kept.toReversed();
}
