/** Which numbers of up to 128 bits are taken: a bitmap of which only the pages with something on them exist. */

const PAGE_BITS = 10n;
const PAGE_SIZE = 1 << Number(PAGE_BITS);
const PAGE_MASK = BigInt(PAGE_SIZE - 1);

interface Page {
  readonly words: Uint32Array;
  /** Bits that are set. Invariant: a page without any is not kept. */
  count: number;
}

export class AddressBits {
  readonly #pages = new Map<bigint, Page>();

  get isEmpty(): boolean {
    return this.#pages.size === 0;
  }

  set(value: bigint): void {
    const key = value >> PAGE_BITS;
    let page = this.#pages.get(key);
    if (page === undefined) {
      page = { words: new Uint32Array(PAGE_SIZE / 32), count: 0 };
      this.#pages.set(key, page);
    }
    const bit = Number(value & PAGE_MASK);
    const word = page.words[bit >> 5] ?? 0;
    const mask = 1 << (bit & 31);
    if ((word & mask) !== 0) return;
    page.words[bit >> 5] = word | mask;
    page.count++;
  }

  clear(value: bigint): void {
    const key = value >> PAGE_BITS;
    const page = this.#pages.get(key);
    if (page === undefined) return;
    const bit = Number(value & PAGE_MASK);
    const word = page.words[bit >> 5] ?? 0;
    const mask = 1 << (bit & 31);
    if ((word & mask) === 0) return;
    page.words[bit >> 5] = word & ~mask;
    page.count--;
    if (page.count === 0) this.#pages.delete(key);
  }

  /** The lowest number from `first` to `last` that is not taken. */
  firstFree(first: bigint, last: bigint): bigint | undefined {
    for (let value = first; value <= last; value = ((value >> PAGE_BITS) + 1n) << PAGE_BITS) {
      const page = this.#pages.get(value >> PAGE_BITS);
      if (page === undefined) return value;
      if (page.count === PAGE_SIZE) continue;
      const free = freeBit(page.words, Number(value & PAGE_MASK));
      if (free === undefined) continue;
      const found = ((value >> PAGE_BITS) << PAGE_BITS) + BigInt(free);
      return found <= last ? found : undefined;
    }
    return undefined;
  }

  /** How many from `first` to `last` are taken. */
  count(first: bigint, last: bigint): number {
    if (last < first) return 0;
    const [from, to] = [first >> PAGE_BITS, last >> PAGE_BITS];
    let total = 0;
    if (to - from < BigInt(this.#pages.size)) {
      for (let key = from; key <= to; key++) total += countIn(this.#pages.get(key), key, first, last);
    } else {
      for (const [key, page] of this.#pages) if (from <= key && key <= to) total += countIn(page, key, first, last);
    }
    return total;
  }
}

function freeBit(words: Uint32Array, from: number): number | undefined {
  for (let index = from >> 5; index < words.length; index++) {
    let free = ~(words[index] ?? 0);
    if (index === from >> 5) free &= -1 << (from & 31);
    if (free !== 0) return index * 32 + 31 - Math.clz32(free & -free);
  }
  return undefined;
}

function countIn(page: Page | undefined, key: bigint, first: bigint, last: bigint): number {
  if (page === undefined) return 0;
  const low = key << PAGE_BITS;
  const high = low + PAGE_MASK;
  if (first <= low && high <= last) return page.count;
  const from = Number((first > low ? first : low) & PAGE_MASK);
  const to = Number((last < high ? last : high) & PAGE_MASK);
  let total = 0;
  for (let bit = from; bit <= to; bit++) if (((page.words[bit >> 5] ?? 0) & (1 << (bit & 31))) !== 0) total++;
  return total;
}
