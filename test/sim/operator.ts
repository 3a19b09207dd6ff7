/**
 * Who looks after the machines: starts managers that have ended, replaces one whose disk was lost, and knows what would be
 * too much at once. Also sees that they end for no other reason than there is.
 */
import { SwarmError } from '#common/errors.ts';
import { removeMember } from './happenings.ts';
import type { SimManager } from './sim-manager.ts';
import type { Simulation } from './simulation.ts';
import type { VirtualTime } from './virtual-time.ts';
import type { Caretaker } from './world.ts';

/** Members are not removed so shortly before or after a disk is lost. */
const WIPE_DISTANCE_MS = 10_000;
const CARE_MS = 500;

/** Why a start may fail, or a log may end, while disks fail and members are removed. */
const EXPECTED_ENDS: ReadonlySet<string> = new Set([
  'log-failed',
  'disk-full',
  'node-removed',
  'shutting-down',
  'timeout',
  'not-leader',
  'wiped-member',
  'feature-level',
]);

export class Operator implements Caretaker {
  readonly #simulation: Simulation;
  readonly #time: VirtualTime;
  /** Managers that are not started again. */
  readonly stayDown = new Set<SimManager>();
  #lastWipeMs = -Infinity;
  #lastRemovalMs = -Infinity;

  constructor(simulation: Simulation, time: VirtualTime) {
    this.#simulation = simulation;
    this.#time = time;
  }

  /** From now on the machine is to be a manager. */
  employ(manager: SimManager): void {
    manager.isWanted = true;
    manager.start(manager.hasLog ? 'resume' : 'join');
  }

  mayRemove(): boolean {
    const isWiped = this.#simulation.managers.some((manager) => manager.isWiped);
    if (isWiped || this.#time.nowMs - this.#lastWipeMs < WIPE_DISTANCE_MS) return false;
    this.#lastRemovalMs = this.#time.nowMs;
    return true;
  }

  mayWipe(manager: SimManager): boolean {
    const members = manager.running?.log.members() ?? [];
    const voters = members.filter(({ voter }) => voter).length;
    const isWiped = this.#simulation.managers.some((other) => other.isWiped);
    return voters >= 3 && !isWiped && this.#time.nowMs - this.#lastRemovalMs >= WIPE_DISTANCE_MS;
  }

  wipe(manager: SimManager): void {
    this.#simulation.trace(() => `${manager.name} loses its state directory`);
    this.#lastWipeMs = this.#time.nowMs;
    manager.isWiped = manager.hasLog;
    manager.wipe();
  }

  /** One at a time, and only when the log knows where everybody is: who moves has to find the others. */
  mayMove(): boolean {
    const members = this.#simulation.leader()?.running?.log.members() ?? [];
    const isKnown = (manager: SimManager): boolean =>
      members.some(({ nodeId, address }) => nodeId === manager.nodeId && address === manager.address);
    return this.#simulation.managers.every((manager) => !manager.isMoving && (!manager.isWanted || isKnown(manager)));
  }

  hasStarted(manager: SimManager): void {
    manager.hasLog = true;
  }

  startFailed(manager: SimManager, error: SwarmError): void {
    if (manager.isWiped && error.reason === 'corrupt-state') {
      this.#replaceWiped(manager);
      return;
    }
    this.#checkEnd(manager, error);
  }

  logFailed(manager: SimManager, error: SwarmError): void {
    if (!manager.isWiped || error.reason !== 'corrupt-state') this.#checkEnd(manager, error);
  }

  removed(manager: SimManager): void {
    manager.isWanted = false;
    manager.hasLog = false;
    manager.isWiped = false;
    this.#time.after(5, () => {
      if (!manager.hasLog && !manager.isWanted) manager.wipe();
    });
  }

  ended(manager: SimManager): void {
    const { random } = this.#simulation;
    const downMs = random.chance(0.3) ? random.between(1, 50) : random.between(100, 1500);
    this.#time.after(downMs, () => {
      if (manager.running !== undefined || !manager.isWanted || this.stayDown.has(manager)) return;
      if (manager.isMoving) manager.move();
      manager.start(manager.hasLog ? 'resume' : 'join');
    });
  }

  #checkEnd(manager: SimManager, error: SwarmError): void {
    if (!EXPECTED_ENDS.has(error.reason))
      this.#simulation.broken(`${manager.name} ends with ${error.reason}: ${error.message}\n${error.stack ?? ''}`);
  }

  /** An operator removes the member whose disk was lost, and lets the node join again. */
  #replaceWiped(manager: SimManager): void {
    manager.hasLog = false;
    this.#time.after(CARE_MS, () => {
      if (!manager.isWiped) return;
      const members = this.#simulation.leader()?.running?.log.members();
      const member = members?.find(({ nodeId }) => nodeId === manager.nodeId);
      if (member !== undefined) removeMember(this.#simulation, member.raftId);
      else if (members !== undefined) {
        manager.isWiped = false;
        return;
      }
      this.#replaceWiped(manager);
    });
  }
}
