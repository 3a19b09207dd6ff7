/** Unpacks a build context into a directory of our own. The sender is not trusted to stay inside. */
import { constants } from 'node:fs';
import { chmod, type FileHandle, link, mkdir, open, symlink, utimes } from 'node:fs/promises';
import { SwarmError } from '#common/errors.ts';
import { displayTarName, type TarEntry } from '#common/system/tar-header.ts';
import { TarReader } from '#common/system/tar-reader.ts';
import { cancelledError } from '../archive/archive-error.ts';
import { pathInRoot } from '../archive/layer-policy.ts';
import { BombGuard, unpack } from '../archive/unpack.ts';
import type { ArchiveLimits, ContextLimits } from '../config.ts';

const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

function badContext(message: string): SwarmError {
  return new SwarmError({
    code: 'invalid',
    reason: 'build-failed',
    message: `invalid build context: ${message}`,
    hint: 'send files, directories and links of one directory',
  });
}

type PathKind = 'file' | 'directory' | 'symlink';

class ContextWriter {
  readonly #root: string;
  /** Everything made so far. Nobody else writes here, so the table is the truth. */
  readonly #made = new Map<string, PathKind>();
  #file: { readonly handle: FileHandle; readonly entry: TarEntry; readonly path: Buffer } | undefined;

  constructor(root: string) {
    this.#root = root;
  }

  async begin(entry: TarEntry): Promise<void> {
    const path = pathInRoot(entry.name);
    if (path === undefined) throw badContext(`member ${displayTarName(entry.name)} leads out of it`);
    if (path === '') return;
    await this.#makeParents(path);
    const known = this.#made.get(path);
    if (known !== undefined && !(known === 'directory' && entry.type === 'directory'))
      throw badContext(`member ${displayTarName(entry.name)} is there twice`);
    const target = this.#onDisk(path);
    switch (entry.type) {
      case 'directory':
        if (known === undefined) await mkdir(target);
        await chmod(target, entry.mode);
        break;
      case 'file':
        this.#file = { handle: await open(target, NEW_FILE, 0o600), entry, path: target };
        break;
      case 'symlink':
        await symlink(Buffer.from(entry.linkName, 'latin1'), target);
        break;
      case 'hardlink':
        await link(this.#linkTarget(entry), target);
        break;
      case 'character-device':
      case 'block-device':
      case 'fifo':
        throw badContext(`member ${displayTarName(entry.name)} is a ${entry.type}`);
    }
    this.#made.set(path, entry.type === 'hardlink' ? 'file' : entry.type);
  }

  async write(bytes: Buffer): Promise<void> {
    if (this.#file !== undefined) await this.#file.handle.writeFile(bytes);
  }

  async end(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    if (file === undefined) return;
    try {
      await file.handle.chmod(file.entry.mode);
    } finally {
      await file.handle.close();
    }
    await utimes(file.path, file.entry.modifiedSeconds, file.entry.modifiedSeconds);
  }

  async close(): Promise<void> {
    await this.#file?.handle.close();
    this.#file = undefined;
  }

  #onDisk(path: string): Buffer {
    return Buffer.concat([Buffer.from(`${this.#root}/`), Buffer.from(path, 'latin1')]);
  }

  async #makeParents(path: string): Promise<void> {
    for (let slash = path.indexOf('/'); slash !== -1; slash = path.indexOf('/', slash + 1)) {
      const parent = path.slice(0, slash);
      const known = this.#made.get(parent);
      if (known === 'directory') continue;
      if (known !== undefined) throw badContext(`member ${displayTarName(path)} lies below a ${known}`);
      await mkdir(this.#onDisk(parent), { mode: 0o755 });
      this.#made.set(parent, 'directory');
    }
  }

  #linkTarget(entry: TarEntry): Buffer {
    const target = pathInRoot(entry.linkName);
    if (target === undefined || this.#made.get(target) !== 'file')
      throw badContext(
        `member ${displayTarName(entry.name)} is a hard link to ${displayTarName(entry.linkName)}, which is no file of it`,
      );
    return this.#onDisk(target);
  }
}

/**
 * Reads the whole stream, plain or compressed. `directory` exists, is empty and private; the caller removes it, whatever
 * comes. Throws `build-failed` or `image-invalid` for what is wrong with the stream, errors of the disk as they are.
 */
export async function extractContext(
  source: AsyncIterable<Uint8Array>,
  directory: string,
  limits: ContextLimits,
  archive: ArchiveLimits,
  signal: AbortSignal,
): Promise<void> {
  const reader = new TarReader({ entriesMax: limits.entriesMax });
  const writer = new ContextWriter(directory);
  const guard = new BombGuard({ ...archive, archiveBytesMax: limits.bytesMax }, 'archiveBytesMax');
  try {
    for await (const piece of unpack(source, guard)) {
      if (signal.aborted) throw cancelledError('the build');
      for (const event of reader.push(piece)) {
        if (event.kind === 'entry') await writer.begin(event.entry);
        else if (event.kind === 'content') await writer.write(event.bytes);
        else await writer.end();
      }
    }
    reader.finish();
  } finally {
    await writer.close();
  }
}
