/**
 * posix_spawn(3). Node's own spawn forks, which stops the event loop for longer the more memory the daemon holds
 * (0.8 ms at 55 MB, 8.4 ms at 550 MB); posix_spawn shares the memory until exec and stays at 0.15 ms.
 */
import { Socket } from 'node:net';
import { callAsync, checked, closeDescriptor, KernelError, libcFunction, optionalLibcFunction } from './libc.ts';
import { ProcessHandle } from './pidfd.ts';

/** What a child gets at one of its descriptors. */
export type ChildDescriptor =
  | 'null' // /dev/null
  | 'read' // a pipe that we read from
  | 'write'; // a pipe that we write to

export interface ProcessStart {
  /** Absolute path: nothing is searched. */
  readonly file: string;
  /** Without the program's own name. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Working directory; ours when left out. */
  readonly directory?: string;
  /** The child's descriptors 0, 1, 2, ...; it gets no others. */
  readonly descriptors: readonly ChildDescriptor[];
  /** In a session of its own, away from our terminal and process group: for what outlives us. */
  readonly session?: boolean;
}

/** Exactly one of the two is set. */
export interface ProcessEnd {
  readonly exitCode: number | undefined;
  readonly signal: number | undefined;
}

export interface StartedProcess {
  readonly pid: number;
  /** Our ends of the pipes, in the places of `descriptors`. They are to be consumed or destroyed by the caller. */
  readonly pipes: readonly (Socket | undefined)[];
  /** Resolves when the process has ended and is reaped. Pipes may still be held open by its children. */
  readonly ended: Promise<ProcessEnd>;
  /** False when it has ended already. */
  signal(signal: number): boolean;
}

const O_CLOEXEC = 0o2000000;
const O_RDWR = 2;
const F_DUPFD_CLOEXEC = 1030;
const POSIX_SPAWN_SETSIGDEF = 0x04;
const POSIX_SPAWN_SETSIGMASK = 0x08;
const POSIX_SPAWN_SETSID = 0x80;
const WNOHANG = 1;
const ESRCH = 3;
// The C library's own sizes are 80, 336 and 128 bytes (glibc), 80, 336 and 128 (musl); the rest is room for later ones.
const FILE_ACTIONS_BYTES = 256;
const ATTRIBUTES_BYTES = 512;
const SIGNAL_SET_BYTES = 128;
/** Our pipe ends are moved above the child's numbers, so that no dup2 hits one that is still needed. */
const LOWEST_OWN_DESCRIPTOR = 16;

type OpaqueCall = readonly [Uint8Array];
const pipe2 = libcFunction<[Uint8Array, number]>('pipe2', 'int', ['void *', 'int']);
const fcntl = libcFunction<[number, number, number]>('fcntl', 'int', ['int', 'int', 'int']);
const sigemptyset = libcFunction<OpaqueCall>('sigemptyset', 'int', ['void *']);
const sigfillset = libcFunction<OpaqueCall>('sigfillset', 'int', ['void *']);
const waitpid = libcFunction<[number, Uint8Array, number]>('waitpid', 'int', ['int', 'void *', 'int']);
const attributesInit = libcFunction<OpaqueCall>('posix_spawnattr_init', 'int', ['void *']);
const attributesSetFlags = libcFunction<[Uint8Array, number]>('posix_spawnattr_setflags', 'int', ['void *', 'short']);
const attributesSetDefault = libcFunction<[Uint8Array, Uint8Array]>('posix_spawnattr_setsigdefault', 'int', [
  'void *',
  'void *',
]);
const attributesSetMask = libcFunction<[Uint8Array, Uint8Array]>('posix_spawnattr_setsigmask', 'int', [
  'void *',
  'void *',
]);
const actionsInit = libcFunction<OpaqueCall>('posix_spawn_file_actions_init', 'int', ['void *']);
const actionsDestroy = libcFunction<OpaqueCall>('posix_spawn_file_actions_destroy', 'int', ['void *']);
const actionsDup2 = libcFunction<[Uint8Array, number, number]>('posix_spawn_file_actions_adddup2', 'int', [
  'void *',
  'int',
  'int',
]);
const actionsOpen = libcFunction<[Uint8Array, number, string, number, number]>(
  'posix_spawn_file_actions_addopen',
  'int',
  ['void *', 'int', 'str', 'int', 'uint'],
);
const actionsChdir = libcFunction<[Uint8Array, string]>('posix_spawn_file_actions_addchdir_np', 'int', [
  'void *',
  'str',
]);
/** glibc 2.34. Elsewhere a descriptor that we inherited ourselves without close-on-exec reaches our children. */
const actionsCloseFrom = optionalLibcFunction<[Uint8Array, number]>('posix_spawn_file_actions_addclosefrom_np', 'int', [
  'void *',
  'int',
]);
const posixSpawn = libcFunction<
  [Uint8Array, string, Uint8Array, Uint8Array, readonly (string | null)[], readonly (string | null)[]]
>('posix_spawn', 'int', ['void *', 'str', 'void *', 'void *', 'char **', 'char **']);

/** Every signal at its default and none blocked, whatever Node has set for itself. Made once, never freed. */
function makeAttributes(flags: number): Uint8Array {
  const made = Buffer.alloc(ATTRIBUTES_BYTES);
  const signals = Buffer.alloc(SIGNAL_SET_BYTES);
  attributesInit(made);
  attributesSetFlags(made, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | flags);
  sigfillset(signals);
  attributesSetDefault(made, signals);
  sigemptyset(signals);
  attributesSetMask(made, signals);
  return made;
}

const plainAttributes = makeAttributes(0);
const sessionAttributes = makeAttributes(POSIX_SPAWN_SETSID);

interface PipeEnds {
  readonly ours: number;
  readonly theirs: number;
}

function moveUp(descriptor: number): number {
  if (descriptor >= LOWEST_OWN_DESCRIPTOR) return descriptor;
  const moved = checked(fcntl(descriptor, F_DUPFD_CLOEXEC, LOWEST_OWN_DESCRIPTOR), 'fcntl');
  closeDescriptor(descriptor);
  return moved;
}

function makePipe(kind: 'read' | 'write'): PipeEnds {
  const pair = Buffer.alloc(8);
  checked(pipe2(pair, O_CLOEXEC), 'pipe2');
  const readEnd = moveUp(pair.readInt32LE(0));
  const writeEnd = moveUp(pair.readInt32LE(4));
  return kind === 'read' ? { ours: readEnd, theirs: writeEnd } : { ours: writeEnd, theirs: readEnd };
}

function buildActions(start: ProcessStart, pipes: readonly (PipeEnds | undefined)[]): Uint8Array {
  const actions = Buffer.alloc(FILE_ACTIONS_BYTES);
  actionsInit(actions);
  pipes.forEach((pipe, target) => {
    if (pipe === undefined) actionsOpen(actions, target, '/dev/null', O_RDWR, 0);
    else actionsDup2(actions, pipe.theirs, target);
  });
  actionsCloseFrom?.(actions, pipes.length);
  if (start.directory !== undefined) actionsChdir(actions, start.directory);
  return actions;
}

interface PreparedStart {
  readonly pipes: readonly (PipeEnds | undefined)[];
  readonly actions: Uint8Array;
  readonly attributes: Uint8Array;
  readonly pidBuffer: Buffer;
  readonly argv: readonly (string | null)[];
  readonly environment: readonly (string | null)[];
}

function prepare(start: ProcessStart): PreparedStart {
  const pipes: (PipeEnds | undefined)[] = [];
  try {
    for (const kind of start.descriptors) pipes.push(kind === 'null' ? undefined : makePipe(kind));
  } catch (error) {
    closeEnds(pipes, 'ours', 'theirs');
    throw error;
  }
  return {
    pipes,
    actions: buildActions(start, pipes),
    attributes: start.session === true ? sessionAttributes : plainAttributes,
    pidBuffer: Buffer.alloc(4),
    argv: [start.file, ...start.args, null],
    environment: [...Object.entries(start.env).map(([name, value]) => `${name}=${value}`), null],
  };
}

function closeEnds(pipes: readonly (PipeEnds | undefined)[], ...sides: readonly ('ours' | 'theirs')[]): void {
  for (const pipe of pipes) if (pipe !== undefined) for (const side of sides) closeDescriptor(pipe[side]);
}

function finish(start: ProcessStart, prepared: PreparedStart, error: number): StartedProcess {
  actionsDestroy(prepared.actions);
  closeEnds(prepared.pipes, 'theirs');
  if (error === 0) return follow(prepared.pidBuffer.readInt32LE(0), prepared.pipes, start.descriptors);
  closeEnds(prepared.pipes, 'ours');
  throw new KernelError('posix_spawn', error, start.file);
}

/**
 * Starts a program. Throws a KernelError when it cannot be (ENOENT, EACCES, EMFILE, ...). Blocks until the child has
 * come to its exec: where many are started on a busy machine, take `spawnProcess`.
 */
export function startProcess(start: ProcessStart): StartedProcess {
  const prepared = prepare(start);
  const { pidBuffer, actions, attributes, argv, environment } = prepared;
  return finish(start, prepared, posixSpawn(pidBuffer, start.file, actions, attributes, argv, environment));
}

/** As `startProcess`, with the wait for the child's exec on the thread pool (2 ms each when every core is busy). */
export async function spawnProcess(start: ProcessStart): Promise<StartedProcess> {
  const prepared = prepare(start);
  const { pidBuffer, actions, attributes, argv, environment } = prepared;
  const error = await callAsync(
    posixSpawn,
    [pidBuffer, start.file, actions, attributes, argv, environment],
    'posix_spawn',
    start.file,
  );
  return finish(start, prepared, error);
}

function follow(
  pid: number,
  pipes: readonly (PipeEnds | undefined)[],
  kinds: readonly ChildDescriptor[],
): StartedProcess {
  const handle = ProcessHandle.open(pid, true);
  // Nobody else waits for our child, so it is there, at least as a zombie.
  if (handle === undefined) throw new KernelError('pidfd_open', ESRCH, String(pid));
  const sockets = pipes.map((pipe, index) => {
    if (pipe === undefined) return undefined;
    const reads = kinds[index] === 'read';
    const socket = new Socket({ fd: pipe.ours, readable: reads, writable: !reads });
    // A child that dies early breaks the pipe: its end is reported by `ended`, not by an uncaught event.
    socket.on('error', () => {});
    return socket;
  });
  const ended = handle.ended.then((): ProcessEnd => {
    const status = reap(pid);
    handle.close();
    return status;
  });
  return { pid, pipes: sockets, ended, signal: (signal) => handle.signal(signal) };
}

function reap(pid: number): ProcessEnd {
  const buffer = Buffer.alloc(4);
  const reaped = waitpid(pid, buffer, WNOHANG);
  if (reaped !== pid) return { exitCode: 255, signal: undefined };
  const status = buffer.readInt32LE(0);
  const signal = status & 0x7f;
  return signal === 0 ? { exitCode: (status >> 8) & 0xff, signal: undefined } : { exitCode: undefined, signal };
}
