import type { ImageConfig } from './image-config.ts';

/** An image on this node, with all that running it takes. */
export interface ResolvedImage {
  /** 64 hexadecimal digits. */
  readonly id: string;
  /** Directories for the overlay mount, the topmost first. */
  readonly layers: readonly string[];
  readonly config: ImageConfig;
  /** name@sha256:... as people write it: what registries know it as. */
  readonly repoDigests: readonly string[];
  /** "amd64", "arm64", "386", ...; empty when the image does not say. */
  readonly architecture: string;
  readonly os: string;
}
