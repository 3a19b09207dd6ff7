import type { Entry, Snapshot } from '../src/index.ts';

const FNV_PRIME = 16_777_619;
const FNV_START = 2_166_136_261;

/** A state machine whose whole state is a hash of everything applied to it, in order. */
export class HashMachine {
  applied = 0;
  hash = FNV_START;

  apply(entry: Entry): void {
    let hash = Math.imul(this.hash ^ entry.term, FNV_PRIME) ^ entry.index;
    for (const byte of entry.data) hash = Math.imul(hash ^ byte, FNV_PRIME);
    this.hash = hash >>> 0;
    this.applied = entry.index;
  }

  data(): Uint8Array {
    return Uint8Array.of(this.hash >>> 24, (this.hash >>> 16) & 255, (this.hash >>> 8) & 255, this.hash & 255);
  }

  restore(snapshot: Snapshot): void {
    const [a = 0, b = 0, c = 0, d = 0] = snapshot.data;
    this.hash = snapshot.data.length === 4 ? ((a << 24) | (b << 16) | (c << 8) | d) >>> 0 : FNV_START;
    this.applied = snapshot.index;
  }
}
