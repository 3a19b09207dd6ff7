import {
  badTar,
  type LongNames,
  type PaxRecords,
  parsePaxRecords,
  parseTarHeader,
  type RawTarHeader,
  TAR_BLOCK_BYTES,
  type TarEntry,
  tarEntry,
} from './tar-header.ts';

/** Of an extended header or a long name. */
const SPECIAL_BYTES_MAX = 1024 * 1024;

export type TarEvent =
  | { readonly kind: 'entry'; readonly entry: TarEntry }
  /** A piece of the last entry's content; valid until the next push. */
  | { readonly kind: 'content'; readonly bytes: Buffer }
  /** All content of the last entry has come. */
  | { readonly kind: 'entry-end' };

export interface TarReaderLimits {
  readonly entriesMax: number;
}

type State =
  | { readonly kind: 'header' }
  /** Content of a member; then padding. */
  | { readonly kind: 'content'; readonly sizeBytes: number }
  /** A long name or an extended header, collected. */
  | { readonly kind: 'special'; readonly flag: string; readonly sizeBytes: number }
  | { readonly kind: 'padding' }
  /** After the first of the two blocks of zeros. */
  | { readonly kind: 'closing' }
  | { readonly kind: 'ended' };

function isZero(bytes: Buffer): boolean {
  for (const byte of bytes) if (byte !== 0) return false;
  return true;
}

/**
 * Takes a tar archive in pieces of any size and says what is in it, in constant memory and in one pass. Throws
 * SwarmError `image-invalid` at the first thing that is not right; the reader is of no use then.
 */
export class TarReader {
  readonly #limits: TarReaderLimits;
  #state: State = { kind: 'header' };
  /** Bytes still to come of what the state is about; padding included in no other state than `padding`. */
  #remaining = TAR_BLOCK_BYTES;
  /** Invariant: shorter than one block, or than the special being collected. */
  #collected: Buffer[] = [];
  #entries = 0;
  #long: LongNames = { name: undefined, linkName: undefined };
  #pax: PaxRecords | undefined;

  constructor(limits: TarReaderLimits) {
    this.#limits = limits;
  }

  /** Whether the end mark has come. */
  get ended(): boolean {
    return this.#state.kind === 'ended';
  }

  /** To be iterated to the end before the next push. */
  *push(chunk: Buffer): Generator<TarEvent> {
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#state.kind === 'ended') {
        if (!isZero(rest)) throw badTar('there is something behind its end');
        return;
      }
      const part = rest.subarray(0, this.#remaining);
      rest = rest.subarray(part.length);
      this.#remaining -= part.length;
      if (this.#state.kind === 'content') yield { kind: 'content', bytes: part };
      // What is kept across pushes is copied: the chunk is the caller's.
      else if (this.#state.kind !== 'padding') this.#collected.push(this.#remaining === 0 ? part : Buffer.from(part));
      if (this.#remaining === 0) yield* this.#complete();
    }
  }

  /** To be called when the archive's last byte has been pushed. */
  finish(): void {
    const between = this.#state.kind === 'header' || this.#state.kind === 'closing';
    const complete = between && this.#remaining === TAR_BLOCK_BYTES && !this.#hasExtensions();
    if (!complete && this.#state.kind !== 'ended') throw badTar('it ends in the middle');
  }

  #hasExtensions(): boolean {
    return this.#pax !== undefined || this.#long.name !== undefined || this.#long.linkName !== undefined;
  }

  #take(): Buffer {
    const [only] = this.#collected;
    const bytes = this.#collected.length === 1 && only !== undefined ? only : Buffer.concat(this.#collected);
    this.#collected = [];
    return bytes;
  }

  #enter(state: State, remaining: number): void {
    this.#state = state;
    this.#remaining = remaining;
  }

  *#complete(): Generator<TarEvent> {
    const state = this.#state;
    switch (state.kind) {
      case 'header':
        yield* this.#onHeader(this.#take());
        break;
      case 'content':
        yield { kind: 'entry-end' };
        this.#pad(state.sizeBytes);
        break;
      case 'special':
        this.#onSpecial(state.flag, this.#take());
        this.#pad(state.sizeBytes);
        break;
      case 'padding':
        this.#enter({ kind: 'header' }, TAR_BLOCK_BYTES);
        break;
      case 'closing':
        if (!isZero(this.#take())) throw badTar('its end mark is broken');
        this.#enter({ kind: 'ended' }, 0);
        break;
      case 'ended':
        break;
    }
  }

  #pad(sizeBytes: number): void {
    const over = sizeBytes % TAR_BLOCK_BYTES;
    if (over === 0) this.#enter({ kind: 'header' }, TAR_BLOCK_BYTES);
    else this.#enter({ kind: 'padding' }, TAR_BLOCK_BYTES - over);
  }

  *#onHeader(block: Buffer): Generator<TarEvent> {
    if (isZero(block)) {
      if (this.#hasExtensions()) throw badTar('an extended header has no member');
      this.#enter({ kind: 'closing' }, TAR_BLOCK_BYTES);
      return;
    }
    this.#entries++;
    if (this.#entries > this.#limits.entriesMax) throw badTar(`it has more than ${this.#limits.entriesMax} members`);
    const header = parseTarHeader(block);
    if ('xgLK'.includes(header.typeFlag)) {
      this.#startSpecial(header);
      return;
    }
    const entry = tarEntry(header, this.#long, this.#pax);
    this.#long = { name: undefined, linkName: undefined };
    this.#pax = undefined;
    yield { kind: 'entry', entry };
    if (entry.sizeBytes > 0) {
      this.#enter({ kind: 'content', sizeBytes: entry.sizeBytes }, entry.sizeBytes);
      return;
    }
    yield { kind: 'entry-end' };
    this.#pad(0);
  }

  #startSpecial(header: RawTarHeader): void {
    const { typeFlag: flag, sizeBytes } = header;
    if (sizeBytes === 0 || sizeBytes > SPECIAL_BYTES_MAX)
      throw badTar(`an extended header of ${sizeBytes} bytes (at most ${SPECIAL_BYTES_MAX})`);
    this.#enter({ kind: 'special', flag, sizeBytes }, sizeBytes);
  }

  #onSpecial(flag: string, content: Buffer): void {
    switch (flag) {
      case 'x':
        if (this.#pax !== undefined) throw badTar('two extended headers for one member');
        this.#pax = parsePaxRecords(content);
        return;
      case 'L':
        if (this.#long.name !== undefined) throw badTar('two long names for one member');
        this.#long = { ...this.#long, name: untilZero(content) };
        return;
      case 'K':
        if (this.#long.linkName !== undefined) throw badTar('two long link targets for one member');
        this.#long = { ...this.#long, linkName: untilZero(content) };
        return;
      default:
        // Records for all members that follow: what unpacks images ignores them, so we do.
        return;
    }
  }
}

function untilZero(content: Buffer): string {
  const end = content.indexOf(0);
  return content.toString('latin1', 0, end === -1 ? content.length : end);
}
