/** Tells an archive on standard input from a Dockerfile. */
import { TAR_BLOCK_BYTES } from '#common/system/tar-header.ts';
import { CliError } from '../../../cli-errors.ts';

export type Input =
  | { readonly kind: 'archive'; readonly bytes: AsyncIterable<Uint8Array> }
  | { readonly kind: 'text'; readonly bytes: Uint8Array };

/** gzip, bzip2, xz, zstd. */
const COMPRESSED = ['1f8b08', '425a68', 'fd377a585a00', '28b52ffd'].map((hex) => Buffer.from(hex, 'hex'));
const SUM_AT = 148;
const SUM_BYTES = 8;

export async function archiveOrText(source: AsyncIterable<Uint8Array>, textBytesMax: number): Promise<Input>;
export async function archiveOrText(
  source: AsyncIterable<Uint8Array>,
  textBytesMax: number,
  only: 'text',
): Promise<Extract<Input, { readonly kind: 'text' }>>;
/** Reads what is needed to tell, and all of a text. Throws a CliError for a text that is too long. */
export async function archiveOrText(
  source: AsyncIterable<Uint8Array>,
  textBytesMax: number,
  only?: 'text',
): Promise<Input> {
  const iterator = source[Symbol.asyncIterator]();
  let head: Buffer = Buffer.alloc(0);
  for (;;) {
    const next = await iterator.next();
    if (next.done === true) break;
    head = Buffer.concat([head, next.value]);
    if (head.length >= TAR_BLOCK_BYTES && only === undefined && isArchive(head))
      return { kind: 'archive', bytes: rest(head, iterator) };
    if (head.length <= textBytesMax) continue;
    await iterator.return?.();
    throw new CliError(`the Dockerfile on stdin is larger than ${textBytesMax} bytes`, {
      hint: 'pipe a tar archive, plain or compressed, or a Dockerfile',
    });
  }
  // A small compressed archive is shorter than a block of a plain one.
  if (only === undefined && isArchive(head)) return { kind: 'archive', bytes: rest(head, iterator) };
  return { kind: 'text', bytes: head };
}

async function* rest(head: Uint8Array, iterator: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield head;
  for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) yield next.value;
}

function isArchive(head: Buffer): boolean {
  return COMPRESSED.some((magic) => head.subarray(0, magic.length).equals(magic)) || isTarHeader(head);
}

/** The first block of an archive has the sum of its own bytes in it, counted with blanks in the sum's place. */
function isTarHeader(head: Buffer): boolean {
  if (head.length < TAR_BLOCK_BYTES) return false;
  let sum = 0;
  for (let i = 0; i < TAR_BLOCK_BYTES; i++) sum += i >= SUM_AT && i < SUM_AT + SUM_BYTES ? 0x20 : (head[i] as number);
  const said = /^[ ]*([0-7]+)/.exec(head.toString('latin1', SUM_AT, SUM_AT + SUM_BYTES))?.[1];
  return said !== undefined && Number.parseInt(said, 8) === sum;
}
