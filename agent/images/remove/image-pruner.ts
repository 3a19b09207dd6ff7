import { timeOf } from '../storage/image-config.ts';
import { isDangling, isIntermediate } from '../storage/lineage.ts';
import type { StoredImage } from '../storage/store-index.ts';
import type { StoreSurvey } from '../storage/store-survey.ts';
import type { StoreContext } from '../store-context.ts';
import { matchesLabels } from '../view/image-filter.ts';
import { addRemovals, type ImageRemover, NOTHING_REMOVED, type Removal } from './image-remover.ts';

export interface PruneRequest {
  /** All that no container uses, not only those without a name. */
  readonly all: boolean;
  /** Only images created before; undefined means any. */
  readonly createdBeforeMs: number | undefined;
  /** "key" or "key=value": images that have all of the first and none of the second. */
  readonly labels: readonly string[];
  readonly withoutLabels: readonly string[];
  readonly signal: AbortSignal;
}

export class ImagePruner {
  readonly #context: StoreContext;
  readonly #remover: ImageRemover;
  readonly #survey: () => Promise<StoreSurvey>;

  constructor(context: StoreContext, remover: ImageRemover, survey: () => Promise<StoreSurvey>) {
    this.#context = context;
    this.#remover = remover;
    this.#survey = survey;
  }

  /** `image prune`. What is used, or has just arrived and is about to be named, stays. */
  async prune(request: PruneRequest): Promise<Removal> {
    const survey = await this.#survey();
    let removed = NOTHING_REMOVED;
    for (const image of survey.view.images.values())
      if (await this.#isWanted(image, survey, request))
        removed = addRemovals(removed, await this.#remover.removeUnused(image.id, request.signal));
    return removed;
  }

  async #isWanted(image: StoredImage, survey: StoreSurvey, request: PruneRequest): Promise<boolean> {
    const { holds, index, names } = this.#context;
    if (holds.isHeld(image.id) || isIntermediate(image, survey.lineage)) return false;
    if (!request.all && !isDangling(image, survey.lineage)) return false;
    const document = survey.documents.get(image.id);
    const createdAtMs = timeOf(document?.created ?? '');
    if (request.createdBeforeMs !== undefined && createdAtMs >= request.createdBeforeMs) return false;
    const labels = document?.config.labels ?? {};
    if (!request.labels.every((label) => matchesLabels(labels, [label]))) return false;
    if (request.withoutLabels.some((label) => matchesLabels(labels, [label]))) return false;
    return (await index.arrivedAt(image.id)) < names.arrivingSinceMs;
  }
}
