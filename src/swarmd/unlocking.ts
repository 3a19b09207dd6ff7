/** How a manager whose keys are encrypted gets them: what may be asked of it before, and `swarm unlock`. */
import type { IdentityStore } from '#agent/identity/index.ts';
import { parseUnlockKey } from '#certs/unlock-key.ts';
import { SwarmError } from '#common/errors.ts';
import type { DaemonConfig } from './config.ts';
import type { DaemonParts } from './daemon-parts.ts';
import type { MembershipState } from './membership-state.ts';

/** Attempts that may wait for each other; each that is wrong takes a while. */
const WAITING_MAX = 8;

export class Unlocking {
  readonly #parts: Pick<DaemonParts, 'clock' | 'logger'>;
  readonly #store: IdentityStore;
  readonly #config: DaemonConfig;
  #waiting = 0;

  constructor(parts: Pick<DaemonParts, 'clock' | 'logger'>, store: IdentityStore, config: DaemonConfig) {
    this.#parts = parts;
    this.#store = store;
    this.#config = config;
  }

  /** Runs one attempt, in its turn among the transitions. @throws SwarmError `too-many` */
  async attempt<T>(turn: () => Promise<T>): Promise<T> {
    if (this.#waiting >= WAITING_MAX)
      throw new SwarmError({
        code: 'exhausted',
        reason: 'too-many',
        message: 'too many attempts to unlock this node wait for each other',
        hint: 'try again in a moment',
      });
    this.#waiting++;
    try {
      return await turn();
    } finally {
      this.#waiting--;
    }
  }

  /** Opens the keys; nothing else changes. @throws SwarmError `wrong-key`, or why there is nothing to unlock */
  async open(state: MembershipState, text: string): Promise<void> {
    if (state.kind !== 'locked') throw notLocked(state);
    const key = parseUnlockKey(text.trim());
    const { clock, logger } = this.#parts;
    try {
      await this.#store.keys.unlock(key);
    } catch (thrown) {
      const error = SwarmError.from(thrown);
      logger.warn('an attempt to unlock this manager has failed', { error: error.message });
      if (error.reason === 'wrong-key')
        await new Promise<void>((resolve) => void clock.setTimer(this.#config.wrongKeyDelayMs, resolve));
      throw error;
    }
    logger.info('the keys of this manager were unlocked');
  }
}

/** The keys are open, and something else is in the way. */
export function unlockedWithout(error: SwarmError): SwarmError {
  return new SwarmError({
    code: error.code,
    reason: error.reason,
    message: `the keys were unlocked, but this node cannot take part in its swarm: ${error.message}`,
    hint: error.hint ?? 'see `swarm info`',
    cause: error,
  });
}

function notLocked(state: MembershipState): SwarmError {
  if (state.kind === 'inactive')
    return new SwarmError({
      code: 'precondition',
      reason: 'not-in-swarm',
      message: 'This node is not part of a swarm',
      hint: 'use `swarm init` or `swarm join`',
    });
  return new SwarmError({
    code: 'precondition',
    reason: 'not-supported',
    message: 'swarm is not locked',
    hint: 'nothing needs to be done; `swarm info` shows the state of this node',
  });
}
