/** The key of a saved snapshot as commands take it. */
import { createReadStream } from 'node:fs';
import { CliError } from '../../cli-errors.ts';
import type { CliContext } from '../../context.ts';
import { type FlagValues, stringFlag } from '../../flags.ts';
import { openError } from '../image/open-error.ts';

export const KEY = stringFlag({
  name: 'key',
  usage: 'Snapshot key of the swarm that was saved, as `swarm snapshot key` printed it',
});
export const KEY_FILE = stringFlag({
  name: 'key-file',
  usage: 'File that holds the snapshot key, - for STDIN (other users of the host see what --key is given)',
  completions: 'file',
});

/** The text of the key that was given; undefined when none was. Throws a CliError. */
export async function keyTextOf(flags: FlagValues, context: CliContext, file: string): Promise<string | undefined> {
  const text = flags.value(KEY);
  const path = flags.value(KEY_FILE);
  if (text !== undefined && path !== undefined)
    throw new CliError('--key and --key-file cannot be used together', { hint: 'leave one of them out' });
  if (path === undefined) return text;
  if (path === '-' && file === '-')
    throw new CliError('the key and the snapshot cannot both come from STDIN', { hint: 'name a file for one of them' });
  if (path === '-') return keyIn(await beginningOf(context.stdin.chunks()));
  try {
    return keyIn(await beginningOf(createReadStream(path)));
  } catch (thrown) {
    throw openError('read', path, thrown);
  }
}

/** A key with all that is said about it is far shorter; devices have no end. */
const KEY_FILE_BYTES = 64 * 1024;

async function beginningOf(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of chunks) {
    pieces.push(piece);
    bytes += piece.length;
    if (bytes >= KEY_FILE_BYTES) break;
  }
  return Buffer.concat(pieces).toString('utf8', 0, KEY_FILE_BYTES);
}

/** The key, where the file holds the whole page that `swarm snapshot key` prints; else all of it. */
function keyIn(text: string): string {
  const [key, ...more] = text.match(/^[ \t]*SWMSNP-\S+[ \t]*$/gm) ?? [];
  return (key !== undefined && more.length === 0 ? key : text).trim();
}
