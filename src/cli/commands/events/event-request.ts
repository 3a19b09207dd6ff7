/** Which events a command line asks for. */
import { NANOS_PER_MS } from '#common/duration.ts';
import { ListEventsRequest } from '#gen/swarm/v1/events.ts';
import { CliError, FlagValueError } from '../../cli-errors.ts';
import { boolFlag, type FlagValues, stringFlag } from '../../flags.ts';
import { momentNs } from '../../values/times.ts';
import { groupFilters } from '../shared/filters.ts';
import { FILTER } from '../shared/format-flags.ts';

export const EVENTS_SINCE = stringFlag({
  name: 'since',
  usage: 'Show events since a timestamp (2006-01-02T15:04:05Z), a time ago (42m), or after a version (v1234)',
});
export const EVENTS_UNTIL = stringFlag({ name: 'until', usage: 'Show events until this timestamp' });
export const FOLLOW_EVENTS = boolFlag({
  name: 'follow',
  usage: 'Go on with what comes (default unless --until is past)',
});
export const NO_FOLLOW = boolFlag({ name: 'no-follow', usage: 'Print what is kept and end' });

const FILTERS = ['type', 'action', 'event', 'subject', 'actor'] as const;

export function eventRequest(flags: FlagValues, nowMs: number): ListEventsRequest {
  const filters = groupFilters(flags.list(FILTER), FILTERS);
  const since = flags.value(EVENTS_SINCE);
  const version = since === undefined ? undefined : versionOf(since);
  const untilMs = momentOf('until', flags.value(EVENTS_UNTIL), nowMs);
  if (flags.isSet(FOLLOW_EVENTS) && flags.isSet(NO_FOLLOW))
    throw new CliError('--follow and --no-follow cannot be used together', { hint: 'leave one of them out' });
  const follow = !flags.isSet(NO_FOLLOW) && (untilMs === 0 || untilMs > nowMs);
  return ListEventsRequest.create({
    afterVersion: version ?? 0,
    sinceMs: version === undefined ? sinceMsOf(since, nowMs) : 0,
    untilMs,
    follow,
    // Docker's: without a beginning, what comes from now on.
    onlyNew: follow && since === undefined,
    types: filters.type,
    actions: [...filters.action, ...filters.event],
    subjects: filters.subject,
    actors: filters.actor,
  });
}

/** A version as lines show it: `v1234`; a number alone is Unix time, as in Docker. */
function versionOf(text: string): number | undefined {
  if (!/^v\d+$/.test(text)) return undefined;
  const version = Number(text.slice(1));
  if (Number.isSafeInteger(version)) return version;
  throw new CliError(`invalid value for "since": ${text} is no version of a swarm`, { hint: 'write v1234' });
}

/** A moment; who wanted a version is told how one is written. */
function sinceMsOf(text: string | undefined, nowMs: number): number {
  try {
    return momentOf('since', text, nowMs);
  } catch (thrown) {
    if (thrown instanceof CliError) throw new CliError(thrown.message, { hint: `${thrown.hint ?? ''}, or v1234` });
    throw thrown;
  }
}

/** In milliseconds; 0 where nothing was given. */
export function momentOf(name: string, text: string | undefined, nowMs: number): number {
  if (text === undefined) return 0;
  try {
    return Math.max(1, Math.floor(momentNs(text, nowMs) / NANOS_PER_MS));
  } catch (thrown) {
    if (thrown instanceof FlagValueError)
      throw new CliError(`invalid value for "${name}": ${thrown.message}`, { hint: thrown.hint });
    throw thrown;
  }
}
