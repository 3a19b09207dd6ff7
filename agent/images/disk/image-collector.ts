/** Makes room when the disk fills: removes unused images, the longest unused first, until the low mark is reached. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { CancelTimer } from '#common/clock.ts';
import { addRemovals, type ImageRemover, NOTHING_REMOVED, type Removal } from '../remove/image-remover.ts';
import { isDangling, isIntermediate } from '../storage/lineage.ts';
import { repositoryDigests, type StoredImage } from '../storage/store-index.ts';
import type { StoreSurvey } from '../storage/store-survey.ts';
import type { StoreContext } from '../store-context.ts';
import { type DiskSpace, diskSpace } from './disk-space.ts';

export interface CollectorParts {
  readonly context: StoreContext;
  readonly remover: ImageRemover;
  readonly survey: () => Promise<StoreSurvey>;
  /** Directory of the caches that builds keep between runs; worth nothing to anybody else. */
  readonly buildCache: string;
  readonly buildsIdle: () => boolean;
  readonly measure?: (path: string) => Promise<DiskSpace>;
}

interface Candidate {
  readonly image: StoredImage;
  readonly dangling: boolean;
  readonly lastUsedMs: number;
}

export class ImageCollector {
  readonly #parts: CollectorParts;
  readonly #stop = new AbortController();
  #cancel: CancelTimer = () => {};
  #running: Promise<Removal> | undefined;

  constructor(parts: CollectorParts) {
    this.#parts = parts;
  }

  /** Collects at every interval until `stop`. */
  start(): void {
    const { clock, logger, options } = this.#parts.context;
    this.#cancel = clock.setTimer(options.tuning.collector.intervalMs, () => {
      this.collect()
        .catch((error: unknown) => logger.warn('cannot collect images', { error: String(error) }))
        .finally(() => {
          if (!this.#stop.signal.aborted) this.start();
        });
    });
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#cancel();
    await this.#running?.catch(() => {});
  }

  /** One collection; a second one at the same time joins it. Does nothing below the high mark. */
  async collect(): Promise<Removal> {
    this.#running ??= this.#collect().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #usedPercent(): Promise<number> {
    const { context, measure = diskSpace } = this.#parts;
    const space = await measure(context.options.stateDirectory);
    return Math.max(space.usedPercent, space.usedInodesPercent);
  }

  async #collect(): Promise<Removal> {
    const { buildCache, buildsIdle, context, remover } = this.#parts;
    const { highPercent, lowPercent } = context.options.tuning.collector;
    const before = await this.#usedPercent();
    if (before < highPercent) return NOTHING_REMOVED;
    if (buildsIdle())
      for (const name of await readdir(buildCache).catch(() => []))
        await rm(join(buildCache, name), { recursive: true, force: true });
    let removed = NOTHING_REMOVED;
    for (const { image } of await this.#candidates()) {
      if (this.#stop.signal.aborted || (await this.#usedPercent()) <= lowPercent) break;
      const one = await remover.removeUnused(image.id, this.#stop.signal).catch((error: unknown) => {
        context.logger.warn('cannot remove an unused image', { imageId: image.id, error: String(error) });
        return NOTHING_REMOVED;
      });
      removed = addRemovals(removed, one);
    }
    const after = await this.#usedPercent();
    const facts = {
      usedPercentBefore: Math.round(before),
      usedPercentAfter: Math.round(after),
      images: removed.deleted.length,
      bytes: removed.reclaimedBytes,
    };
    if (after > lowPercent) context.logger.warn('the disk is full of what cannot be collected', facts);
    else context.logger.info('collected unused images', facts);
    return removed;
  }

  /**
   * Nobody uses them, nobody has for a while, and they can be had again: they came from a registry, or have no name.
   * An image that was built or loaded here is the only copy for all we know; only `image prune --all` removes it.
   */
  async #candidates(): Promise<readonly Candidate[]> {
    const { clock, holds, index, lastUse, names, options } = this.#parts.context;
    const { view, lineage } = await this.#parts.survey();
    await lastUse.keepOnly(new Set(view.images.keys()));
    const oldestMs = Math.min(clock.now() - options.tuning.collector.graceMs, names.arrivingSinceMs);
    const candidates: Candidate[] = [];
    for (const image of view.images.values()) {
      if (holds.isHeld(image.id) || isIntermediate(image, lineage)) continue;
      const dangling = isDangling(image, lineage);
      if (!dangling && repositoryDigests(image).length === 0) continue;
      const lastUsedMs = Math.max(await lastUse.of(image.id), await index.arrivedAt(image.id));
      if (lastUsedMs < oldestMs) candidates.push({ image, dangling, lastUsedMs });
    }
    return candidates.toSorted((a, b) => Number(b.dangling) - Number(a.dangling) || a.lastUsedMs - b.lastUsedMs);
  }
}
