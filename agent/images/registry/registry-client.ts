/** What a reference stands for on its registry: asked before a pull, and before a service is created. */
import { SwarmError } from '#common/errors.ts';
import { familiarName, type ImageReference, withDefaultTag } from '#common/image-reference.ts';
import type { RegistryCredential } from '#common/system/registry-auth.ts';
import { JsonReader } from '../json.ts';
import { parseImageDocument } from '../storage/image-config.ts';
import { HttpClient } from './http.ts';
import {
  digestOfBytes,
  type ImagePlatform,
  MANIFEST_ACCEPT,
  type ManifestLayer,
  parseRegistryDocument,
  type RegistryDocument,
} from './manifest.ts';
import type { RegistryAccess } from './registry-access.ts';
import { RegistrySession } from './registry-session.ts';

export interface RegistryClientOptions {
  readonly access: RegistryAccess;
  /** Proxies. */
  readonly environment: Readonly<Record<string, string>>;
  readonly requestTimeoutMs: number;
  /** Of manifests and configs. */
  readonly documentBytesMax: number;
}

export interface RegistryQuery {
  readonly reference: ImageReference;
  readonly credential: RegistryCredential | undefined;
  readonly signal: AbortSignal;
}

export interface ResolvedReference {
  /** Of the index or manifest that the reference names. */
  readonly digest: string;
  /** Those that it can be run on. */
  readonly platforms: readonly ImagePlatform[];
}

export interface PullPlan {
  readonly digest: string;
  /** Of the image for the wanted platform. */
  readonly layers: readonly ManifestLayer[];
}

export class RegistryClient {
  readonly #options: RegistryClientOptions;

  constructor(options: RegistryClientOptions) {
    this.#options = options;
  }

  /** Digest and platforms. Throws as `RegistrySession.get`, and `image-invalid` for what is not an image. */
  async resolve(query: RegistryQuery): Promise<ResolvedReference> {
    return this.#converse(query, async (session, document) => {
      if (document.kind === 'manifest')
        return { digest: document.digest, platforms: [await this.#platformOf(session, document.config, query)] };
      const platforms = document.manifests.flatMap(({ platform }) => (platform === undefined ? [] : [platform]));
      return { digest: document.digest, platforms };
    });
  }

  /** What pulling for the platform will fetch. Throws as `resolve`, and `image-not-found` when there is none for it. */
  async plan(query: RegistryQuery, wanted: ImagePlatform): Promise<PullPlan> {
    return this.#converse(query, async (session, document) => {
      const { digest } = document;
      const manifest =
        document.kind === 'manifest' ? document : await this.#manifestFor(session, document, wanted, query);
      return { digest, layers: manifest.layers };
    });
  }

  async #converse<T>(
    query: RegistryQuery,
    use: (session: RegistrySession, document: RegistryDocument) => Promise<T>,
  ): Promise<T> {
    const { access, environment, requestTimeoutMs } = this.#options;
    const host = query.reference.domain;
    const insecure = access.isInsecure(host);
    const http = new HttpClient({ certificates: await access.certificates(host), insecure }, environment);
    try {
      const session = new RegistrySession({ ...query, http, insecure, requestTimeoutMs });
      const { tag, digest } = withDefaultTag(query.reference);
      return await use(session, await this.#document(session, digest ?? tag ?? '', digest, query));
    } finally {
      http.close();
    }
  }

  async #document(
    session: RegistrySession,
    name: string,
    digest: string | undefined,
    query: RegistryQuery,
  ): Promise<RegistryDocument> {
    const what = familiarName(query.reference);
    const answer = await session.get({
      path: `manifests/${name}`,
      accept: MANIFEST_ACCEPT,
      bytesMax: this.#options.documentBytesMax,
    });
    const found = digestOfBytes(answer.body);
    const promised = digest ?? answer.headers['docker-content-digest'] ?? found;
    if (promised !== found) throw mismatch(what, promised, found);
    return parseRegistryDocument(answer.body, answer.headers['content-type'] ?? '', what);
  }

  async #manifestFor(
    session: RegistrySession,
    index: RegistryDocument & { readonly kind: 'index' },
    wanted: ImagePlatform,
    query: RegistryQuery,
  ): Promise<RegistryDocument & { readonly kind: 'manifest' }> {
    const entry = index.manifests.find(
      ({ platform }) => platform?.os === wanted.os && platform.architecture === wanted.architecture,
    );
    if (entry === undefined)
      throw new SwarmError({
        code: 'not-found',
        reason: 'image-not-found',
        message: `no matching manifest for ${wanted.os}/${wanted.architecture} in the manifest list entries of ${familiarName(query.reference)}`,
        hint: 'use an image that is built for this platform',
      });
    const document = await this.#document(session, entry.digest, entry.digest, query);
    if (document.kind === 'manifest') return document;
    throw new JsonReader(familiarName(query.reference)).fail('its index leads to another index');
  }

  async #platformOf(session: RegistrySession, config: ManifestLayer, query: RegistryQuery): Promise<ImagePlatform> {
    const what = familiarName(query.reference);
    const answer = await session.get({
      path: `blobs/${config.digest}`,
      accept: '*/*',
      bytesMax: this.#options.documentBytesMax,
    });
    const found = digestOfBytes(answer.body);
    if (found !== config.digest) throw mismatch(what, config.digest, found);
    const { os, architecture } = parseImageDocument(answer.body.toString('utf8'), what);
    return { os, architecture };
  }
}

function mismatch(what: string, promised: string, found: string): SwarmError {
  return new SwarmError({
    code: 'data-loss',
    reason: 'image-invalid',
    message: `${what}: the registry promised ${promised.slice(0, 100)} and delivered ${found}`,
    hint: 'somebody or something changes what the registry sends: do not use it before you know what',
  });
}
