/** Flags of the commands that list and inspect. */
import { CliError } from '../../cli-errors.ts';
import { boolFlag, type Flag, type FlagValues, listFlag, stringFlag, valueFlag } from '../../flags.ts';
import { filter } from '../../values/key-values.ts';
import { oneOf } from '../../values/scalars.ts';

const TEMPLATES = `Refer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates`;

export const LIST_FORMAT = stringFlag({
  name: 'format',
  usage: `Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\n${TEMPLATES}`,
  completions: ['table', 'json', 'raw'],
});

export const TASK_FORMAT = stringFlag({
  name: 'format',
  usage: 'Pretty-print tasks using a Go template',
  completions: ['table', 'json', 'raw'],
});

export const INSPECT_FORMAT = stringFlag({
  name: 'format',
  short: 'f',
  usage: `Format output using a custom template:\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\n${TEMPLATES}`,
  completions: ['json'],
});

/** Not Docker's: what scripts of other tools expect. */
export const OUTPUT = valueFlag({
  name: 'output',
  short: 'o',
  type: 'string',
  usage: 'Print as one JSON document ("json")',
  completions: ['json'],
  parse: oneOf({ json: 'json' as const }, (text) => `unknown output ${JSON.stringify(text)}`),
});

/** Whether one JSON document is asked for. Throws a CliError when another form is asked for too. */
export function wantsDocument(flags: FlagValues, ...others: readonly (Flag<string> | Flag<boolean>)[]): boolean {
  if (!flags.given(OUTPUT)) return false;
  for (const other of others)
    if (flags.given(other))
      throw new CliError(`--output and --${other.name} cannot be used together`, { hint: 'leave one of them out' });
  return true;
}

export const FILTER = listFlag({
  name: 'filter',
  short: 'f',
  type: 'filter',
  usage: 'Filter output based on conditions provided',
  parse: filter,
});

export const PRETTY = boolFlag({
  name: 'pretty',
  usage: 'Print the information in a human friendly format',
});

export const QUIET_IDS = boolFlag({ name: 'quiet', short: 'q', usage: 'Only display IDs' });
export const QUIET_TASK_IDS = boolFlag({ name: 'quiet', short: 'q', usage: 'Only display task IDs' });
export const NO_RESOLVE = boolFlag({ name: 'no-resolve', usage: 'Do not map IDs to Names' });
export const NO_TRUNC = boolFlag({ name: 'no-trunc', usage: 'Do not truncate output' });
