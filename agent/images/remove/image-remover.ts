/** Takes names away and removes images, by Docker's rules. Nobody else removes anything from the store. */
import { SwarmError } from '#common/errors.ts';
import {
  canonicalName,
  canonicalRepository,
  familiarName,
  type ImageReference,
  parseImageReference,
} from '#common/image-reference.ts';
import { classifyFailure } from '../buildah/classify-failure.ts';
import { findByReference, findImage } from '../storage/find-image.ts';
import { ancestorsThatGoWith, type Lineage } from '../storage/lineage.ts';
import type { StoredImage, StoreView } from '../storage/store-index.ts';
import type { StoreContext } from '../store-context.ts';

export interface Removal {
  /** Names taken away, as people write them. */
  readonly untagged: readonly string[];
  /** Ids of images that are gone. */
  readonly deleted: readonly string[];
  readonly reclaimedBytes: number;
}

export const NOTHING_REMOVED: Removal = { untagged: [], deleted: [], reclaimedBytes: 0 };

export function addRemovals(a: Removal, b: Removal): Removal {
  return {
    untagged: [...a.untagged, ...b.untagged],
    deleted: [...a.deleted, ...b.deleted],
    reclaimedBytes: a.reclaimedBytes + b.reclaimedBytes,
  };
}

/** The names that go when one is taken away: digests are not kept when the last tag of their repository goes. */
export function namesThatGoWith(image: StoredImage, name: ImageReference): readonly ImageReference[] {
  const target = canonicalName(name);
  const repository = canonicalRepository(name);
  const others = image.names.filter((other) => canonicalName(other) !== target);
  const ofRepository = others.filter((other) => canonicalRepository(other) === repository);
  const onlyDigests = name.digest === undefined && ofRepository.every((other) => other.digest !== undefined);
  return onlyDigests ? [name, ...ofRepository] : [name];
}

function inUse(image: StoredImage, users: readonly string[], what: string): SwarmError {
  const shown = users.slice(0, 3).map((user) => user.slice(0, 12));
  const more = users.length > 3 ? ` and ${users.length - 3} more` : '';
  return new SwarmError({
    code: 'precondition',
    reason: 'in-use',
    message: `conflict: unable to delete ${image.id.slice(0, 12)} (cannot be forced) - ${what} ${shown.join(', ')}${more}`,
    hint: 'scale down or remove the services whose tasks these are',
  });
}

function mustForce(image: StoredImage): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'needs-force',
    message: `conflict: unable to delete ${image.id.slice(0, 12)} (must be forced) - image is referenced in multiple repositories`,
    hint: `remove it by name, or with --force all its names: ${image.names.map(familiarName).join(', ')}`,
  });
}

export class ImageRemover {
  readonly #context: StoreContext;
  readonly #lineage: (view: StoreView) => Promise<Lineage>;

  constructor(context: StoreContext, lineage: (view: StoreView) => Promise<Lineage>) {
    this.#context = context;
    this.#lineage = lineage;
  }

  /** By name, one name; by id, the image with all its names. Throws `image-not-found`, `in-use` or `needs-force`. */
  async remove(text: string, force: boolean, signal: AbortSignal): Promise<Removal> {
    return this.#context.names.run(async () => {
      const view = await this.#context.index.view();
      const image = findImage(view, text);
      const parsed = parseImageReference(text);
      const named = parsed.ok && findByReference(view, parsed.value)?.id === image.id ? parsed.value : undefined;
      const going = named === undefined ? this.#allNames(image, force) : this.#oneName(image, named);
      return this.#take(view, image, going, signal);
    });
  }

  /** The image with all its names, for prune and the collector. What somebody holds stays, without an error. */
  async removeUnused(imageId: string, signal: AbortSignal): Promise<Removal> {
    return this.#context.names.run(async () => {
      const view = await this.#context.index.view();
      const image = view.images.get(imageId);
      if (image === undefined || this.#context.holds.isHeld(imageId)) return NOTHING_REMOVED;
      try {
        return await this.#take(view, image, image.names, signal);
      } catch (error) {
        if (error instanceof SwarmError && error.reason === 'in-use') return NOTHING_REMOVED;
        throw error;
      }
    });
  }

  #allNames(image: StoredImage, force: boolean): readonly ImageReference[] {
    const [first] = image.names.filter((name) => name.digest === undefined);
    const single =
      image.names.length <= 1 || (first !== undefined && namesThatGoWith(image, first).length === image.names.length);
    if (!single && !force) throw mustForce(image);
    return image.names;
  }

  #oneName(image: StoredImage, named: ImageReference): readonly ImageReference[] {
    // What was given may have a tag beside the digest, or lack the default one.
    const exact =
      image.names.find((name) => canonicalName(name) === canonicalName({ ...named, tag: named.tag ?? 'latest' })) ??
      image.names.find(
        (name) => name.digest === named.digest && canonicalRepository(name) === canonicalRepository(named),
      );
    return exact === undefined ? image.names : namesThatGoWith(image, exact);
  }

  async #take(
    view: StoreView,
    image: StoredImage,
    going: readonly ImageReference[],
    signal: AbortSignal,
  ): Promise<Removal> {
    const names = going.map(canonicalName);
    if (going.length < image.names.length) await this.#run(image, names, signal);
    else await this.#delete(view, image, names, signal);
    const after = await this.#context.index.view();
    return {
      untagged: going.map(familiarName),
      deleted: [...view.images.keys()].filter((id) => !after.images.has(id)).toReversed(),
      reclaimedBytes: layerBytes(view) - layerBytes(after),
    };
  }

  async #delete(view: StoreView, image: StoredImage, names: readonly string[], signal: AbortSignal): Promise<void> {
    const { holds } = this.#context;
    const users = holds.usersOf(image.id);
    if (users.length > 0) throw inUse(image, users, 'image is being used by running container');
    // buildah removes the nameless images below with it.
    const below = ancestorsThatGoWith(image, view, await this.#lineage(view)).map(({ id }) => id);
    const held = await holds.whileLeaving([image.id, ...below], () =>
      this.#run(image, names.length > 0 ? names : [image.id], signal),
    );
    if (held !== undefined)
      throw inUse(image, holds.usersOf(held), `the image below it, ${held.slice(0, 12)}, is used by`);
  }

  /** Removing writes, too; on a disk without a free block it takes what is kept for this. */
  async #run(image: StoredImage, targets: readonly string[], signal: AbortSignal): Promise<void> {
    try {
      await this.#removeTargets(image, targets, signal);
    } catch (error) {
      if (!(error instanceof SwarmError) || error.reason !== 'disk-full') throw error;
      await this.#context.emergency.during(() => this.#removeTargets(image, targets, signal));
    }
  }

  async #removeTargets(image: StoredImage, targets: readonly string[], signal: AbortSignal): Promise<void> {
    const what = `removing ${image.id.slice(0, 12)}`;
    const result = await this.#context.buildah.run({
      what,
      args: () => ['rmi', ...targets],
      timeoutMs: this.#context.options.tuning.commandTimeoutMs,
      signal,
      writes: false,
    });
    if (result.exitCode !== 0) throw classifyFailure(what, result.stderr, 'internal');
  }
}

function layerBytes(view: StoreView): number {
  let bytes = 0;
  for (const layer of view.layers.values()) bytes += layer.sizeBytes;
  return bytes;
}
