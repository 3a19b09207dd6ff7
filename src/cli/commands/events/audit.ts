/** `swarm audit`: the record that this node has of what was done to the swarm, and whether it is as it was written. */
import { stat } from 'node:fs/promises';
import { linesOfPath, type Verification, verifyLines } from '#manager/audit/index.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine, printWarning } from '../../context.ts';
import { stringFlag } from '../../flags.ts';
import { openError } from '../image/open-error.ts';
import { momentOf } from './event-request.ts';

const SINCE = stringFlag({
  name: 'since',
  usage: 'Show lines since a timestamp (2006-01-02T15:04:05Z) or a time ago (42m)',
});
const UNTIL = stringFlag({ name: 'until', usage: 'Show lines until this timestamp' });

export const audit: CommandImplementation = {
  flags: [SINCE, UNTIL],
  examples: ['swarm audit --since 24h', 'swarm audit verify', 'swarm audit verify /backup/audit.log'],
  argumentKind: ['verify'],
  run: async (invocation) => {
    const [verb, file] = invocation.arguments;
    if (verb === undefined) return show(invocation);
    if (verb === 'verify') return verify(invocation, file);
    throw new CliError(`unknown word ${JSON.stringify(verb)} after swarm audit`, {
      hint: 'write `swarm audit`, or `swarm audit verify [FILE]`',
    });
  },
};

async function show({ context, flags }: Invocation): Promise<void> {
  const nowMs = context.clock.now();
  const request = {
    sinceMs: momentOf('since', flags.value(SINCE), nowMs),
    untilMs: momentOf('until', flags.value(UNTIL), nowMs),
  };
  const api = await context.api();
  let count = 0;
  for await (const { lines } of api.audit.readAudit(request)) {
    count += lines.length;
    // As it stands in the log: the chain of hashes is over these characters.
    for (const line of lines) context.stdout.write(`${line}\n`);
  }
  // Beside the record, not in it: nothing at all looks like a swarm in which nothing was done.
  if (count === 0)
    printWarning(
      context,
      'This node has no lines of that time: managers keep the record, from the moment that they are ones.',
    );
}

async function verify({ context, flags }: Invocation, file: string | undefined): Promise<void> {
  if (flags.anyGiven(SINCE, UNTIL))
    throw new CliError('the log is verified from its first line to its last', {
      hint: 'leave out --since and --until',
    });
  const { lines, lastHash, problem } = file === undefined ? await verifyHere(context) : await verifyFile(file);
  if (problem !== undefined)
    throw new CliError(`the audit log was changed: ${problem}`, {
      hint: 'what comes before that line is as it was written; compare with the audit logs of other managers',
    });
  if (lines === 0) {
    printLine(context, 'The audit log is empty: only managers keep one.');
    return;
  }
  printLine(context, `${lines} lines are as they were written. The last one has hash ${lastHash}:`);
  printLine(context, 'keep it elsewhere, and look for it later in the line that follows it (`previous`).');
}

async function verifyHere(context: Invocation['context']): Promise<Verification> {
  const { lines, lastHash, problem } = await (await context.api()).audit.verifyAudit({});
  return { lines, lastHash, problem: problem === '' ? undefined : problem };
}

/** @throws CliError also for a file without lines: a copy that holds nothing must not pass for one that is whole */
async function verifyFile(path: string): Promise<Verification> {
  const hint = 'name a copy of an audit log, such as audit.log of a backup';
  try {
    // Before it is opened: a pipe would be waited for.
    if (!(await stat(path)).isFile()) throw new CliError(`${path} is no file of lines`, { hint });
    const verification = await verifyLines(linesOfPath(path));
    if (verification.lines === 0 && verification.problem === undefined)
      throw new CliError(`${path} has no lines`, { hint });
    return verification;
  } catch (thrown) {
    if (thrown instanceof CliError) throw thrown;
    throw openError('open', path, thrown);
  }
}
