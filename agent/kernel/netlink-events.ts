/** What the kernel tells of a namespace: devices that change, and addresses, routes and neighbours that go. */
import { checked, closeDescriptor, hasErrno, KernelError, lastErrno, watchReadable } from './libc.ts';
import { NETLINK_ROUTE, openNetlinkDescriptor } from './netlink.ts';
import { addressOf, type ParsedMessage, parseAttributes, parseMessages, textOf } from './netlink-codec.ts';
import type { NetworkNamespace } from './netns.ts';
import { bindSocket, MSG_DONTWAIT, receiveBytes } from './socket.ts';
import { ACCEPT, attachSocketFilter, instruction, JUMP_EQUAL, LOAD_HALF, LOAD_WORD, REFUSE } from './socket-filter.ts';

const AF_NETLINK = 16;
const DATAGRAM_BYTES = 64 * 1024;
/** Read and parsed in one go, so that all watches can share it. */
const datagram = Buffer.allocUnsafe(DATAGRAM_BYTES);
/** Events that are read before the event loop gets a turn. */
const DATAGRAMS_PER_TURN = 32;

/** RTMGRP_LINK, NEIGH, and IFADDR and ROUTE of both families. */
const GROUPS = 0x1 | 0x4 | 0x10 | 0x40 | 0x100 | 0x400;

export interface NetworkEvent {
  /** `lost`: there were more events than the socket could hold; anything may have changed. */
  readonly kind: 'link' | 'address' | 'route' | 'neighbour' | 'lost';
  readonly gone: boolean;
  /** Name of the device, or the address without its prefix length. */
  readonly name: string;
  /** Of a device. */
  readonly up: boolean;
  /** Of the socket that asked for the change (`NetlinkSocket.portId`); 0 for the kernel itself. */
  readonly portId: number;
}

interface MessageKind {
  readonly kind: NetworkEvent['kind'];
  readonly gone: boolean;
  readonly headerBytes: number;
  /** The attribute that names the object. */
  readonly name: number;
}

/** RTM_NEW... and, one above, RTM_DEL... */
function pair(kind: NetworkEvent['kind'], type: number, headerBytes: number, name: number): [number, MessageKind][] {
  return [
    [type, { kind, gone: false, headerBytes, name }],
    [type + 1, { kind, gone: true, headerBytes, name }],
  ];
}

const KINDS: ReadonlyMap<number, MessageKind> = new Map([
  ...pair('link', 16, 16, 3),
  ...pair('address', 20, 8, 1),
  ...pair('route', 24, 12, 1),
  ...pair('neighbour', 28, 12, 1),
]);

const RTM_NEWLINK = 16;
const RTM_DELETIONS = [17, 21, 25, 29];
/** Offsets in the header of a message. */
const TYPE_AT = 4;
const PORT_ID_AT = 12;

/** Numbers are loaded in network order, but netlink has them in the machine's. */
function swapped(value: number, bytes: 2 | 4): number {
  const buffer = Buffer.alloc(bytes);
  buffer.writeUIntLE(value, 0, bytes);
  return buffer.readUIntBE(0, bytes);
}

/** Tens of thousands of routes that we add ourselves are not worth a word. */
function dropNoise(descriptor: number, ownPortId: number): void {
  const types = [RTM_NEWLINK, ...RTM_DELETIONS];
  const program = [
    instruction(LOAD_WORD, 0, 0, PORT_ID_AT),
    // To the refusal, over the types and the load before them.
    instruction(JUMP_EQUAL, types.length + 1, 0, swapped(ownPortId, 4)),
    instruction(LOAD_HALF, 0, 0, TYPE_AT),
    ...types.map((type, index) => instruction(JUMP_EQUAL, types.length - index, 0, swapped(type, 2))),
    REFUSE,
    ACCEPT,
  ];
  attachSocketFilter(descriptor, program, 'netlink');
}

export interface NetworkWatch {
  close(): void;
}

function parseEvent(message: ParsedMessage): readonly NetworkEvent[] {
  const found = KINDS.get(message.type);
  if (found === undefined) return [];
  const { kind, gone, headerBytes, name } = found;
  const value = parseAttributes(message.body.subarray(headerBytes)).get(name);
  return [
    {
      kind,
      gone,
      name: (kind === 'link' ? textOf(value) : addressOf(value)) ?? '',
      up: kind === 'link' && (message.body.readUInt32LE(8) & 1) !== 0,
      portId: message.portId,
    },
  ];
}

function readEvents(descriptor: number): readonly NetworkEvent[] {
  const events: NetworkEvent[] = [];
  for (let count = 0; count < DATAGRAMS_PER_TURN; count++) {
    const length = receiveBytes(descriptor, datagram, datagram.length, MSG_DONTWAIT);
    if (length >= 0) {
      events.push(...parseMessages(datagram.subarray(0, length)).flatMap(parseEvent));
      continue;
    }
    const error = new KernelError('recv', lastErrno(), 'netlink');
    if (hasErrno(error, 'ENOBUFS')) events.push({ kind: 'lost', gone: true, name: '', up: false, portId: 0 });
    else if (!hasErrno(error, 'EAGAIN', 'EINTR')) throw error;
    else break;
  }
  return events;
}

/**
 * Calls `onEvents` for changes in the namespace until closed, but not for those that the socket `ownPortId` asked for.
 * Does not keep the process alive.
 */
export function watchNetwork(
  namespace: NetworkNamespace,
  ownPortId: number,
  onEvents: (events: readonly NetworkEvent[]) => void,
): NetworkWatch {
  const descriptor = namespace.run(() => openNetlinkDescriptor(NETLINK_ROUTE));
  // struct sockaddr_nl: family, padding, port id (the kernel's choice), groups.
  const address = Buffer.alloc(12);
  address.writeUInt16LE(AF_NETLINK, 0);
  address.writeUInt32LE(GROUPS, 8);
  try {
    dropNoise(descriptor, ownPortId);
    checked(bindSocket(descriptor, address), 'bind', 'netlink');
  } catch (error) {
    closeDescriptor(descriptor);
    throw error;
  }
  const watch = watchReadable(descriptor, false, () => {
    const events = readEvents(descriptor);
    if (events.length > 0) onEvents(events);
  });
  return {
    close: () => {
      watch.close();
      closeDescriptor(descriptor);
    },
  };
}
