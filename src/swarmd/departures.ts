/** How this host leaves its swarm, so that a crash at any step is finished by the next start. */
import type { IdentityStore } from '#agent/identity/index.ts';
import { SwarmError } from '#common/errors.ts';
import type { ActiveNode } from './active-node.ts';
import type { DaemonConfig } from './config.ts';
import type { DaemonParts } from './daemon-parts.ts';
import { type Departure, forgetDeparture, readDeparture, writeDeparture } from './departure.ts';
import {
  endAgent,
  forgetMembership,
  LEAVING_CALLS,
  type Leaving,
  type LeavingCalls,
  leaveTheCluster,
  leaveTheLog,
  silentWarning,
} from './leave-swarm.ts';
import { certifiedOnDisk, type Leaver, leaverOf, leaverOnDisk } from './leaver.ts';

export interface LeaveRequest {
  /** What runs; undefined where nothing does: the identity on the disk leaves then. */
  readonly active: ActiveNode | undefined;
  /** Why, for people. */
  readonly message: string;
  /** By the swarm, whose managers need not be told. */
  readonly removed: boolean;
  /** Called when there is no way back. */
  readonly decided: () => void;
}

export class Departures {
  readonly #parts: DaemonParts;
  readonly #store: IdentityStore;
  readonly #config: DaemonConfig;
  readonly #calls: LeavingCalls;
  readonly #closing = new AbortController();
  #last: Departure | undefined;
  /** This run of the daemon has told the managers that it leaves, or has given it up. */
  #isTold = false;

  constructor(parts: DaemonParts, store: IdentityStore, config: DaemonConfig, calls: LeavingCalls = LEAVING_CALLS) {
    this.#parts = parts;
    this.#store = store;
    this.#config = config;
    this.#calls = calls;
  }

  /** The last one, as long as this host is in no swarm again. */
  get last(): Departure | undefined {
    return this.#last;
  }

  /** Reads what an earlier run of the daemon has written. True when it has begun to leave, and not finished. */
  async begun(): Promise<boolean> {
    const { paths, logger } = this.#parts;
    this.#last = await readDeparture(paths.departure);
    if (this.#last?.phase !== 'leaving') return false;
    const { nodeId } = this.#last;
    const certified = await certifiedOnDisk(paths);
    if (nodeId === '' || certified === undefined || certified.nodeId === nodeId) return true;
    logger.warn('a note of the departure of another node is removed', { node: nodeId });
    await forgetDeparture(paths.departure);
    this.#last = undefined;
    return false;
  }

  /**
   * Leaves. Resolves with what the operator should know. What rejects after `decided` is to be finished with `goOn`, in
   * this run of the daemon or the next.
   */
  async leave({ active, message, removed, decided }: LeaveRequest): Promise<readonly string[]> {
    const { clock } = this.#parts;
    const leaver = active === undefined ? await this.#leaverOnDisk() : leaverOf(active);
    if (!removed && leaver.kind === 'member')
      await leaveTheLog(leaver, async () => active?.managerPart?.handOver(), this.#leaving());
    this.#closing.signal.throwIfAborted();
    // Until here it is a member whatever happens; from here on it leaves whatever happens.
    const nodeId = leaver.kind === 'nobody' ? '' : (leaver.identity?.nodeId ?? '');
    this.#isTold = false;
    await this.#write({ phase: 'leaving', nodeId, removed, message, atMs: clock.now(), warnings: [] });
    decided();
    if (active !== undefined)
      await this.#orGoOn('the agent did not end in order', () =>
        endAgent(active, this.#parts, this.#config, removed ? undefined : message),
      );
    return this.#finish(leaver, active);
  }

  /** Goes on with what was begun and not finished. Resolves with what the operator should know; may be called again. */
  async goOn(): Promise<readonly string[]> {
    this.#parts.logger.info('goes on with leaving the swarm', { node: this.#last?.nodeId });
    return this.#finish(await this.#leaverOnDisk(), undefined);
  }

  /**
   * This host is about to be in a swarm: a crash from here on must not have it leave that one. What was noted is kept in
   * memory until then; see `putBack` and `over`.
   */
  async setAside(): Promise<void> {
    await forgetDeparture(this.#parts.paths.departure);
  }

  /** It is in none after all. */
  async putBack(): Promise<void> {
    if (this.#last !== undefined) await this.#write(this.#last);
  }

  /** It is in one. */
  over(): void {
    this.#last = undefined;
  }

  /** Ends what waits for managers; the next start goes on with it. */
  close(): void {
    this.#closing.abort(
      new SwarmError({
        code: 'unavailable',
        reason: 'shutting-down',
        message: 'the daemon ends while this node leaves',
      }),
    );
  }

  async #finish(leaver: Leaver, active: ActiveNode | undefined): Promise<readonly string[]> {
    const { executor } = this.#parts;
    if (active === undefined) await this.#orGoOn('not all containers could be removed yet', () => executor.recover([]));
    const warnings = await this.#tell(leaver);
    if (active !== undefined) await this.#orGoOn('not everything was closed in order', () => active.close());
    await forgetMembership(this.#parts, this.#store, 'kept');
    // Whatever the worker could not remove belongs to nobody now.
    await executor.recover([]);
    await this.#left();
    return warnings;
  }

  /** Tells the managers, once in this run of the daemon, and notes what they could not be told. */
  async #tell(leaver: Leaver): Promise<readonly string[]> {
    const departure = this.#last;
    if (departure === undefined || departure.removed || this.#isTold) return departure?.warnings ?? [];
    const warnings = await this.#farewell(leaver, departure);
    this.#isTold = true;
    // Before the identity is forgotten: after that nobody could tell whose entry stays behind.
    if (warnings.length > 0 || departure.warnings.length > 0) await this.#write({ ...departure, warnings });
    return warnings;
  }

  async #farewell(leaver: Leaver, { message, warnings }: Departure): Promise<readonly string[]> {
    const { logger, hostname } = this.#parts;
    switch (leaver.kind) {
      case 'nobody':
        return warnings; // of an earlier run, which had forgotten the identity already
      case 'member':
        return leaveTheCluster(leaver, message, this.#leaving());
      case 'unusable':
        logger.warn('managers cannot be told that this node leaves', { error: leaver.error.message });
        return [silentWarning(leaver, hostname)];
    }
  }

  /** @throws SwarmError when the note can neither be finished nor removed */
  async #left(): Promise<void> {
    const { paths, logger } = this.#parts;
    if (this.#last === undefined) return;
    this.#last = { ...this.#last, phase: 'left' };
    await writeDeparture(paths.departure, this.#last).catch(async (thrown: unknown) => {
      logger.warn('why this host is in no swarm could not be written down', {
        error: SwarmError.from(thrown).message,
      });
      // One that still says "leaving" would be gone on with by a start after this host has joined again.
      await forgetDeparture(paths.departure);
    });
  }

  async #write(departure: Departure): Promise<void> {
    const { paths, logger } = this.#parts;
    this.#last = departure;
    // Who wants to leave for want of room must be able to: without this file a crash on the way is no departure.
    await writeDeparture(paths.departure, departure).catch((thrown: unknown) => {
      logger.warn('that this node leaves could not be written down', { error: SwarmError.from(thrown).message });
    });
  }

  /** A step that must not keep this host from leaving. */
  async #orGoOn(what: string, step: () => Promise<unknown>): Promise<void> {
    try {
      await step();
    } catch (thrown) {
      this.#parts.logger.warn(what, { error: SwarmError.from(thrown).message });
    }
  }

  #leaverOnDisk(): Promise<Leaver> {
    return leaverOnDisk(this.#store, this.#parts.paths, this.#parts.clock);
  }

  #leaving(): Leaving {
    return { parts: this.#parts, config: this.#config, calls: this.#calls, closing: this.#closing.signal };
  }
}
