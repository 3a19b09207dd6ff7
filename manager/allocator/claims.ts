/** What objects of the store hold of the things that the allocator gives out, and what they have set their eyes on. */
import { bitsOf, type IpPrefix, parseIp, parsePrefix, prefixAt } from '#common/ip.ts';
import { type Network, type Node, type Service, type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { reservedAddresses } from './address-book.ts';
import { attachmentsOf, declaredVni, isIngressPort, publishedKey } from './attachments.ts';
import type { BlockKind } from './block-set.ts';
import { fixedHolder } from './holders.ts';

export type Claim =
  /** An address of a network. */
  | { readonly kind: 'address'; readonly network: string; readonly address: string; readonly holder: string }
  /** A live task of a service on a network. */
  | { readonly kind: 'member'; readonly network: string; readonly holder: string }
  /** A published port of the routing mesh: had, or only declared. */
  | { readonly kind: 'port' | 'declared-port'; readonly port: string; readonly holder: string }
  | { readonly kind: 'vni'; readonly number: number; readonly holder: string }
  | { readonly kind: 'index'; readonly number: number; readonly holder: string }
  | { readonly kind: 'block'; readonly prefix: IpPrefix; readonly use: BlockKind; readonly holder: string };

/** The same for two claims on the same thing by the same object. */
export function claimKey(claim: Claim): string {
  switch (claim.kind) {
    case 'address':
      return `address ${claim.network} ${claim.address} ${claim.holder}`;
    case 'member':
      return `member ${claim.network}`;
    case 'port':
    case 'declared-port':
      return `${claim.kind} ${claim.port}`;
    case 'vni':
    case 'index':
      return `${claim.kind} ${claim.number}`;
    case 'block':
      return `block ${claim.use} ${claim.prefix.family} ${claim.prefix.first} ${claim.prefix.length}`;
  }
}

/** Until a task has ended it has its addresses, wherever it is and whatever is desired. */
export function isLive(task: Task): boolean {
  return (task.status?.state ?? TaskState.NEW) <= TaskState.RUNNING;
}

export function claimsOfTask(task: Task): readonly Claim[] {
  if (!isLive(task) || task.networks.length === 0) return NOTHING;
  const claims: Claim[] = [];
  for (const { network, addresses } of task.networks) {
    for (const address of addresses) claims.push({ kind: 'address', network, address, holder: task.id });
    claims.push({ kind: 'member', network, holder: task.serviceId });
  }
  return claims;
}

/** Whether a task that changed holds what it held before. Most changes of tasks are such. */
export function holdsTheSame(old: Task, task: Task): boolean {
  if (isLive(old) !== isLive(task)) return old.networks.length === 0 && task.networks.length === 0;
  if (old.networks === task.networks) return true;
  return (
    old.networks.length === task.networks.length &&
    old.networks.every(({ network, addresses }, index) => {
      const now = task.networks[index];
      return now?.network === network && sameTexts(addresses, now.addresses);
    })
  );
}

function sameTexts(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, index) => text === b[index]);
}

export function claimsOfService({ id, spec, endpoint }: Service): readonly Claim[] {
  const claims = new Map<string, Claim>();
  const add = (claim: Claim): void => void claims.set(claimKey(claim), claim);
  for (const { network, addresses } of endpoint?.addresses ?? [])
    for (const address of addresses) add({ kind: 'address', network, address, holder: id });
  for (const port of endpoint?.ports ?? [])
    if (isIngressPort(port)) add({ kind: 'port', port: publishedKey(port), holder: id });
  for (const port of spec?.endpoint?.ports ?? [])
    if (port.publishedPort > 0) add({ kind: 'declared-port', port: publishedKey(port), holder: id });
  for (const { network, addresses } of attachmentsOf(spec))
    for (const address of addresses) add({ kind: 'address', network, address, holder: fixedHolder(id) });
  return [...claims.values()];
}

export function claimsOfNetwork(network: Network): readonly Claim[] {
  const { id, vni, subnets, spec } = network;
  const claims = new Map<string, Claim>();
  const add = (claim: Claim): void => void claims.set(claimKey(claim), claim);
  const wanted = declaredVni(network);
  if (wanted !== undefined) add({ kind: 'vni', number: wanted, holder: id });
  if (vni > 0) add({ kind: 'vni', number: vni, holder: id });
  for (const { subnet } of spec?.ipam?.subnets ?? []) addBlock(subnet, 'declared');
  for (const { subnet } of subnets) addBlock(subnet, 'network');
  for (const address of reservedAddresses(subnets)) add({ kind: 'address', network: id, address, holder: 'reserved' });
  return [...claims.values()];

  function addBlock(subnet: string, use: BlockKind): void {
    const prefix = parsePrefix(subnet)?.prefix;
    if (prefix !== undefined) add({ kind: 'block', prefix, use, holder: id });
  }
}

/** Pools may lie where the nodes themselves are: a network there would hide them from its tasks. */
export function claimsOfNode({ id, index, status, description }: Node): readonly Claim[] {
  const claims = new Map<string, Claim>();
  const add = (claim: Claim): void => void claims.set(claimKey(claim), claim);
  if (index > 0) add({ kind: 'index', number: index, holder: id });
  for (const text of [status?.address, description?.dataPath?.address]) {
    const ip = text === undefined ? undefined : parseIp(text);
    if (ip === undefined) continue;
    add({ kind: 'block', prefix: prefixAt(ip, bitsOf(ip.family)), use: 'node', holder: id });
  }
  return [...claims.values()];
}

const NOTHING: readonly Claim[] = [];
