import { readFile } from 'node:fs/promises';
import { CliError } from '../../cli-errors.ts';
import type { CliContext } from '../../context.ts';
import { environmentFile, withCallersValue } from '../../values/key-values.ts';

/** Entries of the files, then those of the command line, with the caller's values where an entry has none. */
export async function readEnvironment(
  context: CliContext,
  files: readonly string[],
  entries: readonly string[],
): Promise<readonly string[]> {
  const all: string[] = [];
  for (const file of files) {
    const content = await readFile(file, 'utf8').catch((thrown: NodeJS.ErrnoException) => {
      throw new CliError(
        thrown.code === 'ENOENT' ? `open ${file}: no such file or directory` : `open ${file}: ${thrown.message}`,
      );
    });
    try {
      all.push(...environmentFile(content, context.variables));
    } catch (thrown) {
      throw new CliError(`invalid env file (${file}): ${(thrown as Error).message}`);
    }
  }
  return [...all, ...entries.map((entry) => withCallersValue(entry, context.variables))];
}
