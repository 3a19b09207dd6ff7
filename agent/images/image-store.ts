/** The images of one node: everything that others need to know of this part goes through here. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SwarmError } from '#common/errors.ts';
import {
  familiarName,
  type ImageReference,
  isOfficial,
  isPinned,
  parseImageReference,
  pinDigest,
  withDefaultTag,
} from '#common/image-reference.ts';
import type { Logger } from '#common/log.ts';
import { decodeRegistryAuth } from '#common/system/registry-auth.ts';
import { type BuildRequest, ImageBuilder } from './build/image-builder.ts';
import type { ImageStoreOptions } from './config.ts';
import { DiskMonitor, type DiskPressure } from './disk/disk-monitor.ts';
import { ImageCollector } from './disk/image-collector.ts';
import { type EnsureRequest, ImageEnsurer, isLocalOnly } from './ensure-image.ts';
import { ImageLoader, type LoadedImage } from './load/image-loader.ts';
import { openStoreContext } from './open-context.ts';
import { ImagePuller, type PullRequest, type PullResult } from './pull/image-puller.ts';
import type { ImagePlatform } from './registry/manifest.ts';
import { ImagePruner, type PruneRequest } from './remove/image-pruner.ts';
import { ImageRemover, type Removal } from './remove/image-remover.ts';
import { findByReference, findExact, findImage, imageNotFound } from './storage/find-image.ts';
import type { ImageDocument } from './storage/image-config.ts';
import { lineageOf } from './storage/lineage.ts';
import type { ResolvedImage } from './storage/resolved-image.ts';
import { layersOf, repositoryDigests, type StoredImage, type StoreView } from './storage/store-index.ts';
import type { StoreSurvey } from './storage/store-survey.ts';
import { nodePlatform, type StoreContext, tagImage } from './store-context.ts';
import { directorySizeBytes } from './view/directory-size.ts';
import { ALL_IMAGES, type ImageListRequest, isListed } from './view/image-filter.ts';
import { type ImageSummary, summarize } from './view/image-summary.ts';

/** A pull as a user asks for it. */
export type UserPull = Pick<PullRequest, 'reference' | 'credential' | 'signal' | 'onEvent'> & {
  readonly platform?: ImagePlatform;
};

/** Getting and keeping an image for one task. */
export interface HoldRequest extends EnsureRequest {
  readonly taskId: string;
}

export interface ImageDetail extends ImageSummary {
  readonly layers: readonly string[];
  readonly lastTaggedAtMs: number;
}

export interface ImageDiskUsage {
  readonly images: readonly ImageSummary[];
  /** Layers of all images, each counted once. */
  readonly layersBytes: number;
  /** Layers that only unused images have. */
  readonly reclaimableBytes: number;
  readonly buildCacheBytes: number;
}

/** What a reference stands for on its registry. */
export interface RegistryAnswer {
  readonly digest: string;
  readonly platforms: readonly ImagePlatform[];
  /** The reference with the digest, as people write it. */
  readonly pinned: string;
}

/** A hold may fail because the image is just being removed; it is fetched anew then, this often. */
const HOLD_ATTEMPTS_MAX = 3;

export class ImageStore {
  readonly #context: StoreContext;
  readonly #builder: ImageBuilder;
  readonly #collector: ImageCollector;
  readonly #ensurer: ImageEnsurer;
  readonly #loader: ImageLoader;
  readonly #monitor: DiskMonitor;
  readonly #pruner: ImagePruner;
  readonly #puller: ImagePuller;
  readonly #remover: ImageRemover;
  #onPressure: (pressure: DiskPressure | undefined) => void = () => {};
  #survey: StoreSurvey | undefined;

  private constructor(context: StoreContext) {
    const { clock, logger, options } = context;
    const survey = (): Promise<StoreSurvey> => this.#surveyNow();
    this.#context = context;
    this.#puller = new ImagePuller(context);
    this.#ensurer = new ImageEnsurer(context, this.#puller);
    this.#loader = new ImageLoader(context);
    this.#builder = new ImageBuilder(context);
    this.#remover = new ImageRemover(context, async () => (await survey()).lineage);
    this.#pruner = new ImagePruner(context, this.#remover, survey);
    this.#collector = new ImageCollector({
      context,
      remover: this.#remover,
      survey,
      buildCache: this.#context.buildah.buildCache,
      buildsIdle: () => this.#builder.idle,
    });
    this.#monitor = new DiskMonitor({
      path: options.stateDirectory,
      tuning: options.tuning.disk,
      clock,
      logger,
      onChange: (pressure) => this.#onPressure(pressure),
    });
  }

  /**
   * Opens the store, making it if need be, and removes what a killed daemon has left of its operations. Collecting and
   * watching the disk begin.
   */
  static async open(options: ImageStoreOptions, logger: Logger): Promise<ImageStore> {
    const store = new ImageStore(await openStoreContext(options, logger));
    await store.#recover();
    await store.#monitor.start();
    store.#collector.start();
    return store;
  }

  /** Working containers of builds that were killed with the daemon. */
  async #recover(): Promise<void> {
    const list = join(this.#context.buildah.root, 'overlay-containers/containers.json');
    const text = await readFile(list, 'utf8').catch(() => '[]');
    if (text.trim() !== '[]' && text.trim() !== 'null') await this.#builder.sweep();
  }

  // What tasks need.

  /**
   * Gets the image here if it is not, and holds it for the task: nothing removes it or its layers until `release`.
   * Called again for a task that holds it already, it gives the same. Throws what pulling throws; nothing is held then.
   */
  async hold(request: HoldRequest): Promise<ResolvedImage> {
    for (let attempt = 1; ; attempt++) {
      const held = this.#context.holds.heldBy(request.taskId);
      const imageId = held ?? (await this.#ensurer.ensure(request));
      try {
        this.#context.holds.hold(request.taskId, imageId);
        const image = await this.#resolved(imageId);
        void this.#context.lastUse.touch(imageId);
        return image;
      } catch (error) {
        if (held === undefined) this.#context.holds.release(request.taskId);
        const gone = error instanceof SwarmError && error.reason === 'image-not-found';
        if (!gone || held !== undefined || attempt >= HOLD_ATTEMPTS_MAX) throw error;
      }
    }
  }

  /** The task's container is gone. Holding nothing is no error. */
  release(taskId: string): void {
    const imageId = this.#context.holds.release(taskId);
    if (imageId !== undefined) void this.#context.lastUse.touch(imageId);
  }

  /** After a restart: which task's container uses which image id. Replaces all that was held. */
  restore(held: ReadonlyMap<string, string>): void {
    this.#context.holds.restore(held);
  }

  usersOf(imageId: string): readonly string[] {
    return this.#context.holds.usersOf(imageId);
  }

  /** The image of that name, name with digest, or whole id, without asking anybody. Throws `image-not-found`. */
  async resolve(reference: string): Promise<ResolvedImage> {
    const image = findExact(await this.#context.index.view(), reference);
    if (image === undefined) throw imageNotFound(reference);
    return this.#resolved(image.id);
  }

  async #resolved(imageId: string): Promise<ResolvedImage> {
    const { index } = this.#context;
    const image = (await index.view()).images.get(imageId);
    if (image === undefined) throw imageNotFound(imageId.slice(0, 12));
    const { architecture, config, os } = await index.document(imageId);
    const layers = await index.chain(image.layer);
    return { id: imageId, layers, config, repoDigests: repositoryDigests(image).map(familiarName), architecture, os };
  }

  /**
   * What the reference stands for on its registry now; undefined when it is an image of this node alone that no
   * registry can be asked for. Throws as pulling does.
   */
  async resolveDigest(text: string, registryAuth: string, signal?: AbortSignal): Promise<RegistryAnswer | undefined> {
    const parsed = parseImageReference(text);
    if (!parsed.ok) throw parsed.error;
    const reference = withDefaultTag(parsed.value);
    const local = findByReference(await this.#context.index.view(), reference);
    if (local !== undefined && !isPinned(reference) && isOwn(local, reference)) return undefined;
    const { tuning } = this.#context.options;
    const timeout = AbortSignal.timeout(local === undefined ? tuning.resolveTimeoutMs : tuning.refreshTimeoutMs);
    const credential = decodeRegistryAuth(registryAuth);
    try {
      const both = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
      const found = await this.#context.registry.resolve({ reference, credential, signal: both });
      return { ...found, pinned: pinDigest(reference, found.digest) };
    } catch (error) {
      if (!timeout.aborted || signal?.aborted === true) throw error;
      throw new SwarmError({
        code: 'unavailable',
        reason: 'registry-unreachable',
        message: `registry ${reference.domain} did not answer in time`,
        hint: 'check that the registry runs and can be reached from this node',
      });
    }
  }

  // What users ask for.

  load(source: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<readonly LoadedImage[]> {
    return this.#loader.load(source, signal);
  }

  pull(request: UserPull): Promise<PullResult> {
    const { pullAttemptsMax, resolveTimeoutMs } = this.#context.options.tuning;
    const platform = request.platform ?? nodePlatform();
    return this.#puller.pull({ ...request, platform, attemptsMax: pullAttemptsMax, resolveTimeoutMs });
  }

  build(request: BuildRequest): Promise<string> {
    return this.#builder.build(request);
  }

  /** Throws `image-not-found`. */
  async tag(source: string, target: ImageReference, signal: AbortSignal): Promise<void> {
    await this.#context.names.run(async () => {
      const image = findImage(await this.#context.index.view(), source);
      await tagImage(this.#context, image.id, withDefaultTag(target), signal);
      await this.#context.lastUse.touch(image.id);
    });
  }

  /** The newest first. */
  async list(request: ImageListRequest = ALL_IMAGES): Promise<readonly ImageSummary[]> {
    const survey = await this.#surveyNow();
    const users = this.#context.holds.all();
    const images = [...survey.view.images.values()].map((image) => summarize(image, survey, users));
    return images.filter((image) => isListed(image, request)).toSorted((a, b) => b.createdAtMs - a.createdAtMs);
  }

  /** By name, id, or a unique prefix of an id. Throws `image-not-found` or `ambiguous-prefix`. */
  async inspect(reference: string): Promise<ImageDetail> {
    const survey = await this.#surveyNow();
    const image = findImage(survey.view, reference);
    const summary = summarize(image, survey, this.#context.holds.all());
    const layers = await this.#context.index.chain(image.layer);
    return { ...summary, layers, lastTaggedAtMs: await this.#context.lastUse.of(image.id) };
  }

  /** Throws `image-not-found`, `in-use` (naming the users) or `needs-force`. */
  remove(reference: string, force: boolean, signal: AbortSignal): Promise<Removal> {
    return this.#remover.remove(reference, force, signal);
  }

  prune(request: PruneRequest): Promise<Removal> {
    return this.#pruner.prune(request);
  }

  async diskUsage(): Promise<ImageDiskUsage> {
    const survey = await this.#surveyNow();
    const images = await this.list({ ...ALL_IMAGES, all: true });
    const used = new Set<string>();
    for (const image of images) if (image.users.length > 0) addLayers(survey.view, image.id, used);
    let layersBytes = 0;
    let reclaimableBytes = 0;
    for (const layer of survey.view.layers.values()) {
      layersBytes += layer.sizeBytes;
      if (!used.has(layer.id)) reclaimableBytes += layer.sizeBytes;
    }
    return {
      images,
      layersBytes,
      reclaimableBytes,
      buildCacheBytes: await directorySizeBytes(this.#context.buildah.buildCache),
    };
  }

  // The disk.

  get diskPressure(): DiskPressure | undefined {
    return this.#monitor.pressure;
  }

  /** Told when disk pressure begins or ends; one listener. */
  onDiskPressure(listener: (pressure: DiskPressure | undefined) => void): void {
    this.#onPressure = listener;
  }

  /** Collects now, if the disk is above the high mark; for tests and for a node under pressure. */
  collect(): Promise<Removal> {
    return this.#collector.collect();
  }

  /** Stops what runs; operations end with `cancelled`. Images and holds stay. */
  async close(): Promise<void> {
    this.#monitor.stop();
    await this.#collector.stop();
    await this.#context.buildah.close();
  }

  /** The view with the documents of all images; made anew only when the store has changed. */
  async #surveyNow(): Promise<StoreSurvey> {
    const { index, logger } = this.#context;
    const view = await index.view();
    if (this.#survey?.view === view) return this.#survey;
    const documents = new Map<string, ImageDocument>();
    for (const id of view.images.keys())
      try {
        documents.set(id, await index.document(id));
      } catch (error) {
        logger.warn('an image in the store cannot be read', { imageId: id, error: String(error) });
      }
    const survey = { view, documents, lineage: lineageOf(view, documents) };
    this.#survey = survey;
    return survey;
  }
}

function isOwn(image: StoredImage, reference: ImageReference): boolean {
  return isOfficial(reference) && isLocalOnly(image, reference);
}

function addLayers(view: StoreView, imageId: string, into: Set<string>): void {
  const image = view.images.get(imageId);
  if (image !== undefined) for (const layer of layersOf(view, image)) into.add(layer.id);
}
