/**
 * Goal: the import table of the design holds. Method: read every import of every source file, resolve it to a folder
 * of the house, and look it up in the table; what the table does not allow fails with file and line.
 */
import assert from 'node:assert/strict';
import { dirname, join, normalize } from 'node:path';
import {
  FOLDERS_WITH_DOORS,
  IMPORT_TABLE,
  PACKAGES_OF_THE_HOUSE,
  PARTS_WITHOUT_DOOR,
  PURE_PARTS,
} from './import-table.ts';
import { importsOf, type SourceFile, sourceFiles } from './source-files.ts';

function resolve(file: SourceFile, specifier: string): string | undefined {
  if (specifier.startsWith('#')) return specifier.slice(1);
  if (specifier.startsWith('.')) return normalize(join(dirname(file.path), specifier));
  return undefined;
}

function folderOf(path: string): string {
  if (path.startsWith('common/system/')) return 'common/system';
  return path.split('/')[0] ?? '';
}

/** `manager/store` for `manager/store/view.ts`; the folder itself for files directly in it. */
function partOf(path: string): string {
  const segments = path.split('/');
  return segments.length > 2 ? `${segments[0]}/${segments[1]}` : (segments[0] ?? '');
}

export function complaintsAbout(files: readonly SourceFile[]): readonly string[] {
  const complaints: string[] = [];
  for (const file of files) {
    const from = folderOf(file.path);
    const allowed = IMPORT_TABLE[from];
    if (allowed === undefined) {
      complaints.push(`${file.path}: the folder ${from} has no row in the import table`);
      continue;
    }
    for (const { specifier, line } of importsOf(file)) {
      const where = `${file.path}:${line}: imports ${specifier}`;
      const target = resolve(file, specifier);
      if (target === undefined) {
        const users = PACKAGES_OF_THE_HOUSE[specifier];
        if (users?.includes(partOf(file.path)) === false && !users.includes(from))
          complaints.push(`${where}, which only ${users.join(', ')} may`);
        if (PURE_PARTS.includes(partOf(file.path)) && !specifier.startsWith('#'))
          complaints.push(`${where}, but ${partOf(file.path)} is pure`);
        continue;
      }
      const to = folderOf(target);
      if (to !== from && !allowed.includes(to)) complaints.push(`${where}, which ${from} may not`);
      if (!target.endsWith('.ts')) complaints.push(`${where}: name the file with its .ts ending`);
      if (from !== 'test' && FOLDERS_WITH_DOORS.includes(to)) {
        const part = partOf(target);
        const insideOwnPart = part === partOf(file.path);
        if (!insideOwnPart && !PARTS_WITHOUT_DOOR.includes(part) && target !== `${part}/index.ts`)
          complaints.push(`${where}: go through the door ${part}/index.ts`);
      }
    }
  }
  return complaints;
}

describe('house: imports', () => {
  it('follow the table', () => {
    const complaints = complaintsAbout(sourceFiles());
    assert.equal(complaints.length, 0, `\n${complaints.join('\n')}`);
  });

  it('the check sees an agent that imports a manager', () => {
    const text = "import { x } from '#manager/store/index.ts';\n";
    const complaints = complaintsAbout([{ path: 'agent/session/session.ts', text, lines: text.split('\n') }]);
    assert.deepEqual(complaints, ['agent/session/session.ts:1: imports #manager/store/index.ts, which agent may not']);
  });

  it('the check sees a way round a door and a Node module in a pure part', () => {
    const text = "import { x } from '#manager/log/wal.ts';\nimport fs from 'node:fs';\n";
    const complaints = complaintsAbout([{ path: 'manager/store/view.ts', text, lines: text.split('\n') }]);
    assert.equal(complaints.length, 2);
  });

  it('the check sees a package of the house in the wrong hands', () => {
    const text = "import { RawNode } from 'raft-ts';\n";
    const file = (path: string): SourceFile => ({ path, text, lines: text.split('\n') });
    assert.equal(complaintsAbout([file('src/swarmd/daemon.ts'), file('manager/log/wal/wal.ts')]).length, 2);
    assert.deepEqual(complaintsAbout([file('manager/raft/transport/codec.ts'), file('test/sim/main.ts')]), []);
  });

  it('no file says export * or exports a default', () => {
    const complaints: string[] = [];
    for (const file of sourceFiles())
      file.lines.forEach((line, index) => {
        if (/^export (\*|default)\b/.test(line)) complaints.push(`${file.path}:${index + 1}: ${line}`);
      });
    assert.deepEqual(complaints, []);
  });
});
