/**
 * Gets another certificate in good time. All transitions are in this file:
 *
 *   waiting --its time has come, or a manager wants it--> renewing --issued--> waiting
 *                                renewing --failed--> retrying --backoff over--> renewing
 *   waiting, retrying --the certificate does not hold now--> over --it holds, or there is another--> waiting
 *                     over, of a manager that can ask itself --> renewing
 *
 * Time of day decides when a certificate ends, and it jumps: so it is looked at again every minute at least, also after
 * the machine has slept. Attempts go on until the end, and are made faster as it nears.
 */
import { backoffDelay } from '#common/backoff.ts';
import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import { IssuanceState, type NodeCertificate } from '#gen/swarm/v1/objects.ts';
import type { RenewalConfig } from './config.ts';
import { type Lifetime, renewalTime } from './renewal-time.ts';

export interface CertificateRenewerOptions {
  /** The certificate that the node has now. */
  readonly current: () => Lifetime;
  /** Gets another one and takes it over, hot. Rejects with nothing changed. */
  readonly renew: () => Promise<void>;
  /** Whether a certificate that has run out can be renewed all the same: by a manager, at itself. */
  readonly renewsExpired: () => boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly config: RenewalConfig;
}

export interface RenewalStatus {
  readonly state: 'waiting' | 'renewing' | 'retrying' | 'over';
  /** When the next attempt is made, by the wall clock. */
  readonly renewalMs: number;
  /** Failed attempts since the last good one. */
  readonly failures: number;
  /** Why the last attempt failed, or why the certificate does not hold; undefined when all is well. */
  readonly problem: SwarmError | undefined;
  /** Since the start. */
  readonly renewedTotal: number;
  readonly failedTotal: number;
}

export class CertificateRenewer {
  readonly #options: CertificateRenewerOptions;
  #state: RenewalStatus['state'] = 'waiting';
  #cancel: CancelTimer | undefined;
  #closed = false;
  /** The certificate that the times below, the failures and the problem are about; see `#see`. */
  #serial = '';
  #seenMs = 0;
  /** A manager wants this certificate replaced (PEM); it may say so again before it has heard that it was. */
  #wanted: Buffer | undefined;
  #answered: Buffer | undefined;
  /** How long certificates hold that are issued now, as it was told last; 0 before. */
  #toldLifetimeMs = 0;
  /** An attempt because certificates are to hold shorter, at this time of the monotonic clock. */
  #shortened: { readonly lifetimeMs: number; readonly atMs: number } | undefined;
  /** What was got after this lifetime had been told; an authority that does not keep to it is asked once. */
  #asked: { readonly lifetimeMs: number; readonly serial: string } | undefined;
  /** Monotonic; counts while retrying. */
  #retryAtMs = 0;
  #failures = 0;
  #problem: SwarmError | undefined;
  #renewedTotal = 0;
  #failedTotal = 0;

  constructor(options: CertificateRenewerOptions) {
    this.#options = options;
  }

  start(): void {
    this.#look();
  }

  close(): void {
    this.#closed = true;
    this.#cancel?.();
  }

  get status(): RenewalStatus {
    this.#see();
    const nowMs = this.#options.clock.now();
    return {
      state: this.#state,
      renewalMs: Math.round(nowMs + Math.max(0, this.#dueInMs(nowMs))),
      failures: this.#failures,
      problem: this.#problem,
      renewedTotal: this.#renewedTotal,
      failedTotal: this.#failedTotal,
    };
  }

  /** A manager has told the node's object. */
  nodeTold(certificate: NodeCertificate | undefined): void {
    if (certificate?.state !== IssuanceState.ROTATE) return;
    const wanted = Buffer.from(certificate.certificatePem);
    if (this.#answered?.equals(wanted) === true || this.#wanted !== undefined) return;
    this.#options.logger.info('a manager wants this node to have another certificate');
    this.#wanted = wanted;
    this.#look();
  }

  /** A manager has told how long certificates hold that are issued now; 0 when it has not. */
  lifetimeTold(lifetimeMs: number): void {
    const { current, clock, config, random, logger } = this.#options;
    if (lifetimeMs <= 0) return;
    this.#see();
    this.#toldLifetimeMs = lifetimeMs;
    const { serial, notAfterMs } = current();
    const isLonger = notAfterMs - clock.now() > lifetimeMs + config.clockSlackMs;
    if (this.#asked?.lifetimeMs !== lifetimeMs) this.#asked = undefined;
    if (!isLonger || this.#asked?.serial === serial) {
      this.#shortened = undefined;
      return;
    }
    if (this.#shortened?.lifetimeMs === lifetimeMs) return;
    const spreadMs = Math.min(config.shortenedSpreadMs, lifetimeMs * config.shortenedShare);
    this.#shortened = { lifetimeMs, atMs: clock.monotonic() + random.next() * spreadMs };
    logger.info('certificates are to hold shorter than this one does: it is renewed soon', { lifetimeMs });
    this.#look();
  }

  /** The node may have another certificate, whoever got it. */
  replaced(): void {
    this.#see();
    if (this.#state !== 'renewing') this.#look();
  }

  /** What was known of another certificate is of no meaning for this one. */
  #see(): void {
    const { current, clock } = this.#options;
    const { serial } = current();
    if (serial === this.#serial) return;
    this.#serial = serial;
    this.#seenMs = clock.now();
    this.#failures = 0;
    this.#problem = undefined;
    this.#shortened = undefined;
  }

  /** Decides what is to be done now, and sets the timer for the next look. */
  #look(): void {
    if (this.#closed || this.#state === 'renewing') return;
    this.#see();
    const { clock, config, current, logger, renewsExpired } = this.#options;
    const nowMs = clock.now();
    const problem = timeProblem(current(), nowMs);
    if (problem !== undefined && !(nowMs > current().notAfterMs && renewsExpired())) {
      if (this.#state !== 'over')
        logger.error('the certificate of this node does not hold', { error: problem.message });
      this.#state = 'over';
      this.#problem = problem;
      this.#lookIn(config.lookEveryMs);
      return;
    }
    if (this.#state === 'over') {
      this.#problem = undefined;
      this.#failures = 0;
    }
    this.#state = this.#failures > 0 ? 'retrying' : 'waiting';
    const dueInMs = this.#dueInMs(nowMs);
    if (dueInMs > 0) this.#lookIn(Math.min(dueInMs, config.lookEveryMs));
    else void this.#attempt();
  }

  #lookIn(delayMs: number): void {
    this.#cancel?.();
    this.#cancel = this.#options.clock.setTimer(delayMs, () => this.#look());
  }

  /** How long until the next attempt; at most 0 when it is due. */
  #dueInMs(nowMs: number): number {
    const { clock, config, current } = this.#options;
    if (this.#failures > 0) return this.#retryAtMs - clock.monotonic();
    if (this.#wanted !== undefined) return 0;
    const byTimeMs = renewalTime(current(), this.#seenMs, config) - nowMs;
    if (this.#shortened === undefined) return byTimeMs;
    return Math.min(byTimeMs, this.#shortened.atMs - clock.monotonic());
  }

  /** Never rejects. */
  async #attempt(): Promise<void> {
    const { current, renew, logger } = this.#options;
    this.#cancel?.();
    this.#state = 'renewing';
    const wanted = this.#wanted;
    const [before, lifetimeMs] = [current().serial, this.#toldLifetimeMs];
    try {
      await renew();
      const { serial } = current();
      if (serial === before)
        throw new SwarmError({
          code: 'conflict',
          reason: 'bad-certificate',
          message: 'the manager answered with the certificate that this node has already',
        });
      this.#renewedTotal++;
      this.#see();
      this.#asked = { lifetimeMs, serial };
      this.#answered = wanted ?? this.#answered;
      this.#wanted = undefined;
      this.#state = 'waiting';
    } catch (thrown) {
      const error = SwarmError.from(thrown);
      this.#state = 'retrying';
      if (this.#closed) return;
      this.#failedTotal++;
      const delayMs = this.#retryDelayMs();
      this.#failures++;
      this.#problem = error;
      this.#retryAtMs = this.#options.clock.monotonic() + delayMs;
      logger.warn('the certificate of this node was not renewed', {
        error: error.message,
        againInMs: Math.round(delayMs),
        endsAt: new Date(current().notAfterMs).toISOString(),
      });
    }
    this.#look();
  }

  /** The backoff, but at least so often that ten attempts fit into the time that is left. */
  #retryDelayMs(): number {
    const { clock, config, current, random } = this.#options;
    const leftMs = current().notAfterMs - clock.now();
    const delayMs = backoffDelay(config.retry, this.#failures, random);
    if (leftMs <= 0) return delayMs;
    return Math.max(config.retryMinMs, Math.min(delayMs, leftMs * config.retryShareOfRest));
  }
}

/** Why a certificate does not hold at that time; undefined when it does. */
function timeProblem({ notBeforeMs, notAfterMs }: Lifetime, nowMs: number): SwarmError | undefined {
  const at = (ms: number): string => new Date(ms).toISOString();
  if (nowMs < notBeforeMs)
    return new SwarmError({
      code: 'precondition',
      reason: 'expired',
      message: `this node's certificate holds only from ${at(notBeforeMs)} on, and it is ${at(nowMs)} here`,
      hint: 'set the clock of this host',
    });
  if (nowMs <= notAfterMs) return undefined;
  return new SwarmError({
    code: 'precondition',
    reason: 'expired',
    message: `this node's certificate has run out at ${at(notAfterMs)}, and it is ${at(nowMs)} here`,
    hint: 'if the clock is right: `swarm leave --force`, then `swarm join` with a token of `swarm join-token`',
  });
}
