import { randomBytes } from 'node:crypto';
import { type FileHandle, link, lstat, open, realpath, rename, stat, unlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { decimalSize } from '#common/size.ts';
import { syncDirectory } from '#common/system/atomic-file.ts';
import type { SwarmApi } from '../../api.ts';
import { CliError, EXIT_INTERRUPTED } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { type CliContext, printLine, printWarning } from '../../context.ts';
import { boolFlag } from '../../flags.ts';
import { openError, systemWords } from '../image/open-error.ts';

const FORCE = boolFlag({ name: 'force', usage: 'Overwrite the file when it exists' });
const QUIET = boolFlag({ name: 'quiet', short: 'q', usage: 'Only display the name of the file' });

export const snapshotSave: CommandImplementation = {
  flags: [FORCE, QUIET],
  examples: [
    'swarm snapshot save',
    'swarm snapshot save /backup/swarm.snapshot',
    'swarm snapshot save - | ssh backup "cat > swarm.snapshot"',
  ],
  argumentKind: 'file',
  run: save,
};

async function save({ context, flags, arguments: [given] }: Invocation): Promise<void> {
  if (given === '-' && context.stdout.isTerminal)
    throw new CliError('cowardly refusing to save to a terminal', { hint: 'name a file, or redirect the output' });
  if (given === '')
    throw new CliError('the name of the file is empty', {
      hint: 'name a file, or leave it out for a name with the time',
    });
  const api = await context.api();
  const interrupted = new AbortController();
  const release = context.onInterrupt(() => interrupted.abort());
  try {
    const pieces = savedPieces(api, interrupted.signal);
    if (given === '-') {
      for await (const piece of pieces) context.stdout.write(piece);
      if (!flags.isSet(QUIET)) printWarning(context, KEY_REMINDER);
      return;
    }
    const path = resolve(given ?? (await defaultName(context, api)));
    const bytes = await writeWhole(path, pieces, flags.isSet(FORCE));
    if (flags.isSet(QUIET)) {
      printLine(context, path);
      return;
    }
    printLine(context, `Saved the swarm to ${path} (${decimalSize(bytes)}).`);
    printLine(context, KEY_REMINDER);
  } catch (thrown) {
    if (interrupted.signal.aborted)
      throw new CliError('interrupted: nothing was saved', { exitCode: EXIT_INTERRUPTED });
    throw thrown;
  } finally {
    release();
  }
}

const KEY_REMINDER =
  'It can be read with the key that `swarm snapshot key` prints, and with no other: keep the key in another place.';

async function* savedPieces(api: SwarmApi, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for await (const { chunk } of api.snapshots.saveSnapshot({}, { signal })) yield chunk;
}

/** swarm-default-20261121T081226Z.snapshot, in the current directory. */
async function defaultName(context: CliContext, api: SwarmApi): Promise<string> {
  const { cluster } = await api.node.getInfo({});
  const name = (cluster?.spec?.name ?? '').replaceAll(/[^A-Za-z0-9._-]/g, '_');
  const time = new Date(context.clock.now()).toISOString().replaceAll(/[-:]|\.\d+/g, '');
  return `swarm-${name === '' ? 'default' : name}-${time}.snapshot`;
}

/** Whole or not there, for nobody but its owner. Returns its size. */
async function writeWhole(given: string, pieces: AsyncIterable<Uint8Array>, mayReplace: boolean): Promise<number> {
  // Before the daemon is asked to work; what comes between is noticed at the end.
  const path = await placeFor(given, mayReplace);
  const temporary = join(dirname(path), `.swarm-snapshot-${randomBytes(6).toString('hex')}.tmp`);
  let file: FileHandle;
  try {
    file = await open(temporary, 'wx', 0o600);
  } catch (thrown) {
    throw openError('create', path, thrown);
  }
  try {
    const bytes = await fill(file, path, pieces);
    await place(temporary, path, mayReplace);
    return bytes;
  } catch (thrown) {
    await unlink(temporary).catch(() => {});
    throw thrown;
  }
}

async function fill(file: FileHandle, path: string, pieces: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0;
  try {
    for await (const piece of pieces) {
      await file.writeFile(piece).catch((thrown: unknown) => {
        throw writeError(path, thrown);
      });
      bytes += piece.length;
    }
    await file.sync().catch((thrown: unknown) => {
      throw writeError(path, thrown);
    });
  } finally {
    await file.close();
  }
  return bytes;
}

async function place(temporary: string, path: string, mayReplace: boolean): Promise<void> {
  try {
    if (mayReplace) await rename(temporary, path);
    else {
      // Unlike a rename it fails when somebody made the file meanwhile.
      await link(temporary, path);
      await unlink(temporary);
    }
    await syncDirectory(dirname(path));
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'EEXIST') throw inTheWay(path);
    throw writeError(path, thrown);
  }
}

/** Where the file is to be: what a link leads to is replaced, not the link. A device or directory is never replaced. */
async function placeFor(path: string, mayReplace: boolean): Promise<string> {
  try {
    const found = await stat(path);
    if (!found.isFile())
      throw new CliError(`${path} is ${found.isDirectory() ? 'a directory' : 'no regular file'}`, {
        hint: 'name a file, or - for standard output',
      });
    if (mayReplace) return await realpath(path);
  } catch (thrown) {
    if (thrown instanceof CliError) throw thrown;
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw openError('create', path, thrown);
    // A link that leads nowhere is in the way too.
    if (mayReplace || (await isFree(path))) return path;
  }
  throw inTheWay(path);
}

async function isFree(path: string): Promise<boolean> {
  return lstat(path).then(
    () => false,
    () => true,
  );
}

function inTheWay(path: string): CliError {
  return new CliError(`${path} exists`, { hint: 'name another file, or replace it with --force' });
}

function writeError(path: string, thrown: unknown): CliError {
  const isFull = ['ENOSPC', 'EDQUOT'].includes((thrown as NodeJS.ErrnoException).code ?? '');
  return new CliError(`write ${path}: ${isFull ? 'no space left on device' : systemWords(thrown)}`, {
    hint: isFull ? 'free some space, or save to another disk' : undefined,
  });
}
