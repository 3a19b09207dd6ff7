/**
 * UDP sockets as dgram cannot make them: several processes on one address and port (SO_REUSEPORT) of which one can step
 * back without losing a datagram, and with a queue as long as we like.
 */
import { familyOf } from './ip-address.ts';
import { checked, closeDescriptor } from './libc.ts';
import {
  bindSocket,
  connectSocket,
  openSocket,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_REUSEPORT,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOL_SOCKET,
  setSocketOption,
  socketAddress,
} from './socket.ts';

/** "discard": nobody asks from there. */
const NOBODY_PORT = 9;

export interface DatagramAddress {
  /** Without a zone. */
  readonly address: string;
  readonly port: number;
}

/**
 * A bound socket for `dgram.Socket.bind({ fd })`, which then owns it. Others of the same user may share address and port
 * when they ask for it as well. Throws a KernelError: EADDRINUSE, EADDRNOTAVAIL, ...
 */
export function openSharedDatagramSocket(at: DatagramAddress, receiveBufferBytes: number): number {
  const type = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const descriptor = checked(openSocket(familyOf(at.address), type, 0), 'socket');
  try {
    checked(setSocketOption(descriptor, SOL_SOCKET, SO_REUSEPORT, 1), 'setsockopt');
    // Beyond the system's limit where we may, else up to it.
    if (setSocketOption(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, receiveBufferBytes) < 0)
      checked(setSocketOption(descriptor, SOL_SOCKET, SO_RCVBUF, receiveBufferBytes), 'setsockopt');
    checked(bindSocket(descriptor, socketAddress(at.address, at.port)), 'bind', `${at.address} ${at.port}`);
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
  checked(connectSocket(descriptor, socketAddress(at.address, NOBODY_PORT)), 'connect', at.address);
}
