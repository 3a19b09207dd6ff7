/** What users and operators do to the group, and what happens to it, at random. */
import {
  type ConfChangeSingle,
  type ConfChangeTransition,
  confChange,
  LEAVE_JOINT,
  type NodeId,
  type Status,
} from '../src/index.ts';
import type { Fault } from './options.ts';
import type { Simulation } from './simulation.ts';

type Happening = (simulation: Simulation) => void;

/** A node that leads, in its own opinion. */
function someLeader(simulation: Simulation): NodeId | undefined {
  const leaders = simulation.upIds.filter((id) => simulation.member(id).status?.state === 'StateLeader');
  return leaders.length === 0 ? undefined : simulation.random.pick(leaders);
}

function propose(simulation: Simulation): void {
  const { random } = simulation;
  const at = (random.chance(0.7) ? someLeader(simulation) : undefined) ?? simulation.pickUp();
  if (at === undefined) return;
  const count = random.chance(0.1) ? random.between(2, 12) : 1;
  const size = random.chance(0.2) ? random.between(10, 120) : 4;
  simulation.member(at).input((node) => {
    for (let i = 0; i < count; i++) node.propose(simulation.nextData(size));
  });
}

function crash(simulation: Simulation): void {
  const { random } = simulation;
  const id = random.chance(0.4) ? (someLeader(simulation) ?? simulation.pickUp()) : simulation.pickUp();
  if (id === undefined) return;
  const victims = random.chance(0.1) ? simulation.upIds : [id];
  for (const victim of victims) {
    simulation.member(victim).crash();
    simulation.later(random.between(1, 400), () => simulation.member(victim).start());
  }
}

function pause(simulation: Simulation): void {
  const id = someLeader(simulation) ?? simulation.pickUp();
  if (id === undefined) return;
  const member = simulation.member(id);
  member.pause();
  simulation.trace(() => `${id} is paused`);
  simulation.later(simulation.random.between(50, 500), () => member.resume());
}

function partition(simulation: Simulation): void {
  const { random, network, ids } = simulation;
  const order = random.shuffled(ids);
  const cut = random.between(1, Math.max(1, order.length - 1));
  const [left, right] = [order.slice(0, cut), order.slice(cut)];
  network.partition(left, right);
  simulation.trace(() => `partition: ${left.join(',')} | ${right.join(',')}`);
  simulation.later(random.between(30, 500), () => network.mend());
}

function cutOneWay(simulation: Simulation): void {
  const { random, network, ids } = simulation;
  const from = someLeader(simulation) ?? random.pick(ids);
  const inward = random.chance(0.5);
  for (const other of ids)
    if (other !== from && random.chance(0.8))
      network.cut(...(inward ? ([other, from] as const) : ([from, other] as const)));
  simulation.trace(() => `one-way cut ${inward ? 'to' : 'from'} ${from}`);
  simulation.later(random.between(30, 500), () => network.mend());
}

/** A change that is valid in a configuration. */
function drawChanges(simulation: Simulation, status: Status): readonly ConfChangeSingle[] {
  const { random, ids } = simulation;
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

function changeMembers(simulation: Simulation): void {
  const { random } = simulation;
  const id = someLeader(simulation);
  if (id === undefined) return;
  simulation.member(id).input((node) => {
    const status = node.status();
    if (status.configuration.voters.outgoing.length > 0) {
      if (!status.configuration.autoLeave) node.proposeConfChange(LEAVE_JOINT);
      return;
    }
    const changes = drawChanges(simulation, status);
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

function transfer(simulation: Simulation): void {
  const { random, ids } = simulation;
  const at = someLeader(simulation) ?? simulation.pickUp();
  if (at === undefined) return;
  const to = random.pick(ids);
  simulation.trace(() => `transfer to ${to} asked of ${at}`);
  simulation.member(at).input((node) => node.transferLeader(to));
}

function onSome(run: (simulation: Simulation, id: NodeId) => void): Happening {
  return (simulation) => {
    const id = simulation.pickUp();
    if (id !== undefined) run(simulation, id);
  };
}

/** One of each kind. */
export const HAPPENINGS: Readonly<Record<Fault, Happening>> = {
  propose,
  read: onSome((simulation, id) => simulation.read(id)),
  crash,
  pause,
  partition,
  cutOneWay,
  changeMembers,
  transfer,
  campaign: onSome((simulation, id) => simulation.member(id).input((node) => node.campaign())),
  forgetLeader: onSome((simulation, id) => simulation.member(id).input((node) => node.forgetLeader())),
  compact: onSome((simulation, id) => simulation.member(id).compact(simulation.random.below(20))),
};
