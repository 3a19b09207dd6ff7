/** Networks of the file, and how services join them. */
import { IpamSpec, IpamSubnet, NetworkAttachmentSpec, NetworkSpec } from '#gen/swarm/v1/specs.ts';
import type { Fields } from './fields.ts';
import { honoured, type KeyTable } from './keys.ts';
import type { Member, Members } from './member-names.ts';
import type { StackNames } from './names.ts';

export const DEFAULT_NETWORK = 'default';

const IPAM_KEYS = honoured('driver', 'config', 'options');
const SUBNET_KEYS = honoured('subnet', 'ip_range', 'gateway', 'aux_addresses');

const ATTACHMENT_KEYS: KeyTable = {
  ...honoured('aliases', 'ipv4_address', 'ipv6_address', 'driver_opts'),
  link_local_ips: { refused: 'tasks have addresses of their networks only', hint: 'leave it out' },
  mac_address: { refused: 'addresses are given out by the swarm', hint: 'leave it out' },
  interface_name: { refused: 'devices of a task are named by its node', hint: 'leave it out' },
  priority: { leftOut: 'a task joins all of its networks at once', hint: 'leave it out' },
  gw_priority: { leftOut: 'the way out of a task leads over its node', hint: 'leave it out' },
};

export function networkSpec({ name, fields }: Member, names: StackNames): NetworkSpec {
  if (fields.bool('enable_ipv4') === false) fields.error('enable_ipv4', 'networks always have IPv4', 'leave it out');
  return NetworkSpec.create({
    name,
    labels: names.labels(fields.record('labels')),
    driver: fields.text('driver') ?? '',
    driverOptions: fields.record('driver_opts'),
    attachable: fields.bool('attachable') ?? false,
    internal: fields.bool('internal') ?? false,
    ipv6: fields.bool('enable_ipv6') ?? false,
    ipam: ipamSpec(fields.fields('ipam', IPAM_KEYS)),
  });
}

function ipamSpec(ipam: Fields | undefined): IpamSpec | undefined {
  if (ipam === undefined) return undefined;
  return IpamSpec.create({
    driver: ipam.text('driver') ?? '',
    options: ipam.record('options'),
    subnets: ipam.maps('config', SUBNET_KEYS).map((config) =>
      IpamSubnet.create({
        subnet: config.text('subnet') ?? '',
        ipRange: config.text('ip_range') ?? '',
        gateway: config.text('gateway') ?? '',
        auxAddresses: config.record('aux_addresses'),
      }),
    ),
  });
}

export interface Attachments {
  readonly specs: readonly NetworkAttachmentSpec[];
  /** Keys of networks at the top of the file. */
  readonly used: readonly string[];
}

/** `aliases`: further names of the service, which other services know it by. */
export function attachmentsOf(
  service: Fields,
  name: string,
  networks: Members,
  aliases: readonly string[],
): Attachments {
  const mode = service.text('network_mode');
  if (mode !== undefined) return { specs: byMode(service, mode), used: [] };
  const joined = service.members('networks', ATTACHMENT_KEYS);
  if (joined.length === 0) {
    const specs = [attachment(networks.get(DEFAULT_NETWORK), undefined, [name, ...aliases])];
    return { specs, used: [DEFAULT_NETWORK] };
  }
  const specs: NetworkAttachmentSpec[] = [];
  const used: string[] = [];
  for (const [key, fields] of joined) {
    const network = networks.get(key);
    if (network === undefined && key !== DEFAULT_NETWORK) {
      service.problems.error(
        fields.map.at,
        fields.path,
        `there is no network ${key} in the file`,
        `declare it: networks: {${key}: }`,
      );
      continue;
    }
    used.push(key);
    specs.push(attachment(network, fields, [name, ...aliases]));
  }
  return { specs, used };
}

function byMode(service: Fields, mode: string): readonly NetworkAttachmentSpec[] {
  if (service.has('networks'))
    service.error('network_mode', 'it cannot be given together with networks', 'leave one of them out');
  if (mode === 'host' || mode === 'none' || mode === 'bridge')
    return mode === 'bridge' ? [] : [NetworkAttachmentSpec.create({ network: mode })];
  service.error(
    'network_mode',
    `${JSON.stringify(mode)}: tasks share the network of no other container, which may be on another node`,
    'use networks, or the mode host or none',
  );
  return [];
}

const PREDEFINED: ReadonlySet<string> = new Set(['host', 'none', 'bridge']);

function attachment(
  network: Member | undefined,
  fields: Fields | undefined,
  aliases: readonly string[],
): NetworkAttachmentSpec {
  const name = network?.name ?? DEFAULT_NETWORK;
  // The host's own network knows no names.
  if (network?.external === true && PREDEFINED.has(name)) return NetworkAttachmentSpec.create({ network: name });
  const addresses = [fields?.text('ipv4_address'), fields?.text('ipv6_address')].filter((one) => one !== undefined);
  return NetworkAttachmentSpec.create({
    network: name,
    aliases: [...new Set([...aliases, ...(fields?.texts('aliases') ?? [])])],
    addresses,
    driverOptions: fields?.record('driver_opts') ?? {},
  });
}
