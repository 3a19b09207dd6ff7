import { formatReport, reportExitCode, reportObjects } from '../../../doctor/report.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { stringFlag } from '../../flags.ts';
import { OUTPUT } from '../shared/format-flags.ts';

const FORMAT = stringFlag({
  name: 'format',
  usage: 'Format of the findings ("table", "json")',
  completions: ['table', 'json'],
});

export const doctor: CommandImplementation = {
  flags: [FORMAT, OUTPUT],
  examples: ['swarm doctor', 'swarm doctor --format json'],
  run: examine,
};

/** The daemon looks at its own host: it has the rights, and knows its ports and directories. Exit 1 for a failure. */
async function examine({ context, flags }: Invocation): Promise<number> {
  const format = flags.value(FORMAT) ?? 'table';
  if (format !== 'table' && format !== 'json')
    throw new CliError(`unknown format ${JSON.stringify(format)}`, { hint: 'use table or json' });
  const api = await context.api();
  const { findings } = await api.node.runDoctor({});
  const isJson = format === 'json' || flags.given(OUTPUT);
  context.stdout.write(isJson ? `${JSON.stringify(reportObjects(findings))}\n` : formatReport(findings));
  return reportExitCode(findings);
}
