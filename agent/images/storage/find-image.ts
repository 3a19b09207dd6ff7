import { SwarmError } from '#common/errors.ts';
import {
  canonicalName,
  canonicalRepository,
  type ImageReference,
  isDigest,
  isImageId,
  parseImageReference,
  withDefaultTag,
} from '#common/image-reference.ts';
import type { StoredImage, StoreView } from './store-index.ts';

export function imageNotFound(reference: string): SwarmError {
  return new SwarmError({
    code: 'not-found',
    reason: 'image-not-found',
    message: `No such image: ${reference}`,
    hint: 'see what is there with `swarm image ls`',
  });
}

/** The image that a parsed reference names. What a digest names is found under any tag of the same repository. */
export function findByReference(view: StoreView, reference: ImageReference): StoredImage | undefined {
  const { digest } = reference;
  if (digest === undefined) return view.images.get(view.byName.get(canonicalName(withDefaultTag(reference))) ?? '');
  const pinned = view.images.get(view.byName.get(canonicalName({ ...reference, tag: undefined })) ?? '');
  if (pinned !== undefined) return pinned;
  const repository = canonicalRepository(reference);
  for (const image of view.images.values())
    if (image.digest === digest && image.names.some((name) => canonicalRepository(name) === repository)) return image;
  return undefined;
}

function findById(view: StoreView, text: string): StoredImage | undefined {
  const prefix = text.startsWith('sha256:') ? text.slice('sha256:'.length) : text;
  if (isImageId(prefix)) return view.images.get(prefix);
  if (!/^[a-f0-9]+$/.test(prefix)) return undefined;
  const found = [...view.images.values()].filter((image) => image.id.startsWith(prefix));
  if (found.length > 1)
    throw new SwarmError({
      code: 'invalid',
      reason: 'ambiguous-prefix',
      message: `${found.length} images have an id that begins with ${prefix}`,
      hint: 'give more digits of the id',
    });
  return found[0];
}

/**
 * The image that a task runs: by name, by name and digest, or by whole id. Never by a prefix, which any short name that
 * looks like hexadecimal digits could be.
 * @throws SwarmError `bad-reference`
 */
export function findExact(view: StoreView, text: string): StoredImage | undefined {
  if (isDigest(text) || isImageId(text)) return findById(view, text);
  const parsed = parseImageReference(text);
  if (!parsed.ok) throw parsed.error;
  return findByReference(view, parsed.value);
}

/**
 * The image that a user means: by name, by name and digest, by id, by a unique prefix of an id; in this order.
 * @throws SwarmError `image-not-found`, `bad-reference` or `ambiguous-prefix`
 */
export function findImage(view: StoreView, text: string): StoredImage {
  if (isDigest(text) || isImageId(text)) {
    const image = findById(view, text);
    if (image === undefined) throw imageNotFound(text);
    return image;
  }
  const parsed = parseImageReference(text);
  if (!parsed.ok) throw parsed.error;
  const image = findByReference(view, parsed.value) ?? findById(view, text);
  if (image === undefined) throw imageNotFound(text);
  return image;
}
