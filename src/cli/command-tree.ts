/**
 * Every command: names and summaries here, everything else in a module of its own that is loaded when the command is
 * run. To add one, write its implementation under commands/ and name it here.
 */

import { ABSENT_COMMANDS, ABSENT_NETWORK_COMMANDS } from './absent-commands.ts';
import { CA } from './ca-tree.ts';
import { CLIENT } from './client-tree.ts';
import {
  ANY_ARGUMENTS,
  AT_LEAST_ONE,
  type Command,
  type CommandGroup,
  type CommandNode,
  NO_ARGUMENTS,
  ONE_ARGUMENT,
  UP_TO_ONE_ARGUMENT,
  UP_TO_TWO_ARGUMENTS,
} from './command.ts';
import { CONTEXT } from './context-tree.ts';
import { IMAGE, IMAGE_BUILD, IMAGE_LOAD, IMAGE_LS, IMAGE_PULL, IMAGE_RM, IMAGE_TAG } from './image-tree.ts';
import { JOB } from './job-tree.ts';
import { CONFIG, SECRET } from './payload-tree.ts';
import { SERVICE } from './service-tree.ts';
import { STACK } from './stack-tree.ts';
import { command, group, OPTIONS } from './tree-parts.ts';
import { UNLOCK, UNLOCK_KEY } from './unlock-tree.ts';
import { VOLUME } from './volume-tree.ts';

const NODE: CommandGroup = group('node', 'Manage Swarm nodes', [
  command(
    'demote',
    'Demote one or more nodes from manager in the swarm',
    'NODE [NODE...]',
    AT_LEAST_ONE,
    async () => (await import('./commands/node/node-role.ts')).nodeDemote,
  ),
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
    'promote',
    'Promote one or more nodes to manager in the swarm',
    'NODE [NODE...]',
    AT_LEAST_ONE,
    async () => (await import('./commands/node/node-role.ts')).nodePromote,
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
]);

const NETWORK: CommandGroup = group('network', 'Manage networks', [
  command(
    'create',
    'Create a network',
    '[OPTIONS] NETWORK',
    ONE_ARGUMENT,
    async () => (await import('./commands/network/network-create.ts')).networkCreate,
  ),
  command(
    'inspect',
    'Display detailed information on one or more networks',
    '[OPTIONS] NETWORK [NETWORK...]',
    AT_LEAST_ONE,
    async () => (await import('./commands/network/network-inspect.ts')).networkInspect,
  ),
  command(
    'ls',
    'List networks',
    OPTIONS,
    NO_ARGUMENTS,
    async () => (await import('./commands/network/network-ls.ts')).networkLs,
    { aliases: ['list'] },
  ),
  command(
    'prune',
    'Remove all unused networks',
    OPTIONS,
    NO_ARGUMENTS,
    async () => (await import('./commands/network/network-prune.ts')).networkPrune,
  ),
  command(
    'rm',
    'Remove one or more networks',
    'NETWORK [NETWORK...]',
    AT_LEAST_ONE,
    async () => (await import('./commands/network/network-rm.ts')).networkRm,
    { aliases: ['remove'] },
  ),
  command(
    'update',
    'Change the labels of a network, or give it more addresses',
    '[OPTIONS] NETWORK',
    ONE_ARGUMENT,
    async () => (await import('./commands/network/network-update.ts')).networkUpdate,
  ),
  ...ABSENT_NETWORK_COMMANDS,
]);

/** Not Docker's. */
const SNAPSHOT: CommandGroup = group('snapshot', 'Save and restore the swarm', [
  command(
    'inspect',
    'Display what a saved snapshot holds, and whether it is whole',
    '[OPTIONS] FILE|-',
    ONE_ARGUMENT,
    async () => (await import('./commands/snapshot/snapshot-inspect.ts')).snapshotInspect,
  ),
  command(
    'key',
    'Display the key that saved snapshots are sealed with',
    OPTIONS,
    NO_ARGUMENTS,
    async () => (await import('./commands/snapshot/snapshot-key.ts')).snapshotKey,
  ),
  command(
    'restore',
    'Begin a swarm again from a saved snapshot, with this host as its only manager',
    '[OPTIONS] FILE|-',
    ONE_ARGUMENT,
    async () => (await import('./commands/snapshot/snapshot-restore.ts')).snapshotRestore,
  ),
  command(
    'save',
    'Save the declared state of the swarm to a file',
    '[OPTIONS] [FILE|-]',
    UP_TO_ONE_ARGUMENT,
    async () => (await import('./commands/snapshot/snapshot-save.ts')).snapshotSave,
  ),
]);

const TASK: CommandGroup = group('task', 'Look at tasks, and manage containers of `swarm run`', [
  command(
    'inspect',
    'Display detailed information on one or more tasks',
    '[OPTIONS] TASK [TASK...]',
    AT_LEAST_ONE,
    async () => (await import('./commands/task/task-inspect.ts')).taskInspect,
  ),
  command(
    'ls',
    'List all tasks; on a worker the containers of `swarm run` there',
    OPTIONS,
    NO_ARGUMENTS,
    async () => (await import('./commands/task/task-ls.ts')).taskLs,
    { aliases: ['list'] },
  ),
  command(
    'logs',
    'Fetch the logs of a task',
    '[OPTIONS] TASK',
    ONE_ARGUMENT,
    async () => (await import('./commands/task/task-logs.ts')).taskLogs,
  ),
  command(
    'rm',
    'Remove one or more containers of `swarm run`',
    '[OPTIONS] TASK [TASK...]',
    AT_LEAST_ONE,
    async () => (await import('./commands/task/task-rm.ts')).taskRm,
    { aliases: ['remove'] },
  ),
  command(
    'stop',
    'Stop one or more containers of `swarm run`',
    '[OPTIONS] TASK [TASK...]',
    AT_LEAST_ONE,
    async () => (await import('./commands/task/task-stop.ts')).taskStop,
  ),
]);

/** The same command at the root, as Docker has it from the time before groups. */
function atRoot(name: string, { aliases = [], ...original }: Command): Command {
  const names = [original.name, ...aliases].map((alias) => `swarm image ${alias}`);
  return { ...original, name, alsoKnownAs: names };
}

/** What Docker has under `docker swarm`; here the program itself is the swarm. */
const SWARM: readonly CommandNode[] = [
  CA,
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
  UNLOCK,
  UNLOCK_KEY,
];

const INFO = command(
  'info',
  'Display system-wide information',
  OPTIONS,
  NO_ARGUMENTS,
  async () => (await import('./commands/cluster/info.ts')).info,
);

const SYSTEM: CommandGroup = group('system', 'Manage this node', [
  command(
    'df',
    'Show disk usage of this node',
    OPTIONS,
    NO_ARGUMENTS,
    async () => (await import('./commands/system/system-df.ts')).systemDf,
  ),
  INFO,
]);

export const ROOT: CommandGroup = group('swarm', 'Services in containers on a swarm of your own machines', [
  SERVICE,
  JOB,
  STACK,
  NODE,
  NETWORK,
  VOLUME,
  CONFIG,
  SECRET,
  CLIENT,
  CONTEXT,
  SNAPSHOT,
  TASK,
  IMAGE,
  SYSTEM,
  { ...group('swarm', 'Manage Swarm', SWARM), hidden: true, transparent: true },
  ...SWARM,
  INFO,
  atRoot('build', IMAGE_BUILD),
  atRoot('images', IMAGE_LS),
  atRoot('load', IMAGE_LOAD),
  atRoot('pull', IMAGE_PULL),
  atRoot('rmi', IMAGE_RM),
  atRoot('tag', IMAGE_TAG),
  command(
    'run',
    'Run a container on this node, on networks of the swarm',
    '[OPTIONS] IMAGE [COMMAND] [ARG...]',
    AT_LEAST_ONE,
    async () => (await import('./commands/run/run.ts')).run,
    { flagsEndAtArgument: true },
  ),
  command(
    'events',
    'Show what is done to the swarm, and by whom',
    OPTIONS,
    NO_ARGUMENTS,
    async () => (await import('./commands/events/events.ts')).events,
  ),
  command(
    'audit',
    'Show the record that this manager keeps of what was done, or verify it',
    '[OPTIONS] [verify [FILE]]',
    UP_TO_TWO_ARGUMENTS,
    async () => (await import('./commands/events/audit.ts')).audit,
  ),
  command(
    'doctor',
    'Check this host and the networks of the swarm',
    '[OPTIONS] [NETWORK]',
    UP_TO_ONE_ARGUMENT,
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
