import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = normalize(join(dirname(fileURLToPath(import.meta.url)), '../..'));

const FOLDERS = ['agent', 'certs', 'common', 'manager', 'proto', 'raft-ts', 'src', 'test', 'tools'];
const SKIPPED = new Set(['node_modules', 'gen', 'dist', 'golden']);

export interface SourceFile {
  /** Path from the root of the repository. */
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
}

function collect(folder: string, into: string[]): void {
  let entries: ReturnType<typeof list>;
  try {
    entries = list(folder);
  } catch {
    return; // a folder that a later part of the house adds
  }
  for (const entry of entries) {
    if (SKIPPED.has(entry.name)) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) collect(path, into);
    else if (entry.name.endsWith('.ts')) into.push(path);
  }
}

function list(folder: string) {
  return readdirSync(folder, { withFileTypes: true });
}

/** Every TypeScript file of ours. */
export function sourceFiles(): readonly SourceFile[] {
  const paths: string[] = [];
  for (const folder of FOLDERS) collect(join(ROOT, folder), paths);
  return paths.sort().map((path) => {
    const text = readFileSync(path, 'utf8');
    return { path: relative(ROOT, path), text, lines: text.split('\n') };
  });
}

/** The modules a file imports, statically or by import(), with the line they stand in. */
export function importsOf(file: SourceFile): readonly { readonly specifier: string; readonly line: number }[] {
  const found: { specifier: string; line: number }[] = [];
  const pattern =
    /(?:^|\n)\s*(?:import|export)\s[^;'"`]*?from\s*'([^']+)'|(?:^|\n)\s*import\s*'([^']+)'|\bimport\(\s*'([^']+)'\s*\)/g;
  for (const match of file.text.matchAll(pattern)) {
    const specifier = match[1] ?? match[2] ?? match[3];
    if (specifier === undefined) continue;
    const end = (match.index ?? 0) + match[0].length;
    found.push({ specifier, line: file.text.slice(0, end).split('\n').length });
  }
  return found;
}
