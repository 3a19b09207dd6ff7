import { NANOS_PER_MS } from '#common/duration.ts';
import { CliError, FlagValueError } from '../../cli-errors.ts';
import { momentNs } from '../../values/times.ts';

/** The moment of an `until` filter; undefined when there is none. */
export function untilMs(values: readonly string[], nowMs: number): number | undefined {
  const [text, ...more] = values;
  if (text === undefined) return undefined;
  if (more.length > 0) throw new CliError('more than one until filter specified');
  try {
    return Math.floor(momentNs(text, nowMs) / NANOS_PER_MS);
  } catch (thrown) {
    if (thrown instanceof FlagValueError)
      throw new CliError(`invalid filter 'until=${text}': ${thrown.message}`, { hint: thrown.hint });
    throw thrown;
  }
}
