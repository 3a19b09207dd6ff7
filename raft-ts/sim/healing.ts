import {
  type Configuration,
  describeConfiguration,
  jointVoters,
  LEAVE_JOINT,
  type NodeId,
  quorumSize,
} from '../src/index.ts';
import type { Group } from './group.ts';
import { longestDelay } from './network.ts';
import { TICK } from './options.ts';

/** The application proposes, reads and looks after the group this often. */
const CARE_TIME = 20 * TICK;

function membersOf({ voters, learners, learnersNext }: Configuration): readonly NodeId[] {
  return [...new Set([...jointVoters(voters), ...learners, ...learnersNext])];
}

/** The time after the faults: a quorum is up and connected, and has to get somewhere. */
export class Healing {
  readonly #group: Group;
  /** Nodes that stay down: a quorum of the others is enough. */
  readonly #down = new Set<NodeId>();
  readonly #answersBefore: number;
  readonly #committedBefore: number;

  /** No message of the time before healing is under way any more. */
  #drained = false;

  constructor(group: Group) {
    this.#group = group;
    this.#answersBefore = group.answers;
    this.#committedBefore = group.checker.maxCommitted;
  }

  start(): void {
    const { events, ids, options, random } = this.#group;
    for (const id of ids) {
      const member = this.#group.member(id);
      member.resume();
      member.start();
    }
    this.#care();
    // Messages of the time before may still ask for changes; after them it is known who is needed.
    events.after(longestDelay(options), () => {
      this.#drained = true;
      const settled = this.#settledConfiguration();
      if (settled === undefined || random.chance(0.5)) return;
      const voters = random.shuffled(settled.voters.incoming);
      for (const id of voters.slice(quorumSize(voters))) this.#stop(id);
    });
  }

  /** New entries are applied alike by every member that is up, reads are answered, and no change hangs. */
  done(): boolean {
    const latest = this.#latest();
    if (!this.#drained || latest === undefined || latest.voters.outgoing.length > 0) return false;
    const statuses = this.#upMembers(latest);
    const applied = statuses[0]?.applied ?? 0;
    return (
      applied > this.#committedBefore + 1 &&
      statuses.every((status) => status.applied === applied) &&
      statuses.filter((status) => status.state === 'StateLeader').length === 1 &&
      this.#group.answers > this.#answersBefore
    );
  }

  explain(): string {
    const states = this.#group.upIds.map((id) => {
      const status = this.#group.member(id).status;
      return status === undefined
        ? `${id} down`
        : `${id} ${status.state} term ${status.term} lead ${status.lead} commit ${status.commit} applied ${status.applied} last ${status.lastIndex} ${describeConfiguration(status.configuration)}`;
    });
    const reads = this.#group.answers - this.#answersBefore;
    return `committed ${this.#committedBefore} at healing, ${reads} reads answered since; ${states.join('; ')}`;
  }

  #upMembers(configuration: Configuration) {
    return membersOf(configuration).flatMap((id) => {
      const status = this.#group.member(id).status;
      return status === undefined ? [] : [status];
    });
  }

  /** The configuration of the node that has applied most. */
  #latest(): Configuration | undefined {
    const statuses = this.#group.upIds.flatMap((id) => this.#group.member(id).status ?? []);
    const most = Math.max(...statuses.map((status) => status.applied));
    return statuses.find((status) => status.applied === most)?.configuration;
  }

  /** The configuration, if all its members agree on it and none has a change of it in its log. */
  #settledConfiguration(): Configuration | undefined {
    const latest = this.#latest();
    if (latest === undefined || latest.voters.outgoing.length > 0) return undefined;
    for (const status of this.#upMembers(latest)) {
      if (describeConfiguration(status.configuration) !== describeConfiguration(latest)) return undefined;
      const log = this.#group.member(status.id).log;
      if (log === undefined || log.from(status.applied + 1).some((entry) => entry.type !== 'EntryNormal'))
        return undefined;
    }
    return latest;
  }

  #stop(id: NodeId): void {
    this.#down.add(id);
    this.#group.member(id).crash();
    this.#group.trace(() => `${id} stays down`);
  }

  #care(): void {
    const { events, upIds } = this.#group;
    const settled = this.#settledConfiguration();
    // Who was removed is switched off, as an operator would.
    if (settled !== undefined && this.#drained)
      for (const id of upIds) if (!membersOf(settled).includes(id)) this.#stop(id);
    for (const id of this.#group.upIds) {
      const member = this.#group.member(id);
      if (member.status?.lead === 0) continue;
      this.#group.read(id);
      if (member.status?.state !== 'StateLeader') continue;
      member.input((node) => {
        const { configuration } = node.status();
        // A change may still be on its way to the leader, by messages sent before healing: it ends as it will.
        if (configuration.voters.outgoing.length > 0 && !configuration.autoLeave) node.proposeConfChange(LEAVE_JOINT);
        node.propose(this.#group.nextData(4));
      });
    }
    events.after(CARE_TIME, () => this.#care());
  }
}
