/** The rules for a network's spec, but for those that depend on other networks. */

import { invalidField, SwarmError } from '#common/errors.ts';
import {
  bitsOf,
  formatIp,
  formatPrefix,
  type Ip,
  type IpPrefix,
  parseIp,
  parsePrefix,
  prefixCovers,
  prefixesOverlap,
  prefixHas,
} from '#common/ip.ts';
import { LIMITS } from '#common/limits.ts';
import { checkName } from '#common/names.ts';
import { IpamSpec, type IpamSubnet, NetworkSpec } from '#gen/swarm/v1/specs.ts';
import {
  INGRESS_VNI,
  OVERLAP_OPTION,
  PREDEFINED_NETWORKS,
  rangeOf,
  VNI_MAX,
  VNI_OPTION,
} from '#manager/allocator/index.ts';
import { validateLabels } from './validate-labels.ts';

/** What a driver is told by options; undefined where the value is good, otherwise what it should be. */
type OptionRule = (value: string) => string | undefined;

const isBoolean: OptionRule = (value) => (['', 'true', 'false'].includes(value) ? undefined : 'true or false');
const isMtu: OptionRule = (value) =>
  /^\d{2,5}$/.test(value) && Number(value) >= 576 && Number(value) <= 65_535 ? undefined : 'a number from 576 to 65535';
const isVni: OptionRule = (value) =>
  /^[1-9]\d{0,7}$/.test(value) && Number(value) <= VNI_MAX && Number(value) !== INGRESS_VNI
    ? undefined
    : `one number from 1 to ${VNI_MAX} other than ${INGRESS_VNI}, which is that of the ingress network`;
/** A name of a device, also one with a VLAN: eth0.20. */
const isDevice: OptionRule = (value) =>
  /^[A-Za-z0-9][\w.@:-]{0,14}$/.test(value) ? undefined : 'the name of a device';
const oneOf =
  (...values: readonly string[]): OptionRule =>
  (value) =>
    values.includes(value) ? undefined : values.join(', ');

const MTU_OPTION = 'com.docker.network.driver.mtu';

const DRIVERS: Readonly<Record<string, Readonly<Record<string, OptionRule>>>> = {
  overlay: { encrypted: isBoolean, [MTU_OPTION]: isMtu, [VNI_OPTION]: isVni },
  bridge: { [MTU_OPTION]: isMtu },
  macvlan: { parent: isDevice, macvlan_mode: oneOf('bridge', 'private', 'vepa', 'passthru'), [MTU_OPTION]: isMtu },
  ipvlan: {
    parent: isDevice,
    ipvlan_mode: oneOf('l2', 'l3', 'l3s'),
    ipvlan_flag: oneOf('bridge', 'private', 'vepa'),
    [MTU_OPTION]: isMtu,
  },
};

/** Names that mean something else wherever networks are named. */
const RESERVED_NAMES: readonly string[] = [...PREDEFINED_NETWORKS, 'default', 'gateway'];

/** Blocks that no network can have: this host, loopback, the links between routers, groups of receivers. */
const SPECIAL_BLOCKS = [
  '0.0.0.0/8',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '224.0.0.0/3',
  '::/8',
  'fe80::/10',
  'ff00::/8',
].flatMap((text) => parsePrefix(text)?.prefix ?? []);

/**
 * The spec as it is stored: with its drivers named, and addresses written in the one way.
 * @throws SwarmError for the first rule that it breaks
 */
export function validatedNetwork(spec: NetworkSpec): NetworkSpec {
  const badName = checkName('name', spec.name);
  if (badName !== undefined) throw badName;
  if (RESERVED_NAMES.includes(spec.name.toLowerCase()))
    throw invalidField(
      'name',
      `name: ${JSON.stringify(spec.name)} is the name of a network that every node has by itself`,
      'choose another name',
    );
  validateLabels('labels', spec.labels);
  const driver = spec.driver || 'overlay';
  validateDriver(driver, spec.driverOptions);
  validateIngress(driver, spec);
  const ipam = IpamSpec.create({ ...spec.ipam, driver: spec.ipam?.driver || 'default' });
  validateIpam(ipam);
  const subnets = ipam.subnets.map((subnet) => validatedSubnet(subnet, spec.ipv6));
  refuseOwnOverlap(subnets);
  return NetworkSpec.create({ ...spec, driver, ipam: { ...ipam, subnets } });
}

function validateDriver(driver: string, options: Readonly<Record<string, string>>): void {
  const known = Object.hasOwn(DRIVERS, driver) ? DRIVERS[driver] : undefined;
  if (known === undefined)
    throw invalidField(
      'driver',
      `driver: ${JSON.stringify(driver)} is not a driver for networks of a swarm`,
      driver === 'host' || driver === 'none'
        ? `every node has that network already: --network ${driver}`
        : `use ${Object.keys(DRIVERS).join(', ')}`,
    );
  for (const [option, value] of Object.entries(options)) {
    const rule = Object.hasOwn(known, option) ? known[option] : undefined;
    if (rule === undefined)
      throw invalidField(
        'opt',
        `opt: the driver ${driver} has no option ${JSON.stringify(option)}`,
        `it has ${Object.keys(known).join(', ')}`,
      );
    const wanted = rule(value);
    if (wanted !== undefined)
      throw invalidField('opt', `opt: ${option}=${value} is not understood`, `give it ${wanted}`);
  }
}

function validateIngress(driver: string, spec: NetworkSpec): void {
  if (!spec.ingress) return;
  if (driver !== 'overlay')
    throw invalidField(
      'ingress',
      `ingress: the driver ${driver} cannot carry published ports`,
      'use the driver overlay',
    );
  if (spec.attachable)
    throw invalidField('ingress', 'ingress: an ingress network cannot be attachable', 'leave one of the two out');
  if (spec.internal)
    throw invalidField('ingress', 'ingress: an ingress network cannot be internal', 'leave one of the two out');
  if (Object.hasOwn(spec.driverOptions, VNI_OPTION))
    throw invalidField(
      'opt',
      `opt: the ingress network has the identifier ${INGRESS_VNI}; ${VNI_OPTION} cannot change it`,
      'leave the option out',
    );
}

function validateIpam({ driver, options, subnets }: IpamSpec): void {
  if (driver !== 'default')
    throw invalidField('ipam-driver', `ipam-driver: ${JSON.stringify(driver)} is not known`, 'use default');
  for (const [option, value] of Object.entries(options))
    if (option !== OVERLAP_OPTION || value !== 'allow')
      throw invalidField(
        'ipam-opt',
        `ipam-opt: ${option}=${value} is not understood`,
        `only ${OVERLAP_OPTION}=allow is known, for a network that may have addresses of another one`,
      );
  if (subnets.length > LIMITS.SUBNETS_PER_NETWORK)
    throw new SwarmError({
      code: 'invalid',
      reason: 'too-many',
      field: 'subnet',
      limit: 'SUBNETS_PER_NETWORK',
      message: `subnet: ${subnets.length} subnets, the limit is ${LIMITS.SUBNETS_PER_NETWORK} (SUBNETS_PER_NETWORK)`,
      hint: 'use larger subnets',
    });
}

function validatedSubnet(subnet: IpamSubnet, ipv6: boolean): IpamSubnet {
  if (subnet.subnet === '') {
    if (subnet.ipRange !== '' || subnet.gateway !== '' || Object.keys(subnet.auxAddresses).length > 0)
      throw invalidField(
        'subnet',
        'subnet: an ip-range, gateway or aux-address is given without the subnet that it belongs to',
        'give the subnet too: --subnet',
      );
    return subnet;
  }
  const prefix = prefixOf('subnet', subnet.subnet);
  validateBlock(prefix, ipv6);
  const range = subnet.ipRange === '' ? undefined : prefixOf('ip-range', subnet.ipRange);
  if (range !== undefined && !prefixCovers(prefix, range))
    throw invalidField(
      'ip-range',
      `ip-range: ${subnet.ipRange} does not lie in the subnet ${subnet.subnet}`,
      'give a part of the subnet',
    );
  const auxAddresses: Record<string, string> = {};
  for (const [name, text] of Object.entries(subnet.auxAddresses))
    auxAddresses[name] = formatIp(addressIn('aux-address', text, prefix));
  const gateway = subnet.gateway === '' ? '' : formatIp(addressIn('gateway', subnet.gateway, prefix));
  refuseTwice([...(gateway === '' ? [] : [['the gateway', gateway] as const]), ...Object.entries(auxAddresses)]);
  const ipRange = range === undefined ? '' : formatPrefix(range);
  const valid = { subnet: formatPrefix(prefix), ipRange, gateway, auxAddresses };
  if (rangeOf(valid) === undefined)
    throw invalidField('ip-range', `ip-range: ${ipRange} has no address to give out`, 'give a larger one');
  return valid;
}

function prefixOf(field: string, text: string): IpPrefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined)
    throw invalidField(
      field,
      `${field}: ${JSON.stringify(text)} is not an address with the length of its prefix`,
      'write something like 10.1.0.0/24 or fd00:1::/64',
    );
  const { prefix, address } = parsed;
  if (address.value !== prefix.first)
    throw invalidField(
      field,
      `${field}: ${text} has bits beyond its prefix of ${prefix.length}`,
      `write ${formatPrefix(prefix)}, or give a longer prefix`,
    );
  return prefix;
}

function validateBlock(prefix: IpPrefix, ipv6: boolean): void {
  const text = formatPrefix(prefix);
  const longest = bitsOf(prefix.family) - 2;
  if (prefix.family === 6 && !ipv6)
    throw invalidField('subnet', `subnet: ${text} is one of IPv6, which the network is not to have`, 'add --ipv6');
  if (prefix.length > longest)
    throw invalidField('subnet', `subnet: ${text} has no room for tasks`, `use a prefix of /${longest} or shorter`);
  if (prefix.length < 8) throw invalidField('subnet', `subnet: ${text} is too large`, 'use a prefix of /8 or longer');
  const special = SPECIAL_BLOCKS.find((block) => prefixesOverlap(block, prefix));
  if (special !== undefined)
    throw invalidField(
      'subnet',
      `subnet: ${text} overlaps ${formatPrefix(special)}, which has another meaning`,
      'choose a private block, such as one of 10.0.0.0/8',
    );
}

function addressIn(field: string, text: string, prefix: IpPrefix): Ip {
  const ip = parseIp(text);
  if (ip === undefined)
    throw invalidField(
      field,
      `${field}: ${JSON.stringify(text)} is not an IP address`,
      'give an address of the subnet',
    );
  const isEnd = ip.value === prefix.first || (ip.family === 4 && ip.value === prefix.last);
  if (!prefixHas(prefix, ip) || isEnd)
    throw invalidField(
      field,
      `${field}: ${text} is no address of a host in the subnet ${formatPrefix(prefix)}`,
      'give an address of the subnet, other than its first and last one',
    );
  return ip;
}

function refuseTwice(named: readonly (readonly [string, string])[]): void {
  const seen = new Map<string, string>();
  for (const [name, address] of named) {
    const other = seen.get(address);
    if (other !== undefined)
      throw invalidField('aux-address', `aux-address: ${address} is that of ${other} and of ${name}`, 'use it once');
    seen.set(address, name);
  }
}

function refuseOwnOverlap(subnets: readonly IpamSubnet[]): void {
  const prefixes = subnets.flatMap(({ subnet }) => parsePrefix(subnet)?.prefix ?? []);
  for (const [place, a] of prefixes.entries())
    for (const b of prefixes.slice(place + 1))
      if (prefixesOverlap(a, b))
        throw invalidField(
          'subnet',
          `subnet: ${formatPrefix(a)} and ${formatPrefix(b)} of the network overlap`,
          'give subnets that have no address in common',
        );
}
