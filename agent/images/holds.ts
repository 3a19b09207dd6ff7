import { SwarmError } from '#common/errors.ts';

/**
 * Who uses which image. buildah knows nothing of our mounts, and would remove the layers from under a running
 * container; so this table is asked before anything is removed, and nobody else removes.
 */
export class Holds {
  /** User (a task or container id) -> image id. A user holds one image. */
  readonly #images = new Map<string, string>();
  /** Image ids whose removal has begun. Invariant: none of them is held. */
  readonly #leaving = new Set<string>();

  /** Holding again is no change; another image than before replaces it. Throws `image-not-found` when it is going. */
  hold(user: string, imageId: string): void {
    if (this.#leaving.has(imageId))
      throw new SwarmError({
        code: 'unavailable',
        reason: 'image-not-found',
        message: `image ${imageId.slice(0, 12)} is being removed`,
        hint: 'try again: it will be fetched anew',
      });
    this.#images.set(user, imageId);
  }

  /** Holding nothing is no error. Returns the image that was held. */
  release(user: string): string | undefined {
    const imageId = this.#images.get(user);
    this.#images.delete(user);
    return imageId;
  }

  /** Replaces all holds: what the containers that are there use. */
  restore(held: ReadonlyMap<string, string>): void {
    this.#images.clear();
    for (const [user, imageId] of held) this.#images.set(user, imageId);
  }

  heldBy(user: string): string | undefined {
    return this.#images.get(user);
  }

  usersOf(imageId: string): readonly string[] {
    return [...this.#images].filter(([, held]) => held === imageId).map(([user]) => user);
  }

  /** Image id -> its users, for all that are held. */
  all(): ReadonlyMap<string, readonly string[]> {
    const users = new Map<string, string[]>();
    for (const [user, imageId] of this.#images) {
      const list = users.get(imageId);
      if (list === undefined) users.set(imageId, [user]);
      else list.push(user);
    }
    return users;
  }

  isHeld(imageId: string): boolean {
    for (const held of this.#images.values()) if (held === imageId) return true;
    return false;
  }

  /**
   * Removes the images with nobody able to take hold of them meanwhile. Neither begins nor throws when one of them is
   * held: the answer is its id then, and undefined when `work` was done.
   */
  async whileLeaving(imageIds: readonly string[], work: () => Promise<void>): Promise<string | undefined> {
    const held = imageIds.find((imageId) => this.isHeld(imageId));
    if (held !== undefined) return held;
    for (const imageId of imageIds) this.#leaving.add(imageId);
    try {
      await work();
    } finally {
      for (const imageId of imageIds) this.#leaving.delete(imageId);
    }
    return undefined;
  }
}
