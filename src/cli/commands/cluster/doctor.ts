import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { SwarmError } from '#common/errors.ts';
import { formatReport, reportExitCode, reportObjects } from '../../../doctor/report.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printWarning } from '../../context.ts';
import { stringFlag } from '../../flags.ts';
import { OUTPUT, wantsDocument } from '../shared/format-flags.ts';

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

/** The daemon looks at its own host, for it knows its ports and directories; without one we look. Exit 1 for a failure. */
async function examine({ context, flags }: Invocation): Promise<number> {
  const format = flags.value(FORMAT) ?? 'table';
  if (format !== 'table' && format !== 'json')
    throw new CliError(`unknown format ${JSON.stringify(format)}`, { hint: 'use table or json' });
  const isJson = format === 'json' || wantsDocument(flags, FORMAT);
  const api = await context.api();
  try {
    const { findings } = await api.node.runDoctor({});
    context.stdout.write(isJson ? `${JSON.stringify(reportObjects(findings))}\n` : formatReport(findings));
    return reportExitCode(findings);
  } catch (thrown) {
    if (!(thrown instanceof SwarmError) || thrown.reason !== 'daemon-unreachable') throw thrown;
    printWarning(context, `${thrown.message}: looking at this host without it`);
    return examineWithoutDaemon(isJson);
  }
}

/** The checks need what the daemon is made of, which is no part of this program: they are one of their own. */
async function examineWithoutDaemon(isJson: boolean): Promise<number> {
  const [node = '', program = ''] = process.argv;
  const entry = program.endsWith('.ts')
    ? join(dirname(program), '../doctor/main.ts')
    : join(dirname(program), 'doctor.mjs');
  const child = spawn(node, [entry, ...(isJson ? ['--json'] : [])], { stdio: ['ignore', 'inherit', 'inherit'] });
  const [exitCode] = (await once(child, 'close')) as [number | null];
  return exitCode ?? 1;
}
