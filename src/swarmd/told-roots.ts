/**
 * Follows the roots that managers name. What was told last counts: it is compared with what the node trusts, and taken,
 * when it is the turn of that among the changes of the identity, since those before it may bring other roots.
 *
 *   settled --told--> following --they are trusted--> settled
 *                     following --others were told meanwhile--> following
 *                     following --failed--> failed --backoff over, told, another certificate--> following
 */
import type { IdentityStore, LoadedIdentity } from '#agent/identity/index.ts';
import { certificateDigest } from '#certs/authority.ts';
import { parseCertificates } from '#certs/certificate.ts';
import { type BackoffOptions, backoffDelay } from '#common/backoff.ts';
import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';

export interface ToldRootsOptions {
  readonly store: Pick<IdentityStore, 'replaceRoots' | 'load'>;
  readonly current: () => LoadedIdentity;
  /** Takes an identity with other roots into use, hot. */
  readonly replace: (loaded: LoadedIdentity) => void;
  /** Runs when nothing else changes the identity. Rejects, with nothing run, when the node is no member any more. */
  readonly turn: (run: () => Promise<void>) => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Between attempts that fail. */
  readonly retry: BackoffOptions;
}

export class ToldRoots {
  readonly #options: ToldRootsOptions;
  /** PEM, as it was told last. */
  #told: Uint8Array | undefined;
  /** An attempt waits for its turn, or is under way. */
  #following = false;
  /** Set while failed. */
  #cancelRetry: CancelTimer | undefined;
  #failures = 0;
  #problem: SwarmError | undefined;
  #closed = false;

  constructor(options: ToldRootsOptions) {
    this.#options = options;
  }

  close(): void {
    this.#closed = true;
    this.#cancelRetry?.();
  }

  /** Why the roots that were told last are not trusted; undefined when they are, or when that is under way. */
  get problem(): SwarmError | undefined {
    return this.#problem;
  }

  /** A manager, which has shown that it is one, names the roots that the node is to trust. */
  told(pem: Uint8Array): void {
    if (pem.length === 0) return;
    this.#told = pem;
    this.#follow();
  }

  /** The node has another certificate: roots that did not vouch for the one before may do so now. */
  replaced(): void {
    if (this.#cancelRetry !== undefined) this.#follow();
  }

  #follow(): void {
    if (this.#closed || this.#following) return;
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    void this.#attempt();
  }

  /** Never rejects. */
  async #attempt(): Promise<void> {
    const { turn, clock, random, logger, retry } = this.#options;
    this.#following = true;
    let taken: Uint8Array | undefined;
    try {
      await turn(async () => {
        // What was told while this waited counts, too.
        taken = this.#told;
        if (taken !== undefined) await this.#take(taken);
      });
      this.#failures = 0;
      this.#problem = undefined;
      this.#following = false;
      if (this.#told !== taken) this.#follow();
    } catch (thrown) {
      this.#following = false;
      if (this.#closed) return;
      this.#problem = SwarmError.from(thrown);
      const delayMs = backoffDelay(retry, this.#failures++, random);
      const againInMs = Math.round(delayMs);
      logger.error('the roots that a manager named are not trusted', { error: this.#problem.message, againInMs });
      this.#cancelRetry = clock.setTimer(delayMs, () => this.#follow());
    }
  }

  async #take(pem: Uint8Array): Promise<void> {
    const { store, current, replace, clock, logger } = this.#options;
    if (Buffer.from(pem).equals(Buffer.from(current().tls.rootsPem))) return;
    const nowMs = clock.now();
    await store.replaceRoots(pem, nowMs);
    // Also where they were on the disk already: an attempt may have failed after that.
    const loaded = await store.load(nowMs);
    if (loaded === undefined || loaded.tls.rootsPem === current().tls.rootsPem) return;
    replace(loaded);
    const roots = parseCertificates(loaded.tls.rootsPem, 'trusted roots').map(certificateDigest);
    logger.info('this node trusts other roots', { roots });
  }
}
