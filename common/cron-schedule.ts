/**
 * The times that a line of cron means in a time zone. Where clocks are put forward or back:
 *
 * - with a fixed hour, a time that is skipped runs once, at the moment the clock jumps; a time that comes twice runs the
 *   first time only;
 * - with an hour field that begins with `*`, runs go on with the time that passes: what is skipped is not made up for,
 *   what comes twice runs twice.
 */
import { type CronExpression, parseCron } from './cron-expression.ts';
import { type ZoneOffset, zoneOffset } from './time-zone.ts';

export interface CronSchedule {
  readonly expression: CronExpression;
  readonly offset: ZoneOffset;
}

export type CronProblem = { readonly field: 'cron' | 'timeZone'; readonly message: string };

const DAY = 86_400;
/** The 29th of February on a certain day of the week comes after 40 years at the latest. */
const HORIZON_DAYS = 41 * 366;
/** The times that the runtime's calendar covers, with room for a horizon. */
const SECOND_MAX = 8.6e12;

/** The schedule, or which of the two is wrong and how. A line whose time never comes is refused, too. */
export function compileCron(cron: string, timeZone: string): CronSchedule | CronProblem {
  const expression = parseCron(cron);
  if (typeof expression === 'string') return { field: 'cron', message: expression };
  const offset = zoneOffset(timeZone);
  if (offset === undefined) return { field: 'timeZone', message: `${JSON.stringify(timeZone)} is no known time zone` };
  const schedule = { expression, offset };
  if (nextRunMs({ expression, offset: () => 0 }, 0) === undefined)
    return { field: 'cron', message: 'its time never comes' };
  return schedule;
}

/** The first time after the given one, at a whole second; undefined when there is none. */
export function nextRunMs(schedule: CronSchedule, afterMs: number): number | undefined {
  const after = Math.floor(afterMs / 1000);
  if (!(Math.abs(after) < SECOND_MAX)) return undefined;
  const second = new Search(schedule, after).run();
  return second === undefined ? undefined : second * 1000;
}

export interface DueRuns {
  /** Undefined, as is the next one, when none is due. */
  readonly firstMs: number | undefined;
  readonly latestMs: number | undefined;
  /** How many there are, counted up to `countMax`. */
  readonly count: number;
}

/** The times after `sinceMs` up to and with `nowMs`. */
export function dueRuns(schedule: CronSchedule, sinceMs: number, nowMs: number, countMax: number): DueRuns {
  const firstMs = nextRunMs(schedule, sinceMs);
  if (firstMs === undefined || firstMs > nowMs) return { firstMs: undefined, latestMs: undefined, count: 0 };
  let latestMs = firstMs;
  let count = 0;
  let nextMs: number | undefined = firstMs;
  while (nextMs !== undefined && nextMs <= nowMs) {
    latestMs = nextMs;
    count++;
    if (count >= countMax) return { firstMs, latestMs: lastRunMs(schedule, nextMs, nowMs), count };
    nextMs = nextRunMs(schedule, nextMs);
  }
  return { firstMs, latestMs, count };
}

/** The last time up to `nowMs`; `knownMs` is one. */
function lastRunMs(schedule: CronSchedule, knownMs: number, nowMs: number): number {
  let last = knownMs / 1000;
  let end = Math.floor(nowMs / 1000);
  // Invariant: `last` is a time of the schedule, and no time lies after `end`.
  while (last < end) {
    const middle = Math.floor((last + end) / 2);
    const nextMs = nextRunMs(schedule, middle * 1000);
    if (nextMs !== undefined && nextMs <= end * 1000) last = nextMs / 1000;
    else end = middle;
  }
  return last * 1000;
}

/** A stretch of time in which the offset stays the same, and the offset before it. */
interface Segment {
  readonly from: number;
  readonly to: number;
  readonly offset: number;
  readonly before: number;
}

/** Looks through the days of UTC, one after the other, for the first time after `after`. All times are seconds. */
class Search {
  readonly #expression: CronExpression;
  readonly #offset: ZoneOffset;
  readonly #after: number;
  /** Local times before this one have been there already. */
  #doubledUntil = Number.NEGATIVE_INFINITY;

  constructor(schedule: CronSchedule, after: number) {
    this.#expression = schedule.expression;
    this.#offset = schedule.offset;
    this.#after = after;
  }

  run(): number | undefined {
    // One day earlier: a clock that was put back then may say the same times again.
    const first = Math.floor(this.#after / DAY) - 1;
    for (let day = first; day < first + HORIZON_DAYS; day++) {
      if (!this.#mayMatchNear(day)) continue;
      for (const segment of this.#segments(day)) {
        const found = this.#inSegment(segment);
        if (found !== undefined) return found;
      }
    }
    return undefined;
  }

  /** Local days that a day of UTC has a part of, and the one after them: what is doubled may reach into it. */
  #mayMatchNear(day: number): boolean {
    for (let near = day - 1; near <= day + 2; near++) if (matchesDay(this.#expression, near)) return true;
    return false;
  }

  *#segments(day: number): Generator<Segment> {
    const end = (day + 1) * DAY;
    let from = day * DAY;
    let offset = this.#offset(from);
    let before = offset;
    const offsetAtEnd = this.#offset(end);
    while (offset !== offsetAtEnd) {
      const change = this.#firstChange(from, end, offset);
      yield { from, to: change, offset, before };
      before = offset;
      from = change;
      offset = this.#offset(change);
    }
    yield { from, to: end, offset, before };
  }

  #firstChange(from: number, end: number, offset: number): number {
    let same = from;
    let other = end;
    while (other - same > 1) {
      const middle = Math.floor((same + other) / 2);
      if (this.#offset(middle) === offset) same = middle;
      else other = middle;
    }
    return other;
  }

  #inSegment({ from, to, offset, before }: Segment): number | undefined {
    if (!this.#expression.everyHour && offset > before) {
      const skipped = firstLocal(this.#expression, from + before, from + offset);
      if (skipped !== undefined && from > this.#after) return from;
    }
    if (!this.#expression.everyHour && offset < before) this.#doubledUntil = from + before;
    const begin = Math.max(from + offset, this.#after + 1 + offset, this.#doubledUntil);
    const local = firstLocal(this.#expression, begin, to + offset);
    return local === undefined ? undefined : local - offset;
  }
}

/** The first matching local time from `from` on and before `to`. */
function firstLocal(expression: CronExpression, from: number, to: number): number | undefined {
  for (let day = Math.floor(from / DAY); day * DAY < to; day++) {
    if (!matchesDay(expression, day)) continue;
    const second = firstInDay(expression, Math.max(0, from - day * DAY));
    if (second !== undefined && day * DAY + second < to) return day * DAY + second;
  }
  return undefined;
}

/** The first matching second of a day from the given one on. */
function firstInDay({ hours, minutes, seconds }: CronExpression, from: number): number | undefined {
  const hour = Math.floor(from / 3600);
  const minute = Math.floor(from / 60) % 60;
  const second = from % 60;
  const laterHour = hours.find((value) => value > hour);
  const whole = (laterHour ?? 0) * 3600 + (minutes[0] ?? 0) * 60 + (seconds[0] ?? 0);
  const inLaterHour = laterHour === undefined ? undefined : whole;
  if (!hours.includes(hour)) return inLaterHour;
  if (minutes.includes(minute)) {
    const sameMinute = seconds.find((value) => value >= second);
    if (sameMinute !== undefined) return hour * 3600 + minute * 60 + sameMinute;
  }
  const laterMinute = minutes.find((value) => value > minute);
  return laterMinute === undefined ? inLaterHour : hour * 3600 + laterMinute * 60 + (seconds[0] ?? 0);
}

/** Days are counted from 1970-01-01. */
function matchesDay({ months, days }: CronExpression, dayNumber: number): boolean {
  const { month, day, daysInMonth } = civilDay(dayNumber);
  if (!months.has(month)) return false;
  const ofMonth = days.ofMonth.has(day) || (days.lastOfMonth && day === daysInMonth);
  const weekday = (((dayNumber + 4) % 7) + 7) % 7;
  const ofWeek =
    days.ofWeek.has(weekday) ||
    days.ofWeekInMonth.some(
      (one) =>
        one.day === weekday && (one.nth === -1 ? day + 7 > daysInMonth : Math.floor((day - 1) / 7) + 1 === one.nth),
    );
  return days.either ? ofMonth || ofWeek : ofMonth && ofWeek;
}

const DAYS_IN_MONTH = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as const;

/** The day in the Gregorian calendar, by the usual computation with years that begin in March. */
function civilDay(dayNumber: number): { readonly month: number; readonly day: number; readonly daysInMonth: number } {
  const shifted = dayNumber + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const marchMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * marchMonth + 2) / 5) + 1;
  const month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  const isLeap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  const daysInMonth = month === 2 && isLeap ? 29 : (DAYS_IN_MONTH[month - 1] ?? 31);
  return { month, day, daysInMonth };
}
