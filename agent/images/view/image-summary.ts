import type { ImageReference } from '#common/image-reference.ts';
import { type ImageDocument, timeOf } from '../storage/image-config.ts';
import { isIntermediate } from '../storage/lineage.ts';
import { imageSizeBytes, type StoredImage } from '../storage/store-index.ts';
import type { StoreSurvey } from '../storage/store-survey.ts';

/** One image, as lists show it. */
export interface ImageSummary {
  readonly id: string;
  readonly names: readonly ImageReference[];
  /** Id of the image that it was built on here. */
  readonly parent: string | undefined;
  readonly createdAtMs: number;
  /** Of all layers, unpacked. */
  readonly sizeBytes: number;
  /** Who holds it. */
  readonly users: readonly string[];
  /** A nameless step of a build. */
  readonly intermediate: boolean;
  /** Undefined when its config cannot be read; the image is of no use then. */
  readonly document: ImageDocument | undefined;
}

export function summarize(
  image: StoredImage,
  survey: StoreSurvey,
  users: ReadonlyMap<string, readonly string[]>,
): ImageSummary {
  const document = survey.documents.get(image.id);
  return {
    id: image.id,
    names: image.names,
    parent: survey.lineage.parents.get(image.id),
    createdAtMs: timeOf(document?.created ?? ''),
    sizeBytes: imageSizeBytes(survey.view, image),
    users: users.get(image.id) ?? [],
    intermediate: isIntermediate(image, survey.lineage),
    document,
  };
}
