/**
 * First pass over an archive: it is unpacked to a private file, member by member, under headers of our own. What
 * buildah reads later has nothing of the sender's tar in it: no odd types, no links, no names but ours.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { displayTarName, type TarEntry } from '#common/system/tar-header.ts';
import { TarReader } from '#common/system/tar-reader.ts';
import { tarEnd, tarHeader, tarPadding } from '#common/system/tar-writer.ts';
import type { ArchiveLimits } from '../config.ts';
import { archiveTooLarge, cancelledError, invalidImage } from './archive-error.ts';
import { pathInRoot } from './layer-policy.ts';
import { BombGuard, unpack } from './unpack.ts';

const READ_BYTES = 128 * 1024;
/** What the manifests of archives refer to; members with other characters in their names cannot be meant. */
const MEANT_NAME = /^[A-Za-z0-9._:+@=/-]{1,512}$/;
const LINK_HOPS_MAX = 4;
/** The documents that say what is in an archive. They are written anew, one image at a time. */
export type CatalogueName = 'manifest.json' | 'index.json' | 'oci-layout' | 'repositories';
const CATALOGUES: readonly string[] = ['manifest.json', 'index.json', 'oci-layout', 'repositories'];

type Sink =
  | { readonly kind: 'file'; readonly sizeBytes: number }
  | { readonly kind: 'catalogue'; readonly name: string; readonly pieces: Buffer[] };

export interface SpooledMember {
  /** Where its content begins in the file. */
  readonly offset: number;
  readonly sizeBytes: number;
}

/** An unpacked archive on the disk. */
export class SpooledArchive {
  readonly path: string;
  readonly #file: FileHandle;
  readonly #members = new Map<string, SpooledMember>();
  readonly #links = new Map<string, string>();
  readonly #catalogues = new Map<string, Buffer>();
  #end = 0;

  private constructor(path: string, file: FileHandle) {
    this.path = path;
    this.#file = file;
  }

  /**
   * Reads the source to its end. Throws `image-invalid` for what is wrong with the archive, errors of the source and
   * of the disk as they are; the file is closed then, and the caller removes it.
   */
  static async create(
    path: string,
    source: AsyncIterable<Uint8Array>,
    limits: ArchiveLimits,
    signal: AbortSignal,
  ): Promise<SpooledArchive> {
    const file = await open(
      path,
      constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
      0o600,
    );
    const archive = new SpooledArchive(path, file);
    try {
      await archive.#fill(source, limits, signal);
      return archive;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  async #fill(source: AsyncIterable<Uint8Array>, limits: ArchiveLimits, signal: AbortSignal): Promise<void> {
    const reader = new TarReader({ entriesMax: limits.membersMax });
    let sink: Sink | undefined;
    for await (const piece of unpack(source, new BombGuard(limits, 'archiveBytesMax'))) {
      if (signal.aborted) throw cancelledError('loading the image');
      for (const event of reader.push(piece)) {
        if (event.kind === 'entry') sink = await this.#sinkFor(event.entry, limits);
        else if (sink === undefined) continue;
        else if (event.kind === 'entry-end') await this.#complete(sink);
        else if (sink.kind === 'catalogue') sink.pieces.push(Buffer.from(event.bytes));
        else await this.#append(event.bytes);
      }
    }
    reader.finish();
    if (this.#members.size === 0) throw invalidImage('it is empty');
  }

  /** Where the member's content belongs: into the file, into memory, or nowhere. */
  async #sinkFor(entry: TarEntry, limits: ArchiveLimits): Promise<Sink | undefined> {
    const path = pathInRoot(entry.name);
    if (path === undefined) throw invalidImage(`member ${displayTarName(entry.name)} leads out of the archive`);
    if (entry.type === 'directory') return undefined;
    if (this.#members.has(path) || this.#links.has(path) || this.#catalogues.has(path))
      throw invalidImage(`member ${displayTarName(entry.name)} is there twice`);
    if (entry.type === 'symlink') {
      this.#links.set(path, linkTarget(path, entry.linkName));
      return undefined;
    }
    if (entry.type !== 'file')
      throw invalidImage(`member ${displayTarName(entry.name)} is a ${entry.type}, which no image archive has`);
    const { sizeBytes } = entry;
    if (CATALOGUES.includes(path)) {
      if (sizeBytes > limits.documentBytesMax)
        throw archiveTooLarge('documentBytesMax', `${path} is larger than ${limits.documentBytesMax} bytes`);
      return { kind: 'catalogue', name: path, pieces: [] };
    }
    if (!MEANT_NAME.test(path)) return undefined;
    await this.#append(tarHeader({ name: path, sizeBytes }));
    this.#members.set(path, { offset: this.#end, sizeBytes });
    return { kind: 'file', sizeBytes };
  }

  async #complete(sink: Sink): Promise<void> {
    if (sink.kind === 'file') await this.#append(tarPadding(sink.sizeBytes));
    else this.#catalogues.set(sink.name, Buffer.concat(sink.pieces));
  }

  async #append(bytes: Buffer): Promise<void> {
    let written = 0;
    while (written < bytes.length) {
      const { bytesWritten } = await this.#file.write(bytes, written, bytes.length - written, this.#end + written);
      written += bytesWritten;
    }
    this.#end += bytes.length;
  }

  /** The text of one of the documents that say what is in the archive. */
  catalogue(name: CatalogueName): string | undefined {
    return this.#catalogues.get(name)?.toString('utf8');
  }

  /** The member of that name, behind links if need be, with the name it has in the file; undefined when there is none. */
  find(name: string): (SpooledMember & { readonly name: string }) | undefined {
    let path = pathInRoot(name);
    for (let hop = 0; hop <= LINK_HOPS_MAX && path !== undefined; hop++) {
      const member = this.#members.get(path);
      if (member !== undefined) return { ...member, name: path };
      path = this.#links.get(path);
    }
    return undefined;
  }

  async *read(member: SpooledMember): AsyncGenerator<Buffer> {
    let position = member.offset;
    const end = member.offset + member.sizeBytes;
    while (position < end) {
      const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, end - position));
      const { bytesRead } = await this.#file.read(buffer, 0, buffer.length, position);
      if (bytesRead === 0) throw invalidImage('its unpacked copy was cut short on the disk');
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }

  /** A whole small member. */
  async readDocument(member: SpooledMember, limits: ArchiveLimits): Promise<Buffer> {
    if (member.sizeBytes > limits.documentBytesMax)
      throw archiveTooLarge('documentBytesMax', `a manifest or config is larger than ${limits.documentBytesMax} bytes`);
    const pieces: Buffer[] = [];
    for await (const piece of this.read(member)) pieces.push(piece);
    return Buffer.concat(pieces);
  }

  /** Makes the file a whole archive with these documents in it, instead of those of the last call. */
  async finishWith(documents: Readonly<Record<string, string>>): Promise<void> {
    const contentEnd = this.#end;
    for (const [name, text] of Object.entries(documents)) {
      const content = Buffer.from(text);
      await this.#append(tarHeader({ name, sizeBytes: content.length }));
      await this.#append(content);
      await this.#append(tarPadding(content.length));
    }
    await this.#append(tarEnd());
    await this.#file.truncate(this.#end);
    this.#end = contentEnd;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** Archives of old Docker releases hold a layer once and link to it. */
function linkTarget(path: string, target: string): string {
  const folder = path.split('/').slice(0, -1);
  const parts = target.startsWith('/') ? undefined : [...folder];
  for (const part of parts === undefined ? [] : target.split('/')) {
    if (part === '..' && parts?.pop() === undefined) return refuseLink(path, target);
    if (part !== '..' && part !== '.' && part !== '') parts?.push(part);
  }
  return parts === undefined ? refuseLink(path, target) : parts.join('/');
}

function refuseLink(path: string, target: string): never {
  throw invalidImage(`member ${displayTarName(path)} links to ${displayTarName(target)}, out of the archive`);
}
