/** Writes of the API, decided one after the other: what one of them checked still holds when it is committed. */
import type { ClientRoleName } from '#certs/client-identity.ts';
import { assert, SwarmError } from '#common/errors.ts';
import type { Change, StoreView } from '#manager/store/index.ts';
import type { Decision } from './decision.ts';

/** A client from outside of the swarm, as its certificate says it. */
export interface CallingClient {
  readonly clientId: string;
  readonly role: ClientRoleName;
  /** Of the certificate that it shows, hexadecimal. */
  readonly serial: string;
}

/** Who calls, for the record and for what they may see. */
export interface ControlCaller {
  /** Node id, or "local" for the daemon's own socket. */
  readonly author: string;
  /** Set for clients: they may not do and see everything that root of a manager may. */
  readonly client?: CallingClient | undefined;
}

export interface ControlStore {
  view(): StoreView;
  /**
   * Commits what `decide` makes of the newest state, which has the changes that are still on their way; all of it or
   * nothing. `decide` may run more than once. When it resolves, `view` includes the changes.
   */
  decide(decide: (view: StoreView) => readonly Change[], author: string): Promise<void>;
}

/** Writes that may wait for their turn; each takes about one disk sync. */
const WRITES_WAITING_MAX = 1000;

export class WriteQueue {
  readonly #store: ControlStore;
  #turn: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(store: ControlStore) {
    this.#store = store;
  }

  /** Decides and commits when all earlier writes are through. The view that it gives has the changes. */
  async write<T>(
    caller: ControlCaller,
    decide: (view: StoreView) => Decision<T>,
  ): Promise<{ readonly result: T; readonly view: StoreView }> {
    if (this.#waiting >= WRITES_WAITING_MAX)
      throw new SwarmError({
        code: 'exhausted',
        reason: 'too-many',
        message: `${WRITES_WAITING_MAX} writes are waiting already`,
        hint: 'try again in a moment',
      });
    this.#waiting++;
    const turn = this.#turn.then(async () => {
      let decision: Decision<T> | undefined;
      await this.#store.decide((view) => {
        decision = decide(view);
        return decision.changes;
      }, caller.author);
      assert(decision !== undefined, 'what was committed was decided');
      return { result: decision.result, view: this.#store.view() };
    });
    this.#turn = turn.catch(() => {});
    try {
      return await turn;
    } finally {
      this.#waiting--;
    }
  }
}
