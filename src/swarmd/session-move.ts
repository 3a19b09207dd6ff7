/**
 * When the session of this node goes on over another connection. A stream lives on with the certificate that its
 * connection was opened with, whatever the node has got since; managers end it when that certificate ends, or when its
 * root is replaced. The session moves before, so that nobody hears of a lost one:
 *
 *   another certificate of the same root --> at a random time of what is left of the one that the session shows
 *   one of another root                  --> within seconds: the old root may be retired as soon as all have moved
 *
 * A time that is planned is never put off: certificates may be replaced again while the session shows the same one.
 */
import type { RenewalConfig } from '#agent/identity/index.ts';
import type { Session } from '#agent/session/index.ts';
import type { CertifiedIdentity } from '#certs/identity.ts';
import type { CancelTimer, Clock } from '#common/clock.ts';
import type { Random } from '#common/random.ts';

export interface SessionMoveOptions {
  /** The certificate that new connections show. */
  readonly current: () => CertifiedIdentity;
  readonly session: () => Pick<Session, 'link' | 'reopen'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly config: RenewalConfig;
}

export class SessionMove {
  readonly #options: SessionMoveOptions;
  /**
   * What the connection of the session shows, which stands or is being opened; undefined while there is none, and for
   * one within this process. Invariant: the times below are about this certificate.
   */
  #opened: CertifiedIdentity | undefined;
  /** By the wall clock, like the end of the certificate. */
  #planMs = Number.POSITIVE_INFINITY;
  /** Monotonic. */
  #soonMs = Number.POSITIVE_INFINITY;
  #cancel: CancelTimer | undefined;
  #closed = false;

  constructor(options: SessionMoveOptions) {
    this.#options = options;
  }

  close(): void {
    this.#closed = true;
    this.#cancel?.();
  }

  /** A session is being opened with the certificate of now, at a manager elsewhere or within this process. */
  opens(where: 'elsewhere' | 'here'): void {
    this.#opened = where === 'elsewhere' ? this.#options.current() : undefined;
    this.#forget();
  }

  /**
   * What managers see of this node. As long as its session shows a certificate of another root than the node has now,
   * the node has not left that root: who retired it would end the session.
   */
  get shown(): CertifiedIdentity {
    const current = this.#options.current();
    const opened = this.#options.session().link === undefined ? undefined : this.#opened;
    return opened === undefined || opened.issuerKeyId === current.issuerKeyId ? current : opened;
  }

  /** The node may have another certificate now. */
  replaced(): void {
    const { current, clock, random, config } = this.#options;
    const opened = this.#opened;
    if (opened === undefined || opened.serial === current().serial) {
      this.#forget();
      return;
    }
    if (this.#planMs === Number.POSITIVE_INFINITY) {
      const share = config.moveEarliest + (config.moveLatest - config.moveEarliest) * random.next();
      this.#planMs = clock.now() + Math.max(0, opened.notAfterMs - clock.now()) * share;
    }
    if (opened.issuerKeyId !== current().issuerKeyId)
      this.#soonMs = Math.min(this.#soonMs, clock.monotonic() + config.moveSoonMs * random.next());
    this.#wait();
  }

  #forget(): void {
    this.#cancel?.();
    this.#planMs = Number.POSITIVE_INFINITY;
    this.#soonMs = Number.POSITIVE_INFINITY;
  }

  /** The wall clock jumps, also while the machine sleeps: so it is looked at again from time to time. */
  #wait(): void {
    const { clock, config } = this.#options;
    const dueInMs = Math.min(this.#planMs - clock.now(), this.#soonMs - clock.monotonic());
    this.#lookIn(Math.max(0, Math.min(dueInMs, config.lookEveryMs)));
  }

  #lookIn(delayMs: number): void {
    this.#cancel?.();
    if (!this.#closed) this.#cancel = this.#options.clock.setTimer(delayMs, () => this.#look());
  }

  #look(): void {
    const { clock, config, session } = this.#options;
    if (clock.now() < this.#planMs && clock.monotonic() < this.#soonMs) {
      this.#wait();
      return;
    }
    const { link } = session();
    // No manager has welcomed it yet: there is nothing that could go on elsewhere until one has.
    if (link === undefined) this.#lookIn(config.moveAgainMs);
    else session().reopen();
  }
}
