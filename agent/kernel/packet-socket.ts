/** Whole frames on one device, with what the device is asked to do to them: a packet socket with virtio_net_hdr. */
import { checked } from './libc.ts';
import type { NetworkNamespace } from './netns.ts';
import { RawSocket } from './raw-socket.ts';
import { bindSocket, SO_RCVBUFFORCE, SOL_SOCKET, sendBytes, setSocketOption } from './socket.ts';
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

/** Frames of IPv4 on one device. What the host itself sends there is not among what is received. */
export class PacketSocket {
  readonly #socket: RawSocket;

  private constructor({ namespace, linkIndex, filter, receiveBufferBytes, onFrame }: PacketSocketOptions) {
    this.#socket = RawSocket.open({
      namespace,
      family: AF_PACKET,
      // Without a protocol nothing is received before the filter is there.
      protocol: 0,
      name: 'packet',
      prepare: (descriptor) => {
        setSocketOption(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, receiveBufferBytes);
        checked(setSocketOption(descriptor, SOL_PACKET, PACKET_VNET_HDR, 1), 'setsockopt', 'packet');
        attachSocketFilter(descriptor, filter, 'packet');
        checked(bindSocket(descriptor, linkAddress(linkIndex)), 'bind', 'packet');
      },
      onPacket: (bytes) => {
        if (bytes.length <= HEADER_BYTES) return;
        const flags = bytes[0] ?? 0;
        const checksumIsRight = (flags & (NEEDS_CHECKSUM | CHECKSUM_IS_RIGHT)) !== 0;
        onFrame({ frame: bytes.subarray(HEADER_BYTES), checksumIsRight });
      },
    });
  }

  /** Throws a KernelError: ENODEV, EPERM, ... */
  static open(options: PacketSocketOptions): PacketSocket {
    return new PacketSocket(options);
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
    checked(sendBytes(this.#socket.descriptor, bytes, bytes.length, 0), 'send', 'packet');
  }

  close(): void {
    this.#socket.close();
  }
}

/** `struct sockaddr_ll`. */
function linkAddress(linkIndex: number): Buffer {
  const address = Buffer.alloc(ADDRESS_BYTES);
  address.writeUInt16LE(AF_PACKET, 0);
  address.writeUInt16LE(PROTOCOL_IP, 2);
  address.writeInt32LE(linkIndex, 4);
  return address;
}
