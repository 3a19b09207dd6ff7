/** The system's openssl, an independent reader of what we write and writer of what we read. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export async function openssl(...args: string[]): Promise<string> {
  const { stdout, stderr } = await run('openssl', args, { timeout: 10_000 });
  return stdout + stderr;
}

/** A directory with the given files; `use` gets the function that names them. Gone afterwards. */
export async function withFiles<T>(
  files: Readonly<Record<string, string | Uint8Array>>,
  use: (path: (name: string) => string) => Promise<T>,
): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'starling-certs-'));
  try {
    for (const [name, content] of Object.entries(files)) await writeFile(join(directory, name), content);
    return await use((name) => join(directory, name));
  } finally {
    await rm(directory, { recursive: true });
  }
}
