/** How this host leaves its swarm, so that a crash at any step is finished by the next start. */
import type { IdentityStore } from '#agent/identity/index.ts';
import { SwarmError } from '#common/errors.ts';
import type { DaemonConfig } from './config.ts';
import type { DaemonParts } from './daemon-parts.ts';
import { type Departure, forgetDeparture, readDeparture, writeDeparture } from './departure.ts';
import { endAgent, forgetMembership, leaveTheCluster, leaveTheLog } from './leave-swarm.ts';
import type { MembershipState } from './membership-state.ts';
import { NodeIdentity } from './node-identity.ts';

export class Departures {
  readonly #parts: DaemonParts;
  readonly #store: IdentityStore;
  readonly #config: DaemonConfig;
  #last: Departure | undefined;

  constructor(parts: DaemonParts, store: IdentityStore, config: DaemonConfig) {
    this.#parts = parts;
    this.#store = store;
    this.#config = config;
  }

  /** The last one, as long as this host is in no swarm again. */
  get last(): Departure | undefined {
    return this.#last;
  }

  /** Finishes what an earlier run of the daemon has begun. True when there was something to finish. */
  async resume(): Promise<boolean> {
    this.#last = await readDeparture(this.#parts.paths.departure);
    if (this.#last?.phase !== 'leaving') return false;
    await this.#finish(this.#last);
    return true;
  }

  /**
   * `removed`: by the swarm, whose managers need not be told. `decided` is called when there is no way back. Resolves with
   * what the operator should know.
   */
  async leave(
    state: MembershipState,
    message: string,
    removed: boolean,
    decided: () => void,
  ): Promise<readonly string[]> {
    const { clock } = this.#parts;
    const nodeId = state.kind === 'active' ? state.identity.identity.nodeId : '';
    let warnings: readonly string[] = [];
    if (state.kind === 'active' && !removed) await leaveTheLog(state, this.#parts, this.#config);
    // Until here it is a member whatever happens; from here on it leaves whatever happens.
    const departure: Departure = { phase: 'leaving', nodeId, removed, message, atMs: clock.now() };
    await this.#write(departure);
    decided();
    if (state.kind === 'active') {
      const managers = state.otherManagers();
      await endAgent(state, this.#parts, this.#config, removed ? undefined : message);
      if (!removed) warnings = await leaveTheCluster(state.nodeIdentity, managers, message, this.#parts, this.#config);
      await state.close();
    }
    await this.#forget(departure);
    return warnings;
  }

  /** This host is in a swarm. */
  async over(): Promise<void> {
    this.#last = undefined;
    await forgetDeparture(this.#parts.paths.departure);
  }

  async #finish(departure: Departure): Promise<void> {
    const { clock, logger, executor } = this.#parts;
    logger.info('goes on with leaving the swarm', { node: departure.nodeId });
    await executor.recover([]);
    const loaded = departure.removed ? undefined : await this.#store.load(clock.now()).catch(() => undefined);
    if (loaded !== undefined && loaded.home.kind !== 'other-machine') {
      const others = loaded.managers.filter(({ nodeId }) => nodeId !== loaded.identity.nodeId);
      const addresses = others.map(({ address }) => address);
      await leaveTheCluster(new NodeIdentity(loaded), addresses, departure.message, this.#parts, this.#config);
    }
    await this.#forget(departure);
  }

  async #forget(departure: Departure): Promise<void> {
    await forgetMembership(this.#parts, this.#store, 'kept');
    // Whatever the worker could not remove belongs to nobody now.
    await this.#parts.executor.recover([]);
    await this.#write({ ...departure, phase: 'left' });
  }

  async #write(departure: Departure): Promise<void> {
    const { paths, logger } = this.#parts;
    this.#last = departure;
    // Who wants to leave for want of room must be able to: without this file a crash on the way leaves half a member.
    await writeDeparture(paths.departure, departure).catch((thrown: unknown) => {
      logger.warn('that this node leaves could not be written down', { error: SwarmError.from(thrown).message });
    });
  }
}
