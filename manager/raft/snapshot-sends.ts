import type { Message } from 'raft-ts';
import { type BackoffOptions, backoffDelay } from '#common/backoff.ts';
import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import type { LogPosition } from '#manager/log/index.ts';
import type { PeerTransport } from './peer-transport.ts';

export interface SnapshotSendsOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly transport: Pick<PeerTransport, 'sendSnapshot'>;
  /** Between a failure and the next attempt. */
  readonly resend: BackoffOptions;
  /** How long entries are held for a member that has its snapshot. */
  readonly catchUpHoldMs: number;
  readonly read: (position: LogPosition) => AsyncIterable<Uint8Array>;
  /** Tells the node how a transfer ended; until then it sends nothing else to the member. */
  readonly report: (to: number, outcome: 'finished' | 'failed') => void;
  /** Entries that were held are needed no more. */
  readonly released: () => void;
}

/** The node, as far as it tells how much each member has. */
export interface MemberProgress {
  status(): { readonly progress: ReadonlyMap<number, { readonly match: number }> };
}

/**
 *   sending -> catching-up (the snapshot is there) -> gone
 *   sending -> waiting (it failed) -> sending, when the node wants to
 */
interface Send {
  readonly index: number;
  /** Aborted when nobody wants the transfer any more. */
  readonly abort: AbortController;
  state: 'sending' | 'catching-up' | 'waiting';
  /** One after the other. */
  failures: number;
  /** Monotonic; since the state is what it is. */
  sinceMs: number;
  cancelRetry: CancelTimer;
}

/**
 * Snapshots on their way from this leader to members that are far behind. As long as one is, and until the member has
 * the entries after it too, these are to be held: else a slow transfer would end behind what is left of the log, and
 * the next would begin, for ever. Failures are told to the node after a while, which keeps it from trying at once again.
 */
export class SnapshotSends {
  readonly #options: SnapshotSendsOptions;
  readonly #sends = new Map<number, Send>();

  constructor(options: SnapshotSendsOptions) {
    this.#options = options;
  }

  send(message: Message): void {
    const { to, snapshot } = message;
    if (snapshot === undefined) return;
    const before = this.#sends.get(to);
    if (before !== undefined) end(before);
    const send: Send = {
      index: snapshot.index,
      abort: new AbortController(),
      state: 'sending',
      failures: before?.failures ?? 0,
      sinceMs: this.#options.clock.monotonic(),
      cancelRetry: () => {},
    };
    this.#sends.set(to, send);
    const chunks = whileWanted(this.#options.read(snapshot), send.abort.signal);
    this.#options.transport.sendSnapshot(message, chunks).then(
      () => this.#finished(to, send),
      (thrown: unknown) => this.#failed(to, send, thrown),
    );
  }

  /** Whether somebody is being sent the snapshot of that index. */
  isUnderWay(index: number): boolean {
    for (const send of this.#sends.values()) if (send.state === 'sending' && send.index === index) return true;
    return false;
  }

  /** First entries that members will need, lowest first; `node` leads. */
  neededFrom(node: MemberProgress): readonly number[] {
    if (this.#sends.size === 0) return [];
    const { progress } = node.status();
    const needed: number[] = [];
    for (const [to, { state, index }] of this.#sends)
      if (state !== 'waiting') needed.push(Math.max(index, progress.get(to)?.match ?? 0) + 1);
    return needed.sort((left, right) => left - right);
  }

  /** Lets go of members that are gone, that have caught up with the newest snapshot, or take too long to. */
  tick(node: MemberProgress, newestIndex: number): void {
    if (this.#sends.size === 0) return;
    const { progress } = node.status();
    const now = this.#options.clock.monotonic();
    let isReleased = false;
    for (const [to, send] of this.#sends) {
      const member = progress.get(to);
      const isOver =
        send.state === 'catching-up' &&
        ((member?.match ?? 0) >= newestIndex || now - send.sinceMs >= this.#options.catchUpHoldMs);
      if (member !== undefined && !isOver) continue;
      this.#sends.delete(to);
      end(send);
      isReleased = true;
    }
    if (isReleased) this.#options.released();
  }

  /** This member does not lead any more: another sends its own. */
  stop(): void {
    if (this.#sends.size === 0) return;
    for (const send of this.#sends.values()) end(send);
    this.#sends.clear();
    this.#options.released();
  }

  #finished(to: number, send: Send): void {
    if (this.#sends.get(to) !== send) return;
    send.state = 'catching-up';
    send.failures = 0;
    send.sinceMs = this.#options.clock.monotonic();
    this.#options.report(to, 'finished');
  }

  #failed(to: number, send: Send, thrown: unknown): void {
    if (this.#sends.get(to) !== send) return;
    const { clock, random, resend, logger, report, released } = this.#options;
    const delayMs = Math.round(backoffDelay(resend, send.failures++, random));
    logger.warn('a snapshot was not sent', { to, error: SwarmError.from(thrown).message, againInMs: delayMs });
    send.state = 'waiting';
    send.sinceMs = clock.monotonic();
    send.cancelRetry = clock.setTimer(delayMs, () => report(to, 'failed'));
    // The next attempt is made with the newest one.
    released();
  }
}

function end(send: Send): void {
  send.abort.abort();
  send.cancelRetry();
}

async function* whileWanted(chunks: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of chunks) {
    if (signal.aborted)
      throw new SwarmError({ code: 'cancelled', reason: 'not-leader', message: 'the snapshot is not wanted any more' });
    yield chunk;
  }
}
