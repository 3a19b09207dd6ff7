/**
 * A netlink socket: requests go out in batches, each one acknowledged or refused by the kernel with an errno and often a
 * sentence. A socket belongs to the namespace it was opened in; the calls run on the thread pool, since the kernel may
 * make them wait (another process holds the routing lock while it tears devices down).
 */
import { assert, SwarmError } from '#common/errors.ts';
import { callAsync, checked, closeDescriptor, hasErrno, KernelError, lastErrno, libcFunction } from './libc.ts';
import { message, type ParsedMessage, parseAttributes, parseMessages, textOf } from './netlink-codec.ts';
import type { NetworkNamespace } from './netns.ts';
import {
  bindSocket,
  MSG_DONTWAIT,
  openSocket,
  receiveBytes,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SOCK_CLOEXEC,
  SOCK_RAW,
  SOL_SOCKET,
  sendBytes,
  setSocketOption,
} from './socket.ts';

const AF_NETLINK = 16;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;

export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;

export const NLM_F_REQUEST = 1;
export const NLM_F_ACK = 4;
export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;

const NFNL_MSG_BATCH_BEGIN = 16;
const NFNL_MSG_BATCH_END = 17;

const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLM_F_DUMP_INTERRUPTED = 0x10;
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const NLMSGERR_ATTR_MESSAGE = 1;

/** Answers of one batch must fit the receive buffer: each takes under 1 KiB of it, and the buffer has 1 MiB. */
const REQUESTS_PER_BATCH = 128;
const RECEIVE_BUFFER_BYTES = 1024 * 1024;
/** A transaction goes to the kernel in one piece. */
export const TRANSACTION_BYTES_MAX = 1024 * 1024;
const SEND_BUFFER_BYTES = 2 * TRANSACTION_BYTES_MAX;
/** The kernel fills at most 32 KiB per dump datagram. */
const DATAGRAM_BYTES = 64 * 1024;
const answerBuffer = Buffer.allocUnsafe(DATAGRAM_BYTES);
/** A dump that the kernel reports as interrupted (the table changed meanwhile) is asked for again this often. */
const DUMP_ATTEMPTS = 5;

const EINVAL = 22;
const socketName = libcFunction<[number, Uint8Array, Uint8Array]>('getsockname', 'int', ['int', 'void *', 'void *']);

export interface NetlinkRequest {
  /** Completes "cannot ...": `add address 10.255.0.2/32 to gw`. */
  readonly what: string;
  readonly type: number;
  /** Besides NLM_F_REQUEST and NLM_F_ACK, which are always set. */
  readonly flags: number;
  readonly parts: readonly Uint8Array[];
  /** errno codes that mean the wanted state is already there: "EEXIST" of an add, "ENODEV" of a delete. */
  readonly tolerate?: readonly string[];
}

/** What the kernel answered to one request: undefined means done. */
export type NetlinkOutcome = KernelError | undefined;

/** A netlink socket of the namespace that the calling thread is in, for the modules of this folder. */
export function openNetlinkDescriptor(protocol: number): number {
  const descriptor = checked(openSocket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol), 'socket', 'netlink');
  setSocketOption(descriptor, SOL_NETLINK, NETLINK_EXT_ACK, 1);
  setSocketOption(descriptor, SOL_NETLINK, NETLINK_CAP_ACK, 1);
  // Without CAP_NET_ADMIN in the first user namespace only the plain option works, up to rmem_max.
  if (setSocketOption(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES) !== 0)
    setSocketOption(descriptor, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER_BYTES);
  if (
    protocol === NETLINK_NETFILTER &&
    setSocketOption(descriptor, SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER_BYTES) !== 0
  )
    setSocketOption(descriptor, SOL_SOCKET, SO_SNDBUF, SEND_BUFFER_BYTES);
  return descriptor;
}

function portIdOf(descriptor: number): number {
  // struct sockaddr_nl. A socket has no number before its first message, unless it asks for one.
  const address = Buffer.alloc(12);
  address.writeUInt16LE(AF_NETLINK, 0);
  const refusal = bindSocket(descriptor, address) === 0 ? 0 : lastErrno();
  // EINVAL: it has one.
  if (refusal !== 0 && refusal !== EINVAL) throw new KernelError('bind', refusal, 'netlink');
  const length = Buffer.alloc(4);
  length.writeUInt32LE(address.length);
  checked(socketName(descriptor, address, length), 'getsockname', 'netlink');
  return address.readUInt32LE(4);
}

/** The errno of an answer, and the kernel's own sentence where it gives one. */
function outcomeOf(answer: ParsedMessage): NetlinkOutcome {
  const errno = -answer.body.readInt32LE(0);
  if (errno === 0) return undefined;
  let explanation: string | undefined;
  if ((answer.flags & NLM_F_ACK_TLVS) !== 0) {
    // Behind the errno comes the request's header, and its body unless the kernel capped it.
    const echoed = (answer.flags & NLM_F_CAPPED) !== 0 ? 16 : answer.body.readUInt32LE(4);
    explanation = textOf(parseAttributes(answer.body.subarray(4 + ((echoed + 3) & ~3))).get(NLMSGERR_ATTR_MESSAGE));
  }
  return new KernelError('netlink', errno, explanation === undefined ? undefined : `(${explanation})`);
}

/** A refusal as the error to pass on; `cause` is the KernelError with the errno. */
export function netlinkError(what: string, refusal: KernelError): SwarmError {
  const hint = hasErrno(refusal, 'EPERM') ? 'run the daemon as root with CAP_NET_ADMIN' : undefined;
  return new SwarmError({
    code: hasErrno(refusal, 'ENOMEM', 'ENOBUFS', 'ENOSPC') ? 'exhausted' : 'internal',
    reason: 'network-failed',
    message: `cannot ${what}: ${refusal.message}`,
    hint,
    cause: refusal,
  });
}

export class NetlinkSocket {
  readonly #descriptor: number;
  #sequence = 0;
  /** Requests take turns: an answer is matched by its place behind the request. */
  #lane: Promise<unknown> = Promise.resolve();
  #closed = false;
  #portId: number | undefined;

  private constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  /** A socket in the given namespace, or in that of the process. */
  static open(namespace?: NetworkNamespace, protocol: number = NETLINK_ROUTE): NetlinkSocket {
    const open = (): number => openNetlinkDescriptor(protocol);
    const descriptor = namespace === undefined ? open() : namespace.run(open);
    return new NetlinkSocket(descriptor);
  }

  /** What the kernel knows this socket by: changes that it made are told of under it. */
  get portId(): number {
    this.#portId ??= portIdOf(this.#descriptor);
    return this.#portId;
  }

  /** Sends the requests in order; all are tried. Throws for the first one that is refused and does not tolerate it. */
  async execute(requests: readonly NetlinkRequest[]): Promise<void> {
    const outcomes = await this.tryExecute(requests);
    outcomes.forEach((refusal, index) => {
      const request = requests[index];
      if (refusal === undefined || request === undefined || request.tolerate?.includes(refusal.code) === true) return;
      throw netlinkError(request.what, refusal);
    });
  }

  /** Sends the requests in order; all are tried. One outcome each. */
  async tryExecute(requests: readonly NetlinkRequest[]): Promise<readonly NetlinkOutcome[]> {
    const outcomes: NetlinkOutcome[] = [];
    for (let start = 0; start < requests.length; start += REQUESTS_PER_BATCH) {
      const batch = requests.slice(start, start + REQUESTS_PER_BATCH);
      outcomes.push(...(await this.#inTurn(() => this.#sendBatch(batch))));
    }
    return outcomes;
  }

  /**
   * Sends the requests of one netfilter subsystem as one transaction: all of them are done, or none. At most
   * TRANSACTION_BYTES_MAX. Throws for the first request that is refused, in the words of its `what`.
   */
  async transact(subsystem: number, requests: readonly NetlinkRequest[]): Promise<void> {
    if (requests.length === 0) return;
    await this.#inTurn(() => this.#sendTransaction(subsystem, requests));
  }

  /** All objects of a kind: `type` is an RTM_GET..., the results are the bodies of the answers. */
  dump(what: string, type: number, parts: readonly Uint8Array[]): Promise<readonly Buffer[]> {
    return this.dumpEach(what, type, parts, (body) => [body]);
  }

  /**
   * As `dump`, with each body parsed as it comes: between two handfuls of a long table the event loop goes on.
   */
  dumpEach<T>(
    what: string,
    type: number,
    parts: readonly Uint8Array[],
    parse: (body: Buffer) => readonly T[],
  ): Promise<readonly T[]> {
    return this.#inTurn(async () => {
      for (let attempt = 0; attempt < DUMP_ATTEMPTS; attempt++) {
        const found = await this.#dumpOnce(what, type, parts, parse);
        if (found !== undefined) return found;
      }
      throw new SwarmError({
        code: 'unavailable',
        reason: 'network-failed',
        message: `cannot ${what}: the table changed during each of ${DUMP_ATTEMPTS} readings`,
        hint: 'try again',
      });
    });
  }

  /** Waits for what is under way, then closes. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#lane;
    closeDescriptor(this.#descriptor);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    assert(!this.#closed, 'a netlink socket is not used after it was closed');
    const done = this.#lane.then(work);
    this.#lane = done.catch(() => undefined);
    return done;
  }

  async #sendBatch(batch: readonly NetlinkRequest[]): Promise<NetlinkOutcome[]> {
    const first = this.#sequence + 1;
    this.#sequence += batch.length;
    const bytes = Buffer.concat(
      batch.map((one, index) => message(one.type, one.flags | NLM_F_REQUEST | NLM_F_ACK, first + index, one.parts)),
    );
    await callAsync(sendBytes, [this.#descriptor, bytes, bytes.length, 0], 'send', 'netlink');
    // The kernel has worked through the batch inside send: every answer is waiting.
    const outcomes: NetlinkOutcome[] = [];
    const answered = new Set<number>();
    while (answered.size < batch.length) {
      for (const answer of parseMessages(this.#receiveNow())) {
        const index = answer.sequence - first;
        if (index < 0 || index >= batch.length || answer.type !== NLMSG_ERROR) continue;
        answered.add(index);
        outcomes[index] = outcomeOf(answer);
      }
    }
    return outcomes;
  }

  /** Good until the next call: answers are read in one go, and a batch has a hundred of them. */
  #receiveNow(): Buffer {
    const length = receiveBytes(this.#descriptor, answerBuffer, answerBuffer.length, MSG_DONTWAIT);
    if (length < 0) throw new KernelError('recv', lastErrno(), 'netlink');
    return answerBuffer.subarray(0, length);
  }

  async #sendTransaction(subsystem: number, requests: readonly NetlinkRequest[]): Promise<void> {
    const first = this.#sequence + 1;
    this.#sequence += requests.length;
    // struct nfgenmsg: the subsystem in network order.
    const frame = Buffer.from([0, 0, subsystem >> 8, subsystem & 255]);
    const bytes = Buffer.concat([
      message(NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, 0, [frame]),
      ...requests.map((one, index) =>
        message(one.type, one.flags | NLM_F_REQUEST | NLM_F_ACK, first + index, one.parts),
      ),
      message(NFNL_MSG_BATCH_END, NLM_F_REQUEST, 0, [frame]),
    ]);
    assert(bytes.length <= TRANSACTION_BYTES_MAX + DATAGRAM_BYTES, 'a transaction fits the send buffer');
    await callAsync(sendBytes, [this.#descriptor, bytes, bytes.length, 0], 'send', 'netlink');
    // A refusal of the whole transaction answers the frame, sequence 0. Whatever there is to say has been said by now.
    let answered = 0;
    let refusal: { readonly what: string; readonly error: KernelError } | undefined;
    for (let datagram = this.#receiveMaybe(); datagram !== undefined; datagram = this.#receiveMaybe())
      for (const answer of parseMessages(datagram)) {
        if (answer.type !== NLMSG_ERROR) continue;
        answered++;
        const error = outcomeOf(answer);
        if (error === undefined) continue;
        refusal ??= { what: requests[answer.sequence - first]?.what ?? requests[0]?.what ?? '', error };
      }
    if (refusal !== undefined) throw netlinkError(refusal.what, refusal.error);
    assert(answered === requests.length, 'the kernel answers every request of a transaction');
  }

  #receiveMaybe(): Buffer | undefined {
    try {
      return this.#receiveNow();
    } catch (error) {
      if (hasErrno(error, 'EAGAIN')) return undefined;
      throw error;
    }
  }

  async #dumpOnce<T>(
    what: string,
    type: number,
    parts: readonly Uint8Array[],
    parse: (body: Buffer) => readonly T[],
  ): Promise<readonly T[] | undefined> {
    const sequence = ++this.#sequence;
    const request = message(type, NLM_F_REQUEST | NLM_F_DUMP, sequence, parts);
    await callAsync(sendBytes, [this.#descriptor, request, request.length, 0], 'send', 'netlink');
    const found: T[] = [];
    let interrupted = false;
    for (;;) {
      const buffer = Buffer.allocUnsafe(DATAGRAM_BYTES);
      const length = await callAsync(receiveBytes, [this.#descriptor, buffer, buffer.length, 0], 'recv', 'netlink');
      for (const answer of parseMessages(buffer.subarray(0, length))) {
        if (answer.sequence !== sequence) continue;
        if ((answer.flags & NLM_F_DUMP_INTERRUPTED) !== 0) interrupted = true;
        if (answer.type === NLMSG_ERROR) {
          const refusal = outcomeOf(answer);
          if (refusal !== undefined) throw netlinkError(what, refusal);
        } else if (answer.type === NLMSG_DONE) return interrupted ? undefined : found;
        else found.push(...parse(answer.body));
      }
    }
  }
}
