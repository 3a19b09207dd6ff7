import type { OperationKind } from '#test/linearizability/index.ts';
import { describeView, isKeptWhole, KEPT_OBJECT } from './objects.ts';
import { describeLeadership, type Running, type SimManager } from './sim-manager.ts';
import type { Simulation } from './simulation.ts';

/** Elections may fail a few times, whoever joins has to catch up, and requests of the time before have to end. */
const PROGRESS_DUE_MS = 60_000;
/** With a quorum left, a leader is there and answers after a few elections. */
const QUORUM_DUE_MS = 20_000;
/** After the requests that are still under way have ended. */
const REST_DUE_MS = 60_000;
/** Answers of each kind that show that things work. */
const ANSWERS = 2;
const KINDS: readonly OperationKind[] = ['write', 'read'];
/** An operator stops a removed manager that nobody can tell. */
const TELL_AFTER_MS = 20_000;

export interface Phase {
  readonly name: string;
  readonly dueMs: number;
  begin(): void;
  isDone(): boolean;
  explain(): string;
  /** Once it is done. */
  check?(): void;
}

/** The time after the faults: what is asked of a swarm whose network and disks work. */
export class Healing {
  readonly #simulation: Simulation;
  /** Who goes on alone. */
  #survivor: SimManager | undefined;
  #answersBefore = new Map<OperationKind, number>();

  constructor(simulation: Simulation) {
    this.#simulation = simulation;
  }

  phases(): readonly Phase[] {
    const phases = [this.#everybody(), this.#quorum(), this.#rest()];
    return this.#simulation.options.endsWithForce ? [...phases, this.#alone(), this.#together()] : phases;
  }

  /** All but one are lost for good: that one goes on alone, with all that it had. */
  #alone(): Phase {
    let before = '';
    return {
      name: 'one goes on alone',
      dueMs: QUORUM_DUE_MS,
      begin: () => {
        const { random, managers, operator } = this.#simulation;
        const survivor = random.pick(managers.filter(({ isReady }) => isReady));
        before = survivor.running === undefined ? '' : describeView(survivor.running.store.view());
        // Also the survivor, until it has been made the only one.
        for (const manager of managers) {
          operator.stayDown.add(manager);
          manager.crash();
        }
        this.#survivor = survivor;
        survivor.forceNewCluster();
      },
      isDone: () => this.#survivor?.leads === true && this.#survivor.running?.log.members().length === 1,
      explain: () => this.#explain(),
      check: () => {
        if (this.#survivor !== undefined) this.#simulation.operator.stayDown.delete(this.#survivor);
        const view = this.#survivor?.running?.store.view();
        const after = view === undefined ? '' : describeView(view);
        if (after !== before)
          this.#simulation.broken(`${this.#survivor?.name} held ${before}; alone it holds ${after}`);
      },
    };
  }

  /** Others join it anew, and one of the lost that comes back as it was is told that it is a member no more. */
  #together(): Phase {
    let joining: SimManager | undefined;
    let returning: SimManager | undefined;
    return {
      name: 'others join who went on alone',
      dueMs: PROGRESS_DUE_MS,
      begin: () => {
        const { random, managers, operator } = this.#simulation;
        const others = random.shuffled(managers.filter((manager) => manager !== this.#survivor));
        returning = others.find(({ hasLog }) => hasLog);
        joining = others.find((manager) => manager !== returning);
        for (const manager of [joining, returning]) if (manager !== undefined) operator.stayDown.delete(manager);
        if (joining !== undefined) {
          joining.wipe();
          joining.hasLog = false;
          this.#simulation.operator.employ(joining);
        }
        if (returning !== undefined) this.#simulation.operator.employ(returning);
      },
      isDone: () => {
        const members = this.#survivor?.running?.log.members() ?? [];
        const hasJoined = members.some(({ nodeId, voter }) => voter && nodeId === joining?.nodeId);
        return (
          (joining === undefined || (hasJoined && joining.isReady)) &&
          returning?.isWanted !== true &&
          returning?.running === undefined
        );
      },
      explain: () => this.#explain(),
    };
  }

  /** Everything works again: everybody who should be one is a member, a voter, and answers. */
  #everybody(): Phase {
    return {
      name: 'progress of all',
      dueMs: PROGRESS_DUE_MS,
      begin: () => {
        const { network, managers, clockWorld } = this.#simulation;
        network.heal();
        for (const { disk, running } of managers) {
          disk.health.failing = undefined;
          disk.health.writeMs = 2;
          running?.process.resume();
        }
        // Only now: whoever was to be started by a fault that is over is started by the operator.
        for (const manager of managers)
          if (manager.isWanted && manager.running === undefined) this.#simulation.operator.ended(manager);
        clockWorld.time.after(TELL_AFTER_MS, () => this.#stopStrangers());
        this.#mark();
      },
      isDone: () => this.#areAllMembers() && this.#hasAnswered(),
      explain: () => this.#explain(),
    };
  }

  /** A minority of the voters goes for good, the leader maybe among them. */
  #quorum(): Phase {
    return {
      name: 'progress of a quorum',
      dueMs: QUORUM_DUE_MS,
      begin: () => {
        const { random, managers, operator } = this.#simulation;
        const voters = managers.filter(({ isWanted }) => isWanted);
        const count = random.below(Math.floor((voters.length - 1) / 2) + 1);
        for (const manager of random.shuffled(voters).slice(0, count)) {
          operator.stayDown.add(manager);
          manager.crash();
        }
        this.#mark();
      },
      isDone: () => this.#simulation.leader() !== undefined && this.#hasAnswered(),
      explain: () => this.#explain(),
    };
  }

  /** Nobody asks for anything any more: all stores come to be equal, and all watchers have been told everything. */
  #rest(): Phase {
    return {
      name: 'rest',
      dueMs: REST_DUE_MS,
      begin: () => {
        this.#simulation.isQuiet = true;
        for (const client of this.#simulation.clients) client.end();
      },
      isDone: () => {
        const states = this.#up().map(({ store, log }) => [store.view().version, log.status()] as const);
        const [first] = states;
        if (first === undefined || this.#simulation.leader() === undefined) return false;
        const isEqual = states.every(
          ([version, status]) =>
            version === first[0] &&
            status.appliedIndex === first[1].committedIndex &&
            status.committedIndex === first[1].committedIndex &&
            status.waiting === 0,
        );
        return isEqual && this.#simulation.watchers.every(({ lastVersion }) => lastVersion === first[0]);
      },
      explain: () => this.#explain(),
      check: () => this.#checkEqual(),
    };
  }

  #up(): readonly Running[] {
    return this.#simulation.managers.flatMap(({ running }) => (running?.isStarted === true ? [running] : []));
  }

  #mark(): void {
    this.#answersBefore = new Map(this.#simulation.answers);
  }

  #hasAnswered(): boolean {
    const { answers } = this.#simulation;
    return KINDS.every((kind) => (answers.get(kind) ?? 0) - (this.#answersBefore.get(kind) ?? 0) >= ANSWERS);
  }

  #areAllMembers(): boolean {
    const members = this.#simulation.leader()?.running?.log.members();
    if (members === undefined) return false;
    const { managers } = this.#simulation;
    const isWell = (manager: SimManager): boolean => {
      const self = manager.running?.log.self();
      if (!manager.isWanted) return manager.running === undefined;
      return manager.isReady && members.some(({ raftId, voter }) => voter && raftId === self?.raftId);
    };
    return managers.every(isWell) && members.length === managers.filter(({ isWanted }) => isWanted).length;
  }

  /** Removed members that none of those they know can tell, since all of them are gone or have moved. */
  #stopStrangers(): void {
    const members = this.#simulation.leader()?.running?.log.members();
    if (members === undefined) return;
    for (const manager of this.#simulation.managers) {
      const log = manager.running?.log;
      const self = log?.self();
      if (self === undefined || members.some(({ raftId }) => raftId === self.raftId)) continue;
      // Whoever it knows and can reach has to tell it.
      const knows = log?.members().some((known) => members.some(({ address }) => address === known.address));
      if (knows === true) continue;
      this.#simulation.trace(() => `${manager.name} is stopped by an operator: it was removed`);
      this.#simulation.operator.removed(manager);
    }
  }

  #checkEqual(): void {
    const views = this.#up().map(({ process, store }) => [process.name, store.view()] as const);
    const [first] = views;
    for (const [name, view] of views) {
      const [text, expected] = [describeView(view), describeView(first?.[1] ?? view)];
      if (text !== expected) this.#simulation.broken(`${name} holds ${text}, ${first?.[0]} ${expected}`);
      if (!isKeptWhole(view.get('node', KEPT_OBJECT)))
        this.#simulation.broken(`${name} has lost a field that only a newer release knows`);
    }
  }

  #explain(): string {
    const { managers, answers, watchers } = this.#simulation;
    const states = managers.map((manager) => {
      const { running, name, isWanted, hasLog, isWiped } = manager;
      const about = `${name}${isWanted ? '' : ' (not wanted)'}${isWiped ? ' (wiped)' : ''}${hasLog ? '' : ' (no log)'}`;
      if (running === undefined) return `${about} is down`;
      const { leadership, committedIndex, appliedIndex, waiting } = running.log.status();
      const members = running.log.members().map(({ nodeId, voter }) => `${nodeId}${voter ? '' : '?'}`);
      return (
        `${about} ${running.isStarted ? '' : 'starting '}${describeLeadership(leadership)}, commit ${committedIndex}, applied ` +
        `${appliedIndex}, version ${running.store.view().version}, ${waiting} waiting, members ${members.join(' ')}`
      );
    });
    const told = watchers.map(({ lastVersion }) => lastVersion).join(' ');
    return `${states.join('\n  ')}\n  answers ${JSON.stringify([...answers])}, watchers were told ${told}`;
  }
}
