/** Answers of other servers, kept as long as they say and no longer than we want. Pure: the time is an argument. */

import { RCODE } from '../answer/wire.ts';
import type { ForwarderConfig } from '../config.ts';
import type { UpstreamAnswer } from './upstream-message.ts';

interface Kept {
  readonly answer: UpstreamAnswer;
  readonly sinceMs: number;
  readonly untilMs: number;
}

/** What an entry costs beside its message. */
const ENTRY_OVERHEAD_BYTES = 400;

function costOf(key: string, answer: UpstreamAnswer): number {
  return key.length + answer.message.length + 8 * answer.ttlOffsets.length + ENTRY_OVERHEAD_BYTES;
}

/** Invariant: at most `cacheEntries` and `cacheBytes`; the one that was not asked for the longest goes first. */
export class AnswerCache {
  readonly #config: ForwarderConfig;
  readonly #entries = new Map<string, Kept>();
  #bytes = 0;

  constructor(config: ForwarderConfig) {
    this.#config = config;
  }

  get size(): number {
    return this.#entries.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The answer and its age. */
  get(key: string, nowMs: number): { readonly answer: UpstreamAnswer; readonly ageSeconds: number } | undefined {
    const kept = this.#entries.get(key);
    if (kept === undefined) return undefined;
    this.#entries.delete(key);
    if (nowMs >= kept.untilMs) {
      this.#bytes -= costOf(key, kept.answer);
      return undefined;
    }
    this.#entries.set(key, kept);
    return { answer: kept.answer, ageSeconds: Math.floor((nowMs - kept.sinceMs) / 1000) };
  }

  /** Keeps what may be kept: an answer or a "no" with a lifetime, whole. */
  put(key: string, answer: UpstreamAnswer, nowMs: number): void {
    this.#remove(key);
    const { ttlSecondsMax, negativeTtlSecondsMax, cachedAnswerBytesMax, cacheEntries, cacheBytes } = this.#config;
    const ttl = Math.min(answer.ttlSeconds, answer.negative ? negativeTtlSecondsMax : ttlSecondsMax);
    const definite = answer.rcode === RCODE.NOERROR || answer.rcode === RCODE.NXDOMAIN;
    if (!definite || answer.truncated || ttl <= 0 || answer.message.length > cachedAnswerBytesMax) return;
    this.#entries.set(key, { answer, sinceMs: nowMs, untilMs: nowMs + ttl * 1000 });
    this.#bytes += costOf(key, answer);
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= cacheEntries && this.#bytes <= cacheBytes) break;
      this.#remove(oldest);
    }
  }

  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
  }

  #remove(key: string): void {
    const kept = this.#entries.get(key);
    if (kept === undefined) return;
    this.#entries.delete(key);
    this.#bytes -= costOf(key, kept.answer);
  }
}
