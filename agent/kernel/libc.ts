/**
 * The door to the C library. Every other module of this folder declares the few functions of one kernel interface
 * through `libcFunction`; nothing else of Starling touches koffi.
 */
import koffi, { type KoffiFunc } from 'koffi';

/** The symbols of the running process: its own C library, glibc or musl. */
const library = koffi.load(null);

const errnoNames: ReadonlyMap<number, string> = new Map(
  // Two names may share a number: the first in the alphabet wins, as in Node (EAGAIN, ENOTSUP).
  Object.entries(koffi.os.errno)
    .toSorted(([left], [right]) => (left < right ? 1 : -1))
    .map(([name, number]) => [number, name]),
);

/** A refused system call, shaped like Node's own so that `error.code === 'ENOENT'` works for both. */
export class KernelError extends Error {
  override readonly name = 'KernelError';
  /** "ENOENT", "EBUSY", ... */
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;

  constructor(syscall: string, errno: number, subject?: string) {
    const code = errnoNames.get(errno) ?? `errno ${errno}`;
    super(subject === undefined ? `${syscall}: ${code}` : `${syscall} ${subject}: ${code}`);
    this.code = code;
    this.errno = errno;
    this.syscall = syscall;
  }
}

/** Whether a thrown value carries one of these errno codes; true for errors of Node and of this folder alike. */
export function hasErrno(thrown: unknown, ...codes: readonly string[]): boolean {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' && codes.includes(thrown.code);
}

type NativeValue = number | bigint | string | null | Uint8Array | readonly (string | null)[] | number[];

/** A function of the C library that answers with a number. */
export type NativeFunction<Arguments extends readonly NativeValue[]> = KoffiFunc<(...args: Arguments) => number>;

/** Declares a C function. Types are koffi's ("int", "str", "void *", ...). Throws when the symbol is missing. */
export function libcFunction<Arguments extends readonly NativeValue[]>(
  name: string,
  result: string,
  parameters: readonly string[],
): NativeFunction<Arguments> {
  return library.func(name, result, [...parameters]);
}

/** As `libcFunction`; undefined where this C library does not have the function. */
export function optionalLibcFunction<Arguments extends readonly NativeValue[]>(
  name: string,
  result: string,
  parameters: readonly string[],
): NativeFunction<Arguments> | undefined {
  try {
    return libcFunction<Arguments>(name, result, parameters);
  } catch {
    return undefined;
  }
}

/** Where the bytes are in memory. They stay there: only for memory that is not V8's own, as of `Buffer.allocUnsafeSlow`. */
export function addressOf(bytes: Uint8Array): bigint {
  return koffi.address(bytes);
}

/** Passes on a result that is not negative; otherwise throws what errno says. Call it right after the call. */
export function checked(result: number, syscall: string, subject?: string): number {
  if (result < 0) throw new KernelError(syscall, koffi.errno(), subject);
  return result;
}

/** The errno of the last synchronous call. */
export function lastErrno(): number {
  return koffi.errno();
}

/** Runs the call on libuv's thread pool, for those that may wait for a disk. Buffers in `args` must stay referenced. */
export function callAsync<Arguments extends readonly NativeValue[]>(
  call: NativeFunction<Arguments>,
  args: Arguments,
  syscall: string,
  subject?: string,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const start = call.async as (...parameters: readonly unknown[]) => void;
    start(...args, (error: unknown, result: number) => {
      // koffi restores the call's own errno for the time of this callback.
      if (error !== null && error !== undefined) reject(error instanceof Error ? error : new Error(String(error)));
      else if (result < 0) reject(new KernelError(syscall, koffi.errno(), subject));
      else resolve(result);
    });
  });
}

const closeFunction = libcFunction<[number]>('close', 'int', ['int']);

/** close(2). Errors are of no use to anyone: the descriptor is gone either way. */
export function closeDescriptor(descriptor: number): void {
  closeFunction(descriptor);
}

export interface DescriptorWatch {
  close(): void;
}

/** Calls `onEvent` whenever the descriptor is readable, until closed. */
export function watchReadable(descriptor: number, keepsAlive: boolean, onEvent: () => void): DescriptorWatch {
  const handle = koffi.node.poll(descriptor, { readable: true }, onEvent);
  if (!keepsAlive) handle.unref();
  return { close: () => handle.close() };
}
