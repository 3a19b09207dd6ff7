import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine } from '../../context.ts';
import { daemonMessage } from '../../report-error.ts';
import { collectFailures } from '../shared/each.ts';

export const jobStop: CommandImplementation = {
  flags: [],
  examples: ['swarm job stop backup'],
  argumentKind: 'service',
  run: stopJobs,
};

async function stopJobs({ context, arguments: references }: Invocation): Promise<void> {
  const api = await context.api();
  const failures = collectFailures();
  for (const reference of references)
    await failures.attempt(
      async () => {
        await api.jobs.stopJob({ reference });
        printLine(context, reference);
      },
      (error) => `${reference}: ${daemonMessage(error)}`,
    );
  failures.report();
}
