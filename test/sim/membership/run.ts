/** One random history of nodes, then peace: everything has to be in its place. */

import { randomInt } from '#common/random.ts';
import { type Node, NodeState } from '#gen/swarm/v1/objects.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { checkRoleChange } from '#manager/control/index.ts';
import { removeNode, updateNode } from '#manager/control/nodes.ts';
import { join, leave, live, managerMembers } from './host-acts.ts';
import type { SimHost } from './sim-host.ts';
import { MembershipWorld } from './world.ts';

const STEPS = 200;
/** Longer than anything takes: a dead manager counts as one after a minute. */
const PEACE_S = 300;
/** A dead manager is out of the log by then. */
const CLEANED_UP_S = 100;

export interface MembershipFailure {
  readonly timeMs: number;
  readonly text: string;
}

export async function runMembership(
  seed: number,
  onTrace?: (line: string) => void,
): Promise<MembershipFailure | undefined> {
  let world: MembershipWorld | undefined;
  try {
    world = new MembershipWorld({ seed, onTrace });
    await pass(world, 3);
    for (let step = 0; step < STEPS; step++) {
      await happen(world);
      world.check();
      await pass(world, world.pick([0, 0, 1, 1, 2, 3, 8, 20]) ?? 0);
    }
    await peace(world);
    world.checkEnd();
    return undefined;
  } catch (thrown) {
    return { timeMs: world?.elapsedMs ?? 0, text: thrown instanceof Error ? (thrown.stack ?? '') : String(thrown) };
  }
}

async function pass(world: MembershipWorld, seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second++) {
    for (const host of world.hosts) if (host.isRunning) await world.act(host, 'lives', () => live(world, host));
    world.lead();
    world.check();
  }
}

/** Everybody is there and hears everybody; what was begun is finished. */
async function peace(world: MembershipWorld): Promise<void> {
  world.trace('peace');
  for (const host of world.hosts) {
    host.isRunning = true;
    host.isCut = false;
    host.crashAfter = undefined;
  }
  await pass(world, PEACE_S);
}

async function happen(world: MembershipWorld): Promise<void> {
  const host = world.pick(world.hosts);
  if (host === undefined) return;
  // What takes minutes is rarer.
  if (world.chance(1, 30)) return returnUnderNewLeader(world, host);
  switch (randomInt(world.random, 14)) {
    case 0:
    case 1:
    case 2:
      return join_(world, host);
    case 3:
      return leave_(world, host);
    case 4:
      return remove(world, anyNode(world), world.chance(1, 2));
    case 5:
      return setRole(world, anyNode(world, NodeRole.WORKER), NodeRole.MANAGER);
    case 6:
      setRole(world, anyNode(world, NodeRole.MANAGER), NodeRole.WORKER);
      // A fault may be faster than the leader.
      if (world.chance(1, 2)) fail(world, host);
      return;
    case 7:
    case 8:
      return fail(world, host);
    case 9:
      return loseDisk(world, host);
    case 10:
    case 11:
      return reconsider(world);
    case 12:
      return startOver(world, host);
    default:
      return restart(world, host);
  }
}

/** In one of three it dies on the way. */
function doom(world: MembershipWorld, host: SimHost): void {
  host.crashAfter = world.chance(1, 3) ? randomInt(world.random, 6) : undefined;
}

async function join_(world: MembershipWorld, host: SimHost): Promise<void> {
  const { disk } = host;
  if (!host.isRunning || disk.identity !== undefined || disk.departure !== undefined) return;
  const role = world.chance(1, 2) ? 'manager' : 'worker';
  const isNew = world.chance(1, 4);
  doom(world, host);
  await world.act(host, 'joins', () => join(world, host, role, isNew));
}

async function leave_(world: MembershipWorld, host: SimHost): Promise<void> {
  const { disk } = host;
  if (!host.isRunning || disk.identity === undefined || disk.departure !== undefined) return;
  if (world.log.has(disk.identity.nodeId) && !isDemotable(world, host) && !world.survivesLossOf(host)) return;
  doom(world, host);
  await world.act(host, 'leaves', () => leave(world, host));
}

/** Who cannot, or will not, be let go leaves by force, and joins again. */
async function startOver(world: MembershipWorld, host: SimHost): Promise<void> {
  host.isRunning = true;
  if (world.chance(1, 2)) fail(world, host, true);
  await leave_(world, host);
  restart(world, host);
  await pass(world, world.pick([0, 4, 8, 20]) ?? 0);
  await join_(world, host);
}

/** A manager that is being cleaned up comes back at the moment in which another one begins to lead. */
async function returnUnderNewLeader(world: MembershipWorld, host: SimHost): Promise<void> {
  const nodeId = host.disk.identity?.nodeId ?? '';
  if (!world.log.has(nodeId)) return;
  fail(world, host);
  const isGone = (): boolean => world.view.get('node', nodeId)?.cleanedUp === true && !world.log.has(nodeId);
  for (let second = 0; second < CLEANED_UP_S && !host.isConnected && !isGone(); second++) await pass(world, 1);
  restart(world, host);
  for (const one of world.hosts) if (one.isRunning) await world.act(one, 'lives', () => live(world, one));
  if (world.log.hasQuorum) world.log.handOver();
  await pass(world, 2);
}

/** The last managers do not force themselves out: the quorum would be lost, and not by the swarm's own doing. */
function isDemotable(world: MembershipWorld, host: SimHost): boolean {
  const node = world.view.get('node', host.disk.identity?.nodeId ?? '');
  if (!host.isConnected || !world.log.hasQuorum || node === undefined) return false;
  try {
    checkRoleChange(world.view, node, NodeRole.WORKER, managerMembers(world));
    return true;
  } catch {
    return false;
  }
}

function anyNode(world: MembershipWorld, desired?: NodeRole): Node | undefined {
  const nodes = [...world.view.all('node')];
  return world.pick(nodes.filter(({ spec }) => desired === undefined || spec?.desiredRole === desired));
}

function remove(world: MembershipWorld, node: Node | undefined, force: boolean): void {
  if (node === undefined || !world.log.hasQuorum) return;
  const { id, role, status, description } = node;
  const isDescribed = status?.state === NodeState.UNKNOWN && description?.engine !== undefined;
  const isThere = status?.state === NodeState.READY || isDescribed;
  const reasons: string[] = [];
  if (role === NodeRole.MANAGER || world.log.has(id)) reasons.push('in-use');
  else if (isThere && !force) reasons.push('needs-force');
  const done = world.ask(
    `rm ${world.nameOf(id)}${force ? ' --force' : ''}`,
    () => removeNode(world.view, { reference: id, force }, '', world.clock.now(), managerMembers(world)).changes,
    reasons,
  );
  if (done) world.ghosts.delete(id);
}

function setRole(world: MembershipWorld, node: Node | undefined, desiredRole: NodeRole): void {
  if (node?.spec === undefined || node.spec.desiredRole === desiredRole || !world.log.hasQuorum) return;
  const { id, version, spec } = node;
  const isPromotion = desiredRole === NodeRole.MANAGER;
  world.ask(
    `${isPromotion ? 'promote' : 'demote'} ${world.nameOf(id)}`,
    () => updateNode(world.view, { id, version, spec: { ...spec, desiredRole } }, managerMembers(world)).changes,
    isPromotion ? [] : demotionRisks(world, node),
  );
}

/** Why the node has to stay a manager. */
function demotionRisks(world: MembershipWorld, { id }: Node): readonly string[] {
  const stay = [...world.view.all('node')].filter(
    (other) => other.id !== id && other.spec?.desiredRole === NodeRole.MANAGER,
  );
  if (!stay.some((other) => other.role === NodeRole.MANAGER)) return ['in-use'];
  if (!world.log.all.some(({ voter, nodeId }) => voter && nodeId === id)) return [];
  const ids = new Set(stay.map((other) => other.id));
  const left = world.log.all.filter(({ voter, nodeId }) => voter && ids.has(nodeId));
  const connected = left.filter(({ nodeId }) => world.memberHost(nodeId)?.isConnected === true);
  return connected.length * 2 <= left.length ? ['no-quorum'] : [];
}

/** Who promotes a node, thinks again at once, and may remove it. */
async function reconsider(world: MembershipWorld): Promise<void> {
  const id = anyNode(world, NodeRole.WORKER)?.id ?? '';
  setRole(world, world.view.get('node', id), NodeRole.MANAGER);
  await pass(world, 1 + randomInt(world.random, 4));
  setRole(world, world.view.get('node', id), NodeRole.WORKER);
  await pass(world, randomInt(world.random, 3));
  if (world.chance(1, 2)) remove(world, world.view.get('node', id), true);
}

/** A fault never takes the quorum by itself: what is lost then is not the swarm's own doing. */
function fail(world: MembershipWorld, host: SimHost, isCut = world.chance(1, 2)): void {
  if (!host.isConnected) return;
  if (isCut) host.isCut = true;
  else host.isRunning = false;
  if (world.log.hasQuorum) {
    world.trace(`${host.name} is ${isCut ? 'cut off' : 'killed'}`);
    return;
  }
  host.isCut = false;
  host.isRunning = true;
}

/** The machine is replaced by an empty one. Who was a manager is a dead one now, to be cleaned up. */
function loseDisk(world: MembershipWorld, host: SimHost): void {
  const { disk } = host;
  if (disk.identity === undefined || disk.departure !== undefined || !world.chance(1, 4)) return;
  if (!world.survivesLossOf(host)) return;
  const { identity } = disk;
  Object.assign(disk, { raftId: undefined, identity: undefined, former: undefined, pending: undefined });
  world.ghosts.add(identity.nodeId);
  world.trace(`${host.name} is another machine`);
}

function restart(world: MembershipWorld, host: SimHost): void {
  if (host.isConnected) return;
  host.isRunning = true;
  host.isCut = false;
  host.crashAfter = undefined;
  world.trace(`${host.name} is back`);
}
