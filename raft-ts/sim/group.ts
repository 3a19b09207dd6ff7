import { confState, type Message, type NodeId, type Snapshot } from '../src/index.ts';
import { Checker, Violation } from './checker.ts';
import { EventQueue } from './event-queue.ts';
import { HashMachine } from './machine.ts';
import { Member } from './member.ts';
import { SimNetwork } from './network.ts';
import { drawOptions, type Options } from './options.ts';
import { SeededRandom } from './random.ts';

/** The members of one group, what connects them, and what is known of their answers; all of it follows from the seed. */
export class Group {
  readonly events = new EventQueue();
  readonly random: SeededRandom;
  readonly options: Options;
  readonly checker = new Checker();
  readonly network: SimNetwork;
  readonly ids: readonly NodeId[];
  readonly #onTrace: ((line: string) => void) | undefined;
  readonly #members = new Map<NodeId, Member>();
  /** Reads that are not answered, with the index that was committed when they were asked. */
  readonly #reads = new Map<number, number>();
  #answers = 0;
  #nextRead = 1;
  #nextValue = 1;
  #faulty = true;

  constructor(seed: number, onTrace?: (line: string) => void) {
    this.#onTrace = onTrace;
    this.random = new SeededRandom(seed);
    this.options = drawOptions(this.random);
    this.network = new SimNetwork(this.events, this.random, this.options, (text) => this.trace(text));
    const { voters, learners, spares } = this.options;
    this.ids = Array.from({ length: voters + learners + spares }, (_, at) => at + 1);
  }

  /** Makes the members; the voters and learners among them are a group from the start. */
  birth(): void {
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

  /** No fault from here on. */
  endFaults(): void {
    this.#faulty = false;
    this.network.heal();
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
}
