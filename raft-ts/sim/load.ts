/** What users and operators do to the group, and what happens to it, at random. */
import {
  type ConfChangeSingle,
  type ConfChangeTransition,
  confChange,
  LEAVE_JOINT,
  type NodeId,
  type Status,
} from '../src/index.ts';
import type { Group } from './group.ts';
import type { Fault } from './options.ts';

type Happening = (group: Group) => void;

/** A node that leads, in its own opinion. */
function someLeader(group: Group): NodeId | undefined {
  const leaders = group.upIds.filter((id) => group.member(id).status?.state === 'StateLeader');
  return leaders.length === 0 ? undefined : group.random.pick(leaders);
}

function propose(group: Group): void {
  const { random } = group;
  const at = (random.chance(0.7) ? someLeader(group) : undefined) ?? group.pickUp();
  if (at === undefined) return;
  const count = random.chance(0.1) ? random.between(2, 12) : 1;
  const size = random.chance(0.2) ? random.between(10, 120) : 4;
  group.member(at).input((node) => {
    for (let i = 0; i < count; i++) node.propose(group.nextData(size));
  });
}

function crash(group: Group): void {
  const { random } = group;
  const id = random.chance(0.4) ? (someLeader(group) ?? group.pickUp()) : group.pickUp();
  if (id === undefined) return;
  const victims = random.chance(0.1) ? group.upIds : [id];
  for (const victim of victims) {
    group.member(victim).crash();
    group.later(random.between(1, 400), () => group.member(victim).start());
  }
}

function pause(group: Group): void {
  const id = someLeader(group) ?? group.pickUp();
  if (id === undefined) return;
  const member = group.member(id);
  member.pause();
  group.trace(() => `${id} is paused`);
  group.later(group.random.between(50, 500), () => member.resume());
}

function partition(group: Group): void {
  const { random, network, ids } = group;
  const order = random.shuffled(ids);
  const cut = random.between(1, Math.max(1, order.length - 1));
  const [left, right] = [order.slice(0, cut), order.slice(cut)];
  network.partition(left, right);
  group.trace(() => `partition: ${left.join(',')} | ${right.join(',')}`);
  group.later(random.between(30, 500), () => network.mend());
}

function cutOneWay(group: Group): void {
  const { random, network, ids } = group;
  const from = someLeader(group) ?? random.pick(ids);
  const inward = random.chance(0.5);
  for (const other of ids)
    if (other !== from && random.chance(0.8))
      network.cut(...(inward ? ([other, from] as const) : ([from, other] as const)));
  group.trace(() => `one-way cut ${inward ? 'to' : 'from'} ${from}`);
  group.later(random.between(30, 500), () => network.mend());
}

/** A change that is valid in a configuration. */
function drawChanges(group: Group, status: Status): readonly ConfChangeSingle[] {
  const { random, ids } = group;
  const { voters, learners } = status.configuration;
  const changes: ConfChangeSingle[] = [];
  const remaining = new Set(voters.incoming);
  for (let i = random.pick([1, 1, 1, 2, 3]); i > 0; i--) {
    const nodeId = random.pick(ids);
    if (changes.some((change) => change.nodeId === nodeId)) continue;
    if (!remaining.has(nodeId)) {
      const promote = learners.includes(nodeId) || random.chance(0.5);
      changes.push({ type: promote ? 'ConfChangeAddNode' : 'ConfChangeAddLearnerNode', nodeId });
    } else if (remaining.size > 1) {
      remaining.delete(nodeId);
      changes.push({ type: random.chance(0.5) ? 'ConfChangeRemoveNode' : 'ConfChangeAddLearnerNode', nodeId });
    }
  }
  return changes;
}

function changeMembers(group: Group): void {
  const { random } = group;
  const id = someLeader(group);
  if (id === undefined) return;
  group.member(id).input((node) => {
    const status = node.status();
    if (status.configuration.voters.outgoing.length > 0) {
      if (!status.configuration.autoLeave) node.proposeConfChange(LEAVE_JOINT);
      return;
    }
    const changes = drawChanges(group, status);
    const [first] = changes;
    if (first === undefined) return;
    const transition = random.pick<ConfChangeTransition>([
      'ConfChangeTransitionAuto',
      'ConfChangeTransitionJointImplicit',
      'ConfChangeTransitionJointExplicit',
    ]);
    const old = changes.length === 1 && transition === 'ConfChangeTransitionAuto' && random.chance(0.5);
    if (old) node.proposeConfChange({ version: 1, ...first, context: new Uint8Array(0) });
    else node.proposeConfChange(confChange(changes, { transition }));
  });
}

function transfer(group: Group): void {
  const { random, ids } = group;
  const at = someLeader(group) ?? group.pickUp();
  if (at === undefined) return;
  const to = random.pick(ids);
  group.trace(() => `transfer to ${to} asked of ${at}`);
  group.member(at).input((node) => node.transferLeader(to));
}

function onSome(run: (group: Group, id: NodeId) => void): Happening {
  return (group) => {
    const id = group.pickUp();
    if (id !== undefined) run(group, id);
  };
}

/** One of each kind. */
export const HAPPENINGS: Readonly<Record<Fault, Happening>> = {
  propose,
  read: onSome((group, id) => group.read(id)),
  crash,
  pause,
  partition,
  cutOneWay,
  changeMembers,
  transfer,
  campaign: onSome((group, id) => group.member(id).input((node) => node.campaign())),
  forgetLeader: onSome((group, id) => group.member(id).input((node) => node.forgetLeader())),
  compact: onSome((group, id) => group.member(id).compact(group.random.below(20))),
};
