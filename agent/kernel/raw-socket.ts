/** What raw sockets have in common: how they are opened, read when there is something to read, and closed. */
import { checked, closeDescriptor, type DescriptorWatch, KernelError, lastErrno, watchReadable } from './libc.ts';
import type { NetworkNamespace } from './netns.ts';
import { openSocket, receiveBytes, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_RAW } from './socket.ts';

/** The largest packet, and room for the headers of a frame. */
const RECEIVED_BYTES_MAX = 65_536 + 128;
/** Read before the event loop gets a turn: under a millisecond of work. */
const PACKETS_PER_TURN = 32;

/** Read and handled in one go, so that all sockets can share it. */
const received = Buffer.allocUnsafe(RECEIVED_BYTES_MAX);

export interface RawSocketOptions {
  /** Undefined: the process's own. */
  readonly namespace: NetworkNamespace | undefined;
  readonly family: number;
  readonly protocol: number;
  /** For errors. */
  readonly name: string;
  /** Options, filter, address: before anything is read. What it throws closes the socket. */
  readonly prepare: (descriptor: number) => void;
  /** The bytes are good until it returns. */
  readonly onPacket: (bytes: Buffer) => void;
}

export class RawSocket {
  readonly descriptor: number;
  readonly #options: RawSocketOptions;
  #watch: DescriptorWatch | undefined;

  private constructor(options: RawSocketOptions, descriptor: number) {
    this.#options = options;
    this.descriptor = descriptor;
  }

  /** Throws a KernelError: EPERM, or what `prepare` throws. */
  static open(options: RawSocketOptions): RawSocket {
    const { namespace, family, protocol, name, prepare } = options;
    const open = (): number => openSocket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    const descriptor = checked(namespace === undefined ? open() : namespace.run(open), 'socket', name);
    try {
      prepare(descriptor);
      const socket = new RawSocket(options, descriptor);
      socket.#watch = watchReadable(descriptor, false, () => socket.#read());
      return socket;
    } catch (error) {
      closeDescriptor(descriptor);
      throw error;
    }
  }

  close(): void {
    if (this.#watch === undefined) return;
    this.#watch.close();
    this.#watch = undefined;
    closeDescriptor(this.descriptor);
  }

  #read(): void {
    for (let count = 0; count < PACKETS_PER_TURN && this.#watch !== undefined; count++) {
      const length = receiveBytes(this.descriptor, received, received.length, 0);
      if (length >= 0) {
        this.#options.onPacket(received.subarray(0, length));
        continue;
      }
      const { code } = new KernelError('recv', lastErrno(), this.#options.name);
      // The device went down or away: whoever waits for packets learns it by their absence.
      if (code === 'EAGAIN' || code === 'EINTR' || code === 'ENETDOWN') return;
    }
  }
}
