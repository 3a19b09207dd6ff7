import { SwarmError } from '#common/errors.ts';
import { type Fault, NEWEST_LEVEL } from './options.ts';
import type { SimManager } from './sim-manager.ts';
import type { Simulation } from './simulation.ts';

type Happening = (simulation: Simulation) => void;

const HOUR_MS = 3_600_000;
const ADMIN_TIMEOUT_MS = 4000;

function pickUp(simulation: Simulation): SimManager | undefined {
  const { random, managers } = simulation;
  const leaders = managers.filter((manager) => manager.leads);
  if (leaders.length > 0 && random.chance(0.4)) return random.pick(leaders);
  const up = managers.filter((manager) => manager.running !== undefined);
  return up.length === 0 ? undefined : random.pick(up);
}

function crash(simulation: Simulation): void {
  const { random, managers } = simulation;
  const victim = pickUp(simulation);
  if (victim === undefined) return;
  // Now and then the power fails for all of them.
  for (const manager of random.chance(0.1) ? managers : [victim]) manager.crash();
}

function stop(simulation: Simulation): void {
  pickUp(simulation)?.stop();
}

function pause(simulation: Simulation): void {
  const { random } = simulation;
  const running = pickUp(simulation)?.running;
  if (running === undefined) return;
  simulation.trace(() => `${running.process.name} is paused`);
  running.process.pause();
  simulation.later(random.between(200, random.chance(0.2) ? 8000 : 2000), () => {
    simulation.trace(() => `${running.process.name} goes on`);
    running.process.resume();
  });
}

function partition(simulation: Simulation): void {
  const { random, network, managers } = simulation;
  const order = random.shuffled(managers.map(({ name }) => name));
  const cut = random.between(1, Math.max(1, order.length - 1));
  network.partition(order.slice(0, cut), order.slice(cut));
  simulation.trace(() => `partition: ${order.slice(0, cut).join(' ')} | ${order.slice(cut).join(' ')}`);
  simulation.later(random.between(300, 5000), () => network.mend());
}

function cutOneWay(simulation: Simulation): void {
  const { random, network, managers } = simulation;
  const victim = pickUp(simulation);
  if (victim === undefined) return;
  const inward = random.chance(0.5);
  for (const { name } of managers)
    if (name !== victim.name && random.chance(0.8)) {
      if (inward) network.cut(name, victim.name);
      else network.cut(victim.name, name);
    }
  simulation.trace(() => `one-way cut ${inward ? 'to' : 'from'} ${victim.name}`);
  simulation.later(random.between(300, 5000), () => network.mend());
}

/** The leader is cut off, and goes on taking writes that it cannot commit, until shortly after it has noticed. */
function cutLeader(simulation: Simulation): void {
  const { random, network, managers, clients } = simulation;
  const leader = simulation.leader();
  if (leader === undefined) return;
  simulation.trace(() => `the leader ${leader.name} is cut off`);
  const others = managers.filter((manager) => manager !== leader);
  network.partition(
    [leader.name],
    others.map(({ name }) => name),
  );
  simulation.later(random.between(300, 1500), () => {
    for (const client of clients) client.burst();
  });
  simulation.later(random.between(1200, 3500), () => network.mend());
}

/** Something that an operator asks of whoever leads; what comes of it is written into the trace. */
function askLeader(simulation: Simulation, what: string, ask: (leader: SimManager) => Promise<unknown>): void {
  const leader = simulation.managers.find((manager) => manager.leads);
  const process = leader?.running?.process;
  if (leader === undefined || process === undefined) return;
  process.after(simulation.network.delayMs(), () => {
    if (leader.running?.process !== process) return;
    simulation.trace(() => `${process.name} is asked to ${what}`);
    ask(leader).then(
      () => simulation.trace(() => `${process.name}: done: ${what}`),
      (thrown: unknown) => {
        const { reason, message } = SwarmError.from(thrown);
        simulation.trace(() => `${process.name}: not done: ${what}: ${reason}: ${message}`);
        if (reason === 'internal') simulation.broken(`${process.name}: ${what}: ${message}`);
      },
    );
  });
}

function transfer(simulation: Simulation): void {
  const { random } = simulation;
  askLeader(simulation, 'let another lead', async ({ running }) => {
    const members = running?.log.members() ?? [];
    const to = random.chance(0.5) && members.length > 0 ? random.pick(members).raftId : undefined;
    await running?.log.transferLeadership({ timeoutMs: 2000, ...(to === undefined ? {} : { to }) });
  });
}

function join(simulation: Simulation): void {
  const { random, managers } = simulation;
  const idle = managers.filter((manager) => !manager.isWanted && manager.running === undefined);
  if (idle.length === 0) return;
  const joining = random.pick(idle);
  simulation.trace(() => `${joining.name} is to join`);
  simulation.operator.employ(joining);
}

/** Removes a member as `swarm node demote` does: the leader hands over before it goes. */
export function removeMember(simulation: Simulation, raftId: number): void {
  askLeader(simulation, `remove member ${raftId}`, async ({ running }) => {
    if (running === undefined) return;
    const { log } = running;
    if (log.self()?.raftId === raftId) await log.transferLeadership({ timeoutMs: 2000 });
    else await log.removeMember(raftId, { timeoutMs: ADMIN_TIMEOUT_MS });
  });
}

function remove(simulation: Simulation): void {
  const members = simulation.managers.find((manager) => manager.leads)?.running?.log.members() ?? [];
  if (!simulation.operator.mayRemove()) return;
  if (members.filter(({ voter }) => voter).length < 2) return;
  removeMember(simulation, simulation.random.pick(members).raftId);
}

function readdress(simulation: Simulation): void {
  const manager = pickUp(simulation);
  if (manager === undefined || !simulation.operator.mayMove()) return;
  manager.isMoving = true;
  if (simulation.random.chance(0.5)) manager.crash();
  else manager.stop();
}

/** A disk is lost. Only one at a time, or nothing could bring the log back. */
function wipe(simulation: Simulation): void {
  const manager = pickUp(simulation);
  if (manager === undefined || !simulation.operator.mayWipe(manager)) return;
  simulation.operator.wipe(manager);
}

function breakDisk(simulation: Simulation): void {
  const manager = pickUp(simulation);
  if (manager === undefined) return;
  simulation.trace(() => `the disk of ${manager.name} breaks`);
  manager.disk.health.failing = { code: 'EIO', times: 1 };
}

function fillDisk(simulation: Simulation): void {
  const { random } = simulation;
  const manager = pickUp(simulation);
  if (manager === undefined) return;
  simulation.trace(() => `the disk of ${manager.name} is full`);
  manager.disk.health.failing = { code: 'ENOSPC', times: Infinity };
  simulation.later(random.between(100, 3000), () => {
    manager.disk.health.failing = undefined;
  });
}

function slowDisk(simulation: Simulation): void {
  const { random, options } = simulation;
  const manager = pickUp(simulation);
  if (manager === undefined) return;
  simulation.trace(() => `the disk of ${manager.name} is slow`);
  manager.disk.health.writeMs = random.pick([100, 800, 3000]);
  simulation.later(random.between(500, 4000), () => {
    manager.disk.health.writeMs = options.writeMs;
  });
}

function jumpClock(simulation: Simulation): void {
  const { random, managers } = simulation;
  const manager = random.pick(managers);
  const byMs = random.chance(0.5) ? HOUR_MS : -HOUR_MS;
  simulation.trace(() => `the clock of ${manager.name} jumps by ${byMs} ms`);
  manager.jumpWallClock(byMs);
}

/** A manager's next start is that of the next release. */
function upgrade(simulation: Simulation): void {
  const { random, managers } = simulation;
  const older = managers.filter(({ featureLevel }) => featureLevel < NEWEST_LEVEL);
  if (older.length === 0) return;
  const manager = random.pick(older);
  manager.featureLevel = NEWEST_LEVEL;
  simulation.trace(() => `${manager.name} is upgraded`);
  if (random.chance(0.7)) manager.stop();
  else manager.crash();
}

/** One of each kind. */
export const HAPPENINGS: Readonly<Record<Fault, Happening>> = {
  crash,
  stop,
  pause,
  partition,
  cutOneWay,
  cutLeader,
  transfer,
  join,
  remove,
  readdress,
  wipe,
  breakDisk,
  fillDisk,
  slowDisk,
  jumpClock,
  upgrade,
};
