/** VXLAN packets by hand, as hex: for tests that forge them. */
import { addressBytes } from '#agent/kernel/ip-address.ts';

export interface Forged {
  readonly vni: number;
  readonly to: string;
  readonly source: string;
  readonly destination: string;
  readonly port: number;
}

function checksum(header: Buffer): number {
  let sum = 0;
  for (let offset = 0; offset < header.length; offset += 2) sum += header.readUInt16BE(offset);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function udp(port: number): Buffer {
  // Source port, destination port, length, no checksum (IPv4), one byte and its padding.
  const bytes = Buffer.alloc(9);
  bytes.writeUInt16BE(4242, 0);
  bytes.writeUInt16BE(port, 2);
  bytes.writeUInt16BE(9, 4);
  bytes.write('!', 8);
  return bytes;
}

function ipv4(source: string, destination: string, payload: Buffer): Buffer {
  const header = Buffer.alloc(20);
  header.writeUInt8(0x45, 0);
  header.writeUInt16BE(20 + payload.length, 2);
  header.writeUInt8(64, 8);
  header.writeUInt8(17, 9);
  addressBytes(source).copy(header, 12);
  addressBytes(destination).copy(header, 16);
  header.writeUInt16BE(checksum(header), 10);
  return Buffer.concat([header, payload]);
}

/** What a UDP datagram to port 4789 carries. */
export function vxlanPacket({ vni, to, source, destination, port }: Forged): string {
  const vxlan = Buffer.alloc(8);
  vxlan.writeUInt8(0x08, 0);
  vxlan.writeUInt32BE(vni << 8, 4);
  const ethernet = Buffer.concat([
    Buffer.from(to.replaceAll(':', ''), 'hex'),
    Buffer.from('024e00000063', 'hex'),
    Buffer.from('0800', 'hex'),
  ]);
  return Buffer.concat([vxlan, ethernet, ipv4(source, destination, udp(port))]).toString('hex');
}
