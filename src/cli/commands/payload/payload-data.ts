/** What a secret or config is to hold, from a file or from standard input. */
import { open } from 'node:fs/promises';
import { LIMITS } from '#common/limits.ts';
import { CliError } from '../../cli-errors.ts';
import type { CliContext } from '../../context.ts';
import type { PayloadKind } from './payload-kind.ts';

const SIZES = { secret: LIMITS.SECRET_BYTES, config: LIMITS.CONFIG_BYTES } as const;

/** Reads no more than the daemon would take. Errors are Docker's and never say what was read. */
export async function readPayload(kind: PayloadKind, path: string, context: CliContext): Promise<Uint8Array> {
  const max = SIZES[kind.word];
  const failed = (why: string): never => {
    // Docker says it twice for configs.
    const before = kind.word === 'config' ? `Error reading content from ${JSON.stringify(path)}: ` : '';
    throw new CliError(`${before}error reading from ${path === '-' ? 'STDIN' : path}: ${why}`);
  };
  if (path === '-') {
    if (context.stdin.isTerminal && kind.word === 'secret')
      context.stderr.write(
        `Reading the ${kind.word} from the terminal, which shows what is typed; end it with Ctrl-D.\n`,
      );
    return collected(context.stdin.chunks(), max, failed);
  }
  if (path === '') return failed(`${kind.word} file is required`);
  try {
    await using file = await open(path);
    return await collected(file.createReadStream({ autoClose: false }) as AsyncIterable<Uint8Array>, max, failed);
  } catch (thrown) {
    if (thrown instanceof CliError) throw thrown;
    const { code, message } = thrown as NodeJS.ErrnoException;
    if (code === 'ENOENT') return failed(`open ${path}: no such file or directory`);
    if (code === 'EISDIR') return failed(`read ${path}: is a directory`);
    return failed(message);
  }
}

async function collected(
  chunks: AsyncIterable<Uint8Array>,
  max: number,
  failed: (why: string) => never,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    parts.push(chunk);
    size += chunk.length;
    if (size > max) return failed(`it is larger than ${max} bytes`);
  }
  return Buffer.concat(parts);
}
