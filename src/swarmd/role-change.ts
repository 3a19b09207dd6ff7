/**
 * The node follows the role that its object has: first the certificate, then what the certificate asks for. Each half is
 * tried again until it is done; a crash between the two is repaired at the next start, which goes by the certificate.
 *
 *   follows --told another role, or a part does not fit the certificate--> changing --done--> follows
 *                                                          changing --failed--> waiting --backoff--> changing
 */
import type { NodeRoleName } from '#certs/identity.ts';
import { type BackoffOptions, backoffDelay } from '#common/backoff.ts';
import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import type { Node } from '#gen/swarm/v1/objects.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';

export interface RoleChangeOptions {
  /** Whether the node still is what it was; nothing happens when it is not. */
  readonly isActive: () => boolean;
  /** The node's object, as a manager last told it. */
  readonly told: () => Node | undefined;
  /** That of the certificate. */
  readonly role: () => NodeRoleName;
  /** Gets another certificate, which has the role of the node's object. Takes a turn of its own. */
  readonly renew: () => Promise<void>;
  readonly hasManager: () => boolean;
  readonly startManager: () => void;
  readonly stopManager: () => Promise<void>;
  /** Removes the log and its key. */
  readonly forgetLog: () => Promise<void>;
  /** Runs when nothing else changes this node. Rejects, with nothing run, when it is no member any more. */
  readonly turn: (run: () => Promise<void>) => Promise<void>;
  readonly retry: BackoffOptions;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export class RoleChange {
  readonly #options: RoleChangeOptions;
  #isChanging = false;
  /** It was asked to look while it was changing. */
  #looksAgain = false;
  /** A demotion whose log and manager part are not gone yet. */
  #isDemoted = false;
  #retry: CancelTimer | undefined;
  #failures = 0;

  constructor(options: RoleChangeOptions) {
    this.#options = options;
  }

  /** Something has changed that may concern the role. */
  look(): void {
    if (this.#isChanging) this.#looksAgain = true;
    else if (this.#retry === undefined && this.#isDue()) void this.#change();
  }

  /** Ends the wait for another attempt. */
  close(): void {
    this.#retry?.();
  }

  #isDue(): boolean {
    const { isActive, role, hasManager } = this.#options;
    const told = this.#told();
    if (!isActive() || told === undefined) return false;
    // A certificate that was renewed for its time may have brought the role already, before it was told.
    return told !== role() || this.#isDemoted || hasManager() !== (role() === 'manager');
  }

  /** Undefined as long as no manager has told. */
  #told(): NodeRoleName | undefined {
    const node = this.#options.told();
    if (node === undefined) return undefined;
    return node.role === NodeRole.MANAGER ? 'manager' : 'worker';
  }

  /** Never rejects. */
  async #change(): Promise<void> {
    this.#isChanging = true;
    this.#looksAgain = false;
    try {
      await this.#follow();
      this.#failures = 0;
    } catch (thrown) {
      this.#tryAgain(SwarmError.from(thrown));
    }
    this.#isChanging = false;
    if (this.#looksAgain) this.look();
  }

  async #follow(): Promise<void> {
    const { role, renew, turn } = this.#options;
    const told = this.#told();
    if (told !== role()) {
      await renew();
      if (told === 'worker') this.#isDemoted = true;
    }
    await turn(() => this.#fit());
    if (told === 'manager' && role() === 'worker')
      throw new SwarmError({
        code: 'unavailable',
        reason: 'wrong-role',
        message: 'the certificate that was issued is still that of a worker',
        hint: 'it is asked again',
      });
  }

  /** Brings the manager part up or down, as the certificate says. Containers and agent do not notice. */
  async #fit(): Promise<void> {
    const { role, startManager, stopManager, forgetLog } = this.#options;
    // Who is told to be a worker is no member of the log any more, even if it is promoted again meanwhile.
    if (this.#isDemoted || role() === 'worker') {
      this.#isDemoted = true;
      await stopManager();
      await forgetLog();
      this.#isDemoted = false;
    }
    if (role() === 'manager') startManager();
  }

  #tryAgain(error: SwarmError): void {
    const { isActive, clock, logger, random, retry } = this.#options;
    if (!isActive()) return;
    logger.warn('this node cannot take its new role yet', { error: error.message });
    this.#retry = clock.setTimer(backoffDelay(retry, this.#failures++, random), () => {
      this.#retry = undefined;
      this.look();
    });
  }
}
