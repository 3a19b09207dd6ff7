/** What the kernel tells of changes to devices, addresses, routes and neighbours of a namespace, whoever made them. */
import { checked, closeDescriptor, hasErrno, KernelError, lastErrno, libcFunction, watchReadable } from './libc.ts';
import { NETLINK_ROUTE, openNetlinkDescriptor } from './netlink.ts';
import { addressOf, type ParsedMessage, parseAttributes, parseMessages, textOf } from './netlink-codec.ts';
import type { NetworkNamespace } from './netns.ts';

const AF_NETLINK = 16;
const MSG_DONTWAIT = 0x40;
const DATAGRAM_BYTES = 64 * 1024;
/** Events that are read before the event loop gets a turn. */
const DATAGRAMS_PER_TURN = 32;

/** RTMGRP_LINK, NEIGH, and IFADDR and ROUTE of both families. */
const GROUPS = 0x1 | 0x4 | 0x10 | 0x40 | 0x100 | 0x400;

const bind = libcFunction<[number, Uint8Array, number]>('bind', 'int', ['int', 'void *', 'uint']);
const receive = libcFunction<[number, Uint8Array, number, number]>('recv', 'long', ['int', 'void *', 'size_t', 'int']);

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
  const buffer = Buffer.allocUnsafe(DATAGRAM_BYTES);
  for (let count = 0; count < DATAGRAMS_PER_TURN; count++) {
    const length = receive(descriptor, buffer, buffer.length, MSG_DONTWAIT);
    if (length >= 0) {
      events.push(...parseMessages(buffer.subarray(0, length)).flatMap(parseEvent));
      continue;
    }
    const error = new KernelError('recv', lastErrno(), 'netlink');
    if (hasErrno(error, 'ENOBUFS')) events.push({ kind: 'lost', gone: true, name: '', up: false, portId: 0 });
    else if (!hasErrno(error, 'EAGAIN', 'EINTR')) throw error;
    else break;
  }
  return events;
}

/** Calls `onEvents` for changes in the namespace until closed. Does not keep the process alive. */
export function watchNetwork(
  namespace: NetworkNamespace,
  onEvents: (events: readonly NetworkEvent[]) => void,
): NetworkWatch {
  const descriptor = namespace.run(() => openNetlinkDescriptor(NETLINK_ROUTE));
  // struct sockaddr_nl: family, padding, port id (the kernel's choice), groups.
  const address = Buffer.alloc(12);
  address.writeUInt16LE(AF_NETLINK, 0);
  address.writeUInt32LE(GROUPS, 8);
  try {
    checked(bind(descriptor, address, address.length), 'bind', 'netlink');
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
