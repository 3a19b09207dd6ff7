import { randomBytes } from 'node:crypto';
import type { Random } from '../random.ts';

const POOL_BYTES = 4096;
let pool = randomBytes(POOL_BYTES);
let used = 0;

/** The kernel's randomness, 48 bits a draw: good enough for ids. */
export const systemRandom: Random = {
  next(): number {
    if (used + 6 > POOL_BYTES) {
      pool = randomBytes(POOL_BYTES);
      used = 0;
    }
    const value = pool.readUIntBE(used, 6) / 2 ** 48;
    used += 6;
    return value;
  },
};
