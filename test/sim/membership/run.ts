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
  switch (randomInt(world.random, 11)) {
    case 0:
    case 1:
    case 2:
      return join_(world, host);
    case 3:
      return leave_(world, host);
    case 4:
      return remove(world);
    case 5:
      return setRole(world, NodeRole.MANAGER);
    case 6:
      return setRole(world, NodeRole.WORKER);
    case 7:
    case 8:
      return fail(world, host);
    case 9:
      return loseDisk(world, host);
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
  if (costsQuorum(world, host, disk.identity.nodeId)) return;
  doom(world, host);
  await world.act(host, 'leaves', () => leave(world, host));
}

/** Who forces a manager out that the others need, or that cannot tell them, has it so: not the swarm's own doing. */
function costsQuorum(world: MembershipWorld, host: SimHost, nodeId: string): boolean {
  const members = world.log.view();
  const member = members.find((one) => one.nodeId === nodeId);
  if (member === undefined) return false;
  const node = world.view.get('node', nodeId);
  if (!host.isConnected || !world.log.hasQuorum || node === undefined) return true;
  try {
    checkRoleChange(world.view, node, NodeRole.WORKER, managerMembers(world));
    return false;
  } catch {
    return true;
  }
}

function remove(world: MembershipWorld): void {
  const node = world.pick([...world.view.all('node')]);
  if (node === undefined || !world.log.hasQuorum) return;
  const force = world.chance(1, 2);
  const isManager = node.role === NodeRole.MANAGER || world.log.has(node.id);
  const isThere = node.status?.state === NodeState.READY || node.status?.state === NodeState.UNKNOWN;
  const done = world.ask(
    `rm ${world.nameOf(node.id)}${force ? ' --force' : ''}`,
    () => {
      const request = { reference: node.id, force };
      return removeNode(world.view, request, '', world.clock.now(), managerMembers(world)).changes;
    },
    ({ reason }) => (isManager ? reason === 'in-use' : reason === 'needs-force' && isThere && !force),
  );
  if (done) world.ghosts.delete(node.id);
}

function setRole(world: MembershipWorld, desiredRole: typeof NodeRole.MANAGER | typeof NodeRole.WORKER): void {
  const node = world.pick([...world.view.all('node')].filter(({ spec }) => spec?.desiredRole !== desiredRole));
  if (node?.spec === undefined || !world.log.hasQuorum) return;
  const { id, version, spec } = node;
  const name = world.nameOf(id);
  world.ask(
    `${desiredRole === NodeRole.MANAGER ? 'promote' : 'demote'} ${name}`,
    () => updateNode(world.view, { id, version, spec: { ...spec, desiredRole } }, managerMembers(world)).changes,
    ({ reason }) => desiredRole === NodeRole.WORKER && isDemotionRisky(world, node, reason),
  );
}

/** Whether the refusal says what is so, found by another way than the API's. */
function isDemotionRisky(world: MembershipWorld, node: Node, reason: string): boolean {
  const stay = [...world.view.all('node')].filter(
    (other) => other.id !== node.id && other.spec?.desiredRole === NodeRole.MANAGER,
  );
  if (reason === 'in-use') return !stay.some((other) => other.role === NodeRole.MANAGER);
  const ids = new Set(stay.map(({ id }) => id));
  const left = world.log.all.filter(({ voter, nodeId }) => voter && ids.has(nodeId));
  const connected = left.filter(({ nodeId }) => world.memberHost(nodeId)?.isConnected === true);
  return reason === 'no-quorum' && connected.length * 2 <= left.length;
}

/** A fault never takes the quorum by itself: what is lost then is not the swarm's own doing. */
function fail(world: MembershipWorld, host: SimHost): void {
  if (!host.isConnected) return;
  const isCut = world.chance(1, 2);
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
  const { identity, raftId } = disk;
  disk.raftId = undefined;
  if (!world.log.hasQuorum) {
    disk.raftId = raftId;
    return;
  }
  Object.assign(disk, { identity: undefined, former: undefined, pending: undefined });
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
