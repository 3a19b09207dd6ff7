import type { Cluster } from '#gen/swarm/v1/objects.ts';
import type { SwarmApi } from '../../api.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine } from '../../context.ts';
import { boolFlag } from '../../flags.ts';
import { joinText } from './init.ts';

const QUIET = boolFlag({ name: 'quiet', short: 'q', usage: 'Only display token' });
const ROTATE = boolFlag({ name: 'rotate', usage: 'Rotate join token' });

export const joinToken: CommandImplementation = {
  flags: [QUIET, ROTATE],
  examples: ['swarm join-token worker', 'swarm join-token --quiet manager', 'swarm join-token --rotate worker'],
  argumentKind: ['worker', 'manager'],
  run: showToken,
};

async function showToken({ context, flags, arguments: [role = ''] }: Invocation): Promise<void> {
  if (role !== 'worker' && role !== 'manager')
    throw new CliError(`unknown role ${role}`, { hint: 'use worker or manager' });
  const api = await context.api();
  let { cluster } = await api.control.getCluster({});
  if (flags.isSet(ROTATE)) {
    cluster = await rotate(api, cluster, role);
    if (!flags.isSet(QUIET)) printLine(context, `Successfully rotated ${role} join token.\n`);
  }
  const token = cluster?.rootCa?.joinTokens?.[role];
  if (token === undefined || token === '')
    throw new CliError('the daemon does not show join tokens to this caller', {
      hint: 'run it on a manager, or with a context of role admin: see `swarm context ls`',
    });
  if (flags.isSet(QUIET)) {
    printLine(context, token);
    return;
  }
  const { node } = await api.control.getNode({ reference: 'self' });
  printLine(context, joinText(role, token, node?.managerStatus?.address ?? ''));
}

async function rotate(
  api: SwarmApi,
  cluster: Cluster | undefined,
  role: 'worker' | 'manager',
): Promise<Cluster | undefined> {
  const updated = await api.control.updateCluster({
    version: cluster?.version ?? 0,
    rotateWorkerToken: role === 'worker',
    rotateManagerToken: role === 'manager',
  });
  return updated.cluster;
}
