import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine, printWarning } from '../../context.ts';
import { boolFlag, stringFlag } from '../../flags.ts';
import {
  ADVERTISE_ADDR,
  AVAILABILITY,
  availabilityOf,
  DATA_PATH_ADDR,
  LISTEN_ADDR,
  SKIP_PREFLIGHT,
} from './node-flags.ts';

const TOKEN = stringFlag({ name: 'token', usage: 'Token for entry into the swarm' });

/** Not Docker's: there every host that joins is a new node. */
const NEW_IDENTITY = boolFlag({
  name: 'new-identity',
  usage: 'Become a new node, and remove the entry of the node that this host was',
});

export const join: CommandImplementation = {
  flags: [ADVERTISE_ADDR, AVAILABILITY, DATA_PATH_ADDR, LISTEN_ADDR, NEW_IDENTITY, SKIP_PREFLIGHT, TOKEN],
  examples: ['swarm join --token SWMTKN-1-... 192.168.1.10:2377'],
  run: joinSwarm,
};

async function joinSwarm({ context, flags, arguments: [remote = ''] }: Invocation): Promise<void> {
  // Unless it is said, a node that joins again keeps what it had.
  const availability = flags.anyGiven(AVAILABILITY) ? availabilityOf(flags) : 0;
  const token = flags.value(TOKEN) ?? '';
  if (token === '')
    throw new CliError('a join token is needed', {
      hint: 'run `swarm join-token worker` on a manager: it prints the whole command',
    });
  const api = await context.api();
  const response = await api.node.joinSwarm({
    remoteAddresses: [remote],
    token,
    listenAddress: flags.value(LISTEN_ADDR) ?? '',
    advertiseAddress: flags.value(ADVERTISE_ADDR) ?? '',
    dataPathAddress: flags.value(DATA_PATH_ADDR) ?? '',
    availability,
    skipPreflight: flags.isSet(SKIP_PREFLIGHT),
    newIdentity: flags.isSet(NEW_IDENTITY),
  });
  for (const warning of response.warnings) printWarning(context, `warning: ${warning}`);
  const role = response.role === NodeRole.MANAGER ? 'manager' : 'worker';
  printLine(context, `This node joined a swarm as a ${role}.`);
}
