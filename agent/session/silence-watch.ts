/** Notices that nothing comes from a manager: from one that has welcomed the agent, or from one that should. */
import type { CancelTimer, Clock } from '#common/clock.ts';
import type { Logger } from '#common/log.ts';
import type { SessionConfig } from './config.ts';
import type { ConversationEnd } from './manager-choice.ts';

export interface SilenceWatchOptions {
  /** So long the manager has for its welcome. */
  readonly welcomeMs: number;
  /** So long it may say nothing afterwards, as of now: it answers every heartbeat. */
  readonly limitMs: () => number;
  /** Whether its host has answered by now; undefined where that is no question. */
  readonly hasReached: (() => Promise<boolean>) | undefined;
  /** Called once at most. */
  readonly onSilent: (how: Extract<ConversationEnd, 'silent' | 'unreachable'>) => void;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly config: SessionConfig;
}

export class SilenceWatch {
  readonly #options: SilenceWatchOptions;
  #isWelcome = false;
  #isOver = false;
  #heardMs: number;
  #silence: CancelTimer;
  readonly #doubt: CancelTimer;

  constructor(options: SilenceWatchOptions) {
    const { clock, config, welcomeMs } = options;
    this.#options = options;
    this.#heardMs = clock.monotonic();
    this.#silence = clock.setTimer(welcomeMs, () => this.#check());
    this.#doubt = clock.setTimer(config.reachTimeoutMs, () => void this.#doubtIt());
  }

  heard(): void {
    this.#heardMs = this.#options.clock.monotonic();
  }

  welcomed(): void {
    this.#isWelcome = true;
    this.#doubt();
  }

  stop(): void {
    this.#isOver = true;
    this.#silence();
    this.#doubt();
  }

  #check(): void {
    const { clock, logger, limitMs, welcomeMs } = this.#options;
    const silentMs = clock.monotonic() - this.#heardMs;
    const leftMs = (this.#isWelcome ? limitMs() : welcomeMs) - silentMs;
    if (leftMs > 0) {
      this.#silence = clock.setTimer(Math.max(10, leftMs), () => this.#check());
      return;
    }
    logger.warn('the manager is silent', { silentMs: Math.round(silentMs) });
    this.#end('silent');
  }

  /** A host that is not there does not get the time of one that is busy. */
  async #doubtIt(): Promise<void> {
    const { hasReached, logger } = this.#options;
    if (hasReached === undefined || (await hasReached())) return;
    if (this.#isOver || this.#isWelcome) return;
    logger.warn('the host of the manager does not answer');
    this.#end('unreachable');
  }

  #end(how: 'silent' | 'unreachable'): void {
    this.stop();
    this.#options.onSilent(how);
  }
}
