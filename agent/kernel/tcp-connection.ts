/** TCP connections that begin in a network namespace of choice. Node's own can only begin in ours. */
import { Socket } from 'node:net';
import { AF_INET, AF_INET6, addressBytes } from './ip-address.ts';
import { checked, closeDescriptor, KernelError } from './libc.ts';
import type { NetworkNamespace } from './netns.ts';
import { connectSocket, openSocket, SOCK_CLOEXEC, SOCK_NONBLOCK, socketAddress } from './socket.ts';

const SOCK_STREAM = 1;

/**
 * A socket that is being connected to the address. It may be written to at once; a refusal comes as its error, ECONNREFUSED
 * and the like. Throws a KernelError when the namespace cannot be entered or the kernel refuses at once.
 */
export function beginConnection(namespace: NetworkNamespace, address: string, port: number): Socket {
  const family = addressBytes(address).length === 4 ? AF_INET : AF_INET6;
  const descriptor = namespace.run(() => {
    const opened = checked(openSocket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), 'socket', address);
    try {
      checked(connectSocket(opened, socketAddress(address, port)), 'connect', `${address} port ${port}`);
    } catch (error) {
      if (error instanceof KernelError && error.code === 'EINPROGRESS') return opened;
      closeDescriptor(opened);
      throw error;
    }
    return opened;
  });
  return new Socket({ fd: descriptor, readable: true, writable: true });
}
