/** ICMP echo of both families: whether a host answers, and packets of which size reach it whole. */
import { familyOf } from './ip-address.ts';
import { checked, closeDescriptor, type DescriptorWatch, KernelError, lastErrno, watchReadable } from './libc.ts';
import type { NetworkNamespace } from './netns.ts';
import {
  bindSocket,
  openSocket,
  receiveBytes,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_RAW,
  sendTo,
  setSocketOption,
  socketAddress,
} from './socket.ts';

const IPPROTO_IP = 0;
const IPPROTO_ICMP = 1;
const IPPROTO_IPV6 = 41;
const IPPROTO_ICMPV6 = 58;
const IP_MTU_DISCOVER = 10;
const IPV6_MTU_DISCOVER = 23;
/** Never fragment, and do not believe what was learnt of the path. */
const PMTUDISC_PROBE = 3;
const ECHO_REQUEST = { 4: 8, 6: 128 } as const;
const ECHO_REPLY = { 4: 0, 6: 129 } as const;
const IP_HEADER = { 4: 20, 6: 40 } as const;
const ICMP_HEADER = 8;
const PACKET_BYTES_MAX = 65_536;
const PACKETS_PER_TURN = 32;

/** Read and handled in one go, so that all sockets can share it. */
const received = Buffer.allocUnsafe(PACKET_BYTES_MAX);

function checksum(bytes: Uint8Array): number {
  let total = 0;
  for (let at = 0; at < bytes.length; at += 2) total += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  while (total > 0xffff) total = (total & 0xffff) + Math.floor(total / 0x10000);
  return total ^ 0xffff;
}

export interface EchoSocketOptions {
  /** Undefined: the process's own. */
  readonly namespace: NetworkNamespace | undefined;
  /** Of this host; packets leave with it. */
  readonly localAddress: string;
  /** Tells our packets from those of others. */
  readonly identifier: number;
  readonly onAnswer: (sequence: number) => void;
}

export class EchoSocket {
  readonly #options: EchoSocketOptions;
  readonly #descriptor: number;
  readonly #family: 4 | 6;
  #watch: DescriptorWatch | undefined;

  private constructor(options: EchoSocketOptions, descriptor: number) {
    this.#options = options;
    this.#descriptor = descriptor;
    this.#family = options.localAddress.includes(':') ? 6 : 4;
  }

  /** Throws a KernelError: EADDRNOTAVAIL, EPERM, ... */
  static open(options: EchoSocketOptions): EchoSocket {
    const isIpv6 = options.localAddress.includes(':');
    const open = (): number =>
      openSocket(
        familyOf(options.localAddress),
        SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
        isIpv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
      );
    const descriptor = checked(
      options.namespace === undefined ? open() : options.namespace.run(open),
      'socket',
      'icmp',
    );
    try {
      const [level, name] = isIpv6 ? [IPPROTO_IPV6, IPV6_MTU_DISCOVER] : [IPPROTO_IP, IP_MTU_DISCOVER];
      checked(setSocketOption(descriptor, level, name, PMTUDISC_PROBE), 'setsockopt', 'icmp');
      checked(bindSocket(descriptor, socketAddress(options.localAddress)), 'bind', options.localAddress);
      const socket = new EchoSocket(options, descriptor);
      socket.#watch = watchReadable(descriptor, false, () => socket.#read());
      return socket;
    } catch (error) {
      closeDescriptor(descriptor);
      throw error;
    }
  }

  /** `size`: of the whole packet, in bytes. False where it could not be sent: too large for the device, no way there. */
  send(address: string, sequence: number, size: number): boolean {
    const bytes = Buffer.alloc(Math.max(ICMP_HEADER, size - IP_HEADER[this.#family]));
    bytes[0] = ECHO_REQUEST[this.#family];
    bytes.writeUInt16BE(this.#options.identifier, 4);
    bytes.writeUInt16BE(sequence, 6);
    // Of IPv6 the kernel makes it.
    if (this.#family === 4) bytes.writeUInt16BE(checksum(bytes), 2);
    return sendTo(this.#descriptor, bytes, 0, socketAddress(address)) >= 0;
  }

  close(): void {
    if (this.#watch === undefined) return;
    this.#watch.close();
    this.#watch = undefined;
    closeDescriptor(this.#descriptor);
  }

  #read(): void {
    for (let count = 0; count < PACKETS_PER_TURN && this.#watch !== undefined; count++) {
      const length = receiveBytes(this.#descriptor, received, received.length, 0);
      if (length < 0) {
        const { code } = new KernelError('recv', lastErrno(), 'icmp');
        if (code === 'EAGAIN' || code === 'EINTR') return;
        continue;
      }
      // A raw socket of IPv4 gets the IP header as well.
      const start = this.#family === 4 ? ((received[0] ?? 0) & 0x0f) * 4 : 0;
      if (length < start + ICMP_HEADER || received[start] !== ECHO_REPLY[this.#family]) continue;
      if (received.readUInt16BE(start + 4) !== this.#options.identifier) continue;
      this.#options.onAnswer(received.readUInt16BE(start + 6));
    }
  }
}
