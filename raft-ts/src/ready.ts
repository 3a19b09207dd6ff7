import type { Message } from './message.ts';
import type { Entry, HardState, ReadState, Snapshot, SoftState } from './types.ts';

/**
 * What a node wants done. In this order, without asynchronous storage writes: store `hardState`, `entries` and
 * `snapshot` (flushed, if `mustSync`); send `messages`; apply `snapshot` and `committedEntries`; call `advance()`.
 * With them, `messages` to the two local threads say the same, and only the others are to be sent.
 */
export interface Ready {
  /** Leader and role, if they have changed. */
  readonly softState: SoftState | undefined;
  /** To be stored, if it has changed. */
  readonly hardState: HardState | undefined;
  /** Answers to `readIndex`. */
  readonly readStates: readonly ReadState[];
  /** To be stored, in place of what is at and after the first one's index. */
  readonly entries: readonly Entry[];
  /** To be stored, in place of the whole log. */
  readonly snapshot: Snapshot | undefined;
  /** To be applied, in order. */
  readonly committedEntries: readonly Entry[];
  /** To be sent to other nodes, in order, after the above is stored. */
  readonly messages: readonly Message[];
  /** Whether storing must be flushed before `messages` are sent: false if only the commit index has changed. */
  readonly mustSync: boolean;
}
