/** Packets by hand: for tests that forge them. */
import { addressBytes } from '#agent/kernel/ip-address.ts';

const IPV4 = 0x0800;
const IPV6 = 0x86dd;
const ARP = 0x0806;
const UDP = 17;
const ICMP = 1;
const ICMPV6 = 58;

export interface Forged {
  readonly vni: number;
  readonly to: string;
  readonly source: string;
  readonly destination: string;
  readonly port: number;
  /** So long, that the datagram around it goes in fragments. */
  readonly padding?: number;
}

function sumOf(bytes: Buffer): number {
  let sum = 0;
  const even = bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(1)]);
  for (let offset = 0; offset < even.length; offset += 2) sum += even.readUInt16BE(offset);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function macBytes(address: string): Buffer {
  return Buffer.from(address.replaceAll(':', ''), 'hex');
}

function ethernet(to: string, from: string, type: number, payload: Buffer): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(type);
  return Buffer.concat([macBytes(to), macBytes(from), bytes, payload]);
}

export interface Packet {
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  readonly payload: Buffer;
  /** Multiples of four bytes. */
  readonly options?: Buffer;
}

function ipv4({ source, destination, protocol, payload, options = Buffer.alloc(0) }: Packet): Buffer {
  const header = Buffer.concat([Buffer.alloc(20), options]);
  header.writeUInt8(0x40 | (header.length / 4), 0);
  header.writeUInt16BE(header.length + payload.length, 2);
  header.writeUInt8(64, 8);
  header.writeUInt8(protocol, 9);
  addressBytes(source).copy(header, 12);
  addressBytes(destination).copy(header, 16);
  header.writeUInt16BE(sumOf(header), 10);
  return Buffer.concat([header, payload]);
}

/** One byte, with no checksum: IPv4 does without. */
function udp(port: number): Buffer {
  const bytes = Buffer.alloc(9);
  bytes.writeUInt16BE(4242, 0);
  bytes.writeUInt16BE(port, 2);
  bytes.writeUInt16BE(9, 4);
  bytes.write('!', 8);
  return bytes;
}

/** What a UDP datagram to port 4789 carries, as hex. */
export function vxlanPacket({ vni, to, source, destination, port, padding = 0 }: Forged): string {
  const vxlan = Buffer.alloc(8);
  vxlan.writeUInt8(0x08, 0);
  vxlan.writeUInt32BE(vni << 8, 4);
  const packet = ipv4({ source, destination, protocol: UDP, payload: udp(port) });
  const frame = ethernet(to, '02:4e:00:00:00:63', IPV4, Buffer.concat([packet, Buffer.alloc(padding)]));
  return Buffer.concat([vxlan, frame]).toString('hex');
}

export interface Ends {
  readonly to: string;
  readonly from: string;
  readonly source: string;
  readonly destination: string;
}

/** A datagram of one byte; `by` is a hop that the sender would have it take (loose source route). */
export function datagramFrame({ to, from, source, destination }: Ends, port: number, by?: string): Buffer {
  const packet = { source, destination, protocol: UDP, payload: udp(port) };
  if (by === undefined) return ethernet(to, from, IPV4, ipv4(packet));
  // Addressed to the hop; the option has where it goes from there. One byte of padding fills the word.
  const options = Buffer.concat([Buffer.from([1, 131, 7, 4]), addressBytes(destination)]);
  return ethernet(to, from, IPV4, ipv4({ ...packet, destination: by, options }));
}

/** "Whoever wants `address`: it is at `from`", to everybody, unasked. */
export function gratuitousArp(from: string, address: string): Buffer {
  const everybody = 'ff:ff:ff:ff:ff:ff';
  const request = Buffer.concat([
    Buffer.from([0, 1, 8, 0, 6, 4, 0, 2]),
    macBytes(from),
    addressBytes(address),
    macBytes(everybody),
    addressBytes(address),
  ]);
  return ethernet(everybody, from, ARP, request);
}

/** "For `target` take `gateway` from now on": as if the router at `source` had said so. */
export function icmpRedirect(ends: Ends, target: string, gateway: string): Buffer {
  // What it pretends to have forwarded.
  const original = ipv4({ source: ends.destination, destination: target, protocol: UDP, payload: udp(53) });
  const message = Buffer.concat([Buffer.from([5, 1, 0, 0]), addressBytes(gateway), original.subarray(0, 28)]);
  message.writeUInt16BE(sumOf(message), 2);
  const packet = ipv4({ source: ends.source, destination: ends.destination, protocol: ICMP, payload: message });
  return ethernet(ends.to, ends.from, IPV4, packet);
}

function icmpv6({ to, from, source, destination }: Ends, message: Buffer): Buffer {
  const pseudo = Buffer.alloc(8);
  pseudo.writeUInt32BE(message.length, 0);
  pseudo.writeUInt8(ICMPV6, 7);
  const addresses = Buffer.concat([addressBytes(source), addressBytes(destination)]);
  const summed = Buffer.from(message);
  summed.writeUInt16BE(sumOf(Buffer.concat([addresses, pseudo, message])), 2);
  const header = Buffer.alloc(8);
  header.writeUInt8(0x60, 0);
  header.writeUInt16BE(message.length, 4);
  header.writeUInt8(ICMPV6, 6);
  header.writeUInt8(255, 7);
  return ethernet(to, from, IPV6, Buffer.concat([header, addresses, summed]));
}

/** "I am your way out, and this is your prefix": CVE-2020-13401. */
export function routerAdvertisement(ends: Ends, prefix: string): Buffer {
  const header = Buffer.from([134, 0, 0, 0, 64, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
  const option = Buffer.from([3, 4, 64, 0xc0, 0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0, 0, 0]);
  return icmpv6(ends, Buffer.concat([header, option, addressBytes(prefix)]));
}

/** "`address` is at `from`", unasked, and to be believed over what was known. */
export function neighbourAdvertisement(ends: Ends, address: string): Buffer {
  const header = Buffer.from([136, 0, 0, 0, 0x20, 0, 0, 0]);
  return icmpv6(ends, Buffer.concat([header, addressBytes(address), Buffer.from([2, 1]), macBytes(ends.from)]));
}
