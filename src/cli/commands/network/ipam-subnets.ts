/** Which range, gateway and auxiliary addresses belong to which subnet: the flags give them in lists of their own. */
import { type Ip, type IpPrefix, parseIp, parsePrefix, prefixesOverlap, prefixHas } from '#common/ip.ts';
import { IpamSubnet } from '#gen/swarm/v1/specs.ts';
import { CliError } from '../../cli-errors.ts';
import { type KeyValue, toRecord } from '../../values/key-values.ts';

export interface SubnetFlags {
  readonly subnets: readonly string[];
  readonly ipRanges: readonly string[];
  readonly gateways: readonly string[];
  readonly auxAddresses: readonly KeyValue[];
}

interface Entry {
  readonly prefix: IpPrefix;
  readonly subnet: string;
  ipRange: string;
  gateway: string;
  readonly auxAddresses: KeyValue[];
}

/** Matched as Docker does, by which subnet has the address. Throws a CliError in Docker's words. */
export function ipamSubnets({ subnets, ipRanges, gateways, auxAddresses }: SubnetFlags): readonly IpamSubnet[] {
  if (subnets.length < ipRanges.length || subnets.length < gateways.length)
    throw new CliError('every ip-range or gateway must have a corresponding subnet', {
      hint: 'give the subnet that it lies in too: --subnet',
    });
  // The daemon says what is wrong with a subnet that nothing has to be matched with.
  if (subnets.length === 1 && ipRanges.length + gateways.length + auxAddresses.length === 0)
    return subnets.map((subnet) => IpamSubnet.create({ subnet }));
  const entries = entriesOf(subnets);
  for (const ipRange of ipRanges)
    for (const entry of matching(entries, cidr(ipRange).address, `range ${ipRange}`)) {
      if (entry.ipRange !== '')
        throw new CliError(
          `cannot configure multiple ranges (${ipRange}, ${entry.ipRange}) on the same subnet (${entry.subnet})`,
          { hint: 'give one range that has both, or two networks' },
        );
      entry.ipRange = ipRange;
    }
  for (const gateway of gateways)
    for (const entry of matching(entries, addressOf(gateway), `gateway ${gateway}`)) {
      if (entry.gateway !== '')
        throw new CliError(
          `cannot configure multiple gateways (${gateway}, ${entry.gateway}) for the same subnet (${entry.subnet})`,
          { hint: 'give one gateway for each subnet' },
        );
      entry.gateway = gateway;
    }
  for (const aux of auxAddresses)
    for (const entry of matching(entries, addressOf(aux.value ?? ''), `aux-address ${aux.value ?? ''}`))
      entry.auxAddresses.push(aux);
  return entries.map(({ subnet, ipRange, gateway, auxAddresses: aux }) =>
    IpamSubnet.create({ subnet, ipRange, gateway, auxAddresses: toRecord(aux) }),
  );
}

function entriesOf(subnets: readonly string[]): readonly Entry[] {
  const entries: Entry[] = [];
  for (const subnet of subnets) {
    const { prefix } = cidr(subnet, 'invalid subnet: ');
    if (entries.some((other) => prefixesOverlap(other.prefix, prefix)))
      throw new CliError('multiple overlapping subnet configuration is not supported', {
        hint: 'give subnets that have no address in common',
      });
    entries.push({ prefix, subnet, ipRange: '', gateway: '', auxAddresses: [] });
  }
  return entries;
}

function matching(entries: readonly Entry[], address: Ip | undefined, what: string): readonly Entry[] {
  const found = entries.filter(({ prefix }) => address !== undefined && prefixHas(prefix, address));
  if (found.length === 0)
    throw new CliError(`no matching subnet for ${what}`, { hint: 'give the subnet that it lies in too: --subnet' });
  return found;
}

function cidr(text: string, context = ''): { readonly prefix: IpPrefix; readonly address: Ip } {
  const parsed = parsePrefix(text);
  if (parsed === undefined)
    throw new CliError(`${context}invalid CIDR address: ${text}`, { hint: 'write something like 10.1.0.0/24' });
  return parsed;
}

/** An address, which may be written with the length of its prefix. */
function addressOf(text: string): Ip | undefined {
  return text.includes('/') ? cidr(text).address : parseIp(text);
}
