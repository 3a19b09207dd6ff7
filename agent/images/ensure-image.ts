/** Getting a task's image here: from the store, from the registry, or, when that does not answer, from the store. */
import { SwarmError } from '#common/errors.ts';
import {
  canonicalName,
  canonicalRepository,
  familiarName,
  type ImageReference,
  isDigest,
  isImageId,
  isOfficial,
  isPinned,
  parseImageReference,
  withDefaultTag,
} from '#common/image-reference.ts';
import { decodeRegistryAuth } from '#common/system/registry-auth.ts';
import type { ImagePuller, PullEvent, PullRequest } from './pull/image-puller.ts';
import { findExact, imageNotFound } from './storage/find-image.ts';
import { repositoryDigests, type StoredImage } from './storage/store-index.ts';
import { nodePlatform, type StoreContext } from './store-context.ts';

export interface EnsureRequest {
  /** Name, name with digest, or whole id. */
  readonly reference: string;
  /** As in the service's spec; empty when there is none. */
  readonly registryAuth: string;
  readonly progress: (message: string) => void;
  readonly signal: AbortSignal;
}

/** A tag that was looked up so recently is not looked up again: fifty replicas begin at once. */
const FRESH_MS = 30_000;
const FRESH_TAGS_MAX = 10_000;

/** Built or loaded here: no registry is known to have it. */
export function isLocalOnly(image: StoredImage, reference: ImageReference): boolean {
  const repository = canonicalRepository(reference);
  return !repositoryDigests(image).some((name) => canonicalRepository(name) === repository);
}

export class ImageEnsurer {
  readonly #context: StoreContext;
  readonly #puller: ImagePuller;
  /** Canonical name -> when the registry was last asked what it stands for, monotonic. */
  readonly #asked = new Map<string, number>();

  constructor(context: StoreContext, puller: ImagePuller) {
    this.#context = context;
    this.#puller = puller;
  }

  /**
   * Returns the id of the image. What is named by digest is fetched only if it is not here; a tag is looked up anew,
   * and a registry that does not answer, or refuses, does not matter when the image is here (Swarm's rule). Throws what
   * pulling throws.
   */
  async ensure(request: EnsureRequest): Promise<string> {
    const view = await this.#context.index.view();
    const local = findExact(view, request.reference);
    if (isDigest(request.reference) || isImageId(request.reference)) {
      if (local === undefined) throw imageNotFound(request.reference);
      return local.id;
    }
    const parsed = parseImageReference(request.reference);
    if (!parsed.ok) throw parsed.error;
    const reference = withDefaultTag(parsed.value);
    if (local === undefined) return this.#pull(request, reference);
    return this.#needsNoLookup(local, reference) ? local.id : this.#refresh(request, reference, local);
  }

  #needsNoLookup(local: StoredImage, reference: ImageReference): boolean {
    if (isPinned(reference)) return true;
    // Nobody but Docker itself can put an image under such a name: what is here under it was made here, and is meant.
    if (isOfficial(reference) && isLocalOnly(local, reference)) return true;
    const askedAt = this.#asked.get(canonicalName(reference));
    return askedAt !== undefined && this.#context.clock.monotonic() - askedAt < FRESH_MS;
  }

  async #refresh(request: EnsureRequest, reference: ImageReference, local: StoredImage): Promise<string> {
    const { clock, logger, options } = this.#context;
    try {
      const pull = this.#request(request, reference);
      const result = await this.#puller.pull({
        ...pull,
        attemptsMax: 1,
        resolveTimeoutMs: options.tuning.refreshTimeoutMs,
      });
      this.#remember(reference);
      return result.imageId;
    } catch (thrown) {
      if (request.signal.aborted) throw thrown;
      const error = SwarmError.from(thrown);
      logger.info('using the local image, since its registry cannot be asked', {
        image: familiarName(reference),
        error: error.message,
      });
      if (this.#asked.size < FRESH_TAGS_MAX) this.#asked.set(canonicalName(reference), clock.monotonic());
      return local.id;
    }
  }

  async #pull(request: EnsureRequest, reference: ImageReference): Promise<string> {
    const { imageId } = await this.#puller.pull(this.#request(request, reference));
    this.#remember(reference);
    return imageId;
  }

  #request(request: EnsureRequest, reference: ImageReference): PullRequest {
    const { tuning } = this.#context.options;
    return {
      reference,
      credential: decodeRegistryAuth(request.registryAuth),
      platform: nodePlatform(),
      attemptsMax: tuning.pullAttemptsMax,
      resolveTimeoutMs: tuning.resolveTimeoutMs,
      signal: request.signal,
      onEvent: progressReporter(reference, request.progress),
    };
  }

  #remember(reference: ImageReference): void {
    if (this.#asked.size >= FRESH_TAGS_MAX) this.#asked.clear();
    if (!isPinned(reference)) this.#asked.set(canonicalName(reference), this.#context.clock.monotonic());
  }
}

/** Turns the events of a pull into the one line that a task's status shows. */
function progressReporter(reference: ImageReference, progress: (message: string) => void): (event: PullEvent) => void {
  const name = familiarName(reference);
  let layers = 0;
  return (event) => {
    if (event.kind === 'resolving') progress(`asking ${event.host} for ${name}`);
    else if (event.kind === 'retrying')
      progress(`pulling ${name}: ${event.reason}, trying again in ${Math.ceil(event.delayMs / 1000)} s`);
    else if (event.kind === 'layer-waiting') {
      layers++;
      progress(`pulling ${name} (${layers} ${layers === 1 ? 'layer' : 'layers'})`);
    }
  };
}
