import { createReadStream } from 'node:fs';
import { CliError } from '../../cli-errors.ts';
import type { CliContext } from '../../context.ts';
import { openError } from '../image/open-error.ts';

/** Of one read: a few chunks of the file. */
const READ_BYTES = 256 * 1024;

/** The bytes of the file, or of standard input for `-`. A wrong name is told of when the first is asked for. */
export function snapshotBytes(path: string, context: CliContext): AsyncIterable<Uint8Array> {
  if (path !== '-') return fileBytes(path);
  if (context.stdin.isTerminal)
    throw new CliError('requested a snapshot from stdin, but stdin is empty', { hint: 'name the file' });
  return context.stdin.chunks();
}

/** As messages name it. */
export function nameOf(path: string): string {
  return path === '-' ? 'STDIN' : path;
}

async function* fileBytes(path: string): AsyncGenerator<Uint8Array> {
  const stream = createReadStream(path, { highWaterMark: READ_BYTES });
  try {
    yield* stream as AsyncIterable<Uint8Array>;
  } catch (thrown) {
    throw openError('open', path, thrown);
  }
}
