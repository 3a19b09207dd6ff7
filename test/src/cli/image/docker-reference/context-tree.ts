/** Directories for build contexts, and what archives of them hold. */
import { chmod, mkdir, mkdtemp, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { TarReader } from '#common/system/tar-reader.ts';
import type { Member } from './golden.ts';

/** Makes the tree in a new directory, with the same modes whatever the umask; the caller removes it. */
export async function makeTree(
  tree: Readonly<Record<string, string>>,
  dockerignore: string | undefined,
): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'build-context-'));
  const all = dockerignore === undefined ? tree : { ...tree, '.dockerignore': dockerignore };
  for (const [name, text] of Object.entries(all)) {
    const path = join(root, name);
    const directory = name.endsWith('/') ? path : dirname(path);
    await mkdir(directory, { recursive: true, mode: 0o755 });
    if (name.endsWith('/')) continue;
    if (text.startsWith('-> ')) await symlink(text.slice(3), path);
    else {
      await writeFile(path, text);
      await chmod(path, name.endsWith('.js') ? 0o755 : 0o644);
    }
  }
  return root;
}

export function membersOf(archive: Uint8Array): readonly Member[] {
  const reader = new TarReader({ entriesMax: 10_000 });
  const members: Member[] = [];
  for (const event of reader.push(Buffer.from(archive))) {
    if (event.kind !== 'entry') continue;
    const { name, type, linkName, mode, sizeBytes } = event.entry;
    const text = (latin1: string): string => Buffer.from(latin1, 'latin1').toString('utf8');
    members.push({ name: text(name), type, link: text(linkName), mode, bytes: sizeBytes });
  }
  reader.finish();
  return members;
}
