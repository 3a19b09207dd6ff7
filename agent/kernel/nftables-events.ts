/** What the kernel tells of nftables: that somebody has changed the ruleset of a namespace, and who. */
import { checked, closeDescriptor, hasErrno, KernelError, lastErrno, libcFunction, watchReadable } from './libc.ts';
import { NETLINK_NETFILTER, openNetlinkDescriptor } from './netlink.ts';
import { parseAttributes, parseMessages, textOf } from './netlink-codec.ts';
import type { NetworkWatch } from './netlink-events.ts';
import type { NetworkNamespace } from './netns.ts';
import { readPseudoFile } from './pseudo-file.ts';
import { ACCEPT, attachSocketFilter, instruction, JUMP_EQUAL, LOAD_HALF, REFUSE } from './socket-filter.ts';

const AF_NETLINK = 16;
const MSG_DONTWAIT = 0x40;
const DATAGRAM_BYTES = 4096;
const datagram = Buffer.allocUnsafe(DATAGRAM_BYTES);
/** Changes that are read before the event loop gets a turn. */
const DATAGRAMS_PER_TURN = 64;

/** NFNLGRP_NFTABLES, as a mask. */
const GROUP = 1 << 6;
/** NFT_MSG_NEWGEN: a transaction is through, whatever was in it. The kernel sends it by itself, after all of that. */
const NEW_GENERATION = (10 << 8) | 15;
const TYPE_AT = 4;
const NFNETLINK_HEADER_BYTES = 4;
/** Names of threads are shorter. */
const COMM_BYTES = 32;
const GENERATION = { number: 1, process: 2, name: 3 } as const;

const bind = libcFunction<[number, Uint8Array, number]>('bind', 'int', ['int', 'void *', 'uint']);
const receive = libcFunction<[number, Uint8Array, number, number]>('recv', 'long', ['int', 'void *', 'size_t', 'int']);

export interface RulesetChange {
  /** Whether a thread of this process made it. In a PID namespace of its own a process does not recognise itself. */
  readonly own: boolean;
  /** Name of the program: "nft". Empty when changes were lost: there were more than the socket could hold. */
  readonly program: string;
}

/** Numbers are loaded in network order, but netlink has them in the machine's. */
function swapped(type: number): number {
  return ((type & 255) << 8) | (type >> 8);
}

function parseChange(body: Buffer): RulesetChange {
  const attributes = parseAttributes(body.subarray(NFNETLINK_HEADER_BYTES));
  // The number is that of the thread.
  const thread = attributes.get(GENERATION.process)?.readUInt32BE(0) ?? 0;
  const own = readPseudoFile(`/proc/self/task/${thread}/comm`, COMM_BYTES) !== undefined;
  return { own, program: textOf(attributes.get(GENERATION.name)) ?? '' };
}

function readChanges(descriptor: number): readonly RulesetChange[] {
  const changes: RulesetChange[] = [];
  for (let count = 0; count < DATAGRAMS_PER_TURN; count++) {
    const length = receive(descriptor, datagram, datagram.length, MSG_DONTWAIT);
    if (length >= 0) {
      for (const { type, body } of parseMessages(datagram.subarray(0, length)))
        if (type === NEW_GENERATION) changes.push(parseChange(body));
      continue;
    }
    const error = new KernelError('recv', lastErrno(), 'netlink');
    if (hasErrno(error, 'ENOBUFS')) changes.push({ own: false, program: '' });
    else if (!hasErrno(error, 'EAGAIN', 'EINTR')) throw error;
    else break;
  }
  return changes;
}

/**
 * Calls `onChanges` when transactions of nftables are through in the namespace, or in that of the process, until closed.
 * Does not keep the process alive.
 */
export function watchRuleset(
  namespace: NetworkNamespace | undefined,
  onChanges: (changes: readonly RulesetChange[]) => void,
): NetworkWatch {
  const open = (): number => openNetlinkDescriptor(NETLINK_NETFILTER);
  const descriptor = namespace === undefined ? open() : namespace.run(open);
  // struct sockaddr_nl: family, padding, port id (the kernel's choice), groups.
  const address = Buffer.alloc(12);
  address.writeUInt16LE(AF_NETLINK, 0);
  address.writeUInt32LE(GROUP, 8);
  try {
    const program = [
      instruction(LOAD_HALF, 0, 0, TYPE_AT),
      instruction(JUMP_EQUAL, 1, 0, swapped(NEW_GENERATION)),
      REFUSE,
      ACCEPT,
    ];
    attachSocketFilter(descriptor, program, 'netlink');
    checked(bind(descriptor, address, address.length), 'bind', 'netlink');
  } catch (error) {
    closeDescriptor(descriptor);
    throw error;
  }
  const watch = watchReadable(descriptor, false, () => {
    const changes = readChanges(descriptor);
    if (changes.length > 0) onChanges(changes);
  });
  return {
    close: () => {
      watch.close();
      closeDescriptor(descriptor);
    },
  };
}
