/**
 * Enough of Docker's Engine API for the docker CLI to print what it prints of images and builds. Used only to record the
 * reference, never by tests.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { SwarmError } from '#common/errors.ts';
import { encodeJson } from '#common/template/encode-json.ts';
import type { Image } from '#gen/swarm/v1/images.ts';
import { imageId, imageShape } from '#src/docker-shape/from-images.ts';
import { IMAGE } from '#src/docker-shape/image-types.ts';
import { checkReference, DIGEST, IDS, images, inspectedImage, REMOVAL } from '../image-fixture.ts';

const HEADERS = { 'Content-Type': 'application/json', 'Api-Version': '1.50', Ostype: 'linux' };

export interface Build {
  readonly dockerfile: string;
  readonly context: Uint8Array;
}

export class FakeImageEngine {
  readonly server: Server;
  /** The last one that was asked for. */
  build: Build | undefined;

  constructor() {
    this.server = createServer((request, response) => {
      this.#serve(request, response).catch((thrown: unknown) => fail(response, thrown));
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const url = new URL(request.url ?? '', 'http://engine');
    const path = url.pathname.replace(/^\/v[\d.]+/, '');
    const text = this.#answer(request.method ?? 'GET', path, url.searchParams, Buffer.concat(chunks));
    response.writeHead(200, HEADERS);
    response.end(request.method === 'HEAD' ? undefined : text);
  }

  #answer(method: string, path: string, query: URLSearchParams, body: Buffer): string {
    if (path === '/_ping') return 'OK';
    if (path === '/build') {
      this.build = { dockerfile: query.get('dockerfile') ?? '', context: body };
      return JSON.stringify({ aux: { ID: imageId(IDS.web) } });
    }
    if (path === '/system/df') return USAGE_JSON;
    if (path === '/images/json') {
      const isNothing = (query.get('filters') ?? '').includes('nothing');
      return JSON.stringify(isNothing ? [] : images(Date.now()).map(summary));
    }
    if (path === '/images/load') return LOADED_JSON;
    if (path === '/images/create') return pull(query);
    if (path === '/images/prune') return JSON.stringify({ ImagesDeleted: REMOVED, SpaceReclaimed: 123_456_789 });
    return image(method, path);
  }
}

const REMOVED = [
  ...REMOVAL.untagged.map((Untagged) => ({ Untagged })),
  ...REMOVAL.deleted.map((id) => ({ Deleted: imageId(id) })),
];

const LOADED_JSON = [
  JSON.stringify({ stream: 'Loaded image: localhost/a:1\n' }),
  JSON.stringify({ stream: `Loaded image ID: ${imageId(IDS.dangling)}\n` }),
].join('\n');

/** The numbers of the fixture's usage, as Docker would have to be told them. */
const USAGE_JSON = JSON.stringify({
  LayersSize: 130_000_000,
  Images: [
    { Id: 'a', Size: 4_300_123, SharedSize: 0, Containers: 1 },
    { Id: 'b', Size: 123_456_789, SharedSize: 0, Containers: 0 },
  ],
  Containers: [
    { Id: 'x', State: 'running', SizeRw: 1000 },
    { Id: 'y', State: 'exited', SizeRw: 3000 },
  ],
  Volumes: [
    { Name: 'v', UsageData: { RefCount: 1, Size: 100 } },
    { Name: 'w', UsageData: { RefCount: 0, Size: 200 } },
  ],
  BuildCache: [{ ID: 'z', InUse: false, Size: 777 }],
});

function summary(image: Image): object {
  return {
    Id: imageId(image.id),
    ParentId: '',
    RepoTags: image.repoTags,
    RepoDigests: image.repoDigests,
    Created: Math.floor(image.createdAtMs / 1000),
    Size: image.sizeBytes,
    SharedSize: -1,
    Containers: -1,
    Labels: image.labels,
  };
}

function pull(query: URLSearchParams): string {
  const name = query.get('fromImage') ?? '';
  const tag = query.get('tag') ?? '';
  const reference = tag.startsWith('sha256:') ? `${name}@${tag}` : `${name}:${tag}`;
  checkReference(reference);
  const layer = 'e'.repeat(12);
  return [
    { status: 'Pulling from team/web', id: tag.startsWith('sha256:') ? reference : tag },
    { status: 'Pulling fs layer', progressDetail: {}, id: layer },
    { status: 'Pull complete', progressDetail: {}, id: layer },
    { status: `Digest: ${DIGEST}` },
    { status: `Status: Downloaded newer image for ${reference}` },
  ]
    .map((event) => JSON.stringify(event))
    .join('\n');
}

function image(method: string, path: string): string {
  const [, reference = '', verb] = /^\/images\/(.*?)(?:\/(json|tag))?$/.exec(path) ?? [];
  checkReference(reference, method === 'DELETE');
  if (method === 'DELETE') return JSON.stringify(REMOVED);
  return verb === 'json' ? encodeJson(IMAGE, imageShape(inspectedImage())) : '';
}

function fail(response: ServerResponse, thrown: unknown): void {
  const error = SwarmError.from(thrown);
  response.writeHead(error.code === 'not-found' ? 404 : 409, HEADERS);
  response.end(JSON.stringify({ message: error.message }));
}
