/** Second pass over an archive: every layer is read once, and is what its image says it is. */
import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { TarReader } from '#common/system/tar-reader.ts';
import type { ArchiveLimits } from '../config.ts';
import { cancelledError, invalidImage } from './archive-error.ts';
import { LayerPolicy } from './layer-policy.ts';
import type { SpooledArchive, SpooledMember } from './spool.ts';
import { type BombGuard, unpack } from './unpack.ts';

/** How much is looked at before others get their turn on the event loop: under a millisecond's work. */
const SLICE_BYTES = 512 * 1024;

export interface VerifiedLayer {
  /** Digest of the layer as it lies in the archive. */
  readonly digest: string;
  /** Digest of the tar inside. */
  readonly diffId: string;
  readonly entries: number;
}

export interface LayerCheck {
  readonly limits: ArchiveLimits;
  readonly allowDeviceNodes: boolean;
  readonly signal: AbortSignal;
  /** Of the whole image. */
  readonly guard: BombGuard;
  /** Members that this layer may still have. */
  readonly entriesMax: number;
}

/** @throws SwarmError `image-invalid` for anything that a layer must not be or contain. */
export async function verifyLayer(
  archive: SpooledArchive,
  member: SpooledMember,
  check: LayerCheck,
): Promise<VerifiedLayer> {
  const packed = createHash('sha256');
  const unpacked = createHash('sha256');
  const policy = new LayerPolicy(check.allowDeviceNodes);
  const reader = new TarReader({ entriesMax: check.entriesMax });
  let entries = 0;
  async function* hashed(): AsyncGenerator<Buffer> {
    for await (const piece of archive.read(member)) {
      packed.update(piece);
      yield piece;
    }
  }
  let sliceBytes = 0;
  for await (const piece of unpack(hashed(), check.guard)) {
    if (check.signal.aborted) throw cancelledError('loading the image');
    unpacked.update(piece);
    for (const event of reader.push(piece)) {
      if (event.kind !== 'entry') continue;
      entries++;
      policy.check(event.entry);
    }
    sliceBytes += piece.length;
    if (sliceBytes < SLICE_BYTES) continue;
    sliceBytes = 0;
    await nextTurn();
  }
  reader.finish();
  return { digest: `sha256:${packed.digest('hex')}`, diffId: `sha256:${unpacked.digest('hex')}`, entries };
}

/** Hashes a member without looking inside. */
export async function digestOf(archive: SpooledArchive, member: SpooledMember): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of archive.read(member)) hash.update(piece);
  return `sha256:${hash.digest('hex')}`;
}

/** Checks the layers of images, each layer once however many images share it. */
export class LayerVerifier {
  readonly #archive: SpooledArchive;
  readonly #known = new Map<string, VerifiedLayer>();

  constructor(archive: SpooledArchive) {
    this.#archive = archive;
  }

  /**
   * @param layers the lowest first, as many as `diffIds`.
   * @throws SwarmError `image-invalid` when a layer is missing, is not allowed, or is not what its diff id says.
   */
  async verify(
    layers: readonly (SpooledMember & { readonly name: string })[],
    diffIds: readonly string[],
    check: Omit<LayerCheck, 'entriesMax'>,
  ): Promise<readonly VerifiedLayer[]> {
    const verified: VerifiedLayer[] = [];
    let entries = 0;
    for (const [index, member] of layers.entries()) {
      const entriesMax = Math.max(1, check.limits.entriesMax - entries);
      const layer =
        this.#known.get(member.name) ?? (await verifyLayer(this.#archive, member, { ...check, entriesMax }));
      this.#known.set(member.name, layer);
      entries += layer.entries;
      if (layer.diffId !== diffIds[index])
        throw invalidImage(
          `layer ${member.name} has the digest ${layer.diffId}, but the config says ${diffIds[index]}`,
        );
      const claimed = /^blobs\/sha256\/([a-f0-9]{64})$/.exec(member.name)?.[1];
      if (claimed !== undefined && layer.digest !== `sha256:${claimed}`)
        throw invalidImage(`the blob sha256:${claimed} has the digest ${layer.digest}`);
      verified.push(layer);
    }
    return verified;
  }
}
