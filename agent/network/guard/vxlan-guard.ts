import { assert, SwarmError } from '#common/errors.ts';
import { Nftables, NftablesError } from '../../kernel/nftables.ts';
import {
  type GuardMembers,
  type GuardTableSettings,
  guardTableName,
  guardTableText,
  memberChangesText,
  membersBySet,
  type SetMembers,
} from './guard-table.ts';

/** Keeps the guard's table in the kernel. Calls take turns. Stays in force when the daemon ends. */
export class VxlanGuard {
  readonly #settings: GuardTableSettings;
  readonly #nftables: Nftables;
  #members: SetMembers = membersBySet({ nodes: [], tunnel: [] });
  /** How the table lists when it is whole; undefined while it is not known to be. */
  #listing: string | undefined;
  #lane: Promise<unknown> = Promise.resolve();

  constructor(settings: GuardTableSettings) {
    this.#settings = settings;
    this.#nftables = Nftables.open();
  }

  /** From now on these are the nodes. Resolves when packets are judged by it. */
  set(members: GuardMembers): Promise<void> {
    return this.#inTurn(async () => {
      const wanted = membersBySet(members);
      const before = this.#members;
      this.#members = wanted;
      if (this.#listing === undefined) return this.#install();
      const changes = memberChangesText(this.#settings.names, before, wanted);
      if (changes === '') return;
      this.#listing = undefined;
      try {
        await this.#nftables.run('change who may send VXLAN', changes);
        this.#listing = await this.#list();
      } catch (error) {
        // Somebody else changed the table: the whole of it is right in any case.
        if (!(SwarmError.from(error).cause instanceof NftablesError)) throw error;
        await this.#install();
      }
    });
  }

  /** Puts the table right if somebody changed it. Says whether anybody had. */
  verify(): Promise<boolean> {
    return this.#inTurn(async () => {
      if (this.#listing !== undefined && (await this.#list()) === this.#listing) return false;
      await this.#install();
      return true;
    });
  }

  /** Whether nobody has changed the table. */
  isWhole(): Promise<boolean> {
    return this.#inTurn(async () => this.#listing !== undefined && (await this.#list()) === this.#listing);
  }

  /** Lets go; the table stays. */
  close(): Promise<void> {
    return this.#inTurn(() => this.#nftables.close());
  }

  /** Removes the table; none there is no error. */
  remove(): Promise<void> {
    return this.#inTurn(async () => {
      const table = guardTableName(this.#settings.names);
      await this.#nftables.run('remove the guard of VXLAN', `add table inet ${table}\ndelete table inet ${table}`);
      this.#listing = undefined;
    });
  }

  async #install(): Promise<void> {
    await this.#nftables.run('load the guard of VXLAN', guardTableText(this.#settings, this.#members));
    this.#listing = await this.#list();
    assert(this.#listing !== undefined, 'a table that was loaded can be listed');
  }

  /** Undefined when the table is not there. */
  async #list(): Promise<string | undefined> {
    try {
      const command = `list table inet ${guardTableName(this.#settings.names)}`;
      return await this.#nftables.list('list the guard of VXLAN', command, { elements: true });
    } catch (error) {
      const { cause } = SwarmError.from(error);
      if (cause instanceof NftablesError && cause.missing) return undefined;
      throw error;
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#lane.then(work);
    this.#lane = done.catch(() => undefined);
    return done;
  }
}
