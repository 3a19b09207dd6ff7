import { describeMessage, type Message, type NodeId } from '../src/index.ts';
import type { EventQueue } from './event-queue.ts';
import { Links } from './links.ts';
import type { Options } from './options.ts';
import type { SeededRandom } from './random.ts';

/** How many times the usual delay a late message takes. */
const LATE_FACTOR = 20;

/** How long a message takes when nothing is wrong. */
const HEALED_DELAY = 2;

/** Every message sent by now has arrived, or is lost, after this time. */
export function longestDelay(options: Options): number {
  return options.delayMax * LATE_FACTOR + HEALED_DELAY;
}

export interface Delivery {
  deliver(message: Message): void;
  /** The sender hears how a snapshot, or an attempt at sending, ended. */
  report(message: Message, arrived: boolean): void;
}

/** Loses, repeats, delays and reorders messages, and cuts links. */
export class SimNetwork extends Links<NodeId> {
  readonly #events: EventQueue;
  readonly #random: SeededRandom;
  readonly #options: Options;
  readonly #trace: (text: () => string) => void;
  #faulty = true;

  constructor(events: EventQueue, random: SeededRandom, options: Options, trace: (text: () => string) => void) {
    super();
    this.#events = events;
    this.#random = random;
    this.#options = options;
    this.#trace = trace;
  }

  /** No faults from here on. */
  heal(): void {
    this.mend();
    this.#faulty = false;
  }

  send(message: Message, delivery: Delivery): void {
    const random = this.#random;
    const lost = this.isCut(message.from, message.to) || (this.#faulty && random.chance(this.#options.lossRate));
    if (lost) {
      this.#trace(() => `lost ${describeMessage(message)}`);
      // A sender notices some losses, and always that a snapshot did not get through.
      if (message.type === 'MsgSnap' || random.chance(0.1))
        this.#events.after(this.#delay(), () => delivery.report(message, false));
      return;
    }
    const copies = this.#faulty && random.chance(this.#options.duplicateRate) ? 2 : 1;
    for (let i = 0; i < copies; i++)
      this.#events.after(this.#delay(), () => {
        delivery.deliver(message);
        if (message.type === 'MsgSnap') this.#events.after(this.#delay(), () => delivery.report(message, true));
      });
  }

  #delay(): number {
    // The same for all, so that each link keeps its order, as a stream does.
    if (!this.#faulty) return HEALED_DELAY;
    const delay = this.#random.between(1, this.#options.delayMax);
    return this.#random.chance(this.#options.lateRate) ? delay * LATE_FACTOR : delay;
  }
}
