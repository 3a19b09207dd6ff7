/** A directory as the tar stream of a build context: one file at a time, links as links, nothing from outside of it. */
import { constants, type Stats } from 'node:fs';
import { lstat, open, readdir, readlink } from 'node:fs/promises';
import { type NewTarEntry, tarEnd, tarHeader, tarPadding } from '#common/system/tar-writer.ts';
import { CliError } from '../../../cli-errors.ts';
import { systemWords } from '../open-error.ts';
import type { DockerIgnore, Judgement } from './docker-ignore.ts';

const READ_BYTES = 256 * 1024;
/** Never through a link, and never waiting for the other end of a pipe that took the file's place. */
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const PERMISSIONS = 0o7777;

export interface ContextSource {
  /** Absolute path of a directory, without links. */
  readonly root: string;
  readonly ignore: DockerIgnore;
  /** Files that are put into the context in place of the directory's own, by name; at its top. */
  readonly extra: ReadonlyMap<string, Uint8Array>;
}

/** Yields the archive in pieces. Throws a CliError for what cannot be read or sent. */
export async function* contextArchive(source: ContextSource): AsyncGenerator<Uint8Array> {
  yield* directoryMembers(source, { path: Buffer.from(source.root), name: '', judgement: undefined });
  for (const [name, content] of source.extra) yield* textMember(name, content);
  yield tarEnd();
}

/** An archive of these files and no others. */
export async function* filesArchive(files: ReadonlyMap<string, Uint8Array>): AsyncGenerator<Uint8Array> {
  for (const [name, content] of files) yield* textMember(name, content);
  yield tarEnd();
}

function* textMember(name: string, content: Uint8Array): Generator<Uint8Array> {
  yield tarHeader({ name: Buffer.from(name).toString('latin1'), mode: 0o600, sizeBytes: content.length });
  yield content;
  yield tarPadding(content.length);
}

interface Place {
  /** Names need not be UTF-8. */
  readonly path: Buffer;
  /** Relative to the root; one character per byte, as in the archive. */
  readonly name: string;
  readonly judgement: Judgement | undefined;
}

async function* directoryMembers(source: ContextSource, directory: Place): AsyncGenerator<Uint8Array> {
  const names = await readdir(directory.path, { encoding: 'buffer' }).catch((error: unknown) => {
    throw unreadable(directory.path, error);
  });
  for (const own of names.toSorted(Buffer.compare)) {
    const path = Buffer.concat([directory.path, Buffer.from('/'), own]);
    const name = directory.name === '' ? own.toString('latin1') : `${directory.name}/${own.toString('latin1')}`;
    const shown = Buffer.from(name, 'latin1').toString('utf8');
    if (source.extra.has(shown)) continue;
    const judgement = source.ignore.judge(shown, directory.judgement);
    if (judgement.ignored && !source.ignore.hasExceptionBelow(shown)) continue;
    yield* member(source, { path, name, judgement });
  }
}

async function* member(source: ContextSource, place: Place): AsyncGenerator<Uint8Array> {
  const { path, name, judgement } = place;
  const isIgnored = judgement?.ignored === true;
  const stats = await lstat(path).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  if (stats.isDirectory()) {
    if (!isIgnored) yield tarHeader({ ...attributes(stats), name: `${name}/`, type: 'directory' });
    yield* directoryMembers(source, place);
  } else if (isIgnored || stats.isSocket()) return;
  else if (stats.isSymbolicLink()) yield await linkMember(path, name, stats);
  else if (stats.isFile()) yield* fileMember(path, name);
  else
    throw new CliError(`${path.toString()} is neither a file nor a directory nor a link`, {
      hint: 'name it in .dockerignore',
    });
}

/** Everything belongs to root in an image unless its Dockerfile says otherwise. */
function attributes(stats: Stats): Pick<NewTarEntry, 'mode' | 'modifiedSeconds'> {
  return { mode: stats.mode & PERMISSIONS, modifiedSeconds: Math.max(0, Math.floor(stats.mtimeMs / 1000)) };
}

async function linkMember(path: Buffer, name: string, stats: Stats): Promise<Uint8Array> {
  const target = await readlink(path, { encoding: 'buffer' }).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  return tarHeader({ ...attributes(stats), name, type: 'symlink', linkName: target.toString('latin1') });
}

async function* fileMember(path: Buffer, name: string): AsyncGenerator<Uint8Array> {
  const file = await open(path, READ_FLAGS).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  try {
    const stats = await file.stat();
    if (!stats.isFile()) throw changed(path);
    yield tarHeader({ ...attributes(stats), name, sizeBytes: stats.size });
    let left = stats.size;
    while (left > 0) {
      // The reader may still hold the piece before, so each has memory of its own.
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(Math.min(left, READ_BYTES)));
      if (bytesRead === 0) throw changed(path);
      left -= bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
    yield tarPadding(stats.size);
  } finally {
    await file.close();
  }
}

function unreadable(path: Buffer, error: unknown): CliError {
  return new CliError(`error checking context: cannot read ${path.toString()}: ${systemWords(error)}`, {
    hint: 'make it readable, or name it in .dockerignore',
  });
}

function changed(path: Buffer): CliError {
  return new CliError(`${path.toString()} was changed while it was being read`, { hint: 'build again' });
}
