/** A state directory without room: what the user is told, and whether there is room again. */
import { statfs } from 'node:fs/promises';
import { SwarmError } from '#common/errors.ts';
import { binarySize } from '#common/size.ts';

/**
 * What a node wants to see free before it starts once more: the log allocates 1 MiB at a time and may take a snapshot, the
 * journal of agent.db grows to 4 MiB.
 */
const ROOM_BYTES = 16 * 1024 * 1024;
/** Below this nothing can be opened for writing: SQLite alone maps 32 KiB, and calls their lack an I/O error. */
const FULL_BYTES = 256 * 1024;

/** What a failed write looks like when nobody has said that it was for want of room. */
const MAY_BE_FULL: ReadonlySet<string> = new Set(['data-loss', 'internal', 'unavailable']);

interface Room {
  readonly bytes: number;
  /** Whether another file may be made. */
  readonly hasFiles: boolean;
}

/** The error as one of a full disk, if it is one; else undefined. */
export async function asFullDisk(error: SwarmError, directory: string): Promise<SwarmError | undefined> {
  const room = await roomIn(directory);
  const isSaid = error.reason === 'disk-full';
  if (!isSaid && !(MAY_BE_FULL.has(error.code) && isFull(room))) return undefined;
  return new SwarmError({
    code: 'exhausted',
    reason: 'disk-full',
    message: `the disk is full: ${directory} has ${describe(room)}, and swarmd needs ${binarySize(ROOM_BYTES)} there to start (${error.message})`,
    hint: 'free space on that file system: swarmd notices, and goes on by itself; what was acknowledged is not lost',
    cause: error,
  });
}

/** Whether starting is worth another attempt; also where nobody knows (a quota, say). */
export async function hasRoom(directory: string): Promise<boolean> {
  const room = await roomIn(directory);
  return room === undefined || (room.hasFiles && room.bytes >= ROOM_BYTES);
}

function isFull(room: Room | undefined): boolean {
  return room !== undefined && (room.bytes < FULL_BYTES || !room.hasFiles);
}

function describe(room: Room | undefined): string {
  if (room === undefined) return 'no room';
  return room.hasFiles ? `${binarySize(room.bytes)} free` : 'no room for another file (its inodes are used up)';
}

async function roomIn(directory: string): Promise<Room | undefined> {
  try {
    const { bavail, bsize, files, ffree } = await statfs(directory);
    // File systems without a fixed number of files say 0 of both.
    return { bytes: bavail * bsize, hasFiles: files === 0 || ffree > 0 };
  } catch {
    return undefined;
  }
}
