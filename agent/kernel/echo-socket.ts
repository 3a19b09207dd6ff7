/** ICMP echo of both families: whether a host answers, and packets of which size reach it whole. */
import { familyOf } from './ip-address.ts';
import { checked } from './libc.ts';
import type { NetworkNamespace } from './netns.ts';
import { RawSocket } from './raw-socket.ts';
import { bindSocket, sendTo, setSocketOption, socketAddress } from './socket.ts';

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
  readonly #family: 4 | 6;
  readonly #socket: RawSocket;

  private constructor(options: EchoSocketOptions) {
    const { namespace, localAddress } = options;
    const isIpv6 = localAddress.includes(':');
    this.#options = options;
    this.#family = isIpv6 ? 6 : 4;
    this.#socket = RawSocket.open({
      namespace,
      family: familyOf(localAddress),
      protocol: isIpv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
      name: 'icmp',
      prepare: (descriptor) => {
        const [level, name] = isIpv6 ? [IPPROTO_IPV6, IPV6_MTU_DISCOVER] : [IPPROTO_IP, IP_MTU_DISCOVER];
        checked(setSocketOption(descriptor, level, name, PMTUDISC_PROBE), 'setsockopt', 'icmp');
        checked(bindSocket(descriptor, socketAddress(localAddress)), 'bind', localAddress);
      },
      onPacket: (bytes) => this.#take(bytes),
    });
  }

  /** Throws a KernelError: EADDRNOTAVAIL, EPERM, ... */
  static open(options: EchoSocketOptions): EchoSocket {
    return new EchoSocket(options);
  }

  /** `size`: of the whole packet, in bytes. False where it could not be sent: too large for the device, no way there. */
  send(address: string, sequence: number, size: number): boolean {
    const bytes = Buffer.alloc(Math.max(ICMP_HEADER, size - IP_HEADER[this.#family]));
    bytes[0] = ECHO_REQUEST[this.#family];
    bytes.writeUInt16BE(this.#options.identifier, 4);
    bytes.writeUInt16BE(sequence, 6);
    // Of IPv6 the kernel makes it.
    if (this.#family === 4) bytes.writeUInt16BE(checksum(bytes), 2);
    return sendTo(this.#socket.descriptor, bytes, 0, socketAddress(address)) >= 0;
  }

  close(): void {
    this.#socket.close();
  }

  #take(bytes: Buffer): void {
    // A raw socket of IPv4 gets the IP header as well.
    const start = this.#family === 4 ? ((bytes[0] ?? 0) & 0x0f) * 4 : 0;
    if (bytes.length < start + ICMP_HEADER || bytes[start] !== ECHO_REPLY[this.#family]) return;
    if (bytes.readUInt16BE(start + 4) !== this.#options.identifier) return;
    this.#options.onAnswer(bytes.readUInt16BE(start + 6));
  }
}
