/** Which output of tasks is wanted, and how its times are shown. */
import { LogOptions } from '#gen/swarm/v1/logs.ts';
import { CliError, FlagValueError } from '../../cli-errors.ts';
import { boolFlag, type FlagValues, stringFlag } from '../../flags.ts';
import { momentNs } from '../../values/times.ts';

export const FOLLOW = boolFlag({ name: 'follow', short: 'f', usage: 'Follow log output' });
export const SINCE = stringFlag({
  name: 'since',
  usage: 'Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)',
});
export const TAIL = stringFlag({
  name: 'tail',
  short: 'n',
  usage: 'Number of lines to show from the end of the logs',
  shownDefault: '"all"',
});
export const TIMESTAMPS = boolFlag({ name: 'timestamps', short: 't', usage: 'Show timestamps' });

export function logOptions(flags: FlagValues, nowMs: number): LogOptions {
  return LogOptions.create({
    follow: flags.isSet(FOLLOW),
    tail: tailOf(flags.value(TAIL)),
    sinceUs: sinceOf(flags.value(SINCE), nowMs),
  });
}

/** Anything but a number of lines means all of them, as in Docker. */
function tailOf(text: string | undefined): number {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : -1;
}

function sinceOf(text: string | undefined, nowMs: number): number {
  if (text === undefined) return 0;
  try {
    return Math.floor(momentNs(text, nowMs) / 1000);
  } catch (thrown) {
    if (thrown instanceof FlagValueError)
      throw new CliError(`invalid value for "since": ${thrown.message}`, { hint: thrown.hint });
    throw thrown;
  }
}

/** RFC 3339 with Docker's nine decimals, of which the contract carries six. */
export function timeText(timestampUs: number): string {
  const ms = Math.floor(timestampUs / 1000);
  const microseconds = String(timestampUs - ms * 1000).padStart(3, '0');
  return new Date(ms).toISOString().replace('Z', `${microseconds}000Z`);
}
