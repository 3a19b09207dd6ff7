/** The fixture's images behind the real server, on a real socket, for the real client. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '#common/log.ts';
import {
  BuildImageResponse,
  type BuildOptions,
  GetDiskUsageResponse,
  ImageService,
  InspectImageResponse,
  type ListImagesRequest,
  ListImagesResponse,
  LoadedImage,
  LoadImageResponse,
  type PruneImagesRequest,
  PruneImagesResponse,
  type PullImageRequest,
  PullImageResponse,
  PullPhase,
  type PullProgress,
  PullProgress as PullProgressMessage,
  PullResult,
  RemoveImageResponse,
  ResolveImageResponse,
  TagImageResponse,
} from '#gen/swarm/v1/images.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import { RpcServer } from '#proto/grpc/server.ts';
import { connectLocal } from '#src/client/local.ts';
import type { SwarmClient } from '#src/client/swarm-client.ts';
import { NOW_MS } from '../support/run-cli.ts';
import { checkReference, DIGEST, IDS, images, inspectedImage, REMOVAL, USAGE } from './image-fixture.ts';

/** What the daemon was asked. */
export interface Asked {
  readonly lists: ListImagesRequest[];
  readonly pulls: PullImageRequest[];
  readonly prunes: PruneImagesRequest[];
  readonly removals: { readonly reference: string; readonly force: boolean }[];
  readonly tags: { readonly source: string; readonly target: string }[];
  readonly builds: BuildOptions[];
  /** Sizes of the chunks that were sent to load or build. */
  readonly chunkBytes: number[];
  /** The bytes of the last upload, as long as they are few. */
  received: Buffer;
}

export interface FakeImageDaemon {
  readonly images: SwarmClient['images'];
  readonly asked: Asked;
  close(): Promise<void>;
}

export interface FakeOptions {
  readonly loaded?: readonly LoadedImage[];
  /** Lines of a build before its end. */
  readonly buildLines?: readonly string[];
  readonly buildError?: Error;
  readonly upToDate?: boolean;
  readonly pullProgress?: readonly Partial<PullProgress>[];
}

const RECEIVED_MAX = 4 * 1024 * 1024;

export const PULL_PROGRESS: readonly Partial<PullProgress>[] = [
  { phase: PullPhase.RESOLVING, message: 'asking localhost:5000' },
  { phase: PullPhase.LAYER_WAITING, layer: `sha256:${'e'.repeat(64)}` },
  { phase: PullPhase.LAYER_COMPLETE, layer: `sha256:${'e'.repeat(64)}` },
];

export async function startFakeImageDaemon(options: FakeOptions = {}): Promise<FakeImageDaemon> {
  const asked: Asked = {
    lists: [],
    pulls: [],
    prunes: [],
    removals: [],
    tags: [],
    builds: [],
    chunkBytes: [],
    received: Buffer.alloc(0),
  };
  const directory = await mkdtemp(join(tmpdir(), 'swarm-cli-image-'));
  const server = new RpcServer({ trust: { kind: 'local' }, logger: silentLogger });
  server.addService(ImageService, handlers(asked, options));
  const socket = join(directory, 'swarm.sock');
  await server.listenSocket(socket);
  const client = connectLocal(socket);
  return {
    images: client.images,
    asked,
    close: async () => {
      client.close();
      await server.close();
      await rm(directory, { recursive: true });
    },
  };
}

function handlers(asked: Asked, options: FakeOptions): Handlers<typeof ImageService> {
  const take = (chunk: Uint8Array): void => {
    asked.chunkBytes.push(chunk.length);
    if (asked.received.length < RECEIVED_MAX) asked.received = Buffer.concat([asked.received, chunk]);
  };
  return {
    loadImage: async (requests) => {
      for await (const { chunk } of requests) take(chunk);
      return LoadImageResponse.create({ images: options.loaded ?? [] });
    },
    pullImage: async function* (request) {
      asked.pulls.push(request);
      checkReference(request.reference);
      for (const value of options.pullProgress ?? PULL_PROGRESS)
        yield PullImageResponse.create({ event: { kind: 'progress', value: PullProgressMessage.create(value) } });
      const value = PullResult.create({
        id: IDS.web,
        digest: DIGEST,
        name: request.reference,
        upToDate: options.upToDate ?? false,
      });
      yield PullImageResponse.create({ event: { kind: 'result', value } });
    },
    buildImage: async function* (requests) {
      for await (const { part } of requests) {
        if (part?.kind === 'options') asked.builds.push(part.value);
        if (part?.kind === 'chunk') take(part.value);
      }
      for (const value of options.buildLines ?? []) yield BuildImageResponse.create({ event: { kind: 'line', value } });
      if (options.buildError !== undefined) throw options.buildError;
      yield BuildImageResponse.create({ event: { kind: 'imageId', value: IDS.web } });
    },
    listImages: async function* (request) {
      asked.lists.push(request);
      const [first, ...others] = images(NOW_MS);
      if (first === undefined) return;
      // Two pages.
      yield ListImagesResponse.create({ images: [first] });
      yield ListImagesResponse.create({ images: others });
    },
    inspectImage: async ({ reference }) => {
      checkReference(reference);
      return InspectImageResponse.create({ image: inspectedImage() });
    },
    tagImage: async (request) => {
      asked.tags.push(request);
      checkReference(request.source);
      return TagImageResponse.create();
    },
    removeImage: async (request) => {
      asked.removals.push(request);
      checkReference(request.reference, true);
      return RemoveImageResponse.create({ removal: REMOVAL });
    },
    pruneImages: async (request) => {
      asked.prunes.push(request);
      return PruneImagesResponse.create({ removal: REMOVAL });
    },
    resolveImage: async () => ResolveImageResponse.create(),
    getDiskUsage: async () => GetDiskUsageResponse.create({ entries: USAGE }),
  };
}
