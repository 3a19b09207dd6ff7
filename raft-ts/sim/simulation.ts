import { confState, type Message, type NodeId, type Snapshot } from '../src/index.ts';
import { Checker, Violation } from './checker.ts';
import { EventQueue } from './event-queue.ts';
import { Healing } from './healing.ts';
import { HAPPENINGS } from './load.ts';
import { HashMachine } from './machine.ts';
import { Member } from './member.ts';
import { SimNetwork } from './network.ts';
import { drawOptions, ELECTION_TIMEOUT, type Fault, type Options } from './options.ts';
import { SeededRandom } from './random.ts';

/** Progress is due this long after healing: elections may fail a few times, and everybody may have to catch up. */
const PROGRESS_DUE = 100 * ELECTION_TIMEOUT;

/** What went wrong in a run. */
export interface Failure {
  readonly seed: number;
  /** Virtual milliseconds from the start. */
  readonly time: number;
  readonly text: string;
}

/** One group, from its birth through faults to its healing; all of it follows from the seed. */
export class Simulation {
  readonly events = new EventQueue();
  readonly random: SeededRandom;
  readonly options: Options;
  readonly checker = new Checker();
  readonly network: SimNetwork;
  readonly ids: readonly NodeId[];
  readonly #seed: number;
  readonly #onTrace: ((line: string) => void) | undefined;
  readonly #members = new Map<NodeId, Member>();
  /** Reads that are not answered, with the index that was committed when they were asked. */
  readonly #reads = new Map<number, number>();
  #answers = 0;
  #nextRead = 1;
  #nextValue = 1;
  #faulty = true;

  constructor(seed: number, onTrace?: (line: string) => void) {
    this.#seed = seed;
    this.#onTrace = onTrace;
    this.random = new SeededRandom(seed);
    this.options = drawOptions(this.random);
    this.network = new SimNetwork(this.events, this.random, this.options, (text) => this.trace(text));
    const { voters, learners, spares } = this.options;
    this.ids = Array.from({ length: voters + learners + spares }, (_, at) => at + 1);
  }

  /** The failure, if there is one. */
  run(): Failure | undefined {
    try {
      this.#birth();
      for (const fault of Object.keys(HAPPENINGS) as Fault[]) this.#repeat(fault);
      this.events.run(this.options.faultyTime, () => false);
      return this.#heal();
    } catch (thrown) {
      const text =
        thrown instanceof Violation
          ? thrown.message
          : thrown instanceof Error
            ? (thrown.stack ?? thrown.message)
            : String(thrown);
      return { seed: this.#seed, time: this.events.now, text };
    }
  }

  get upIds(): readonly NodeId[] {
    return this.ids.filter((id) => this.member(id).up);
  }

  pickUp(): NodeId | undefined {
    const up = this.upIds;
    return up.length === 0 ? undefined : this.random.pick(up);
  }

  member(id: NodeId): Member {
    const member = this.#members.get(id);
    if (member === undefined) throw new RangeError(`there is no member ${id}`);
    return member;
  }

  /** Runs something later, unless the faults are over by then. */
  later(delay: number, run: () => void): void {
    this.events.after(delay, () => {
      if (this.#faulty) run();
    });
  }

  trace(text: () => string): void {
    this.#onTrace?.(`${this.events.now.toFixed(1).padStart(8)}  ${text()}`);
  }

  /** Data that no other entry has. */
  nextData(size: number): Uint8Array {
    const value = this.#nextValue++;
    const data = new Uint8Array(Math.max(size, 4));
    new DataView(data.buffer).setUint32(0, value);
    return data;
  }

  /** Asks a node for a read; what is committed anywhere by now must be seen by it. */
  read(at: NodeId): void {
    const number = this.#nextRead++;
    this.#reads.set(number, this.checker.maxCommitted);
    const context = new Uint8Array(4);
    new DataView(context.buffer).setUint32(0, number);
    this.member(at).input((node) => node.readIndex(context));
  }

  /** How many reads have been answered. */
  get answers(): number {
    return this.#answers;
  }

  answered(context: Uint8Array, index: number): void {
    const number = new DataView(context.buffer, context.byteOffset).getUint32(0);
    const asked = this.#reads.get(number);
    if (asked === undefined) return; // a repeated answer
    this.#answers++;
    this.#reads.delete(number);
    if (index < asked)
      throw new Violation(`stale read ${number}: answered with ${index}, but ${asked} was committed when it was asked`);
  }

  #birth(): void {
    const { voters, learners } = this.options;
    const first: Snapshot = {
      index: 2,
      term: 1,
      confState: confState({ voters: this.ids.slice(0, voters), learners: this.ids.slice(voters, voters + learners) }),
      data: new HashMachine().data(),
    };
    this.checker.start(first);
    for (const id of this.ids) {
      const world = {
        events: this.events,
        random: this.random,
        options: this.options,
        checker: this.checker,
        workTime: (): number => (this.#faulty ? this.random.between(1, this.options.syncMax) : 1),
        send: (message: Message): void => this.#send(message),
        answered: (context: Uint8Array, index: number): void => this.answered(context, index),
        trace: (text: () => string): void => this.trace(text),
      };
      this.#members.set(id, new Member(id, world, id <= voters + learners ? first : undefined));
    }
  }

  #repeat(fault: Fault): void {
    const every = this.options.every[fault];
    if (every === Infinity) return;
    this.later(this.random.between(1, 2 * every), () => {
      HAPPENINGS[fault](this);
      this.#repeat(fault);
    });
  }

  #send(message: Message): void {
    this.network.send(message, {
      deliver: (received) => {
        this.member(received.to).input((node) => {
          node.step(received);
        });
      },
      report: (sent, arrived) => {
        this.member(sent.from).input((node) => {
          if (sent.type === 'MsgSnap') node.reportSnapshot(sent.to, arrived ? 'finished' : 'failed');
          else if (!arrived) node.reportUnreachable(sent.to);
        });
      },
    });
  }

  /** Ends the faults and demands progress. */
  #heal(): Failure | undefined {
    this.#faulty = false;
    this.network.heal();
    const healing = new Healing(this);
    healing.start();
    const done = this.events.run(this.events.now + PROGRESS_DUE, () => healing.done());
    if (done) return undefined;
    return { seed: this.#seed, time: this.events.now, text: `no progress after healing: ${healing.explain()}` };
  }
}
