/** Small files that a user names. Sizes are not believed: a device has none, and never ends. */
import { open } from 'node:fs/promises';

/** All of the file; undefined when there is more than `bytesMax`, of which no more is read. @throws what the file system says */
export async function readBounded(path: string, bytesMax: number): Promise<Buffer | undefined> {
  await using file = await open(path);
  const parts: Uint8Array[] = [];
  // `end` is inclusive: the byte after the last one that may be.
  for await (const part of file.createReadStream({ autoClose: false, end: bytesMax }) as AsyncIterable<Uint8Array>)
    parts.push(part);
  const bytes = Buffer.concat(parts);
  return bytes.length > bytesMax ? undefined : bytes;
}
