import protobuf from 'protobufjs/minimal.js';

/**
 * Reader and writer of the protobuf wire format: those of protobufjs, made strict. What the generated code needs beyond
 * them is here: 64-bit integers as safe numbers, bounds of nested messages, limits against hostile input, strings that
 * are valid UTF-8, bytes that do not alias the input, and unknown fields that are kept.
 */

/** Messages nested deeper than this are refused; ours nest at most eight levels. */
const DEPTH_MAX = 64;

/** Messages that any input may hold, whatever its size. */
const MESSAGES_FREE = 65_536;

/** Beyond those: one per so many bytes of input, so that 8 MiB of empty messages cannot become a gigabyte of objects. */
const BYTES_PER_MESSAGE = 8;

/** What protobufjs' faster reader works on; the name Buffer itself is not known to pure code. */
type NodeBuffer = ConstructorParameters<typeof protobuf.BufferReader>[0];
// Node's own Buffer class, whose types know its instances only.
const nodeBuffer = protobuf.util.Buffer as unknown as {
  from(bytes: ArrayBufferLike, offset: number, length: number): NodeBuffer;
  isBuffer(value: unknown): boolean;
};

/** Strings up to this length are read by a loop, up to the next written by one. */
const SHORT_READ = 10;
const SHORT_WRITE = 64;

const TWO_32 = 2 ** 32;

function unsafeInteger(): RangeError {
  return new RangeError('64-bit integer beyond 2^53');
}

export class WireReader extends protobuf.BufferReader {
  #depth = 0;
  #budget: number;

  constructor(bytes: Uint8Array) {
    super(nodeBuffer.isBuffer(bytes) ? bytes : nodeBuffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    this.#budget = MESSAGES_FREE + Math.floor(bytes.byteLength / BYTES_PER_MESSAGE);
  }

  /** A length-prefixed message; every read of `read` is bounded by its length. */
  message<T>(read: (reader: WireReader) => T): T {
    if (--this.#budget < 0) throw new RangeError('too many nested messages');
    const outerEnd = this.len;
    const end = this.size() + this.pos;
    if (end > outerEnd) throw new RangeError(`nested message of ${end - this.pos} bytes is cut off`);
    if (++this.#depth > DEPTH_MAX) throw new RangeError(`messages nested deeper than ${DEPTH_MAX}`);
    this.len = end;
    const value = read(this);
    this.#depth--;
    this.len = outerEnd;
    return value;
  }

  /**
   * A second occurrence of a message field adds to the first, as the wire format asks. It costs as many messages as
   * its bytes could hold: merging again and again into one big message must not take forever.
   */
  merged<T>(read: (reader: WireReader) => T, write: (message: T, writer: WireWriter) => void, first: T): T {
    const writer = new WireWriter();
    write(first, writer);
    writer.raw(this.bytes());
    const both = new WireReader(writer.finish());
    both.#depth = this.#depth + 1;
    if (both.#depth > DEPTH_MAX) throw new RangeError(`messages nested deeper than ${DEPTH_MAX}`);
    both.#budget = this.#budget - 1 - Math.ceil(writer.len / BYTES_PER_MESSAGE);
    if (both.#budget < 0) throw new RangeError('too many nested messages');
    const value = read(both);
    this.#budget = both.#budget;
    return value;
  }

  /** Bounds the reads to a packed list; gives back what `leavePacked` wants. */
  enterPacked(): number {
    const outerEnd = this.len;
    const end = this.size() + this.pos;
    if (end > outerEnd) throw new RangeError(`list of ${end - this.pos} bytes is cut off`);
    this.len = end;
    return outerEnd;
  }

  /** The same for the entry of a map, which counts as a message. */
  enterEntry(): number {
    if (--this.#budget < 0) throw new RangeError('too many nested messages');
    return this.enterPacked();
  }

  leavePacked(outerEnd: number): void {
    this.len = outerEnd;
  }

  /** A string; bytes that are not UTF-8 are refused rather than replaced. */
  text(): string {
    const start = this.pos;
    const length = this.buf[start] as number;
    // Most strings are short and ASCII: for those a loop is faster than the call into the native decoder (80 ns).
    if (length <= SHORT_READ && start + length < this.len) {
      let short = '';
      let index = start + 1;
      const end = index + length;
      while (index < end) {
        const unit = this.buf[index] as number;
        if (unit > 127) break;
        short += String.fromCharCode(unit);
        index++;
      }
      if (index === end) {
        this.pos = end;
        return short;
      }
    }
    const value = this.string();
    // Wrong bytes decode to U+FFFD; only then is the strict, slower decoder asked.
    if (value.includes('\ufffd')) {
      this.pos = start;
      return this.stringVerify();
    }
    return value;
  }

  /** Bytes of their own: keeping them does not keep the message they came in. */
  blob(): Uint8Array {
    return new Uint8Array(this.bytes());
  }

  unsigned64(): number {
    const first = this.buf[this.pos];
    if (first !== undefined && first < 128 && this.pos < this.len) {
      this.pos++;
      return first;
    }
    const value = this.#varint64();
    if (value > Number.MAX_SAFE_INTEGER) throw unsafeInteger();
    return value;
  }

  signed64(): number {
    const first = this.buf[this.pos];
    if (first !== undefined && first < 128 && this.pos < this.len) {
      this.pos++;
      return first;
    }
    const start = this.pos;
    const value = this.#varint64();
    if (value <= Number.MAX_SAFE_INTEGER) return value;
    this.pos = start;
    return this.#negative64();
  }

  zigzag64(): number {
    const start = this.pos;
    let value = BigInt(this.#varint64());
    if (value > Number.MAX_SAFE_INTEGER) {
      this.pos = start;
      value = this.#bigVarint64();
    }
    return toSafe((value >> 1n) ^ -(value & 1n));
  }

  unsignedFixed64(): number {
    const low = this.fixed32();
    return toSafe((BigInt(this.fixed32()) << 32n) | BigInt(low));
  }

  signedFixed64(): number {
    const low = this.fixed32();
    return toSafe((BigInt(this.sfixed32()) << 32n) | BigInt(low));
  }

  /** Ten groups of seven bits; exact up to 2^53, some larger number beyond. */
  #varint64(): number {
    let value = 0;
    let scale = 1;
    for (let index = 0; index < 10; index++) {
      if (this.pos >= this.len) throw new RangeError('number is cut off');
      const group = this.buf[this.pos++] as number;
      value += (group & 127) * scale;
      if (group < 128) return value;
      scale *= 128;
    }
    throw new RangeError('number of more than ten bytes');
  }

  #bigVarint64(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const group = this.buf[this.pos++] as number;
      value |= BigInt(group & 127) << shift;
      if (group < 128) break;
    }
    return BigInt.asUintN(64, value);
  }

  #negative64(): number {
    return toSafe(BigInt.asIntN(64, this.#bigVarint64()));
  }

  /** Skips the field whose tag was just read and keeps its bytes, tag included. */
  keep(kept: WireWriter | undefined, start: number, tag: number): WireWriter {
    this.skipType(tag & 7, this.#depth, tag >>> 3);
    return this.keepSince(kept, start);
  }

  /** Keeps the bytes from `start` to the cursor. */
  keepSince(kept: WireWriter | undefined, start: number): WireWriter {
    const writer = kept ?? new WireWriter();
    writer.raw(this.buf.subarray(start, this.pos));
    return writer;
  }

  /** Keeps one value of an enum that this release does not know. */
  keepEnum(kept: WireWriter | undefined, tag: number, value: number): WireWriter {
    const writer = kept ?? new WireWriter();
    writer.uint32(tag).int32(value);
    return writer;
  }
}

function toSafe(value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw unsafeInteger();
  return number;
}

function checkInteger(value: number): void {
  if (!Number.isSafeInteger(value))
    throw new RangeError(
      Number.isInteger(value) ? `64-bit integer beyond 2^53: ${value}` : `not an integer: ${String(value)}`,
    );
}

export class WireWriter extends protobuf.BufferWriter {
  /** A string; halves of surrogate pairs become U+FFFD, since UTF-8 has no form for them. */
  text(value: string): this {
    const length = value.length;
    // As when reading: a loop for short ASCII. What it wrote is overwritten when the string turns out to be neither.
    if (length <= SHORT_WRITE && this.pos + length < this.buf.length) {
      const buffer = this.buf;
      let position = this.pos;
      buffer[position++] = length;
      let index = 0;
      for (; index < length; index++) {
        const unit = value.charCodeAt(index);
        if (unit > 127) break;
        buffer[position++] = unit;
      }
      if (index === length) {
        this.pos = position;
        return this;
      }
    }
    this.string(value.isWellFormed() ? value : value.toWellFormed());
    return this;
  }

  signed32(value: number): this {
    if ((value | 0) !== value) throw new RangeError(`not a signed 32-bit integer: ${value}`);
    this.int32(value);
    return this;
  }

  unsigned32(value: number): this {
    if (value >>> 0 !== value) throw new RangeError(`not an unsigned 32-bit integer: ${value}`);
    this.uint32(value);
    return this;
  }

  zigzag32(value: number): this {
    if ((value | 0) !== value) throw new RangeError(`not a signed 32-bit integer: ${value}`);
    this.sint32(value);
    return this;
  }

  unsignedFixed32(value: number): this {
    if (value >>> 0 !== value) throw new RangeError(`not an unsigned 32-bit integer: ${value}`);
    this.fixed32(value);
    return this;
  }

  signedFixed32(value: number): this {
    if ((value | 0) !== value) throw new RangeError(`not a signed 32-bit integer: ${value}`);
    this.sfixed32(value);
    return this;
  }

  unsigned64(value: number): this {
    checkInteger(value);
    if (value < 0) throw new RangeError(`negative value in an unsigned field: ${value}`);
    if (value < TWO_32) this.uint32(value);
    else this.uint64(value);
    return this;
  }

  signed64(value: number): this {
    checkInteger(value);
    if (value >= 0 && value < TWO_32) this.uint32(value);
    else this.int64(value);
    return this;
  }

  zigzag64(value: number): this {
    checkInteger(value);
    this.sint64(value);
    return this;
  }

  unsignedFixed64(value: number): this {
    checkInteger(value);
    if (value < 0) throw new RangeError(`negative value in an unsigned field: ${value}`);
    this.fixed64(value);
    return this;
  }

  signedFixed64(value: number): this {
    checkInteger(value);
    this.sfixed64(value);
    return this;
  }

  /** A copy of what was written, a plain Uint8Array with memory of its own: for what is kept. */
  toBytes(): Uint8Array {
    return new Uint8Array(this.buf.subarray(0, this.pos));
  }

  /** A copy that shares its memory with other short ones: 80 ns instead of 600, for what soon goes away. */
  toPooledBytes(): Uint8Array {
    const length = this.pos;
    if (length > POOLED_BYTES_MAX) return this.toBytes();
    if (poolUsed + length > POOL_BYTES) {
      pool = new Uint8Array(POOL_BYTES);
      poolUsed = 0;
    }
    const bytes = new Uint8Array(pool.buffer, poolUsed, length);
    poolUsed += length;
    bytes.set(this.buf.subarray(0, length));
    return bytes;
  }
}

const POOL_BYTES = 32 * 1024;
const POOLED_BYTES_MAX = 4 * 1024;
let pool = new Uint8Array(POOL_BYTES);
let poolUsed = 0;

/** A longer message takes the writer's buffer with it: copying it again would cost more than a new buffer. */
const SCRATCH_BYTES_MAX = 256 * 1024;
let scratch: WireWriter | undefined = new WireWriter();

/** What `write` writes. The writer is used again and again: growing a fresh one costs more than filling it. */
export function writtenBytes<T>(write: (message: T, writer: WireWriter) => void, message: T): Uint8Array {
  const writer = scratch ?? new WireWriter();
  // Taken while in use: left out when `write` throws, so that nothing half-written is ever found in it.
  scratch = undefined;
  write(message, writer);
  const length = writer.pos;
  if (length > SCRATCH_BYTES_MAX) return new Uint8Array(writer.buf.buffer, writer.buf.byteOffset, length);
  const bytes = writer.toPooledBytes();
  writer.pos = 0;
  scratch = writer;
  return bytes;
}
