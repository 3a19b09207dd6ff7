import { parsePrefix, prefixCovers } from '#common/ip.ts';
import type { Network } from '#gen/swarm/v1/objects.ts';
import { IpamSpec, IpamSubnet, NetworkSpec } from '#gen/swarm/v1/specs.ts';
import { predefinedNetwork } from '../../../docker-shape/predefined-networks.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine } from '../../context.ts';
import { type FlagValues, listFlag } from '../../flags.ts';
import { findNetwork } from '../../known-networks.ts';
import { csvFields } from '../../values/csv.ts';
import { label, toRecord } from '../../values/key-values.ts';

const LABEL_ADD = listFlag({ name: 'label-add', usage: 'Add or update a network label ("key=value")', parse: label });
const LABEL_RM = listFlag({ name: 'label-rm', usage: 'Remove a network label if exists' });
const SUBNET_ADD = listFlag({
  name: 'subnet-add',
  type: 'strings',
  usage: 'Add a subnet in CIDR format; one that has a present subnet as a part takes its place',
  parse: csvFields,
});

/** Docker has no such command: its networks stay as they were made. */
export const networkUpdate: CommandImplementation = {
  flags: [LABEL_ADD, LABEL_RM, SUBNET_ADD],
  examples: [
    '# more addresses for tasks, without a stop\nswarm network update --subnet-add 10.20.8.0/22 back',
    '# 10.20.0.0/24 becomes a part of a larger subnet\nswarm network update --subnet-add 10.20.0.0/22 back',
    'swarm network update --label-add team=a --label-rm temporary back',
  ],
  argumentKind: 'network',
  run: updateNetwork,
};

async function updateNetwork({ context, flags, arguments: [reference = ''] }: Invocation): Promise<void> {
  if (!flags.anyGiven(LABEL_ADD, LABEL_RM, SUBNET_ADD))
    throw new CliError('nothing to change was given', { hint: 'use --label-add, --label-rm or --subnet-add' });
  const api = await context.api();
  const network = await findNetwork(api, reference);
  if (predefinedNetwork(network.id) !== undefined)
    throw new CliError(`network ${network.id} is on every node by itself and cannot be changed`, {
      hint: 'create one: `swarm network create`',
    });
  await api.control.updateNetwork({ id: network.id, version: network.version, spec: changedSpec(network, flags) });
  printLine(context, reference);
}

function changedSpec({ spec: before }: Network, flags: FlagValues): NetworkSpec {
  const spec = before ?? NetworkSpec.create();
  const labels = { ...spec.labels, ...toRecord(flags.list(LABEL_ADD)) };
  for (const key of flags.list(LABEL_RM)) {
    if (!Object.hasOwn(labels, key)) throw new CliError(`key ${key} doesn't exist in network's labels`);
    delete labels[key];
  }
  const ipam = spec.ipam ?? IpamSpec.create({ driver: 'default' });
  const subnets = flags.list(SUBNET_ADD).flat().reduce(withSubnet, ipam.subnets);
  return { ...spec, labels, ipam: { ...ipam, subnets } };
}

/** A larger subnet takes the place of the one within it and keeps what was declared of that. */
function withSubnet(subnets: readonly IpamSubnet[], added: string): readonly IpamSubnet[] {
  const outer = parsePrefix(added)?.prefix;
  const place = subnets.findIndex(({ subnet }) => {
    const inner = parsePrefix(subnet)?.prefix;
    return outer !== undefined && inner !== undefined && prefixCovers(outer, inner);
  });
  const present = subnets[place];
  if (present === undefined) return [...subnets, IpamSubnet.create({ subnet: added })];
  return subnets.with(place, { ...present, subnet: added });
}
