/** Manifests and indexes as registries serve them. */
import { createHash } from 'node:crypto';
import { isDigest } from '#common/image-reference.ts';
import { JsonReader } from '../json.ts';

export const INDEX_TYPES: readonly string[] = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
];
export const MANIFEST_TYPES: readonly string[] = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
];
/** What is asked for. The signed manifests of version 1 are gone from registries and from Docker. */
export const MANIFEST_ACCEPT = [...INDEX_TYPES, ...MANIFEST_TYPES].join(', ');
/** An index of every platform and attestation that there is stays far below. */
const MANIFESTS_MAX = 1000;
const LAYERS_MAX = 1000;

export interface ImagePlatform {
  readonly os: string;
  readonly architecture: string;
}

export interface ManifestLayer {
  readonly digest: string;
  /** Compressed. */
  readonly sizeBytes: number;
}

export type RegistryDocument =
  | {
      readonly kind: 'index';
      readonly digest: string;
      readonly manifests: readonly { readonly digest: string; readonly platform: ImagePlatform | undefined }[];
    }
  | {
      readonly kind: 'manifest';
      readonly digest: string;
      readonly config: ManifestLayer;
      readonly layers: readonly ManifestLayer[];
    };

export function digestOfBytes(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

function readLayer(reader: JsonReader, value: unknown, field: string): ManifestLayer {
  const entry = reader.object(value, field);
  const digest = reader.text(entry['digest'], `${field}.digest`);
  if (!isDigest(digest)) throw reader.fail(`${field} has no sha256 digest`);
  return { digest, sizeBytes: Math.max(0, reader.integer(entry['size'], `${field}.size`)) };
}

function readPlatform(reader: JsonReader, value: unknown): ImagePlatform | undefined {
  const entry = reader.optionalObject(value, 'platform');
  if (entry === undefined) return undefined;
  const platform = {
    os: reader.text(entry['os'], 'os'),
    architecture: reader.text(entry['architecture'], 'architecture'),
  };
  // How build tools mark what is no image, such as attestations.
  return platform.os === 'unknown' || platform.os === '' ? undefined : platform;
}

/**
 * @param contentType of the answer. The document must not claim to be anything else.
 * @throws SwarmError `image-invalid`
 */
export function parseRegistryDocument(body: Buffer, contentType: string, what: string): RegistryDocument {
  const reader = new JsonReader(what);
  const document = reader.object(reader.parse(body.toString('utf8')), 'its manifest');
  const served = contentType.split(';', 1)[0]?.trim() ?? '';
  const declared = reader.text(document['mediaType'], 'mediaType') || served;
  if (declared !== served) throw reader.fail(`the registry serves it as ${served}, but it says that it is ${declared}`);
  const digest = digestOfBytes(body);
  if (INDEX_TYPES.includes(served)) {
    if (document['layers'] !== undefined || document['config'] !== undefined)
      throw reader.fail('it is an index and a manifest in one');
    const manifests = reader.list(document['manifests'], 'manifests', MANIFESTS_MAX).map((value) => ({
      digest: readLayer(reader, value, 'manifests').digest,
      platform: readPlatform(reader, reader.object(value, 'manifests')['platform']),
    }));
    return { kind: 'index', digest, manifests };
  }
  if (!MANIFEST_TYPES.includes(served))
    throw reader.fail(`it is of the unsupported type ${JSON.stringify(served.slice(0, 100))}`);
  if (document['manifests'] !== undefined || document['fsLayers'] !== undefined)
    throw reader.fail('it is a manifest and an index in one');
  return {
    kind: 'manifest',
    digest,
    config: readLayer(reader, document['config'], 'config'),
    layers: reader.list(document['layers'], 'layers', LAYERS_MAX).map((value) => readLayer(reader, value, 'layers')),
  };
}
