import type { RawNode } from 'raft-ts';
import type { CancelTimer, Clock } from '#common/clock.ts';
import { type Random, randomInt } from '#common/random.ts';

export interface CampaignsOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly delayMs: number;
  readonly step: (work: (node: RawNode) => void) => void;
}

/**
 * Attempts at an election before the node's own timeout takes over: a peer may notice later that the leader is gone, and
 * two that stand at once share the votes. Each may come twice as late as the one before, so that they part.
 */
const ATTEMPTS = 4;

/** Elections that do not wait for the leader's silence to last, because its process is known to be gone. */
export class Campaigns {
  readonly #options: CampaignsOptions;
  #cancel: CancelTimer | undefined;

  constructor(options: CampaignsOptions) {
    this.#options = options;
  }

  /** Forgets the leader, which lets this member vote at once, and stands for election after a random moment. */
  leaderGone(): void {
    this.#options.step((node) => {
      node.forgetLeader();
      this.#attempt(0, node.term);
    });
  }

  /** There is a leader again. */
  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #attempt(number: number, term: number): void {
    const { clock, random, delayMs, step } = this.#options;
    this.stop();
    if (number === ATTEMPTS) return;
    // A vote that is under way gets its time.
    const leastMs = number === 0 ? 0 : Math.ceil(delayMs / 2);
    this.#cancel = clock.setTimer(leastMs + randomInt(random, delayMs * 2 ** number + 1), () => {
      this.#cancel = undefined;
      step((node) => {
        if (node.lead === 0 && mayStand(node, number, term)) node.campaign();
        this.#attempt(number + 1, node.term);
      });
    });
  }
}

/** The poll changes nothing where the leader is still heard of. */
function mayStand(node: RawNode, number: number, term: number): boolean {
  // Another stands, and may have this one's vote already: whoever stands now deposes the one that is being elected.
  if (node.state === 'StateFollower' && node.term !== term) return false;
  return number > 0 || node.state !== 'StateCandidate';
}
