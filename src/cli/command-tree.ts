/**
 * Every command: names and summaries here, everything else in a module of its own that is loaded when the command is
 * run. To add one, write its implementation under commands/ and name it here.
 */

import {
  ABSENT_COMMANDS,
  ABSENT_NODE_COMMANDS,
  ABSENT_SERVICE_COMMANDS,
  ABSENT_SWARM_COMMANDS,
} from './absent-commands.ts';
import {
  ANY_ARGUMENTS,
  AT_LEAST_ONE,
  type Command,
  type CommandGroup,
  type CommandImplementation,
  type CommandNode,
  NO_ARGUMENTS,
  ONE_ARGUMENT,
} from './command.ts';

function group(name: string, summary: string, children: readonly CommandNode[]): CommandGroup {
  return { kind: 'group', name, summary, children };
}

function command(
  name: string,
  summary: string,
  usage: string,
  count: Command['arguments'],
  load: () => Promise<CommandImplementation>,
  more: Partial<Command> = {},
): Command {
  return { kind: 'command', name, summary, usage, arguments: count, load, ...more };
}

const OPTIONS = '[OPTIONS]';

const SERVICE: CommandGroup = group('service', 'Manage Swarm services', [
  command(
    'create',
    'Create a new service',
    '[OPTIONS] IMAGE [COMMAND] [ARG...]',
    AT_LEAST_ONE,
    async () => (await import('./commands/service/service-create.ts')).serviceCreate,
    { flagsEndAtArgument: true },
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
    'rm',
    'Remove one or more services',
    'SERVICE [SERVICE...]',
    AT_LEAST_ONE,
    async () => (await import('./commands/service/service-rm.ts')).serviceRm,
    { aliases: ['remove'] },
  ),
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
  ...ABSENT_SERVICE_COMMANDS,
]);

const NODE: CommandGroup = group('node', 'Manage Swarm nodes', [
  command(
    'inspect',
    'Display detailed information on one or more nodes',
    '[OPTIONS] self|NODE [NODE...]',
    AT_LEAST_ONE,
    async () => (await import('./commands/node/node-inspect.ts')).nodeInspect,
  ),
  command(
    'ls',
    'List nodes in the swarm',
    OPTIONS,
    NO_ARGUMENTS,
    async () => (await import('./commands/node/node-ls.ts')).nodeLs,
    { aliases: ['list'] },
  ),
  command(
    'ps',
    'List tasks running on one or more nodes, defaults to current node',
    '[OPTIONS] [NODE...]',
    ANY_ARGUMENTS,
    async () => (await import('./commands/node/node-ps.ts')).nodePs,
  ),
  command(
    'rm',
    'Remove one or more nodes from the swarm',
    '[OPTIONS] NODE [NODE...]',
    AT_LEAST_ONE,
    async () => (await import('./commands/node/node-rm.ts')).nodeRm,
    { aliases: ['remove'] },
  ),
  command(
    'update',
    'Update a node',
    '[OPTIONS] NODE',
    ONE_ARGUMENT,
    async () => (await import('./commands/node/node-update.ts')).nodeUpdate,
  ),
  ...ABSENT_NODE_COMMANDS,
]);

const TASK: CommandGroup = group('task', 'Look at tasks', [
  command(
    'inspect',
    'Display detailed information on one or more tasks',
    '[OPTIONS] TASK [TASK...]',
    AT_LEAST_ONE,
    async () => (await import('./commands/task/task-inspect.ts')).taskInspect,
  ),
  command(
    'ls',
    'List the tasks of all services',
    OPTIONS,
    NO_ARGUMENTS,
    async () => (await import('./commands/task/task-ls.ts')).taskLs,
    { aliases: ['list'] },
  ),
]);

/** What Docker has under `docker swarm`; here the program itself is the swarm. */
const SWARM: readonly CommandNode[] = [
  command(
    'init',
    'Initialize a swarm',
    OPTIONS,
    NO_ARGUMENTS,
    async () => (await import('./commands/cluster/init.ts')).init,
  ),
  command(
    'join',
    'Join a swarm as a node and/or manager',
    '[OPTIONS] HOST:PORT',
    ONE_ARGUMENT,
    async () => (await import('./commands/cluster/join.ts')).join,
  ),
  command(
    'join-token',
    'Manage join tokens',
    '[OPTIONS] (worker|manager)',
    ONE_ARGUMENT,
    async () => (await import('./commands/cluster/join-token.ts')).joinToken,
  ),
  command(
    'leave',
    'Leave the swarm',
    OPTIONS,
    NO_ARGUMENTS,
    async () => (await import('./commands/cluster/leave.ts')).leave,
  ),
  command(
    'update',
    'Update the swarm',
    OPTIONS,
    NO_ARGUMENTS,
    async () => (await import('./commands/cluster/update.ts')).update,
  ),
  ...ABSENT_SWARM_COMMANDS,
];

const INFO = command(
  'info',
  'Display system-wide information',
  OPTIONS,
  NO_ARGUMENTS,
  async () => (await import('./commands/cluster/info.ts')).info,
);

const SYSTEM: CommandGroup = group('system', 'Manage this node', [INFO]);

export const ROOT: CommandGroup = group('swarm', 'Services in containers on a swarm of your own machines', [
  SERVICE,
  NODE,
  TASK,
  SYSTEM,
  { ...group('swarm', 'Manage Swarm', SWARM), hidden: true, transparent: true },
  ...SWARM,
  INFO,
  command(
    'doctor',
    'Check whether this host is fit for a swarm',
    OPTIONS,
    NO_ARGUMENTS,
    async () => (await import('./commands/cluster/doctor.ts')).doctor,
  ),
  command(
    'version',
    'Show version information',
    OPTIONS,
    NO_ARGUMENTS,
    async () => (await import('./commands/cluster/version.ts')).version,
  ),
  command(
    'completion',
    'Print the completion script for a shell',
    'bash|zsh|fish',
    ONE_ARGUMENT,
    async () => (await import('./commands/completion.ts')).completion,
  ),
  command(
    'complete',
    'Answer a shell that completes a command line',
    '-- [WORD...]',
    ANY_ARGUMENTS,
    async () => (await import('./commands/complete.ts')).complete,
    { hidden: true },
  ),
  ...ABSENT_COMMANDS,
]);
