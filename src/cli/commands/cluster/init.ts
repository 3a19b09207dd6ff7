import { isIP } from 'node:net';
import { CliError, FlagValueError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine, printWarning } from '../../context.ts';
import { boolFlag, type FlagValues, listFlag, valueFlag } from '../../flags.ts';
import { unsigned32 } from '../../values/scalars.ts';
import { AUTOLOCK, CLUSTER_FLAGS, clusterSpecOf } from './cluster-flags.ts';
import {
  ADVERTISE_ADDR,
  AVAILABILITY,
  availabilityOf,
  DATA_PATH_ADDR,
  LISTEN_ADDR,
  SKIP_PREFLIGHT,
} from './node-flags.ts';
import { CA_CERT, CA_KEY, pemOf, withExternalCas } from './root-flags.ts';
import { unlockText } from './unlock-text.ts';

/** `10.10.0.0/16,10.20.0.0/16`. */
function addressPools(text: string): readonly string[] {
  return text.split(',').map((part) => {
    const pool = part.trim();
    const [address = '', bits, ...more] = pool.split('/');
    const size = isIP(address) === 6 ? 128 : 32;
    if (isIP(address) === 0 || bits === undefined || more.length > 0 || !/^\d{1,3}$/.test(bits) || Number(bits) > size)
      throw new FlagValueError(`invalid string being converted to CIDR: ${pool}`);
    return pool;
  });
}

const DATA_PATH_PORT = valueFlag({
  name: 'data-path-port',
  type: 'uint32',
  usage:
    'Port number to use for data path traffic (1024 - 49151). If no value is set or is set to 0, the default port (4789) is used.',
  parse: unsigned32,
});
const DEFAULT_ADDR_POOL = listFlag({
  name: 'default-addr-pool',
  type: 'ipNetSlice',
  usage: 'default address pool in CIDR format',
  shownDefault: '[]',
  parse: addressPools,
});
const DEFAULT_ADDR_POOL_MASK_LENGTH = valueFlag({
  name: 'default-addr-pool-mask-length',
  type: 'uint32',
  usage: 'default address pool subnet mask length',
  shownDefault: '24',
  parse: unsigned32,
});

/** The flag of `update`, in the words that Docker has for it here. */
const INIT_AUTOLOCK = boolFlag({
  name: AUTOLOCK.name,
  usage: 'Enable manager autolocking (requiring an unlock key to start a stopped manager)',
});

const FORCE_NEW_CLUSTER = boolFlag({
  name: 'force-new-cluster',
  usage: 'Force create a new cluster from current state',
});

export const init: CommandImplementation = {
  flags: [
    ADVERTISE_ADDR,
    AVAILABILITY,
    DATA_PATH_ADDR,
    DATA_PATH_PORT,
    DEFAULT_ADDR_POOL,
    DEFAULT_ADDR_POOL_MASK_LENGTH,
    LISTEN_ADDR,
    FORCE_NEW_CLUSTER,
    SKIP_PREFLIGHT,
    CA_CERT,
    CA_KEY,
    INIT_AUTOLOCK,
    ...CLUSTER_FLAGS.filter((flag) => flag !== AUTOLOCK),
  ],
  examples: [
    'swarm init',
    'swarm init --advertise-addr 192.168.1.10',
    'swarm init --advertise-addr eth1 --availability drain',
    '# after the majority of the managers is lost for good\nswarm init --force-new-cluster',
  ],
  run: initSwarm,
};

/** The daemon waits 20 s for its manager, asks the others for 5 s, and waits 20 s for the manager that is alone. */
const FORCE_TIMEOUT_MS = 60_000;

async function initSwarm({ context, flags }: Invocation): Promise<void> {
  const availability = availabilityOf(flags);
  const forceNewCluster = flags.isSet(FORCE_NEW_CLUSTER);
  if (forceNewCluster) refuseSettings(flags);
  const api = await context.api();
  const request = {
    listenAddress: flags.value(LISTEN_ADDR) ?? '',
    advertiseAddress: flags.value(ADVERTISE_ADDR) ?? '',
    dataPathAddress: flags.value(DATA_PATH_ADDR) ?? '',
    dataPathPort: flags.value(DATA_PATH_PORT) ?? 0,
    defaultAddressPools: flags.list(DEFAULT_ADDR_POOL).flat(),
    subnetSize: flags.value(DEFAULT_ADDR_POOL_MASK_LENGTH) ?? 0,
    availability,
    // The state that is gone on with has a spec.
    spec: forceNewCluster ? undefined : await withExternalCas(flags, clusterSpecOf(flags, undefined)),
    forceNewCluster,
    skipPreflight: flags.isSet(SKIP_PREFLIGHT),
    caCertPem: await pemOf(flags, CA_CERT),
    caKeyPem: await pemOf(flags, CA_KEY),
  };
  const response = await api.node.initSwarm(request, forceNewCluster ? { timeoutMs: FORCE_TIMEOUT_MS } : {});
  for (const warning of response.warnings) printWarning(context, `warning: ${warning}`);
  printLine(context, `Swarm initialized: current node (${response.nodeId}) is now a manager.\n`);
  printLine(context, joinText('worker', response.workerToken, response.managerAddress));
  printLine(context, "To add a manager to this swarm, run 'swarm join-token manager' and follow the instructions.");
  if (response.unlockKey !== '') printLine(context, `\n${unlockText(response.unlockKey)}`);
}

/** Who loses a majority of managers keeps the settings of the swarm: they are changed afterwards. */
function refuseSettings(flags: FlagValues): void {
  const given = [
    ...CLUSTER_FLAGS,
    CA_CERT,
    CA_KEY,
    AVAILABILITY,
    DATA_PATH_PORT,
    DEFAULT_ADDR_POOL,
    DEFAULT_ADDR_POOL_MASK_LENGTH,
  ].find((flag) => flags.given(flag));
  if (given === undefined) return;
  throw new CliError(`--${given.name} and --force-new-cluster cannot be used together`, {
    hint: 'change the settings afterwards: `swarm update`, `swarm node update`',
  });
}

/** What to run on a host that shall join, with an empty line after it. */
export function joinText(role: 'worker' | 'manager', token: string, address: string): string {
  return `To add a ${role} to this swarm, run the following command:\n\n    swarm join --token ${token} ${address}\n`;
}
