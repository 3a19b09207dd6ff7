/** Whole frames on one device, with what the device is asked to do to them: a packet socket with virtio_net_hdr. */
import { checked, closeDescriptor, type DescriptorWatch, KernelError, lastErrno, watchReadable } from './libc.ts';
import type { NetworkNamespace } from './netns.ts';
import {
  bindSocket,
  openSocket,
  receiveBytes,
  SO_RCVBUFFORCE,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_RAW,
  SOL_SOCKET,
  sendBytes,
  setSocketOption,
} from './socket.ts';
import { attachSocketFilter } from './socket-filter.ts';

const AF_PACKET = 17;
const SOL_PACKET = 263;
const PACKET_VNET_HDR = 15;
/** IPv4, in network order as the kernel wants it. */
const PROTOCOL_IP = 0x0008;
/** Of `struct sockaddr_ll`. */
const ADDRESS_BYTES = 20;
/** Of `struct virtio_net_hdr`. */
const HEADER_BYTES = 10;
const FRAME_BYTES_MAX = 65_536 + 64;
/** Frames that are read before the event loop gets a turn: under a millisecond of work. */
const FRAMES_PER_TURN = 32;

const NEEDS_CHECKSUM = 1;
const CHECKSUM_IS_RIGHT = 2;
const SEGMENTS_TCP4 = 1;

/** What is left to the device that sends the frame. Offsets count from the beginning of the frame. */
export interface Offload {
  /** Where what the checksum covers begins, and where in that the checksum belongs. */
  readonly checksumStart: number;
  readonly checksumOffset: number;
  /** For TCP over IPv4: bytes of headers, and of payload in each packet that is cut off. */
  readonly segments?: { readonly headerBytes: number; readonly payloadBytes: number };
}

export interface ReceivedFrame {
  /** Good until the callback returns. */
  readonly frame: Buffer;
  /** The kernel vouches for the checksum, or has not made it yet: it is not to be looked at. */
  readonly checksumIsRight: boolean;
}

export interface PacketSocketOptions {
  readonly namespace: NetworkNamespace;
  readonly linkIndex: number;
  /** See socket-filter.ts; offsets count from the beginning of the frame. */
  readonly filter: readonly Buffer[];
  readonly receiveBufferBytes: number;
  readonly onFrame: (received: ReceivedFrame) => void;
}

/** Read and handled in one go, so that all sockets can share it. */
const received = Buffer.allocUnsafe(HEADER_BYTES + FRAME_BYTES_MAX);

/** Frames of IPv4 on one device. What the host itself sends there is not among what is received. */
export class PacketSocket {
  readonly #descriptor: number;
  readonly #onFrame: PacketSocketOptions['onFrame'];
  #watch: DescriptorWatch | undefined;

  private constructor(descriptor: number, onFrame: PacketSocketOptions['onFrame']) {
    this.#descriptor = descriptor;
    this.#onFrame = onFrame;
  }

  /** Throws a KernelError: ENODEV, EPERM, ... */
  static open({ namespace, linkIndex, filter, receiveBufferBytes, onFrame }: PacketSocketOptions): PacketSocket {
    // Without a protocol nothing is received before the filter is there.
    const open = (): number => openSocket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const descriptor = checked(namespace.run(open), 'socket', 'packet');
    try {
      setSocketOption(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, receiveBufferBytes);
      checked(setSocketOption(descriptor, SOL_PACKET, PACKET_VNET_HDR, 1), 'setsockopt', 'packet');
      attachSocketFilter(descriptor, filter, 'packet');
      const address = Buffer.alloc(ADDRESS_BYTES);
      address.writeUInt16LE(AF_PACKET, 0);
      address.writeUInt16LE(PROTOCOL_IP, 2);
      address.writeInt32LE(linkIndex, 4);
      checked(bindSocket(descriptor, address), 'bind', 'packet');
      const socket = new PacketSocket(descriptor, onFrame);
      socket.#watch = watchReadable(descriptor, false, () => socket.#read());
      return socket;
    } catch (error) {
      closeDescriptor(descriptor);
      throw error;
    }
  }

  /** Gives the frame to the device. Throws a KernelError: EMSGSIZE, ENOBUFS, ENETDOWN, ... */
  send(frame: Uint8Array, offload?: Offload): void {
    const header = Buffer.alloc(HEADER_BYTES);
    if (offload !== undefined) {
      header[0] = NEEDS_CHECKSUM;
      header.writeUInt16LE(offload.checksumStart, 6);
      header.writeUInt16LE(offload.checksumOffset, 8);
    }
    if (offload?.segments !== undefined) {
      header[1] = SEGMENTS_TCP4;
      header.writeUInt16LE(offload.segments.headerBytes, 2);
      header.writeUInt16LE(offload.segments.payloadBytes, 4);
    }
    const bytes = Buffer.concat([header, frame]);
    checked(sendBytes(this.#descriptor, bytes, bytes.length, 0), 'send', 'packet');
  }

  close(): void {
    if (this.#watch === undefined) return;
    this.#watch.close();
    this.#watch = undefined;
    closeDescriptor(this.#descriptor);
  }

  #read(): void {
    for (let count = 0; count < FRAMES_PER_TURN && this.#watch !== undefined; count++) {
      const length = receiveBytes(this.#descriptor, received, received.length, 0);
      if (length < 0) {
        const { code } = new KernelError('recv', lastErrno(), 'packet');
        // The device went down or away: whoever waits for frames learns it by their absence.
        if (code === 'EAGAIN' || code === 'EINTR' || code === 'ENETDOWN') return;
        continue;
      }
      if (length <= HEADER_BYTES) continue;
      const flags = received[0] ?? 0;
      this.#onFrame({
        frame: received.subarray(HEADER_BYTES, length),
        checksumIsRight: (flags & (NEEDS_CHECKSUM | CHECKSUM_IS_RIGHT)) !== 0,
      });
    }
  }
}
