/**
 * Goal: a line of cron means the times that people expect, also where clocks are put forward and back, and a search for
 * the next one ends soon. Method: known times of known places, a naive search minute by minute as a peer, rubbish.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseCron } from '#common/cron-expression.ts';
import { type CronSchedule, compileCron, dueRuns, nextRunMs } from '#common/cron-schedule.ts';

function compile(cron: string, zone = ''): CronSchedule {
  const schedule = compileCron(cron, zone);
  if ('message' in schedule) throw new Error(schedule.message);
  return schedule;
}

/** The next `count` times after the given one, without the parts that are zero anyway. */
function times(cron: string, zone: string, after: string, count: number): readonly string[] {
  const schedule = compile(cron, zone);
  const found: string[] = [];
  let atMs: number | undefined = Date.parse(after);
  while (found.length < count) {
    atMs = nextRunMs(schedule, atMs);
    if (atMs === undefined) break;
    found.push(new Date(atMs).toISOString().replace(/:00\.000Z$/, 'Z'));
  }
  return found;
}

describe('common: cron', () => {
  it('fields: lists, ranges, steps, names, seconds, shorthands', () => {
    assert.deepEqual(times('*/20 9-10 * * mon-fri', '', '2026-01-02T10:10Z', 4), [
      '2026-01-02T10:20Z',
      '2026-01-02T10:40Z',
      '2026-01-05T09:00Z',
      '2026-01-05T09:20Z',
    ]);
    assert.deepEqual(times('5,10 0 1 JAN,jul *', '', '2026-01-01T00:07Z', 2), [
      '2026-01-01T00:10Z',
      '2026-07-01T00:05Z',
    ]);
    assert.deepEqual(times('*/30 * * * * *', '', '2026-01-01T00:00:10Z', 2), [
      '2026-01-01T00:00:30.000Z',
      '2026-01-01T00:01Z',
    ]);
    assert.deepEqual(times('10/25 * * * *', '', '2026-01-01T00:00Z', 3), [
      '2026-01-01T00:10Z',
      '2026-01-01T00:35Z',
      '2026-01-01T01:10Z',
    ]);
    assert.deepEqual(times('@hourly', '', '2026-01-01T00:00Z', 1), ['2026-01-01T01:00Z']);
    assert.deepEqual(times('@Weekly', '', '2026-01-01T00:00Z', 1), ['2026-01-04T00:00Z']);
    assert.deepEqual(times('0 0 * * 7', '', '2026-01-01T00:00Z', 1), ['2026-01-04T00:00Z']);
    assert.deepEqual(times('0 0 * * 5-7', '', '2026-01-01T00:00Z', 3), [
      '2026-01-02T00:00Z',
      '2026-01-03T00:00Z',
      '2026-01-04T00:00Z',
    ]);
  });

  it('days: of the month or of the week where both are named, else both; the last, the third Friday', () => {
    assert.deepEqual(times('0 0 13 * fri', '', '2026-01-01T00:00Z', 3), [
      '2026-01-02T00:00Z',
      '2026-01-09T00:00Z',
      '2026-01-13T00:00Z',
    ]);
    assert.deepEqual(times('0 0 13 * ?', '', '2026-01-01T00:00Z', 2), ['2026-01-13T00:00Z', '2026-02-13T00:00Z']);
    assert.deepEqual(times('0 0 L * *', '', '2026-01-01T00:00Z', 3), [
      '2026-01-31T00:00Z',
      '2026-02-28T00:00Z',
      '2026-03-31T00:00Z',
    ]);
    assert.deepEqual(times('0 0 * * fri#3', '', '2026-01-01T00:00Z', 2), ['2026-01-16T00:00Z', '2026-02-20T00:00Z']);
    assert.deepEqual(times('0 0 * * 5L', '', '2026-01-01T00:00Z', 2), ['2026-01-30T00:00Z', '2026-02-27T00:00Z']);
    assert.deepEqual(times('0 0 29 2 */7', '', '2026-01-01T00:00Z', 2), ['2032-02-29T00:00Z', '2060-02-29T00:00Z']);
    assert.deepEqual(times('0 0 29 2 *', '', '2096-03-01T00:00Z', 1), ['2104-02-29T00:00Z']);
  });

  it('a fixed hour that is skipped runs once, when the clock jumps; one that comes twice runs the first time', () => {
    assert.deepEqual(times('30 2 * * *', 'Europe/Berlin', '2026-03-28T12:00Z', 2), [
      '2026-03-29T01:00Z',
      '2026-03-30T00:30Z',
    ]);
    assert.deepEqual(times('*/10 2 * * *', 'Europe/Berlin', '2026-03-28T12:00Z', 2), [
      '2026-03-29T01:00Z',
      '2026-03-30T00:00Z',
    ]);
    assert.deepEqual(times('30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00Z', 2), [
      '2026-10-25T00:30Z',
      '2026-10-26T01:30Z',
    ]);
    assert.deepEqual(times('30 2 * * *', 'Europe/Berlin', '2026-10-25T00:45Z', 1), ['2026-10-26T01:30Z']);
    // Midnight itself is skipped here, half an hour there, a whole day in Samoa.
    assert.deepEqual(times('30 0 * * *', 'America/Sao_Paulo', '2018-11-03T12:00Z', 2), [
      '2018-11-04T03:00Z',
      '2018-11-05T02:30Z',
    ]);
    assert.deepEqual(times('15 2 * * *', 'Australia/Lord_Howe', '2026-10-02T20:00Z', 2), [
      '2026-10-03T15:30Z',
      '2026-10-04T15:15Z',
    ]);
    assert.deepEqual(times('0 0 30 12 *', 'Pacific/Apia', '2011-12-01T00:00Z', 1), ['2011-12-30T10:00Z']);
  });

  it('with an hour of *, runs go on with the time that passes', () => {
    assert.deepEqual(times('30 * * * *', 'Europe/Berlin', '2026-03-29T00:00Z', 3), [
      '2026-03-29T00:30Z',
      '2026-03-29T01:30Z',
      '2026-03-29T02:30Z',
    ]);
    assert.deepEqual(times('30 * * * *', 'Europe/Berlin', '2026-10-25T00:00Z', 3), [
      '2026-10-25T00:30Z',
      '2026-10-25T01:30Z',
      '2026-10-25T02:30Z',
    ]);
    assert.deepEqual(times('0 */2 * * *', 'Europe/Berlin', '2026-03-28T22:00Z', 2), [
      '2026-03-28T23:00Z',
      '2026-03-29T02:00Z',
    ]);
  });

  it('says what is wrong with a line, and which of its fields', () => {
    const problemOf = (cron: string): string => {
      const parsed = parseCron(cron);
      assert.equal(typeof parsed, 'string', `${cron} was understood`);
      return parsed as string;
    };
    assert.match(problemOf(''), /0 fields instead of 5/);
    assert.match(problemOf('* * * *'), /4 fields/);
    assert.match(problemOf('60 * * * *'), /"60" is no minute: expected 0 to 59/);
    assert.match(problemOf('* 24 * * *'), /"24" is no hour/);
    assert.match(problemOf('* * 0 * *'), /"0" is no day of month/);
    assert.match(problemOf('* * * foo *'), /"foo" is no month: expected 1 to 12 or a name/);
    assert.match(problemOf('* * * * 8'), /"8" is no day of week/);
    assert.match(problemOf('5-1 * * * *'), /ends before it begins/);
    assert.match(problemOf('*/0 * * * *'), /a step is a number from 1 on/);
    assert.match(problemOf('1,,2 * * * *'), /"" is no minute/);
    assert.match(problemOf('? * * * *'), /"\?" is no minute/);
    assert.match(problemOf('* * * * 1#6'), /third Friday/);
    assert.match(problemOf('@reboot'), /not known/);
    assert.match(problemOf('1'.repeat(300)), /longer than 256/);
    assert.deepEqual(compileCron('0 0 30 2 *', ''), { field: 'cron', message: 'its time never comes' });
    assert.deepEqual(compileCron('@daily', 'Europe/Nowhere'), {
      field: 'timeZone',
      message: '"Europe/Nowhere" is no known time zone',
    });
    assert.deepEqual(compileCron('@daily', '+02:00'), { field: 'timeZone', message: '"+02:00" is no known time zone' });
  });

  it('rubbish is refused with a text or understood, never anything else', () => {
    const field = fc.oneof(fc.string({ maxLength: 8 }), fc.stringMatching(/^[0-9*/,L#?a-z-]{1,6}$/));
    fc.assert(
      fc.property(fc.array(field, { maxLength: 7 }), fc.string({ maxLength: 12 }), (fields, zone) => {
        const schedule = compileCron(fields.join(' '), zone);
        if ('message' in schedule) assert.ok(schedule.message.length > 0);
        else assert.notEqual(nextRunMs(schedule, Date.UTC(2026, 0, 1)), undefined);
      }),
      { numRuns: 500 },
    );
  });

  it('finds what a search minute by minute finds, in places with all sorts of clocks', function () {
    this.timeout(60_000);
    const zones = ['UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kolkata'];
    fc.assert(
      fc.property(
        fc.constantFrom(...zones),
        fc.constantFrom('*', '*/7', '0', '15,45', '59'),
        fc.constantFrom('*', '*/3', '1-3'),
        fc.constantFrom('*', '1', '1,15', 'L'),
        fc.constantFrom('*', 'sun', '1-5'),
        fc.integer({ min: Date.UTC(2024, 0, 1) / 60_000, max: Date.UTC(2028, 0, 1) / 60_000 }),
        (zone, minute, hour, day, weekday, startMinute) => {
          const cron = `${minute} ${hour} ${day} * ${weekday}`;
          const found = nextRunMs(compile(cron, zone), startMinute * 60_000);
          const peer = naiveNext(cron, zone, startMinute);
          // Where a clock is put forward or back, the rules above speak.
          if (found !== peer)
            assert.ok(nearChange(zone, Math.min(found ?? peer, peer)), `${cron} ${zone}: ${found} ${peer}`);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('what is due between two times: the first, the last, and how many, up to a limit', () => {
    const everySecond = compile('* * * * * *', 'Europe/Berlin');
    const atMs = Date.UTC(2026, 5, 1);
    assert.deepEqual(dueRuns(everySecond, atMs, atMs + 2500, 100), {
      firstMs: atMs + 1000,
      latestMs: atMs + 2000,
      count: 2,
    });
    const year = 365 * 86_400_000;
    assert.deepEqual(dueRuns(everySecond, atMs - year, atMs, 100), {
      firstMs: atMs - year + 1000,
      latestMs: atMs,
      count: 100,
    });
    const yearly = compile('@yearly');
    assert.deepEqual(dueRuns(yearly, atMs, atMs + 1000, 100), { firstMs: undefined, latestMs: undefined, count: 0 });
    const inBursts = compile('* * 3 * * *');
    assert.deepEqual(
      dueRuns(inBursts, atMs - 30 * 86_400_000, atMs + 86_399_000, 100).latestMs,
      atMs + 4 * 3_600_000 - 1000,
    );
  });
});

/** Minute by minute, for at most 70 days: enough for the lines above. */
function naiveNext(cron: string, zone: string, afterMinute: number): number {
  const expression = parseCron(cron);
  if (typeof expression === 'string') throw new Error(expression);
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    weekday: 'short',
  });
  const { days } = expression;
  for (let minute = afterMinute + 1; minute < afterMinute + 70 * 1440; minute++) {
    const parts = Object.fromEntries(format.formatToParts(minute * 60_000).map(({ type, value }) => [type, value]));
    const day = Number(parts['day']);
    const isLast = new Date(Date.UTC(Number(parts['year']), Number(parts['month']), 0)).getUTCDate() === day;
    const weekday = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'].indexOf(parts['weekday'] ?? '');
    const ofMonth = days.ofMonth.has(day) || (days.lastOfMonth && isLast);
    const matchesDay = days.either ? ofMonth || days.ofWeek.has(weekday) : ofMonth && days.ofWeek.has(weekday);
    if (!matchesDay || !expression.hours.includes(Number(parts['hour']))) continue;
    if (expression.minutes.includes(Number(parts['minute']))) return minute * 60_000;
  }
  throw new Error(`no time of ${cron} in 70 days`);
}

function nearChange(zone: string, atMs: number): boolean {
  const format = new Intl.DateTimeFormat('en-US', { timeZone: zone, timeZoneName: 'longOffset' });
  const offset = (ms: number) => format.formatToParts(ms).find(({ type }) => type === 'timeZoneName')?.value;
  return offset(atMs - 86_400_000) !== offset(atMs + 86_400_000);
}
