/** Loads archives: checked by us from the first byte to the last, then handed to buildah one image at a time. */
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { SwarmError } from '#common/errors.ts';
import { familiarName, type ImageReference, parseImageReference } from '#common/image-reference.ts';
import { fileError } from '#common/system/atomic-file.ts';
import { cancelledError, invalidImage } from '../archive/archive-error.ts';
import type { ArchivedImage } from '../archive/archived-image.ts';
import { readDockerArchive } from '../archive/docker-archive.ts';
import { readOciArchive } from '../archive/oci-archive.ts';
import { SpooledArchive } from '../archive/spool.ts';
import { BombGuard } from '../archive/unpack.ts';
import { LayerVerifier } from '../archive/verify-layer.ts';
import { classifyFailure } from '../buildah/classify-failure.ts';
import { nodePlatform, type StoreContext, tagImage } from '../store-context.ts';
import { withIdleLimit } from './idle-guard.ts';

export interface LoadedImage {
  readonly id: string;
  /** name:tag as people write them; empty when the archive names none. */
  readonly names: readonly string[];
}

export class ImageLoader {
  readonly #context: StoreContext;

  constructor(context: StoreContext) {
    this.#context = context;
  }

  /**
   * Loads all images of the archive. Every one is checked before the first is stored. Throws `image-invalid` with what
   * is wrong, `disk-full`, `timeout` or `cancelled`; nothing is left behind then.
   */
  async load(source: AsyncIterable<Uint8Array>, callerSignal: AbortSignal): Promise<readonly LoadedImage[]> {
    const { buildah, clock, options } = this.#context;
    const timeout = AbortSignal.timeout(options.tuning.loadTimeoutMs);
    const signal = AbortSignal.any([callerSignal, timeout]);
    const directory = await mkdtemp(join(buildah.workDirectory, 'load-'));
    const input = withIdleLimit(source, options.tuning.inputIdleMs, 'the archive', clock);
    try {
      return await this.#context.names.whileArriving(() => this.#loadFrom(directory, input, signal));
    } catch (error) {
      if (callerSignal.aborted) throw cancelledError('loading the image');
      if (timeout.aborted) throw loadTimeout(options.tuning.loadTimeoutMs);
      throw error instanceof SwarmError ? error : fileError(error, 'store the archive');
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }

  async #loadFrom(
    directory: string,
    source: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<readonly LoadedImage[]> {
    const { options, reserve } = this.#context;
    const stop = new AbortController();
    const watch = reserve.watch((error) => stop.abort(error));
    let archive: SpooledArchive | undefined;
    try {
      await watch.ready;
      const both = AbortSignal.any([signal, stop.signal]);
      archive = await SpooledArchive.create(join(directory, 'archive.tar'), source, options.tuning.archive, both);
      const images = await this.#verified(archive, both);
      const loaded: LoadedImage[] = [];
      for (const image of images) loaded.push(await this.#store(archive, image, signal));
      return loaded;
    } catch (error) {
      // What stopped the work is the reason, not that it was stopped.
      if (stop.signal.aborted) throw stop.signal.reason;
      throw error;
    } finally {
      watch.end();
      await archive?.close();
    }
  }

  async #verified(archive: SpooledArchive, signal: AbortSignal): Promise<readonly ArchivedImage[]> {
    const { allowDeviceNodes, tuning } = this.#context.options;
    const limits = tuning.archive;
    let images: readonly ArchivedImage[];
    if (archive.catalogue('manifest.json') !== undefined) images = await readDockerArchive(archive, limits);
    else if (archive.catalogue('index.json') !== undefined)
      images = await readOciArchive(archive, limits, nodePlatform());
    else if (archive.catalogue('repositories') !== undefined)
      throw invalidImage('it has the format of Docker before 1.10', 'save the image with a newer version');
    else throw invalidImage('it has neither a manifest.json nor an index.json');
    if (images.length === 0) throw invalidImage('it holds no image');
    const verifier = new LayerVerifier(archive);
    for (const image of images) {
      const guard = new BombGuard(limits, 'unpackedBytesMax');
      await verifier.verify(image.layers, image.diffIds, { limits, allowDeviceNodes, signal, guard });
    }
    return images;
  }

  /** Stores one image of the archive without a name, then names it: a name moves only to what is whole. */
  async #store(archive: SpooledArchive, image: ArchivedImage, signal: AbortSignal): Promise<LoadedImage> {
    const { buildah, index, lastUse, names, options } = this.#context;
    await archive.finishWith(image.documents);
    const what = `loading image ${image.id.slice(0, 12)}`;
    const result = await buildah.run({
      what,
      args: (files) => [
        ...['pull', '--quiet', '--policy', 'always', '--retry', '0', '--signature-policy', files.policy],
        `${image.transport}:${archive.path}`,
      ],
      timeoutMs: options.tuning.loadTimeoutMs,
      signal,
      writes: true,
    });
    if (result.exitCode !== 0) throw classifyFailure(what, result.stderr, 'image-invalid');
    const stored = (await index.view()).images.get(image.id);
    if (stored === undefined) throw invalidImage(`buildah made another image of it than ${image.id.slice(0, 12)}`);
    const wanted = image.names.flatMap((name): readonly ImageReference[] => {
      const parsed = parseImageReference(name);
      return parsed.ok ? [parsed.value] : [];
    });
    for (const name of wanted) await names.run(() => tagImage(this.#context, image.id, name, signal));
    await lastUse.touch(image.id);
    return { id: image.id, names: wanted.map(familiarName) };
  }
}

function loadTimeout(timeoutMs: number): SwarmError {
  return new SwarmError({
    code: 'deadline',
    reason: 'timeout',
    message: `loading the archive took longer than ${timeoutMs / 60_000} minutes`,
    hint: 'push the image to a registry and pull it from there',
  });
}
