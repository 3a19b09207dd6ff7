/** sock_diag: the TCP sockets of a network namespace, as the kernel that serves them sees them. */
import { AF_INET, AF_INET6, addressText } from './ip-address.ts';
import { NetlinkSocket } from './netlink.ts';
import { parseAttributes } from './netlink-codec.ts';
import type { NetworkNamespace } from './netns.ts';

const NETLINK_SOCK_DIAG = 4;
const SOCK_DIAG_BY_FAMILY = 20;
const IPPROTO_TCP = 6;
/** struct inet_diag_req_v2 and struct inet_diag_msg. */
const REQUEST_BYTES = 56;
const ANSWER_BYTES = 72;
const AT = { state: 1, localPort: 4, localAddress: 8, remoteAddress: 24, unread: 56, unsent: 60 } as const;
const INET_DIAG_INFO = 2;
/** struct tcp_info. */
const INFO_AT = { lastSent: 44, lastReceived: 52, dataIn: 152, dataOut: 156 } as const;
const INFO_BYTES = 160;

const STATES = [
  undefined,
  'ESTABLISHED',
  'SYN_SENT',
  'SYN_RECV',
  'FIN_WAIT1',
  'FIN_WAIT2',
  'TIME_WAIT',
  'CLOSE',
  'CLOSE_WAIT',
  'LAST_ACK',
  'LISTEN',
  'CLOSING',
  'SYN_RECV',
] as const;
export type TcpSocketState = NonNullable<(typeof STATES)[number]>;

export interface TcpSocket {
  readonly state: TcpSocketState;
  /** An IPv4 client of a socket of IPv6 has an IPv4 address here. "0.0.0.0" and "::" listen everywhere. */
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  /** Bytes that the program has not read; of a listener: connections that it has not accepted. */
  readonly unread: number;
  /** Bytes that the other side has not confirmed. */
  readonly unsent: number;
  /** Milliseconds since data was last sent and received; undefined for sockets that are not (any more) a program's. */
  readonly lastSentMs: number | undefined;
  readonly lastReceivedMs: number | undefined;
  /** Segments with data since it was opened. */
  readonly dataOut: number;
  readonly dataIn: number;
}

const IPV4_IN_IPV6 = Buffer.from('00000000000000000000ffff', 'hex');

function addressAt(body: Buffer, offset: number, family: number): string {
  const bytes = body.subarray(offset, offset + 16);
  if (family === AF_INET) return addressText(bytes.subarray(0, 4));
  return bytes.subarray(0, 12).equals(IPV4_IN_IPV6) ? addressText(bytes.subarray(12)) : addressText(bytes);
}

function parseSocket(body: Buffer): readonly TcpSocket[] {
  const family = body.readUInt8(0);
  const state = STATES[body.readUInt8(AT.state)];
  if (state === undefined) return [];
  const info = parseAttributes(body.subarray(ANSWER_BYTES)).get(INET_DIAG_INFO);
  const hasTimes = info !== undefined && info.length >= INFO_BYTES && state !== 'LISTEN';
  return [
    {
      state,
      localAddress: addressAt(body, AT.localAddress, family),
      localPort: body.readUInt16BE(AT.localPort),
      remoteAddress: addressAt(body, AT.remoteAddress, family),
      unread: body.readUInt32LE(AT.unread),
      unsent: body.readUInt32LE(AT.unsent),
      lastSentMs: hasTimes ? info.readUInt32LE(INFO_AT.lastSent) : undefined,
      lastReceivedMs: hasTimes ? info.readUInt32LE(INFO_AT.lastReceived) : undefined,
      dataOut: hasTimes ? info.readUInt32LE(INFO_AT.dataOut) : 0,
      dataIn: hasTimes ? info.readUInt32LE(INFO_AT.dataIn) : 0,
    },
  ];
}

/** Of both families; those in TIME_WAIT are not among them. */
export async function listTcpSockets(socket: NetlinkSocket): Promise<readonly TcpSocket[]> {
  const sockets: TcpSocket[] = [];
  for (const family of [AF_INET, AF_INET6]) {
    const request = Buffer.alloc(REQUEST_BYTES);
    request.writeUInt8(family, 0);
    request.writeUInt8(IPPROTO_TCP, 1);
    request.writeUInt8(1 << (INET_DIAG_INFO - 1), 2);
    request.writeUInt32LE(WANTED_STATES, 4);
    sockets.push(...(await socket.dumpEach('list sockets', SOCK_DIAG_BY_FAMILY, [request], parseSocket)));
  }
  return sockets;
}

const WANTED_STATES = STATES.reduce(
  (mask, state, number) => (state === undefined || state === 'TIME_WAIT' ? mask : mask | (1 << number)),
  0,
);

/** For `listTcpSockets` of a namespace, which it does not keep alive. */
export function openSocketDiagnosis(namespace: NetworkNamespace): NetlinkSocket {
  return NetlinkSocket.open(namespace, NETLINK_SOCK_DIAG);
}
