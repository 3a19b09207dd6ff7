/** Classic BPF on a socket: the kernel drops what nobody wants to know before it wakes anybody. */
import koffi from 'koffi';
import { checked, libcFunction } from './libc.ts';

const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const ACCEPT_BYTES = 0xffffffff;

// struct sock_fprog
const filterProgram = koffi.struct('starling_sock_fprog', { length: 'uint16', instructions: 'void *' });
const attachFilter = libcFunction<[number, number, number, never, number]>('setsockopt', 'int', [
  'int',
  'int',
  'int',
  'starling_sock_fprog *',
  'uint',
]);

/** Opcodes: load a word or half of the packet at an offset, mask, compare, answer. */
export const LOAD_WORD = 0x20;
export const LOAD_HALF = 0x28;
export const AND = 0x54;
export const JUMP_EQUAL = 0x15;
const ANSWER = 0x06;

/** One step of a program, a struct sock_filter; jumps are numbers of steps that are passed over. */
export function instruction(code: number, jumpTrue: number, jumpFalse: number, value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt16LE(code, 0);
  bytes.writeUInt8(jumpTrue, 2);
  bytes.writeUInt8(jumpFalse, 3);
  bytes.writeUInt32LE(value, 4);
  return bytes;
}

/** Takes the packet whole. */
export const ACCEPT = instruction(ANSWER, 0, 0, ACCEPT_BYTES);
export const REFUSE = instruction(ANSWER, 0, 0, 0);

/** From now on the socket gets only what the program accepts. */
export function attachSocketFilter(descriptor: number, program: readonly Buffer[], subject: string): void {
  const argument = { length: program.length, instructions: Buffer.concat(program) };
  checked(
    // The struct is koffi's to lay out: no type of ours stands for it.
    attachFilter(descriptor, SOL_SOCKET, SO_ATTACH_FILTER, argument as never, koffi.sizeof(filterProgram)), // koffi's struct
    'setsockopt',
    subject,
  );
}
