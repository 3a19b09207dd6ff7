/** What keeps a node from taking part and may be over without anybody's doing: a full disk, a clock that is wrong. */
import { dirname } from 'node:path';
import type { IdentityStore } from '#agent/identity/index.ts';
import { SwarmError } from '#common/errors.ts';
import type { DaemonParts } from './daemon-parts.ts';
import { asFullDisk, hasRoom } from './full-disk.ts';

export interface PassingProblem {
  readonly error: SwarmError;
  /** Whether starting is worth another attempt; asked again and again. */
  readonly isOver: () => Promise<boolean>;
  /** What is said then. */
  readonly words: string;
}

/** Undefined for an error that somebody has to do something about. */
export async function passingProblem(
  error: SwarmError,
  { paths, clock }: Pick<DaemonParts, 'paths' | 'clock'>,
  store: Pick<IdentityStore, 'load'>,
): Promise<PassingProblem | undefined> {
  const directory = dirname(paths.database);
  const full = await asFullDisk(error, directory);
  if (full !== undefined)
    return { error: full, isOver: () => hasRoom(directory), words: 'there is room on the disk again' };
  if (error.reason !== 'expired') return undefined;
  // A host without a clock of its own comes up in the past, and is set right a moment later.
  const holds = async (): Promise<boolean> => {
    try {
      return (await store.load(clock.now())) !== undefined;
    } catch (thrown) {
      return SwarmError.from(thrown).reason !== 'expired';
    }
  };
  return { error, isOver: holds, words: 'the certificate of this node holds now' };
}
