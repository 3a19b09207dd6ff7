/** Whole frames, as a program with CAP_NET_RAW sends and sees them: for tests that forge packets or watch a wire. */
import { checked, closeDescriptor, type DescriptorWatch, libcFunction, watchReadable } from '#agent/kernel/libc.ts';
import { NetworkNamespace } from '#agent/kernel/netns.ts';

const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
/** ETH_P_ALL in network order. */
const EVERY_PROTOCOL = 0x0300;
/** A whole burst of large frames: what does not fit would be missed. */
const QUEUE_BYTES = 32 * 1024 * 1024;
const FRAME_BYTES_MAX = 128 * 1024;
/** Of `struct sockaddr_ll`. */
const ADDRESS_BYTES = 20;

const socketFunction = libcFunction<[number, number, number]>('socket', 'int', ['int', 'int', 'int']);
const setsockopt = libcFunction<[number, number, number, Uint8Array, number]>('setsockopt', 'int', [
  'int',
  'int',
  'int',
  'void *',
  'uint',
]);
const bindFunction = libcFunction<[number, Uint8Array, number]>('bind', 'int', ['int', 'void *', 'uint']);
const sendFunction = libcFunction<[number, Uint8Array, number, number]>('send', 'long', [
  'int',
  'const void *',
  'size_t',
  'int',
]);
const receiveFunction = libcFunction<[number, Uint8Array, number, number]>('recv', 'long', [
  'int',
  'void *',
  'size_t',
  'int',
]);

export class PacketSocket {
  readonly #descriptor: number;
  #watch: DescriptorWatch | undefined;

  private constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  /** On the device of this index in the namespace; 0: on all of them, to watch. */
  static open(netnsPath: string, linkIndex: number): PacketSocket {
    const namespace = NetworkNamespace.open(netnsPath);
    try {
      const descriptor = checked(
        namespace.run(() => socketFunction(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)),
        'socket',
      );
      const address = Buffer.alloc(ADDRESS_BYTES);
      address.writeUInt16LE(AF_PACKET, 0);
      address.writeUInt16LE(EVERY_PROTOCOL, 2);
      address.writeInt32LE(linkIndex, 4);
      const queue = Buffer.alloc(4);
      queue.writeInt32LE(QUEUE_BYTES);
      checked(setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, queue, queue.length), 'setsockopt');
      checked(bindFunction(descriptor, address, address.length), 'bind');
      return new PacketSocket(descriptor);
    } finally {
      namespace.close();
    }
  }

  /** A frame with its Ethernet header. */
  send(frame: Uint8Array): void {
    checked(sendFunction(this.#descriptor, frame, frame.length, 0), 'send');
  }

  /** Calls back with every frame from now on, in both directions. */
  watch(onFrame: (frame: Buffer) => void): void {
    const space = Buffer.alloc(FRAME_BYTES_MAX);
    this.#watch = watchReadable(this.#descriptor, false, () => {
      for (;;) {
        const length = receiveFunction(this.#descriptor, space, space.length, 0);
        if (length < 0) return;
        onFrame(Buffer.from(space.subarray(0, length)));
      }
    });
  }

  close(): void {
    this.#watch?.close();
    closeDescriptor(this.#descriptor);
  }
}
