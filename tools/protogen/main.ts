import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { emitFile, emitServices } from './emit-file.ts';
import { loadModel } from './model.ts';

/**
 * node tools/protogen/main.ts PROTO_DIRECTORY OUTPUT_DIRECTORY
 *
 * Writes one TypeScript module for every proto file, and `services.ts`. docs/contract.md has the rules of the mapping.
 */

function filesBelow(directory: string, ending: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith(ending))
    .toSorted();
}

/** Others may be importing the file at this moment: replaced in one step, and only when it differs. */
function writeWhenChanged(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  let before: string | undefined;
  try {
    before = readFileSync(path, 'utf8');
  } catch {
    before = undefined;
  }
  if (before === text) return;
  const temporary = `${path}.${process.pid}.new`;
  writeFileSync(temporary, text);
  renameSync(temporary, path);
}

function main(protoDirectory: string, outputDirectory: string): void {
  const files = loadModel(protoDirectory, filesBelow(protoDirectory, '.proto'));
  const outputs = new Map(files.map((file) => [`${file.name}.ts`, emitFile(file)]));
  outputs.set('services.ts', emitServices(files));
  for (const [path, text] of outputs) writeWhenChanged(join(outputDirectory, path), text);
  for (const path of filesBelow(outputDirectory, '.ts')) if (!outputs.has(path)) rmSync(join(outputDirectory, path));
}

const [protoDirectory, outputDirectory] = process.argv.slice(2);
if (protoDirectory === undefined || outputDirectory === undefined) {
  process.stderr.write('usage: protogen PROTO_DIRECTORY OUTPUT_DIRECTORY\n');
  process.exitCode = 2;
} else {
  try {
    main(resolve(protoDirectory), resolve(outputDirectory));
  } catch (error) {
    process.stderr.write(`protogen: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
