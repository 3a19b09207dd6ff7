import type { SpooledMember } from './spool.ts';

/** One image of an archive, as its documents describe it. */
export interface ArchivedImage {
  /** Digest of its config, 64 hexadecimal digits: the id that it will have. */
  readonly id: string;
  /** name:tag, canonical. */
  readonly names: readonly string[];
  /** The lowest first, with the names that they have in the spooled file. */
  readonly layers: readonly (SpooledMember & { readonly name: string })[];
  /** What each layer has to be, once unpacked. As many as `layers`. */
  readonly diffIds: readonly string[];
  readonly transport: 'docker-archive' | 'oci-archive';
  /** The documents that make the spooled file an archive of this image alone. */
  readonly documents: Readonly<Record<string, string>>;
}
