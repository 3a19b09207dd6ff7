/**
 * The packets that test a way between two nodes, as bytes. They look like what tasks send, from and to addresses that
 * no task has and no kernel routes: seen by who waits for them on the tunnel's device, thrown away by everybody else.
 */
import { ProbeKind } from '#gen/swarm/v1/doctor.ts';
import type { Offload } from '../../kernel/packet-socket.ts';
import { ACCEPT, AND, instruction, JUMP_EQUAL, LOAD_WORD, REFUSE } from '../../kernel/socket-filter.ts';

export interface Probe {
  /** Of the check, CHECK_ID_BYTES long. */
  readonly checkId: Uint8Array;
  /** Numbers of the nodes in the cluster. */
  readonly from: number;
  readonly to: number;
  readonly kind: ProbeKind;
  readonly isAnswer: boolean;
  readonly sequence: number;
  /** Of the packet, in bytes; of a stretch of TCP that of each packet. At least SIZE_MIN. */
  readonly size: number;
}

export interface SeenProbe extends Probe {
  /** Its checksum is right. */
  readonly isIntact: boolean;
  /** Which parts of a stretch of TCP have come with this frame. */
  readonly parts: readonly number[];
}

export interface ProbeFrame {
  readonly bytes: Buffer;
  readonly offload: Offload | undefined;
}

export const CHECK_ID_BYTES = 16;
/** Packets that a stretch of TCP is cut into. */
export const LARGE_PARTS = 3;

const ETHERNET = 14;
const IP = 20;
const UDP = 8;
const TCP = 20;
const PROTOCOL_TCP = 6;
const PROTOCOL_UDP = 17;
const DONT_FRAGMENT = 0x4000;
const TCP_ACK = 0x10;
/** No link of the cluster carries so much: a stretch has to stay below 64 KiB. */
const LARGE_SIZE_MAX = 16_000;
/** "discard"; the kind is added to the second. */
const SOURCE_PORT = 9;
const PORT_BASE = 40_000;
/** Sources are multicast addresses: no kernel forwards or answers such a packet. */
const SOURCE_PREFIX = 0xeffe0000; // 239.254.0.0
const DESTINATION_PREFIX = 0xa9fe0000; // 169.254.0.0
const PREFIX_MASK = 0xffff0000;

const MAGIC = Buffer.from('starprob');
const BLOCK_BYTES = MAGIC.length + CHECK_ID_BYTES + 12;

/** IP, UDP and what we say. */
export const SIZE_MIN = IP + UDP + BLOCK_BYTES;
/** Larger than the smallest, so that padding of short frames has no part in it. */
export const PARTIAL_SIZE = 200;

/** Lets probes through and nothing else. */
export const PROBE_FILTER: readonly Buffer[] = [
  instruction(LOAD_WORD, 0, 0, ETHERNET + 12),
  instruction(AND, 0, 0, PREFIX_MASK),
  instruction(JUMP_EQUAL, 0, 4, SOURCE_PREFIX),
  instruction(LOAD_WORD, 0, 0, ETHERNET + 16),
  instruction(AND, 0, 0, PREFIX_MASK),
  instruction(JUMP_EQUAL, 0, 1, DESTINATION_PREFIX),
  ACCEPT,
  REFUSE,
];

/** The kinds that can be tried where packets may be this large. */
export function kindsFor(mtu: number): readonly ProbeKind[] {
  const kinds: ProbeKind[] = [ProbeKind.SMALL, ProbeKind.FULL, ProbeKind.PARTIAL];
  return mtu <= LARGE_SIZE_MAX ? [...kinds, ProbeKind.LARGE] : kinds;
}

function sum(bytes: Uint8Array, from: number, to: number, initial = 0): number {
  let total = initial;
  for (let at = from; at + 1 < to; at += 2) total += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  if ((to - from) % 2 === 1) total += (bytes[to - 1] ?? 0) << 8;
  while (total > 0xffff) total = (total & 0xffff) + Math.floor(total / 0x10000);
  return total;
}

function pseudoHeader(frame: Uint8Array, protocol: number, length: number): number {
  return sum(frame, ETHERNET + 12, ETHERNET + 20, protocol + length);
}

function writeBlock(target: Buffer, at: number, probe: Probe, part: number): void {
  MAGIC.copy(target, at);
  target.set(probe.checkId, at + MAGIC.length);
  const rest = at + MAGIC.length + CHECK_ID_BYTES;
  target.writeUInt16BE(probe.from, rest);
  target.writeUInt16BE(probe.to, rest + 2);
  target[rest + 4] = probe.kind;
  target[rest + 5] = probe.isAnswer ? 1 : 0;
  target.writeUInt16BE(probe.sequence & 0xffff, rest + 6);
  target.writeUInt16BE(probe.size, rest + 8);
  target[rest + 10] = part;
}

function isProbeKind(kind: number): kind is ProbeKind {
  return kind >= ProbeKind.SMALL && kind <= ProbeKind.SIZED;
}

function readBlock(frame: Buffer, at: number): (Probe & { readonly part: number }) | undefined {
  if (at + BLOCK_BYTES > frame.length || MAGIC.compare(frame, at, at + MAGIC.length) !== 0) return undefined;
  const rest = at + MAGIC.length + CHECK_ID_BYTES;
  const kind = frame[rest + 4] ?? 0;
  if (!isProbeKind(kind)) return undefined;
  return {
    checkId: Uint8Array.from(frame.subarray(at + MAGIC.length, rest)),
    from: frame.readUInt16BE(rest),
    to: frame.readUInt16BE(rest + 2),
    kind,
    isAnswer: frame[rest + 5] === 1,
    sequence: frame.readUInt16BE(rest + 6),
    size: frame.readUInt16BE(rest + 8),
    part: frame[rest + 10] ?? 0,
  };
}

/** `addresses`: device addresses of both nodes, "02:4e:...". */
export function probeFrame(probe: Probe, addresses: { readonly from: string; readonly to: string }): ProbeFrame {
  const isLarge = probe.kind === ProbeKind.LARGE;
  const header = isLarge ? TCP : UDP;
  const protocol = isLarge ? PROTOCOL_TCP : PROTOCOL_UDP;
  const partBytes = probe.size - IP - header;
  const parts = isLarge ? LARGE_PARTS : 1;
  const total = IP + header + parts * partBytes;
  const frame = Buffer.alloc(ETHERNET + total);
  frame.set(
    addresses.to.split(':').map((byte) => Number.parseInt(byte, 16)),
    0,
  );
  frame.set(
    addresses.from.split(':').map((byte) => Number.parseInt(byte, 16)),
    6,
  );
  frame.writeUInt16BE(0x0800, 12);
  frame[ETHERNET] = 0x45;
  frame.writeUInt16BE(total, ETHERNET + 2);
  frame.writeUInt16BE(probe.sequence & 0xffff, ETHERNET + 4);
  frame.writeUInt16BE(DONT_FRAGMENT, ETHERNET + 6);
  frame[ETHERNET + 8] = 1; // goes no further than the other node
  frame[ETHERNET + 9] = protocol;
  frame.writeUInt32BE(SOURCE_PREFIX + probe.from, ETHERNET + 12);
  frame.writeUInt32BE(DESTINATION_PREFIX + probe.to, ETHERNET + 16);
  frame.writeUInt16BE(sum(frame, ETHERNET, ETHERNET + IP) ^ 0xffff, ETHERNET + 10);
  const start = ETHERNET + IP;
  frame.writeUInt16BE(SOURCE_PORT, start);
  frame.writeUInt16BE(PORT_BASE + probe.kind, start + 2);
  if (isLarge) {
    frame[start + 12] = (TCP / 4) << 4;
    frame[start + 13] = TCP_ACK;
    frame.writeUInt16BE(0xffff, start + 14);
  } else frame.writeUInt16BE(UDP + partBytes, start + 4);
  for (let part = 0; part < parts; part++) writeBlock(frame, start + header + part * partBytes, probe, part);
  const checksumOffset = isLarge ? 16 : 6;
  const pseudo = pseudoHeader(frame, protocol, total - IP);
  if (!isLarge && probe.kind !== ProbeKind.PARTIAL) {
    const checksum = sum(frame, start, frame.length, pseudo) ^ 0xffff;
    frame.writeUInt16BE(checksum === 0 ? 0xffff : checksum, start + checksumOffset);
    return { bytes: frame, offload: undefined };
  }
  frame.writeUInt16BE(pseudo, start + checksumOffset);
  const segments = { headerBytes: start + header, payloadBytes: partBytes };
  return { bytes: frame, offload: { checksumStart: start, checksumOffset, ...(isLarge ? { segments } : {}) } };
}

/** Undefined for what is no probe. `checksumIsRight`: the kernel vouches for it. */
export function readProbe(frame: Buffer, checksumIsRight: boolean): SeenProbe | undefined {
  if (frame.length < ETHERNET + SIZE_MIN || frame[ETHERNET] !== 0x45) return undefined;
  const protocol = frame[ETHERNET + 9] ?? 0;
  if (protocol !== PROTOCOL_TCP && protocol !== PROTOCOL_UDP) return undefined;
  const end = ETHERNET + frame.readUInt16BE(ETHERNET + 2);
  const start = ETHERNET + IP;
  const header = protocol === PROTOCOL_TCP ? TCP : UDP;
  const first = readBlock(frame, start + header);
  if (first === undefined || end > frame.length) return undefined;
  const parts = [first.part];
  const step = first.size - IP - header;
  for (let at = start + header + step; step > 0 && at < end; at += step) {
    const next = readBlock(frame, at);
    if (next === undefined) break;
    parts.push(next.part);
  }
  const isIntact = checksumIsRight || sum(frame, start, end, pseudoHeader(frame, protocol, end - start)) === 0xffff;
  const { part: _part, ...probe } = first;
  return { ...probe, isIntact, parts };
}
