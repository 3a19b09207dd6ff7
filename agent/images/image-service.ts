/** Serves the images of this node on its local socket. */
import { invalidField, SwarmError } from '#common/errors.ts';
import { familiarName, type ImageReference, parseImageReference, withDefaultTag } from '#common/image-reference.ts';
import { LIMITS } from '#common/limits.ts';
import { AsyncQueue } from '#common/system/async-queue.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { decodeRegistryAuth, type RegistryCredential } from '#common/system/registry-auth.ts';
import {
  type BuildImageRequest,
  BuildImageResponse,
  type BuildOptions,
  DiskUsageEntry,
  DiskUsageKind,
  GetDiskUsageResponse,
  type ImageService,
  InspectImageResponse,
  type ListImagesRequest,
  ListImagesResponse,
  LoadedImage,
  type LoadImageRequest,
  LoadImageResponse,
  PruneImagesResponse,
  type PullImageRequest,
  PullImageResponse,
  PullResult,
  RemoveImageResponse,
  ResolveImageResponse,
  TagImageResponse,
} from '#gen/swarm/v1/images.ts';
import { Platform } from '#gen/swarm/v1/specs.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import type { BuildRequest } from './build/image-builder.ts';
import { detailMessage, pullEventMessage, removalMessage, summaryMessage } from './image-messages.ts';
import type { ImageStore } from './image-store.ts';
import type { PullEvent } from './pull/image-puller.ts';
import { parsePlatform } from './store-context.ts';
import type { ImageListRequest } from './view/image-filter.ts';

/** What other parts of the node have on the disk. */
export interface UsageCount {
  readonly total: number;
  readonly active: number;
  readonly sizeBytes: number;
  readonly reclaimableBytes: number;
}

export interface NodeUsage {
  containers(): Promise<UsageCount>;
  volumes(): Promise<UsageCount>;
}

const CHUNK_BYTES_MAX = 1024 * 1024;
/** Events that wait for their reader. One that is slower misses some, and is told how many: work does not wait for it. */
const EVENTS_AHEAD = 4096;
/** A client opens a build with its options at once. */
const OPTIONS_TIMEOUT_MS = 30_000;
const BUILD_TAGS_MAX = 100;

function mustParse(text: string): ImageReference {
  const parsed = parseImageReference(text);
  if (!parsed.ok) throw parsed.error;
  return parsed.value;
}

function checkChunk(chunk: Uint8Array): Uint8Array {
  if (chunk.length > CHUNK_BYTES_MAX)
    throw new SwarmError({
      code: 'invalid',
      reason: 'too-large',
      field: 'chunk',
      message: `a chunk has ${chunk.length} bytes (at most ${CHUNK_BYTES_MAX})`,
      hint: 'send smaller chunks',
    });
  return chunk;
}

async function* archiveChunks(requests: AsyncIterable<LoadImageRequest>): AsyncGenerator<Uint8Array> {
  for await (const { chunk } of requests) yield checkChunk(chunk);
}

/**
 * Runs the work and yields what it reports; its result comes last, after a note of how many reports were lost, if any.
 * Ending the iteration cancels the work.
 */
async function* reporting<T>(
  signal: AbortSignal,
  work: (report: (event: T) => void, signal: AbortSignal) => Promise<T>,
  lost?: (count: number) => T,
): AsyncGenerator<T> {
  const stop = new AbortController();
  const events = new AsyncQueue<T>(EVENTS_AHEAD);
  let lostCount = 0;
  const report = (event: T): void => {
    if (!events.offer(event)) lostCount++;
  };
  const finish = async (last: T): Promise<void> => {
    if (lostCount > 0 && lost !== undefined) await events.push(lost(lostCount));
    await events.push(last);
    events.end();
  };
  const running = work(report, AbortSignal.any([signal, stop.signal])).then(finish);
  // What was reported before a failure is still read; the failure follows it.
  running.catch(() => events.end());
  try {
    yield* events;
    await running;
  } finally {
    stop.abort();
    await running.catch(() => {});
  }
}

export function imageHandlers(store: ImageStore, usage: NodeUsage): Handlers<typeof ImageService> {
  return {
    loadImage: async (requests, { signal }) => {
      const loaded = await store.load(archiveChunks(requests), signal);
      return LoadImageResponse.create({ images: loaded.map((image) => LoadedImage.create(image)) });
    },

    pullImage: (request, { signal }) => pullImage(store, request, signal),

    buildImage: (requests, { signal }) => buildImage(store, requests, signal),

    listImages: async function* (request) {
      const images = (await store.list(await listRequest(store, request))).map(summaryMessage);
      for (let start = 0; start < images.length; start += LIMITS.LIST_PAGE)
        yield ListImagesResponse.create({ images: images.slice(start, start + LIMITS.LIST_PAGE) });
    },

    inspectImage: async ({ reference }) =>
      InspectImageResponse.create({ image: detailMessage(await store.inspect(reference)) }),

    tagImage: async ({ source, target }, { signal }) => {
      const name = mustParse(target);
      if (name.digest !== undefined) throw invalidField('target', 'a name cannot have a digest', 'write name:tag');
      await store.tag(source, name, signal);
      return TagImageResponse.create();
    },

    removeImage: async ({ reference, force }, { signal }) =>
      RemoveImageResponse.create({ removal: removalMessage(await store.remove(reference, force, signal)) }),

    pruneImages: async (request, { signal }) => {
      const { all, createdBeforeMs, labels, withoutLabels } = request;
      const before = createdBeforeMs === 0 ? undefined : createdBeforeMs;
      const removal = await store.prune({ all, createdBeforeMs: before, labels, withoutLabels, signal });
      return PruneImagesResponse.create({ removal: removalMessage(removal) });
    },

    resolveImage: async ({ reference, registryAuth }, { signal }) => {
      const answer = await store.resolveDigest(reference, registryAuth, signal);
      if (answer === undefined) return ResolveImageResponse.create();
      const platforms = answer.platforms.map((platform) => Platform.create(platform));
      return ResolveImageResponse.create({ digest: answer.digest, platforms, pinned: answer.pinned });
    },

    getDiskUsage: async () => diskUsage(store, usage),
  };
}

function pullImage(
  store: ImageStore,
  request: PullImageRequest,
  signal: AbortSignal,
): AsyncGenerator<PullImageResponse> {
  const reference = withDefaultTag(mustParse(request.reference));
  const credential = decodeRegistryAuth(request.registryAuth);
  const platform = parsePlatform(request.platform);
  return reporting<PullImageResponse>(signal, async (report, stop) => {
    const onEvent = (event: PullEvent): void => report(pullEventMessage(event));
    const result = await store.pull({ reference, credential, platform, signal: stop, onEvent });
    const { digest, imageId: id, upToDate } = result;
    const value = PullResult.create({ id, digest, upToDate, name: familiarName(reference) });
    return PullImageResponse.create({ event: { kind: 'result', value } });
  });
}

function buildImage(
  store: ImageStore,
  requests: AsyncIterable<BuildImageRequest>,
  signal: AbortSignal,
): AsyncGenerator<BuildImageResponse> {
  const line = (value: string): BuildImageResponse => BuildImageResponse.create({ event: { kind: 'line', value } });
  const work = async (report: (event: BuildImageResponse) => void, stop: AbortSignal): Promise<BuildImageResponse> => {
    const iterator = requests[Symbol.asyncIterator]();
    const options = await withDeadline(firstOptions(iterator), OPTIONS_TIMEOUT_MS, 'the options of the build');
    const context = contextChunks(iterator);
    const onLine = (text: string): void => report(line(text));
    const value = await store.build({ ...buildRequest(options), context, onLine, signal: stop });
    return BuildImageResponse.create({ event: { kind: 'imageId', value } });
  };
  return reporting(signal, work, (count) => line(`(${count} lines of output were not read in time and are lost)`));
}

async function firstOptions(iterator: AsyncIterator<BuildImageRequest>): Promise<BuildOptions> {
  const first = await iterator.next();
  if (first.done !== true && first.value.part?.kind === 'options') return first.value.part.value;
  throw invalidField('part', 'the first message of a build has to be its options');
}

async function* contextChunks(iterator: AsyncIterator<BuildImageRequest>): AsyncGenerator<Uint8Array> {
  for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
    if (next.value.part?.kind !== 'chunk')
      throw invalidField('part', 'after the options of a build only chunks of its context may follow');
    yield checkChunk(next.value.part.value);
  }
}

function buildRequest(options: BuildOptions): Omit<BuildRequest, 'context' | 'onLine' | 'signal'> {
  const { network } = options;
  if (network !== '' && network !== 'default' && network !== 'host' && network !== 'none')
    throw invalidField(
      '--network',
      `a build cannot have the network ${JSON.stringify(network.slice(0, 100))}`,
      'use default, host or none',
    );
  if (options.tags.length > BUILD_TAGS_MAX)
    throw invalidField('--tag', `a build cannot have more than ${BUILD_TAGS_MAX} tags`);
  const tags = options.tags.map((tag) => withDefaultTag(mustParse(tag)));
  if (tags.some((tag) => tag.digest !== undefined))
    throw invalidField('--tag', 'a tag cannot have a digest', 'write name:tag');
  const credentials = new Map<string, RegistryCredential>();
  for (const [host, auth] of Object.entries(options.registryAuths)) {
    const credential = decodeRegistryAuth(auth);
    if (credential !== undefined) credentials.set(host, credential);
  }
  const { buildArgs, labels, noCache, pull, target } = options;
  return {
    tags,
    dockerfile: options.dockerfile === '' ? 'Dockerfile' : options.dockerfile,
    buildArgs,
    target,
    noCache,
    pull,
    labels,
    platform: parsePlatform(options.platform),
    credentials,
    network: network === 'none' ? 'none' : 'default',
  };
}

async function listRequest(store: ImageStore, request: ListImagesRequest): Promise<ImageListRequest> {
  const createdAt = async (reference: string): Promise<number | undefined> =>
    reference === '' ? undefined : (await store.inspect(reference)).createdAtMs;
  return {
    all: request.all,
    reference: request.reference === '' ? undefined : request.reference,
    patterns: request.referencePatterns,
    labels: request.labels,
    dangling: request.dangling,
    createdBeforeMs: await createdAt(request.before),
    createdSinceMs: await createdAt(request.since),
  };
}

async function diskUsage(store: ImageStore, usage: NodeUsage): Promise<GetDiskUsageResponse> {
  const images = await store.diskUsage();
  const shown = images.images.filter((image) => !image.intermediate);
  const cached = images.images.filter((image) => image.intermediate);
  const entry = (kind: DiskUsageKind, count: UsageCount): DiskUsageEntry => DiskUsageEntry.create({ kind, ...count });
  return GetDiskUsageResponse.create({
    entries: [
      entry(DiskUsageKind.IMAGES, {
        total: shown.length,
        active: shown.filter((image) => image.users.length > 0).length,
        sizeBytes: images.layersBytes,
        reclaimableBytes: images.reclaimableBytes,
      }),
      entry(DiskUsageKind.CONTAINERS, await usage.containers()),
      entry(DiskUsageKind.VOLUMES, await usage.volumes()),
      entry(DiskUsageKind.BUILD_CACHE, {
        total: cached.length,
        active: 0,
        sizeBytes: images.buildCacheBytes,
        reclaimableBytes: images.buildCacheBytes,
      }),
    ],
    layersSizeBytes: images.layersBytes,
    images: shown.map(summaryMessage),
  });
}
