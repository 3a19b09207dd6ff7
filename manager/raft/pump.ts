import { APPEND_THREAD, APPLY_THREAD, type Message, type RawNode, type ReadState, type Ready } from 'raft-ts';
import { assert } from '#common/errors.ts';

/** Calls `run` in a later turn of the event loop, after the input that waits now. */
export type NextTurn = (run: () => void) => void;

/** Who does what a Ready asks for. Called within the pump: synchronous, and free to step the node. */
export interface PumpParts {
  /** Before anything else: who leads, and in which term, may have changed. */
  roleChanged(): void;
  readsAnswered(reads: readonly ReadState[]): void;
  /** MsgStorageAppend. */
  append(message: Message): void;
  /** MsgStorageApply. */
  apply(message: Message): void;
  /** MsgSnap. */
  sendSnapshot(message: Message): void;
  send(message: Message): void;
  /** What is collected to be proposed goes into the node now. Returns how many proposals that were. */
  propose(): number;
  /** The node, or a part, threw: its state is not to be trusted any more. */
  failed(thrown: unknown): void;
}

/**
 * The only door to the node. Whatever goes in marks the pump; in the same turn, after everything that came along with it
 * (proposals: in the next one, so that they share messages and flushes, unless they come one by one), it has done what
 * came of it.
 */
export class Pump {
  readonly #node: RawNode;
  readonly #parts: PumpParts;
  readonly #nextTurn: NextTurn;
  /** Of the latest proposals: how many went into the node together. */
  #together = 0;
  /** For which `roleChanged` was called last. */
  #term = -1;
  #isDraining = false;
  #isSoon = false;
  #isLater = false;
  #isStopped = false;

  constructor(node: RawNode, parts: PumpParts, nextTurn: NextTurn) {
    this.#node = node;
    this.#parts = parts;
    this.#nextTurn = nextTurn;
  }

  /** The node, to look at. */
  get node(): RawNode {
    return this.#node;
  }

  /** Puts something into the node. */
  step(work: (node: RawNode) => void): void {
    if (this.#isStopped) return;
    try {
      work(this.#node);
    } catch (thrown) {
      this.#fail(thrown);
      return;
    }
    this.#soon();
  }

  /** Messages for the node, or what waited for a write: in their order. */
  deliver(messages: readonly Message[]): void {
    const own = this.#node.id;
    this.step((node) => {
      for (const message of messages) {
        if (message.to === own) node.step(message);
        else this.#parts.send(message);
      }
    });
  }

  /** Something waits to be proposed. */
  later(): void {
    if (this.#isLater || this.#isStopped) return;
    if (this.#isForItself) {
      this.#soon();
      return;
    }
    this.#isLater = true;
    this.#nextTurn(() => {
      this.#isLater = false;
      this.drain();
    });
  }

  /** Does now all that there is to do. */
  drain(): void {
    if (this.#isDraining || this.#isStopped) return;
    this.#isDraining = true;
    try {
      const proposed = this.#parts.propose();
      if (proposed > 0) this.#together = proposed;
      while (!this.#isStopped && this.#node.hasReady()) this.#handle(this.#node.ready());
    } catch (thrown) {
      this.#fail(thrown);
    } finally {
      this.#isDraining = false;
    }
  }

  /** From now on nothing goes in or comes out. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Whether a proposal would wait for company in vain: the one before came alone, and nothing is under way. */
  get #isForItself(): boolean {
    return this.#together <= 1 && this.#node.committed === this.#node.lastIndex;
  }

  #soon(): void {
    if (this.#isSoon || this.#isDraining) return;
    this.#isSoon = true;
    queueMicrotask(() => {
      this.#isSoon = false;
      this.drain();
    });
  }

  #handle(ready: Ready): void {
    const parts = this.#parts;
    // A hard state is mostly another commit index.
    if (ready.softState !== undefined || this.#node.term !== this.#term) {
      this.#term = this.#node.term;
      parts.roleChanged();
    }
    if (ready.readStates.length > 0) parts.readsAnswered(ready.readStates);
    for (const message of ready.messages) {
      if (message.to === APPEND_THREAD) parts.append(message);
      else if (message.to === APPLY_THREAD) parts.apply(message);
      else if (message.type === 'MsgSnap') parts.sendSnapshot(message);
      else {
        assert(message.to !== this.#node.id, 'a node sends nothing to itself');
        parts.send(message);
      }
    }
  }

  #fail(thrown: unknown): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#parts.failed(thrown);
  }
}
