/** The commands for services and their updates. */
import { ANY_ARGUMENTS, AT_LEAST_ONE, type CommandGroup, NO_ARGUMENTS, ONE_ARGUMENT } from './command.ts';
import { command, group, OPTIONS } from './tree-parts.ts';

/** Not Docker's. */
const ROLLOUT: CommandGroup = group('rollout', 'Steer the update of a service', [
  command(
    'abort',
    'End the update and return to the revision that was well before it',
    '[OPTIONS] SERVICE',
    ONE_ARGUMENT,
    async () => (await import('./commands/service/rollout-steps.ts')).rolloutAbort,
  ),
  command(
    'pause',
    'Pause the update or rollback',
    '[OPTIONS] SERVICE',
    ONE_ARGUMENT,
    async () => (await import('./commands/service/rollout-steps.ts')).rolloutPause,
  ),
  command(
    'promote',
    'Let the rest follow the canaries',
    '[OPTIONS] SERVICE',
    ONE_ARGUMENT,
    async () => (await import('./commands/service/rollout-steps.ts')).rolloutPromote,
  ),
  command(
    'resume',
    'Go on with what was paused; what failed is tried again',
    '[OPTIONS] SERVICE',
    ONE_ARGUMENT,
    async () => (await import('./commands/service/rollout-steps.ts')).rolloutResume,
  ),
  command(
    'status',
    'Display where the update stands',
    '[OPTIONS] SERVICE',
    ONE_ARGUMENT,
    async () => (await import('./commands/service/rollout-status.ts')).rolloutStatus,
  ),
]);

export const SERVICE: CommandGroup = group('service', 'Manage Swarm services', [
  command(
    'create',
    'Create a new service',
    '[OPTIONS] IMAGE [COMMAND] [ARG...]',
    AT_LEAST_ONE,
    async () => (await import('./commands/service/service-create.ts')).serviceCreate,
    { flagsEndAtArgument: true },
  ),
  command(
    'diff',
    'Display how two revisions of a service differ, field by field',
    '[OPTIONS] SERVICE REVISION [REVISION]',
    { min: 2, max: 3 },
    async () => (await import('./commands/service/service-diff.ts')).serviceDiff,
  ),
  command(
    'history',
    'List the revisions of a service',
    '[OPTIONS] SERVICE',
    ONE_ARGUMENT,
    async () => (await import('./commands/service/service-history.ts')).serviceHistory,
  ),
  command(
    'inspect',
    'Display detailed information on one or more services',
    '[OPTIONS] SERVICE [SERVICE...]',
    AT_LEAST_ONE,
    async () => (await import('./commands/service/service-inspect.ts')).serviceInspect,
  ),
  command(
    'logs',
    'Fetch the logs of a service or task',
    '[OPTIONS] SERVICE|TASK',
    ONE_ARGUMENT,
    async () => (await import('./commands/service/service-logs.ts')).serviceLogs,
  ),
  command(
    'ls',
    'List services',
    OPTIONS,
    NO_ARGUMENTS,
    async () => (await import('./commands/service/service-ls.ts')).serviceLs,
    { aliases: ['list'] },
  ),
  command(
    'ps',
    'List the tasks of one or more services',
    '[OPTIONS] SERVICE [SERVICE...]',
    AT_LEAST_ONE,
    async () => (await import('./commands/service/service-ps.ts')).servicePs,
  ),
  command(
    'rebalance',
    'Move tasks to where they would be placed today',
    '[OPTIONS] [SERVICE...]',
    ANY_ARGUMENTS,
    async () => (await import('./commands/service/service-rebalance.ts')).serviceRebalance,
  ),
  command(
    'rm',
    'Remove one or more services',
    'SERVICE [SERVICE...]',
    AT_LEAST_ONE,
    async () => (await import('./commands/service/service-rm.ts')).serviceRm,
    { aliases: ['remove'] },
  ),
  command(
    'rollback',
    "Revert changes to a service's configuration",
    '[OPTIONS] SERVICE',
    ONE_ARGUMENT,
    async () => (await import('./commands/service/service-rollback.ts')).serviceRollback,
  ),
  ROLLOUT,
  command(
    'scale',
    'Scale one or multiple replicated services',
    'SERVICE=REPLICAS [SERVICE=REPLICAS...]',
    AT_LEAST_ONE,
    async () => (await import('./commands/service/service-scale.ts')).serviceScale,
  ),
  command(
    'update',
    'Update a service',
    '[OPTIONS] SERVICE',
    ONE_ARGUMENT,
    async () => (await import('./commands/service/service-update.ts')).serviceUpdate,
  ),
]);
