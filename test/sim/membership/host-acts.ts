/** What a host does, step by step, as its daemon does it: between two steps it may die. */

import assert from 'node:assert/strict';
import { proveFormer } from '#certs/former-proof.ts';
import { generateKeyPair } from '#certs/key.ts';
import { SwarmError } from '#common/errors.ts';
import { FormerNode, IssueNodeCertificateRequest } from '#gen/swarm/v1/ca.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { checkRoleChange } from '#manager/control/index.ts';
import { leaveCluster } from '#manager/control/nodes.ts';
import type { PeerIdentity } from '#proto/grpc/caller.ts';
import { admitNode, type JudgingAccess } from '#src/swarmd/admit-node.ts';
import { identityOf, requestOf } from './identities.ts';
import type { SimHost, SimIdentity } from './sim-host.ts';
import type { MembershipWorld } from './world.ts';

const ADDRESS = '192.0.2.1';

/** `swarm join`. What it was before is shown, and with a new identity given up. */
export async function join(
  world: MembershipWorld,
  host: SimHost,
  role: 'manager' | 'worker',
  newIdentity: boolean,
): Promise<void> {
  const { disk } = host;
  requireLeader(world, host);
  const token = world.view.cluster()?.rootCa?.joinTokens?.[role] ?? '';
  const keys = disk.pending ?? generateKeyPair();
  disk.pending = keys;
  host.point();
  const csrPem = requestOf(keys);
  const { former } = disk;
  let proof: FormerNode | undefined;
  if (former !== undefined) {
    const signature = proveFormer(csrPem, former.keys.privateKey);
    proof = FormerNode.create({ certificatePem: former.certificatePem, signature, replace: newIdentity });
  }
  const request = IssueNodeCertificateRequest.create({ csrPem, token, hostname: host.name, former: proof });
  const memberBefore = former && world.log.has(former.nodeId) ? world.view.get('node', former.nodeId) : undefined;
  const answer = await world.authority.issueNodeCertificate(request, { identity: undefined, address: ADDRESS });
  if (memberBefore !== undefined)
    assert.equal(
      world.view.get('node', memberBefore.id),
      memberBefore,
      'the entry of a member of the log is taken over',
    );
  world.ghosts.delete(answer.nodeId);
  if (newIdentity && former !== undefined) world.ghosts.delete(former.nodeId);
  // Until it is installed nobody knows whether the host ever comes.
  world.ghosts.add(answer.nodeId);
  host.point();
  const node = world.view.get('node', answer.nodeId);
  const identity = identityOf(keys, node?.certificate?.certificatePem ?? new Uint8Array());
  disk.identity = identity;
  world.ghosts.delete(answer.nodeId);
  host.point();
  disk.pending = undefined;
  disk.former = undefined;
  world.trace(`${host.name} has joined as a ${role}${former?.nodeId === answer.nodeId ? ' again' : ''}`);
}

/** `swarm leave --force`: also without being let go. */
export async function leave(world: MembershipWorld, host: SimHost): Promise<void> {
  const { identity } = host.disk;
  if (identity === undefined) return;
  if (host.disk.raftId !== undefined && host.isConnected)
    await world.act(host, 'is to be let go', async () => releaseFromLog(world, identity.nodeId));
  host.point();
  host.disk.departure = { removed: false, warned: undefined };
  host.point();
  finishLeaving(world, host);
}

/** From the note of its departure on: also at the next start, which tells again what an earlier one could not. */
export function finishLeaving(world: MembershipWorld, host: SimHost): void {
  const { disk } = host;
  const { identity, departure } = disk;
  if (identity !== undefined && departure?.removed === false) {
    if (host.isConnected) world.gone(identity.nodeId);
    host.point();
    const isTold = told(world, host, identity);
    host.point();
    // Before the identity is forgotten: after that nobody could tell whose entry stays behind.
    disk.departure = { ...departure, warned: isTold ? undefined : identity.nodeId };
    host.point();
  }
  if (identity !== undefined) {
    disk.former = identity;
    disk.identity = undefined;
    disk.pending = undefined;
  }
  host.point();
  disk.raftId = undefined;
  host.point();
  // From here on `swarm info` shows what the managers could not be told; before, nobody was sure to see it.
  if (disk.departure?.warned !== undefined) world.ghosts.add(disk.departure.warned);
  disk.departure = undefined;
  world.trace(`${host.name} has left`);
}

/** Whether the managers know that the node has gone. */
function told(world: MembershipWorld, host: SimHost, identity: SimIdentity): boolean {
  const isOnly = world.log.all.length === 1 && world.log.has(identity.nodeId);
  if (isOnly || !host.isConnected || !world.log.hasQuorum) return false;
  if (admitted(world, identity) !== undefined) return true;
  try {
    world.commit(leaveCluster(world.view, identity.nodeId, world.clock.now(), managerMembers(world)).changes);
    return true;
  } catch (thrown) {
    if (thrown instanceof SwarmError && thrown.reason === 'in-use') return false;
    throw thrown;
  }
}

/** As `releaseFromLog` of the leader: it is demoted where that leaves a quorum. */
function releaseFromLog(world: MembershipWorld, nodeId: string): void {
  if (world.log.leader === nodeId) world.log.handOver();
  const members = world.log.view();
  const leaving = members.find((member) => member.nodeId === nodeId);
  if (world.log.leader === undefined || leaving === undefined || leaving.self) return;
  const node = world.view.get('node', nodeId);
  if (node?.spec === undefined) return;
  checkRoleChange(world.view, node, NodeRole.WORKER, managerMembers(world));
  const spec = { ...node.spec, desiredRole: NodeRole.WORKER };
  world.commit([{ kind: 'update', table: 'node', object: { ...node, spec } }]);
  world.lead();
}

/** One second of a daemon that runs. */
export async function live(world: MembershipWorld, host: SimHost): Promise<void> {
  const { disk } = host;
  if (disk.departure !== undefined) {
    finishLeaving(world, host);
    return;
  }
  const { identity } = disk;
  if (identity === undefined || !host.isConnected) return;
  if (disk.raftId !== undefined && !world.log.all.some(({ raftId }) => raftId === disk.raftId)) disk.raftId = undefined;
  if (!world.log.hasQuorum) return;
  if (admitted(world, identity) !== undefined) {
    world.trace(`${host.name} is told that it was removed`);
    disk.departure = { removed: true, warned: undefined };
    host.point();
    finishLeaving(world, host);
    return;
  }
  world.heard(identity.nodeId);
  await followRole(world, host, identity);
}

async function followRole(world: MembershipWorld, host: SimHost, identity: SimIdentity): Promise<void> {
  const { disk } = host;
  const node = world.view.get('node', identity.nodeId);
  if (node === undefined) return;
  const role = node.role === NodeRole.MANAGER ? 'manager' : 'worker';
  const isNewest = Buffer.from(identity.certificatePem).equals(node.certificate?.certificatePem ?? new Uint8Array());
  if (identity.role !== role || !isNewest) {
    const keys = generateKeyPair();
    const request = IssueNodeCertificateRequest.create({ csrPem: requestOf(keys) });
    const clusterId = world.view.cluster()?.id ?? '';
    await world.authority.issueNodeCertificate(request, {
      identity: { ...identity, clusterId, issuerKeyId: '' },
      address: ADDRESS,
    });
    host.point();
    const pem = world.view.get('node', identity.nodeId)?.certificate?.certificatePem ?? new Uint8Array();
    disk.identity = identityOf(keys, pem);
    host.point();
  }
  if (disk.identity?.role === 'worker') {
    disk.raftId = undefined;
    return;
  }
  const member = world.log.all.find(({ nodeId }) => nodeId === identity.nodeId);
  if (disk.raftId === undefined) joinLog(world, host, identity.nodeId);
  else if (member?.voter === false && member.raftId === disk.raftId)
    world.keepingQuorum('a promotion', () => world.log.promote(member.raftId));
}

/** As `admitToLog` of the leader. */
function joinLog(world: MembershipWorld, host: SimHost, nodeId: string): void {
  const node = world.view.get('node', nodeId);
  if (node?.role !== NodeRole.MANAGER || node.spec?.desiredRole !== NodeRole.MANAGER) return;
  world.askForMembership(host, nodeId);
}

/** Why any call of the node is refused; undefined when it is not. */
export function admitted(world: MembershipWorld, identity: SimIdentity): SwarmError | undefined {
  const role: ReturnType<JudgingAccess> = {
    store: { view: () => world.view as never }, // of a store's view it reads what any view has
    log: { leadership: () => ({ state: 'leader' as const }) },
  };
  const caller: PeerIdentity = { ...identity, clusterId: world.view.cluster()?.id ?? '', issuerKeyId: '' };
  return admitNode(() => role, caller, '/swarm.v1.DispatcherService/Session');
}

export function managerMembers(world: MembershipWorld) {
  return world.log.view().map((member) => ({ ...member, address: '', leader: member.self }));
}

function requireLeader(world: MembershipWorld, host: SimHost): void {
  if (host.isConnected && world.log.hasQuorum) return;
  throw new SwarmError({ code: 'unavailable', reason: 'no-quorum', message: 'no manager answers' });
}
