/**
 * Many datagrams with one system call: recvmmsg(2) and sendmmsg(2) on memory that is laid out once. A datagram through
 * `dgram` costs some objects and three calls into C++ each way, which is most of what a small answer costs.
 */
import { AF_INET6 } from './ip-address.ts';
import { addressOf, libcFunction } from './libc.ts';
import { MSG_DONTWAIT, sendTo } from './socket.ts';

/** struct mmsghdr of 64-bit Linux: a msghdr, then the length of the datagram. */
const HEADER_BYTES = 64;
const HEADER = { name: 0, nameLength: 8, vector: 16, vectorCount: 24, flags: 48, length: 56 } as const;
/** struct iovec: where, and how long. */
const VECTOR_BYTES = 16;
const VECTOR_LENGTH = 8;
/** struct sockaddr_in6 is the longest. */
const NAME_BYTES = 28;
const NAME_STEP = 32;
/** Offsets of addresses in struct sockaddr_in and sockaddr_in6. */
const IPV4_AT = 4;
const IPV6_AT = 8;
/** Texts of addresses that are remembered; a node has some hundred containers. */
const TEXTS_MAX = 4096;

const receiveMany = libcFunction<[number, bigint, number, number, bigint]>('recvmmsg', 'int', [
  'int',
  'uintptr_t',
  'uint',
  'int',
  'uintptr_t',
]);
const sendMany = libcFunction<[number, bigint, number, number]>('sendmmsg', 'int', ['int', 'uintptr_t', 'uint', 'int']);
/** One side of the batch: headers for the kernel, and the bytes of the datagrams. */
interface Side {
  readonly headers: Buffer;
  readonly headersAddress: bigint;
  readonly vectors: Buffer;
  readonly slots: readonly Buffer[];
}

/** Memory that stays where it is: the kernel is told its address. */
function fixedMemory(bytes: number): Buffer {
  return Buffer.allocUnsafeSlow(bytes).fill(0);
}

function makeSide(count: number, slotBytes: number): Side {
  const headers = fixedMemory(count * HEADER_BYTES);
  const vectors = fixedMemory(count * VECTOR_BYTES);
  const data = fixedMemory(count * slotBytes);
  const [vectorsAddress, dataAddress] = [addressOf(vectors), addressOf(data)];
  for (let index = 0; index < count; index++) {
    const header = index * HEADER_BYTES;
    const vector = index * VECTOR_BYTES;
    headers.writeBigUInt64LE(vectorsAddress + BigInt(vector), header + HEADER.vector);
    headers.writeBigUInt64LE(1n, header + HEADER.vectorCount);
    vectors.writeBigUInt64LE(dataAddress + BigInt(index * slotBytes), vector);
    vectors.writeBigUInt64LE(BigInt(slotBytes), vector + VECTOR_LENGTH);
  }
  return {
    headers,
    headersAddress: addressOf(headers),
    vectors,
    slots: Array.from({ length: count }, (_, index) => data.subarray(index * slotBytes, (index + 1) * slotBytes)),
  };
}

export interface DatagramBatchOptions {
  /** Datagrams of one call. */
  readonly count: number;
  /** Of a longer one only so much is received. */
  readonly receiveBytes: number;
  /** The longest that is sent. */
  readonly sendBytes: number;
}

/**
 * Datagrams that have come, and answers to them. What has been received is there until the next `receive`; what is
 * queued goes with `flush`, and has to before the next `receive`. One batch serves any number of sockets in turn.
 */
export class DatagramBatch {
  readonly #count: number;
  readonly #in: Side;
  readonly #out: Side;
  /** Who sent what is in the slot of that number. */
  readonly #names: Buffer;
  readonly #namesAddress: bigint;
  readonly #ipv4Texts = new Map<number, string>();
  #received = 0;
  #queued = 0;

  constructor({ count, receiveBytes, sendBytes }: DatagramBatchOptions) {
    this.#count = count;
    this.#in = makeSide(count, receiveBytes);
    this.#out = makeSide(count, sendBytes);
    this.#names = fixedMemory(count * NAME_STEP);
    this.#namesAddress = addressOf(this.#names);
    for (let index = 0; index < count; index++) {
      const name = this.#namesAddress + BigInt(index * NAME_STEP);
      this.#in.headers.writeBigUInt64LE(name, index * HEADER_BYTES + HEADER.name);
      this.#in.headers.writeUInt32LE(NAME_BYTES, index * HEADER_BYTES + HEADER.nameLength);
    }
  }

  /** How many datagrams were waiting; 0 also when the socket has an error to tell, which is forgotten then. */
  receive(descriptor: number): number {
    const { headers, headersAddress } = this.#in;
    // The kernel has written over what it filled last.
    for (let index = 0; index < this.#received; index++) {
      headers.writeUInt32LE(NAME_BYTES, index * HEADER_BYTES + HEADER.nameLength);
      headers.writeUInt32LE(0, index * HEADER_BYTES + HEADER.flags);
    }
    this.#received = Math.max(0, receiveMany(descriptor, headersAddress, this.#count, MSG_DONTWAIT, 0n));
    return this.#received;
  }

  /** Bytes of the datagram that were received. */
  lengthOf(index: number): number {
    return this.#in.headers.readUInt32LE(index * HEADER_BYTES + HEADER.length);
  }

  /** The datagram, at the beginning of memory that the next `receive` writes over. */
  datagram(index: number): Buffer {
    return slotOf(this.#in, index);
  }

  /** Address of the sender, without a zone. */
  sender(index: number): string {
    const name = index * NAME_STEP;
    if (this.#names.readUInt16LE(name) === AF_INET6) return ipv6Text(this.#names, name + IPV6_AT);
    const key = this.#names.readUInt32LE(name + IPV4_AT);
    const known = this.#ipv4Texts.get(key);
    if (known !== undefined) return known;
    if (this.#ipv4Texts.size >= TEXTS_MAX) this.#ipv4Texts.clear();
    const text = this.#names.subarray(name + IPV4_AT, name + IPV4_AT + 4).join('.');
    this.#ipv4Texts.set(key, text);
    return text;
  }

  /** For an answer that comes later: see `sendDatagram`. */
  returnAddress(index: number): Uint8Array {
    const name = index * NAME_STEP;
    const length = this.#in.headers.readUInt32LE(index * HEADER_BYTES + HEADER.nameLength);
    return Uint8Array.prototype.slice.call(this.#names, name, name + length);
  }

  /** Queues an answer to the sender of the datagram. At most one for each. */
  reply(index: number, answer: Uint8Array): void {
    const at = this.#queued++;
    slotOf(this.#out, at).set(answer);
    const { headers, vectors } = this.#out;
    const { headers: received } = this.#in;
    const header = at * HEADER_BYTES;
    const source = index * HEADER_BYTES;
    // Halves of the pointer: a BigInt would be an object.
    headers.writeUInt32LE(received.readUInt32LE(source + HEADER.name), header + HEADER.name);
    headers.writeUInt32LE(received.readUInt32LE(source + HEADER.name + 4), header + HEADER.name + 4);
    headers.writeUInt32LE(received.readUInt32LE(source + HEADER.nameLength), header + HEADER.nameLength);
    vectors.writeUInt32LE(answer.length, at * VECTOR_BYTES + VECTOR_LENGTH);
  }

  /** Sends what is queued. Whoever is gone, or has no route back, gets nothing, and does not keep the others waiting. */
  flush(descriptor: number): void {
    const { headersAddress } = this.#out;
    for (let sent = 0; sent < this.#queued; ) {
      const from = headersAddress + BigInt(sent * HEADER_BYTES);
      // It stops at the first that cannot be sent, and says why only when that is the first of all.
      sent += Math.max(1, sendMany(descriptor, from, this.#queued - sent, MSG_DONTWAIT));
    }
    this.#queued = 0;
  }
}

/** Sends one datagram to whom `returnAddress` told, or not: as with any datagram, nobody says. */
export function sendDatagram(descriptor: number, bytes: Uint8Array, returnAddress: Uint8Array): void {
  sendTo(descriptor, bytes, MSG_DONTWAIT, returnAddress);
}

function slotOf({ slots }: Side, index: number): Buffer {
  const slot = slots[index];
  if (slot === undefined) throw new RangeError(`a batch has ${slots.length} datagrams, and none of number ${index}`);
  return slot;
}

function ipv6Text(bytes: Buffer, offset: number): string {
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(offset + 2 * index).toString(16));
  return groups.join(':');
}
