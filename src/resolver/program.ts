/** The resolver that belongs to this daemon: beside it, of the same build. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { ResolverProgram } from '#agent/dns/index.ts';
import { VERSION } from '../swarmd/version.ts';

const ENTRY = import.meta.url.endsWith('.ts') ? './main.ts' : './resolver.mjs';
const DIGEST_LENGTH = 12;

/** Its version tells builds apart too, not only releases: a daemon that was built anew replaces the process. */
export async function resolverProgram(): Promise<ResolverProgram> {
  const entry = fileURLToPath(new URL(ENTRY, import.meta.url));
  const digest = createHash('sha256')
    .update(await readFile(entry))
    .digest('hex');
  return { node: process.execPath, entry, version: `${VERSION}+${digest.slice(0, DIGEST_LENGTH)}` };
}
