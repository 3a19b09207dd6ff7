/** The commands for jobs. Docker has none: its jobs run when they are created and updated. */
import { AT_LEAST_ONE, type CommandGroup, NO_ARGUMENTS, ONE_ARGUMENT } from './command.ts';
import { command, group, OPTIONS } from './tree-parts.ts';

export const JOB: CommandGroup = group('job', 'Run jobs and see what became of them', [
  command(
    'history',
    'List the runs of a job',
    '[OPTIONS] JOB',
    ONE_ARGUMENT,
    async () => (await import('./commands/job/job-history.ts')).jobHistory,
  ),
  command(
    'inspect',
    'Display detailed information on one or more jobs',
    '[OPTIONS] JOB [JOB...]',
    AT_LEAST_ONE,
    async () => (await import('./commands/job/job-inspect.ts')).jobInspect,
  ),
  command(
    'logs',
    'Fetch the logs of a job or task',
    '[OPTIONS] JOB|TASK',
    ONE_ARGUMENT,
    async () => (await import('./commands/job/job-logs.ts')).jobLogs,
  ),
  command('ls', 'List jobs', OPTIONS, NO_ARGUMENTS, async () => (await import('./commands/job/job-ls.ts')).jobLs, {
    aliases: ['list'],
  }),
  command(
    'ps',
    'List the tasks of one or more jobs',
    '[OPTIONS] JOB [JOB...]',
    AT_LEAST_ONE,
    async () => (await import('./commands/job/job-ps.ts')).jobPs,
  ),
  command(
    'run',
    'Run a job now',
    '[OPTIONS] JOB',
    ONE_ARGUMENT,
    async () => (await import('./commands/job/job-run.ts')).jobRun,
  ),
  command(
    'stop',
    'Stop the run of one or more jobs',
    'JOB [JOB...]',
    AT_LEAST_ONE,
    async () => (await import('./commands/job/job-stop.ts')).jobStop,
  ),
]);
