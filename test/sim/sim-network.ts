import { describeMessage, type Message } from 'raft-ts';
import { SwarmError } from '#common/errors.ts';
import type { RaftMember } from '#gen/swarm/v1/raft.ts';
import type { PeerHandler } from '#manager/raft/index.ts';
import { Links } from '#raft-ts/sim/links.ts';
import type { NetworkOptions } from './options.ts';
import type { SimProcess } from './sim-process.ts';
import type { SimRandom } from './sim-random.ts';
import type { VirtualTime } from './virtual-time.ts';

/** Who listens at an address. */
export interface Listener {
  readonly machine: string;
  readonly process: SimProcess;
  readonly nodeId: string;
  readonly handler: PeerHandler;
}

/**
 * The network between machines: delays, loses, repeats and reorders, and cuts links, which are named by their
 * machines. What it does to a single message is decided here; the streams on top of it are `SimTransport`'s.
 */
export class SimNetwork extends Links<string> {
  readonly time: VirtualTime;
  readonly options: NetworkOptions;
  readonly #random: SimRandom;
  readonly #trace: (text: () => string) => void;
  readonly #onSend: (message: Message) => void;
  readonly #listeners = new Map<string, Listener>();
  #isFaulty = false;
  /** Messages that arrived so far. */
  delivered = 0;

  constructor(
    time: VirtualTime,
    random: SimRandom,
    options: NetworkOptions,
    trace: (text: () => string) => void,
    onSend: (message: Message) => void,
  ) {
    super();
    this.time = time;
    this.options = options;
    this.#random = random;
    this.#trace = trace;
    this.#onSend = onSend;
  }

  listen(address: string, listener: Listener): void {
    this.#listeners.set(address, listener);
  }

  /** Who answers at the address; undefined where nobody does. */
  listener(address: string): Listener | undefined {
    const listener = this.#listeners.get(address);
    return listener?.process.isAlive === true ? listener : undefined;
  }

  stopListening(address: string, process: SimProcess): void {
    if (this.#listeners.get(address)?.process === process) this.#listeners.delete(address);
  }

  /** From here on messages are lost, late and repeated. */
  beginFaults(): void {
    this.#isFaulty = true;
  }

  /** No faults from here on. */
  heal(): void {
    this.mend();
    this.#isFaulty = false;
  }

  get isFaulty(): boolean {
    return this.#isFaulty;
  }

  delayMs(): number {
    const { delayMs, lateShare } = this.options;
    if (!this.#isFaulty) return 1;
    const delay = 0.1 + this.#random.next() * delayMs;
    return this.#random.chance(lateShare) ? delay * 10 : delay;
  }

  /** Whether this message is lost, by chance. */
  isLost(): boolean {
    return this.#isFaulty && this.#random.chance(this.options.lossShare);
  }

  isRepeated(): boolean {
    return this.#isFaulty && this.options.isUnordered && this.#random.chance(this.options.repeatShare);
  }

  /** Whether the sender comes to know of a loss. */
  isNoticed(): boolean {
    return this.#random.chance(0.5);
  }

  trace(text: () => string): void {
    this.#trace(text);
  }

  /** A message leaves its sender, whatever becomes of it. */
  sending(message: Message): void {
    this.traceMessage('sends', message);
    this.#onSend(message);
  }

  traceMessage(what: string, message: Message): void {
    this.#trace(() => `${what} ${shortMessage(message)}`);
  }
}

/** One line, without the data of entries, which is sealed and differs from run to run nowhere else. */
function shortMessage(message: Message): string {
  const entries = message.entries.map(({ index, term }) => `${term}/${index}`).join(' ');
  return `${describeMessage({ ...message, entries: [], snapshot: undefined })}${entries === '' ? '' : ` [${entries}]`}`;
}

export function connectionError(what: string): SwarmError {
  return new SwarmError({ code: 'unavailable', reason: 'connection-failed', message: what });
}

export function isSameMember(left: RaftMember | undefined, right: RaftMember): boolean {
  return left?.raftId === right.raftId && left.address === right.address && left.nodeId === right.nodeId;
}
