/** The key of a saved snapshot as commands take it. */
import { readFile } from 'node:fs/promises';
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
  try {
    return path === '-' ? await readStdin(context) : await readFile(path, 'utf8');
  } catch (thrown) {
    throw openError('read', path, thrown);
  }
}

async function readStdin(context: CliContext): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of context.stdin.chunks()) pieces.push(piece);
  return Buffer.concat(pieces).toString('utf8');
}
