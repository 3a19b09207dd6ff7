import { IpamSpec, NetworkSpec } from '#gen/swarm/v1/specs.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine, printWarning } from '../../context.ts';
import type { FlagValues } from '../../flags.ts';
import { toRecord } from '../../values/key-values.ts';
import { ipamSubnets } from './ipam-subnets.ts';
import * as create from './network-flags.ts';

export const networkCreate: CommandImplementation = {
  flags: create.CREATE_FLAGS,
  examples: [
    'swarm network create back',
    'swarm network create --subnet 10.20.0.0/22 --attachable front',
    'swarm network create --opt encrypted --internal --ipv6 vault',
    'swarm network create -d macvlan --subnet 192.168.1.0/24 --ip-range 192.168.1.128/25 --gateway 192.168.1.1 -o parent=eth1 lan',
  ],
  run: createNetwork,
};

async function createNetwork({ context, flags, arguments: [name = ''] }: Invocation): Promise<void> {
  const spec = networkSpec(flags, name);
  const api = await context.api();
  const { network, warnings } = await api.control.createNetwork({ spec });
  for (const warning of warnings) printWarning(context, `WARNING: ${warning}`);
  if (network === undefined) throw new CliError('the daemon did not say what it created');
  printLine(context, network.id);
}

function networkSpec(flags: FlagValues, name: string): NetworkSpec {
  refuseOtherScopes(flags);
  return NetworkSpec.create({
    name,
    labels: toRecord(flags.list(create.LABEL)),
    driver: flags.value(create.DRIVER) ?? '',
    driverOptions: toRecord(flags.list(create.OPT)),
    ipv6: flags.isSet(create.IPV6),
    internal: flags.isSet(create.INTERNAL),
    attachable: flags.isSet(create.ATTACHABLE),
    ingress: flags.isSet(create.INGRESS),
    ipam: IpamSpec.create({
      driver: flags.value(create.IPAM_DRIVER) ?? 'default',
      options: toRecord(flags.list(create.IPAM_OPT)),
      subnets: ipamSubnets({
        subnets: flags.list(create.SUBNET).flat(),
        ipRanges: flags.list(create.IP_RANGE).flat(),
        gateways: flags.list(create.GATEWAY).flat(),
        auxAddresses: flags.list(create.AUX_ADDRESS),
      }),
    }),
  });
}

function refuseOtherScopes(flags: FlagValues): void {
  const scope = flags.value(create.SCOPE) ?? '';
  if (scope !== '' && scope !== 'swarm')
    throw new CliError(`--scope ${scope} is not supported: every network is declared for the whole swarm`, {
      hint: 'leave the flag out; what a single node needs is there already: --network bridge, host or none',
    });
  if (flags.value(create.IPV4) === false)
    throw new CliError('--ipv4=false is not supported: tasks have an IPv4 address on every network', {
      hint: 'leave the flag out; --ipv6 adds an IPv6 address',
    });
}
