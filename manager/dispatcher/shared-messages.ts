/**
 * What many sessions are told alike: a change of a network goes to every node that has it. Made once, and encoded once.
 */
import type { SessionResponse } from '#gen/swarm/v1/dispatcher.ts';
import type { NetworkChange } from '#gen/swarm/v1/networks.ts';
import { encodedOnce } from '#proto/encode-once.ts';

type Lists = readonly (readonly NetworkChange[])[];

/** For sessions that are flushed together; thrown away afterwards. */
export class SharedMessages {
  readonly #numbers = new Map<readonly NetworkChange[], number>();
  /** By commit and the numbers of the lists. */
  readonly #messages = new Map<string, readonly SessionResponse[]>();

  /** The messages for these lists, up to that commit: those of another session that has the very same ones. */
  of(version: number, lists: Lists, make: () => readonly SessionResponse[]): readonly SessionResponse[] {
    const key = `${version} ${lists.map((list) => this.#numberOf(list)).join(' ')}`;
    let messages = this.#messages.get(key);
    if (messages === undefined) {
      messages = make().map(encodedOnce);
      this.#messages.set(key, messages);
    }
    return messages;
  }

  /** The messages of complete tables of these networks, as of that commit. */
  complete(
    version: number,
    networkIds: readonly string[],
    make: () => readonly SessionResponse[],
  ): readonly SessionResponse[] {
    const key = `${version} complete ${networkIds.toSorted().join(' ')}`;
    const messages = this.#messages.get(key) ?? make().map(encodedOnce);
    this.#messages.set(key, messages);
    return messages;
  }

  #numberOf(list: readonly NetworkChange[]): number {
    const number = this.#numbers.get(list) ?? this.#numbers.size;
    this.#numbers.set(list, number);
    return number;
  }
}
