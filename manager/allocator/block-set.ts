/** Blocks of addresses that are in use, in the order of their beginnings. */
import { type IpFamily, type IpPrefix, prefixAt, prefixesOverlap } from '#common/ip.ts';

/** A subnet that a network has, one that it only asks for, or the address of a node. */
export type BlockKind = 'network' | 'declared' | 'node';

export interface Block {
  readonly prefix: IpPrefix;
  readonly kind: BlockKind;
  readonly owner: string;
}

export class BlockSet {
  readonly #blocks: Readonly<Record<IpFamily, Block[]>> = { 4: [], 6: [] };

  get isEmpty(): boolean {
    return this.#blocks[4].length === 0 && this.#blocks[6].length === 0;
  }

  add(prefix: IpPrefix, kind: BlockKind, owner: string): void {
    const blocks = this.#blocks[prefix.family];
    blocks.splice(placeOf(blocks, prefix.first), 0, { prefix, kind, owner });
  }

  /** Takes one such block out, if there is one. */
  remove(prefix: IpPrefix, kind: BlockKind, owner: string): void {
    const blocks = this.#blocks[prefix.family];
    for (let place = placeOf(blocks, prefix.first); place < blocks.length; place++) {
      const block = blocks[place];
      if (block === undefined || block.prefix.first !== prefix.first) return;
      if (block.owner !== owner || block.kind !== kind || block.prefix.length !== prefix.length) continue;
      blocks.splice(place, 1);
      return;
    }
  }

  /** Another network that has addresses of the prefix. */
  overlapping(prefix: IpPrefix, owner: string, counts: (owner: string) => boolean): Block | undefined {
    return this.#blocks[prefix.family].find(
      (block) =>
        block.kind === 'network' &&
        block.owner !== owner &&
        prefixesOverlap(block.prefix, prefix) &&
        counts(block.owner),
    );
  }

  /** The first block of this size in the pool, from an address on, of which nothing is in use. */
  firstFree(pool: IpPrefix, length: number, from: bigint): IpPrefix | undefined {
    const { family } = pool;
    if (length < pool.length || from > pool.last) return undefined;
    let candidate = prefixAt({ family, value: from }, length);
    if (candidate.first < from) candidate = prefixAt({ family, value: candidate.last + 1n }, length);
    for (const { prefix } of this.#blocks[family]) {
      if (prefix.first > candidate.last) break;
      if (prefix.last < candidate.first) continue;
      candidate = prefixAt({ family, value: prefixAt({ family, value: prefix.last }, length).last + 1n }, length);
      if (candidate.first > pool.last) return undefined;
    }
    return candidate.last <= pool.last ? candidate : undefined;
  }
}

/** Before all that begin there. */
function placeOf(blocks: readonly Block[], first: bigint): number {
  let low = 0;
  let high = blocks.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((blocks[middle]?.prefix.first ?? 0n) < first) low = middle + 1;
    else high = middle;
  }
  return low;
}
