/**
 * UDP sockets as dgram cannot make them: several processes on one address and port (SO_REUSEPORT) of which one can step
 * back without losing a datagram, and with a queue as long as we like.
 */
import { isIPv6 } from 'node:net';
import { checked, closeDescriptor, libcFunction } from './libc.ts';

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_REUSEPORT = 15;
const SO_RCVBUFFORCE = 33;
/** "discard": nobody asks from there. */
const NOBODY_PORT = 9;

const socketFunction = libcFunction<[number, number, number]>('socket', 'int', ['int', 'int', 'int']);
const setsockopt = libcFunction<[number, number, number, Uint8Array, number]>('setsockopt', 'int', [
  'int',
  'int',
  'int',
  'void *',
  'uint',
]);
const bindFunction = libcFunction<[number, Uint8Array, number]>('bind', 'int', ['int', 'void *', 'uint']);
const connectFunction = libcFunction<[number, Uint8Array, number]>('connect', 'int', ['int', 'void *', 'uint']);

export interface DatagramAddress {
  /** Without a zone. */
  readonly address: string;
  readonly port: number;
}

function ipv6Groups(address: string): readonly number[] {
  const [head = '', tail] = address.split('::');
  const groups = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
  const first = groups(head);
  const last = groups(tail ?? '');
  return [...first, ...Array.from({ length: 8 - first.length - last.length }, () => 0), ...last];
}

function socketAddress({ address, port }: DatagramAddress): Buffer {
  const inner = Buffer.alloc(isIPv6(address) ? 28 : 16);
  inner.writeUInt16BE(port, 2);
  if (!isIPv6(address)) {
    inner[0] = AF_INET;
    inner.set(address.split('.').map(Number), 4);
    return inner;
  }
  inner[0] = AF_INET6;
  for (const [index, group] of ipv6Groups(address).entries()) inner.writeUInt16BE(group, 8 + 2 * index);
  return inner;
}

function option(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

/**
 * A bound socket for `dgram.Socket.bind({ fd })`, which then owns it. Others of the same user may share address and port
 * when they ask for it as well. Throws a KernelError: EADDRINUSE, EADDRNOTAVAIL, ...
 */
export function openSharedDatagramSocket(at: DatagramAddress, receiveBufferBytes: number): number {
  const family = isIPv6(at.address) ? AF_INET6 : AF_INET;
  const descriptor = checked(socketFunction(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), 'socket');
  try {
    checked(setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, option(1), 4), 'setsockopt');
    // Beyond the system's limit where we may, else up to it.
    if (setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, option(receiveBufferBytes), 4) < 0)
      checked(setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, option(receiveBufferBytes), 4), 'setsockopt');
    const bytes = socketAddress(at);
    checked(bindFunction(descriptor, bytes, bytes.length), 'bind', `${at.address} ${at.port}`);
    return descriptor;
  } catch (error) {
    closeDescriptor(descriptor);
    throw error;
  }
}

/**
 * From now on the kernel gives new datagrams to the other sockets on the same address and port, as this one is connected
 * to nobody of theirs. What is in its queue can still be read and answered.
 */
export function stepBack(descriptor: number, at: DatagramAddress): void {
  const bytes = socketAddress({ address: at.address, port: NOBODY_PORT });
  checked(connectFunction(descriptor, bytes, bytes.length), 'connect', at.address);
}
