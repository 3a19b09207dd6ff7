/**
 * Reads the lists of containers/storage, the format that buildah keeps on disk, without starting buildah. They are
 * replaced by rename, so that a read sees the old or the new one, whole. Nothing here writes.
 */
import { readFile, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  canonicalName,
  type ImageReference,
  isDigest,
  isImageId,
  parseImageReference,
} from '#common/image-reference.ts';
import { JsonReader } from '../json.ts';
import { type ImageDocument, parseImageDocument } from './image-config.ts';

export interface StoredImage {
  /** 64 hexadecimal digits. */
  readonly id: string;
  /** Those that are references, as such; what else is in the list is not ours. */
  readonly names: readonly ImageReference[];
  /** Of the manifest as it is stored here; a registry's may differ. */
  readonly digest: string;
  /** Its highest layer; empty for an image without layers. */
  readonly layer: string;
}

export interface StoredLayer {
  readonly id: string;
  /** Empty for the lowest one. */
  readonly parent: string;
  /** Unpacked. */
  readonly sizeBytes: number;
}

/** Everything in the store at one time. */
export interface StoreView {
  readonly images: ReadonlyMap<string, StoredImage>;
  readonly layers: ReadonlyMap<string, StoredLayer>;
  /** Canonical name (with tag or with digest) -> image id. */
  readonly byName: ReadonlyMap<string, string>;
}

const IMAGES_MAX = 100_000;
const LAYERS_MAX = 1_000_000;
const LAYER_ID = /^[a-f0-9]{64}$/;
const LINK_NAME = /^l\/[A-Z0-9]{26}$/;

/** What tells whether a file was replaced: renaming gives it another inode, and time and size besides. */
async function fingerprint(path: string): Promise<string> {
  const found = await stat(path, { bigint: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  return found === undefined ? 'none' : `${found.ino}:${found.size}:${found.mtimeNs}`;
}

async function readList(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '[]';
    throw error;
  });
}

function parseImages(text: string): Map<string, StoredImage> {
  const reader = new JsonReader('the list of images');
  const images = new Map<string, StoredImage>();
  for (const value of reader.list(reader.parse(text), 'it', IMAGES_MAX)) {
    const entry = reader.object(value, 'an entry');
    const id = reader.text(entry['id'], 'id');
    // Other tools may keep records of other kinds; ours have the digest of their config as id.
    if (!isImageId(id)) continue;
    const names = reader.texts(entry['names'], 'names').flatMap((name) => {
      const parsed = parseImageReference(name);
      return parsed.ok ? [parsed.value] : [];
    });
    const layer = reader.text(entry['layer'], 'layer');
    if (layer !== '' && !LAYER_ID.test(layer)) continue;
    images.set(id, { id, names, digest: reader.text(entry['digest'], 'digest'), layer });
  }
  return images;
}

function parseLayers(text: string): Map<string, StoredLayer> {
  const reader = new JsonReader('the list of layers');
  const layers = new Map<string, StoredLayer>();
  for (const value of reader.list(reader.parse(text), 'it', LAYERS_MAX)) {
    const entry = reader.object(value, 'an entry');
    const id = reader.text(entry['id'], 'id');
    const parent = reader.text(entry['parent'], 'parent');
    if (!LAYER_ID.test(id) || (parent !== '' && !LAYER_ID.test(parent))) continue;
    layers.set(id, { id, parent, sizeBytes: Math.max(0, reader.integer(entry['diff-size'], 'diff-size')) });
  }
  return layers;
}

export class StoreIndex {
  readonly #root: string;
  #view: StoreView | undefined;
  #seen = '';
  #loading: Promise<void> | undefined;
  /** Configs never change: they are named by their digest. */
  readonly #documents = new Map<string, Promise<ImageDocument>>();
  /** Nor does the chain of a layer. */
  readonly #chains = new Map<string, Promise<readonly string[]>>();

  /** @param root of containers/storage: an absolute path. */
  constructor(root: string) {
    this.#root = root;
  }

  get #imagesFile(): string {
    return join(this.#root, 'overlay-images/images.json');
  }

  get #layersFile(): string {
    return join(this.#root, 'overlay-layers/layers.json');
  }

  /** What is in the store now: two calls of stat(2) while nothing changes. */
  async view(): Promise<StoreView> {
    for (;;) {
      const seen = `${await fingerprint(this.#imagesFile)} ${await fingerprint(this.#layersFile)}`;
      if (this.#view !== undefined && seen === this.#seen) return this.#view;
      // A load that began before the change that we have just seen may have missed it: look again after it.
      this.#loading ??= this.#load(seen).finally(() => {
        this.#loading = undefined;
      });
      await this.#loading;
    }
  }

  async #load(seen: string): Promise<void> {
    // An image's layers are written before the image: in this order none is missing.
    const images = parseImages(await readList(this.#imagesFile));
    const layers = parseLayers(await readList(this.#layersFile));
    const byName = new Map<string, string>();
    for (const image of images.values()) for (const name of image.names) byName.set(canonicalName(name), image.id);
    for (const id of this.#documents.keys()) if (!images.has(id)) this.#documents.delete(id);
    for (const id of this.#chains.keys()) if (!layers.has(id)) this.#chains.delete(id);
    this.#view = { images, layers, byName };
    this.#seen = seen;
  }

  /** @throws SwarmError `image-invalid` when the config is damaged. */
  document(id: string): Promise<ImageDocument> {
    return this.#remember(this.#documents, id, () => this.#readDocument(id));
  }

  async #readDocument(id: string): Promise<ImageDocument> {
    const key = Buffer.from(`sha256:${id}`).toString('base64');
    const path = join(this.#root, 'overlay-images', id, `=${key}`);
    return parseImageDocument(await readFile(path, 'utf8'), `image ${id.slice(0, 12)}`);
  }

  /** Directories of the layers, the highest first, as overlay mounts take them. Empty for an image without layers. */
  chain(layer: string): Promise<readonly string[]> {
    if (layer === '') return Promise.resolve([]);
    return this.#remember(this.#chains, layer, () => this.#readChain(layer));
  }

  async #readChain(layer: string): Promise<readonly string[]> {
    const overlay = join(this.#root, 'overlay');
    const link = await readFile(join(overlay, layer, 'link'), 'utf8');
    const lower = await readFile(join(overlay, layer, 'lower'), 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return '';
      throw error;
    });
    const names = [
      `l/${link.trim()}`,
      ...lower
        .trim()
        .split(':')
        .filter((name) => name !== ''),
    ];
    const reader = new JsonReader(`layer ${layer.slice(0, 12)}`);
    for (const name of names) {
      if (!LINK_NAME.test(name)) throw reader.fail(`${JSON.stringify(name)} is not the name of a layer`);
      // The link is what the mount follows; a dangling one would give an empty file system.
      await readlink(join(overlay, name)).catch((error: unknown) => {
        throw reader.fail(`the link ${name} is missing`, error);
      });
    }
    return names.map((name) => join(overlay, name));
  }

  async #remember<T>(cache: Map<string, Promise<T>>, key: string, read: () => Promise<T>): Promise<T> {
    const known = cache.get(key);
    if (known !== undefined) return known;
    const reading = read();
    cache.set(key, reading);
    // What failed is tried again next time.
    reading.catch(() => cache.delete(key));
    return reading;
  }

  /**
   * When the image came into this store, milliseconds since the epoch. Infinity for one that is not whole yet (the list
   * has it before its documents are written) or is gone.
   */
  async arrivedAt(id: string): Promise<number> {
    const found = await stat(
      join(this.#root, 'overlay-images', id, `=${Buffer.from(`sha256:${id}`).toString('base64')}`),
    ).catch(() => undefined);
    return found?.mtimeMs ?? Number.POSITIVE_INFINITY;
  }
}

/** Sum of an image's layers, unpacked. */
export function imageSizeBytes(view: StoreView, image: StoredImage): number {
  let sizeBytes = 0;
  for (const layer of layersOf(view, image)) sizeBytes += layer.sizeBytes;
  return sizeBytes;
}

/** The highest first. */
export function layersOf(view: StoreView, image: StoredImage): readonly StoredLayer[] {
  const layers: StoredLayer[] = [];
  let next = view.layers.get(image.layer);
  // The bound guards against a list that runs in a circle.
  while (next !== undefined && layers.length < 1000) {
    layers.push(next);
    next = next.parent === '' ? undefined : view.layers.get(next.parent);
  }
  return layers;
}

/** Whether a registry knows the image by this repository: it was pulled, not built or loaded here. */
export function repositoryDigests(image: StoredImage): readonly ImageReference[] {
  return image.names.filter((name) => name.digest !== undefined && isDigest(name.digest));
}
