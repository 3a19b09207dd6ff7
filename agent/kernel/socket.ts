/** The calls for sockets that modules of this folder share. */
import { AF_INET, AF_INET6, addressBytes } from './ip-address.ts';
import { libcFunction } from './libc.ts';

export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;

export const SOL_SOCKET = 1;
export const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
export const SO_REUSEPORT = 15;
export const SO_SNDBUFFORCE = 32;
export const SO_RCVBUFFORCE = 33;

export const MSG_DONTWAIT = 0x40;

const setsockopt = libcFunction<[number, number, number, Uint8Array, number]>('setsockopt', 'int', [
  'int',
  'int',
  'int',
  'void *',
  'uint',
]);
const bind = libcFunction<[number, Uint8Array, number]>('bind', 'int', ['int', 'void *', 'uint']);
const connect = libcFunction<[number, Uint8Array, number]>('connect', 'int', ['int', 'void *', 'uint']);
const sendto = libcFunction<[number, Uint8Array, number, number, Uint8Array, number]>('sendto', 'long', [
  'int',
  'void *',
  'size_t',
  'int',
  'void *',
  'uint',
]);

/** socket(2): family, type, protocol. */
export const openSocket = libcFunction<[number, number, number]>('socket', 'int', ['int', 'int', 'int']);

/** send(2) and recv(2): descriptor, bytes, their number, flags. */
export const sendBytes = libcFunction<[number, Uint8Array, number, number]>('send', 'long', [
  'int',
  'void *',
  'size_t',
  'int',
]);
export const receiveBytes = libcFunction<[number, Uint8Array, number, number]>('recv', 'long', [
  'int',
  'void *',
  'size_t',
  'int',
]);

/** setsockopt(2) of an option that is a number. Like the others, it answers -1 where the kernel refuses. */
export function setSocketOption(descriptor: number, level: number, name: number, value: number): number {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return setsockopt(descriptor, level, name, bytes, bytes.length);
}

export function bindSocket(descriptor: number, address: Uint8Array): number {
  return bind(descriptor, address, address.length);
}

export function connectSocket(descriptor: number, address: Uint8Array): number {
  return connect(descriptor, address, address.length);
}

export function sendTo(descriptor: number, bytes: Uint8Array, flags: number, address: Uint8Array): number {
  return sendto(descriptor, bytes, bytes.length, flags, address, address.length);
}

/** struct sockaddr_in or sockaddr_in6. */
export function socketAddress(address: string, port = 0): Buffer {
  const bytes = addressBytes(address);
  const isIpv4 = bytes.length === 4;
  const made = Buffer.alloc(isIpv4 ? 16 : 28);
  made[0] = isIpv4 ? AF_INET : AF_INET6;
  made.writeUInt16BE(port, 2);
  made.set(bytes, isIpv4 ? 4 : 8);
  return made;
}
