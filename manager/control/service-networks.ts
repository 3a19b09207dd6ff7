/** The rules for the networks and published ports of a service: those that depend on what else is declared. */

import { DATA_PATH_PORTS, vxlanPorts } from '#common/data-path-ports.ts';
import { invalidField, SwarmError } from '#common/errors.ts';
import { type Ip, parseIp, parsePrefix, prefixesOverlap } from '#common/ip.ts';
import { LIMITS } from '#common/limits.ts';
import type { Network } from '#gen/swarm/v1/objects.ts';
import {
  type NetworkAttachmentSpec,
  type PortConfig,
  PortProtocol,
  type ServiceSpec,
  UpdateOrder,
} from '#gen/swarm/v1/specs.ts';
import {
  attachmentsOf,
  isIngress,
  isIngressPort,
  isPredefined,
  publishedKey,
  publishesByIngress,
  subnetsHave,
} from '#manager/allocator/index.ts';
import type { StoreView } from '#manager/store/index.ts';
import { findNetwork } from './references.ts';

/**
 * The spec with the ids of its networks, which may be given by name.
 * @throws SwarmError for the first rule that is broken; `serviceId` is the service that is updated, or empty
 */
export function validatedNetworksOf(view: StoreView, spec: ServiceSpec, serviceId: string): ServiceSpec {
  const declared = spec.task?.networks ?? [];
  const networks = declared.map((attachment) => ({ ...attachment, network: idOf(view, attachment.network) }));
  validateTogether(view, networks);
  for (const attachment of networks) validateAttachment(view, attachment, spec, serviceId);
  refuseSharedAddresses(view, networks);
  validatePorts(view, spec, serviceId);
  return spec.task === undefined || networks.length === 0 ? spec : { ...spec, task: { ...spec.task, networks } };
}

function idOf(view: StoreView, reference: string): string {
  return isPredefined(reference) ? reference : findNetwork(view, reference).id;
}

function validateTogether(view: StoreView, networks: readonly NetworkAttachmentSpec[]): void {
  if (networks.length > LIMITS.NETWORKS_PER_SERVICE)
    throw new SwarmError({
      code: 'invalid',
      reason: 'too-many',
      field: 'network',
      limit: 'NETWORKS_PER_SERVICE',
      message: `network: ${networks.length} networks, the limit is ${LIMITS.NETWORKS_PER_SERVICE} (NETWORKS_PER_SERVICE)`,
      hint: 'join fewer networks',
    });
  const alone = networks.find(({ network }) => network === 'host' || network === 'none');
  if (alone !== undefined && networks.length > 1)
    throw invalidField(
      'network',
      `network: ${alone.network} cannot be joined together with another network`,
      'give it alone, or leave it out',
    );
  const seen = new Set<string>();
  for (const { network: id } of networks) {
    if (seen.has(id))
      throw invalidField(
        'network',
        `network: ${view.get('network', id)?.spec?.name ?? id} is joined twice`,
        'give it once',
      );
    seen.add(id);
  }
}

function validateAttachment(
  view: StoreView,
  attachment: NetworkAttachmentSpec,
  spec: ServiceSpec,
  serviceId: string,
): void {
  const { network: id, aliases, addresses, driverOptions } = attachment;
  const network = view.get('network', id);
  const name = network?.spec?.name ?? id;
  const [option] = Object.keys(driverOptions);
  if (option !== undefined)
    throw invalidField(
      'network',
      `network ${name}: there is no driver option ${JSON.stringify(option)}`,
      'leave it out',
    );
  if (network === undefined) {
    if (aliases.length > 0 || addresses.length > 0)
      throw invalidField(
        'network',
        `network: ${id} takes no alias and no address`,
        'names and addresses are for networks that are created: swarm network create',
      );
    return;
  }
  if (isIngress(network))
    throw invalidField(
      'network',
      `network: a service cannot be attached to the ingress network ${JSON.stringify(name)}`,
      'publish a port: --publish published=8080,target=80',
    );
  validateAliases(name, aliases);
  if (addresses.length > 0) validateAddresses(view, network, addresses, spec, serviceId);
}

const LABEL = /^[a-z0-9]([a-z0-9_-]*[a-z0-9])?$/i;

function validateAliases(name: string, aliases: readonly string[]): void {
  if (aliases.length > LIMITS.ALIASES_PER_NETWORK)
    throw new SwarmError({
      code: 'invalid',
      reason: 'too-many',
      field: 'network.alias',
      limit: 'ALIASES_PER_NETWORK',
      message: `network ${name}: ${aliases.length} aliases, the limit is ${LIMITS.ALIASES_PER_NETWORK} (ALIASES_PER_NETWORK)`,
      hint: 'use fewer',
    });
  for (const alias of aliases) {
    const labels = alias.split('.');
    if (alias.length > 253 || labels.some((label) => label.length > 63 || !LABEL.test(label)))
      throw invalidField(
        'network.alias',
        `network ${name}: alias ${JSON.stringify(alias)} is not a DNS name`,
        'use letters, digits, - and _, in parts of at most 63 characters with dots in between',
      );
  }
}

function validateAddresses(
  view: StoreView,
  network: Network,
  addresses: readonly string[],
  spec: ServiceSpec,
  serviceId: string,
): void {
  const name = network.spec?.name ?? network.id;
  if (spec.mode?.kind !== 'replicated' || spec.mode.value.replicas > 1)
    throw invalidField(
      'network.ip',
      `network ${name}: address ${addresses.join()} is for one task, and the service is to have more`,
      'use one replica, or leave the address out',
    );
  if (spec.update?.order === UpdateOrder.START_FIRST || spec.rollback?.order === UpdateOrder.START_FIRST)
    throw invalidField(
      'network.ip',
      `network ${name}: with order start-first two tasks would have the address ${addresses.join()} at once`,
      'use order stop-first, or leave the address out',
    );
  const families = new Set<number>();
  for (const text of addresses) {
    const ip = parseIp(text);
    if (ip === undefined)
      throw invalidField(
        'network.ip',
        `network ${name}: ${JSON.stringify(text)} is not an IP address`,
        'write ip=10.0.1.5',
      );
    if (families.has(ip.family))
      throw invalidField(
        'network.ip',
        `network ${name}: more than one address of IPv${ip.family}`,
        'give one of each family',
      );
    families.add(ip.family);
    validateAddress(view, network, text, ip, serviceId);
  }
}

function validateAddress(view: StoreView, network: Network, text: string, ip: Ip, serviceId: string): void {
  const name = network.spec?.name ?? network.id;
  if (!subnetsHave(network.subnets, ip)) {
    const subnets = network.subnets.map(({ subnet }) => subnet).join(', ');
    throw invalidField(
      'network.ip',
      `network ${name}: address ${text} is in none of its subnets${subnets === '' ? ': it has none yet' : ` (${subnets})`}`,
      subnets === ''
        ? 'try again in a moment; `swarm network inspect` says what it waits for'
        : 'give an address of one of them',
    );
  }
  const holder = addressHolder(view, network, text, ip, serviceId);
  if (holder !== undefined)
    throw invalidField('network.ip', `network ${name}: address ${text} is that of ${holder}`, 'choose another one');
}

/** Who has the address for good; a task that happens to have it is waited for. */
function addressHolder(
  view: StoreView,
  network: Network,
  text: string,
  { value, family }: Ip,
  serviceId: string,
): string | undefined {
  const same = (other: string): boolean => {
    const ip = parseIp(other);
    return other === text || (ip?.value === value && ip.family === family);
  };
  for (const { subnet, gateway, auxAddresses } of network.subnets) {
    if (same(gateway)) return 'its gateway';
    const aux = Object.entries(auxAddresses).find(([, address]) => same(address));
    if (aux !== undefined) return aux[0];
    const prefix = parsePrefix(subnet)?.prefix;
    const isEnd = value === prefix?.first || (family === 4 && value === prefix?.last);
    if (prefix?.family === family && isEnd) return 'the subnet as a whole';
  }
  for (const { id, spec, endpoint } of view.all('service')) {
    const name = `service ${spec?.name ?? id}`;
    if (endpoint?.addresses.some((one) => one.network === network.id && one.addresses.some(same)) === true) return name;
    const fixed = attachmentsOf(spec).some((one) => one.network === network.id && one.addresses.some(same));
    if (fixed && id !== serviceId) return name;
  }
  return undefined;
}

/** Networks may share addresses, but nobody can be on two of them: there would be two ways to one address. */
function refuseSharedAddresses(view: StoreView, attachments: readonly NetworkAttachmentSpec[]): void {
  const networks = attachments.flatMap(({ network }) => view.get('network', network) ?? []);
  const blocks = networks.flatMap(({ spec, subnets }) =>
    subnets.flatMap(({ subnet }) => {
      const prefix = parsePrefix(subnet)?.prefix;
      return prefix === undefined ? [] : [{ name: spec?.name ?? '', prefix, subnet }];
    }),
  );
  for (const [place, a] of blocks.entries())
    for (const b of blocks.slice(place + 1))
      if (prefixesOverlap(a.prefix, b.prefix))
        throw invalidField(
          'network',
          `network: ${a.name} (${a.subnet}) and ${b.name} (${b.subnet}) have addresses in common`,
          'join one of the two',
        );
}

function validatePorts(view: StoreView, spec: ServiceSpec, serviceId: string): void {
  if (publishesByIngress(spec)) {
    const apart = spec.task?.networks.find(({ network }) => network === 'host' || network === 'none');
    if (apart !== undefined)
      throw invalidField(
        'publish',
        `publish: ports in mode ingress do not reach tasks of the network ${apart.network}`,
        apart.network === 'host' ? 'leave --publish out: the ports of the host are the task’s' : 'join another network',
      );
    if (![...view.all('network')].some(isIngress))
      throw new SwarmError({
        code: 'precondition',
        reason: 'unknown-object',
        field: 'publish',
        message: 'publish: the swarm has no ingress network, which published ports come in by',
        hint: 'create one: swarm network create --ingress --driver overlay ingress',
      });
  }
  refuseOwnPorts(view, spec);
  refuseTakenPorts(view, spec, serviceId);
}

/** Who published these would get, or hold up, what nodes send to one another. */
function refuseOwnPorts(view: StoreView, spec: ServiceSpec): void {
  const { plain, encrypted } = vxlanPorts(view.cluster()?.dataPathPort ?? 0);
  const own: readonly number[] = [plain, encrypted, DATA_PATH_PORTS.tunnel];
  for (const port of spec.endpoint?.ports ?? [])
    if (port.protocol === PortProtocol.UDP && own.includes(port.publishedPort))
      throw new SwarmError({
        code: 'invalid',
        reason: 'port-conflict',
        field: 'publish',
        message: `publish: port ${publishedKey(port)} is the swarm's own: nodes send packets of networks to it`,
        hint: 'choose another published port, or leave it out for a free one',
      });
}

/** A port of the mesh belongs to one service on every node. Services that publish on their own nodes are kept apart there. */
function refuseTakenPorts(view: StoreView, spec: ServiceSpec, serviceId: string): void {
  const wanted = new Map<string, PortConfig>();
  for (const port of spec.endpoint?.ports ?? []) if (port.publishedPort > 0) wanted.set(publishedKey(port), port);
  if (wanted.size === 0) return;
  for (const other of view.all('service')) {
    if (other.id === serviceId) continue;
    for (const theirs of [...(other.endpoint?.ports ?? []), ...(other.spec?.endpoint?.ports ?? [])]) {
      const mine = theirs.publishedPort > 0 ? wanted.get(publishedKey(theirs)) : undefined;
      if (mine === undefined || (!isIngressPort(mine) && !isIngressPort(theirs))) continue;
      throw new SwarmError({
        code: 'invalid',
        reason: 'port-conflict',
        field: 'publish',
        message: `publish: port ${publishedKey(mine)} is already in use by service ${other.spec?.name ?? other.id} as ${isIngressPort(theirs) ? 'an ingress port' : 'a host-published port'}`,
        hint: 'choose another published port, or leave it out for a free one',
      });
    }
  }
}
