/**
 * What a line of cron says. Five fields (minute, hour, day of month, month, day of week), or six with seconds before
 * them; lists, ranges, steps and English names in any case; in days of the month `L` for the last one; in days of the
 * week 0 and 7 for Sunday, `5#3` for the third Friday and `5L` for the last one; `@hourly` and the like.
 */

export interface CronExpression {
  /** Ascending, as are the next two. */
  readonly seconds: readonly number[];
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  /** 1 to 12. */
  readonly months: ReadonlySet<number>;
  readonly days: DayRule;
  /** Runs go by the time that passes, not by the hours of a clock that is put forward and back. */
  readonly everyHour: boolean;
}

export interface DayRule {
  /** 1 to 31. */
  readonly ofMonth: ReadonlySet<number>;
  /** The last day of the month, whichever that is. */
  readonly lastOfMonth: boolean;
  /** 0 is Sunday. */
  readonly ofWeek: ReadonlySet<number>;
  /** The third Friday, say; -1 is the last one. */
  readonly ofWeekInMonth: readonly { readonly day: number; readonly nth: number }[];
  /** As in cron: where both fields name days, one of them is enough; else both have to hold. */
  readonly either: boolean;
}

interface FieldRange {
  readonly name: string;
  readonly first: number;
  readonly last: number;
  /** The names of the first values, in lower case. */
  readonly names?: readonly string[];
}

const SECOND: FieldRange = { name: 'second', first: 0, last: 59 };
const MINUTE: FieldRange = { name: 'minute', first: 0, last: 59 };
const HOUR: FieldRange = { name: 'hour', first: 0, last: 23 };
const DAY_OF_MONTH: FieldRange = { name: 'day of month', first: 1, last: 31 };
const MONTH: FieldRange = {
  name: 'month',
  first: 1,
  last: 12,
  names: ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'],
};
const DAY_OF_WEEK: FieldRange = {
  name: 'day of week',
  first: 0,
  last: 7,
  names: ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'],
};

const SHORTHANDS: ReadonlyMap<string, string> = new Map([
  ['@yearly', '0 0 1 1 *'],
  ['@annually', '0 0 1 1 *'],
  ['@monthly', '0 0 1 * *'],
  ['@weekly', '0 0 * * 0'],
  ['@daily', '0 0 * * *'],
  ['@midnight', '0 0 * * *'],
  ['@hourly', '0 * * * *'],
]);

/** Longer than any line that a person writes. */
const TEXT_LENGTH_MAX = 256;

/** The expression, or what is wrong with it. */
export function parseCron(text: string): CronExpression | string {
  if (text.length > TEXT_LENGTH_MAX) return `longer than ${TEXT_LENGTH_MAX} characters`;
  const trimmed = text.trim();
  const line = trimmed.startsWith('@') ? SHORTHANDS.get(trimmed.toLowerCase()) : trimmed;
  if (line === undefined) return `${trimmed} is not known: use one of ${[...SHORTHANDS.keys()].join(', ')}`;
  const fields = line === '' ? [] : line.split(/\s+/);
  if (fields.length !== 5 && fields.length !== 6)
    return `has ${fields.length} fields instead of 5 (minute, hour, day of month, month, day of week), or 6 with seconds before them`;
  const [second = '', minute = '', hour = '', dayOfMonth = '', month = '', dayOfWeek = ''] =
    fields.length === 5 ? ['0', ...fields] : fields;
  const seconds = parseField(second, SECOND);
  if (typeof seconds === 'string') return seconds;
  const minutes = parseField(minute, MINUTE);
  if (typeof minutes === 'string') return minutes;
  const hours = parseField(hour, HOUR);
  if (typeof hours === 'string') return hours;
  const months = parseField(month, MONTH);
  if (typeof months === 'string') return months;
  const days = parseDays(dayOfMonth, dayOfWeek);
  if (typeof days === 'string') return days;
  return {
    seconds: ascending(seconds),
    minutes: ascending(minutes),
    hours: ascending(hours),
    months,
    days,
    everyHour: hour.startsWith('*'),
  };
}

function ascending(values: ReadonlySet<number>): readonly number[] {
  return [...values].sort((a, b) => a - b);
}

function parseDays(dayOfMonth: string, dayOfWeek: string): DayRule | string {
  const monthItems = splitItems(dayOfMonth, (item) => item.toUpperCase() === 'L');
  const ofMonth = parseItems(monthItems.others, DAY_OF_MONTH);
  if (typeof ofMonth === 'string') return ofMonth;
  const weekItems = splitItems(dayOfWeek, (item) => /^[^*?/-]+(#.*|L)$/i.test(item));
  const ofWeek = parseItems(weekItems.others, DAY_OF_WEEK);
  if (typeof ofWeek === 'string') return ofWeek;
  const ofWeekInMonth: { day: number; nth: number }[] = [];
  for (const item of weekItems.special) {
    const parsed = parseDayInMonth(item);
    if (typeof parsed === 'string') return parsed;
    ofWeekInMonth.push(parsed);
  }
  return {
    ofMonth,
    lastOfMonth: monthItems.special.length > 0,
    ofWeek: new Set([...ofWeek].map((day) => day % 7)),
    ofWeekInMonth,
    either: !/^[*?]/.test(dayOfMonth) && !/^[*?]/.test(dayOfWeek),
  };
}

function splitItems(
  field: string,
  isSpecial: (item: string) => boolean,
): { readonly special: readonly string[]; readonly others: readonly string[] } {
  const items = field.split(',');
  return { special: items.filter(isSpecial), others: items.filter((item) => !isSpecial(item)) };
}

function parseDayInMonth(item: string): { day: number; nth: number } | string {
  const [, name = '', nth = ''] = /^(.+?)(?:#(\d)|L)$/i.exec(item) ?? [];
  const day = parseValue(name, DAY_OF_WEEK);
  const number = nth === '' ? -1 : Number(nth);
  if (day === undefined || number === 0 || number > 5)
    return `${JSON.stringify(item)} is no day of the week in a month: write 5#3 for the third Friday, 5L for the last one`;
  return { day: day % 7, nth: number };
}

function parseField(field: string, range: FieldRange): ReadonlySet<number> | string {
  return parseItems(field.split(','), range);
}

function parseItems(items: readonly string[], range: FieldRange): ReadonlySet<number> | string {
  const values = new Set<number>();
  for (const item of items) {
    const problem = addItem(item, range, values);
    if (problem !== undefined) return problem;
  }
  return values;
}

/** `*`, `?` for days, `a`, `a-b`, and each of them with `/step`. */
function addItem(item: string, range: FieldRange, values: Set<number>): string | undefined {
  const [span = '', stepText, ...more] = item.split('/');
  const step = stepText === undefined ? 1 : /^\d{1,3}$/.test(stepText) ? Number(stepText) : 0;
  if (step === 0 || more.length > 0) return `${quoted(item, range)}: a step is a number from 1 on`;
  const isDay = range === DAY_OF_MONTH || range === DAY_OF_WEEK;
  // Seven is Sunday once more: all days are those from 0 to 6.
  const end = range === DAY_OF_WEEK ? 6 : range.last;
  if (span === '*' || (span === '?' && isDay)) return addRange(range.first, end, step, values);
  const [from = '', to, ...rest] = span.split('-');
  const first = parseValue(from, range);
  const last = to === undefined ? (stepText === undefined ? first : end) : parseValue(to, range);
  if (first === undefined || last === undefined || rest.length > 0)
    return `${quoted(item, range)}: expected ${range.first} to ${range.last}${range.names === undefined ? '' : ' or a name'}`;
  if (first > last) return `${quoted(item, range)}: the range ends before it begins`;
  return addRange(first, last, step, values);
}

function addRange(first: number, last: number, step: number, values: Set<number>): undefined {
  for (let value = first; value <= last; value += step) values.add(value);
  return undefined;
}

function parseValue(text: string, range: FieldRange): number | undefined {
  const place = range.names?.indexOf(text.toLowerCase()) ?? -1;
  if (place >= 0) return range.first + place;
  if (!/^\d{1,2}$/.test(text)) return undefined;
  const value = Number(text);
  return value >= range.first && value <= range.last ? value : undefined;
}

function quoted(item: string, range: FieldRange): string {
  return `${JSON.stringify(item)} is no ${range.name}`;
}
