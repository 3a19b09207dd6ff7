/**
 * A build that passes for the next release: the sources copied, the feature level raised, two fields added to the contract,
 * generated and bundled as a release is. One field may be declared only when all managers know it, the other one always.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { FEATURE_LEVEL, VERSION } from '#src/swarmd/version.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const COPIED = [
  ...['agent', 'bin', 'certs', 'common', 'manager', 'proto', 'raft-ts', 'src', 'tools'],
  ...['package.json', 'tsconfig.json'],
];
const BUILD_MS = 120_000;
/** Far from what any release uses. */
const FIELD_NUMBER = 900;

export interface NextRelease {
  readonly swarmd: string;
  readonly version: string;
  readonly featureLevel: number;
  remove(): Promise<void>;
}

/**
 * The field that the next release has in `ClusterSpec` (allowed once the level is reached) and in `ServiceSpec` (always), as
 * this release carries it: in what it does not know.
 */
export function unknownField(text: string): Uint8Array {
  const value = Buffer.from(text);
  assert.ok(value.length < 128, 'a length of one byte');
  const tag = (FIELD_NUMBER << 3) | 2;
  return Buffer.concat([Buffer.from([(tag & 0x7f) | 0x80, tag >> 7, value.length]), value]);
}

export async function buildNextRelease(): Promise<NextRelease> {
  const directory = await mkdtemp(join(tmpdir(), 'starling-next-'));
  const remove = (): Promise<void> => rm(directory, { recursive: true, force: true });
  try {
    for (const name of COPIED)
      await cp(join(ROOT, name), join(directory, name), {
        recursive: true,
        filter: (source) => !source.includes('/node_modules') || source === ROOT,
      });
    await symlink(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
    const featureLevel = FEATURE_LEVEL + 1;
    const version = VERSION.replace(/\d+$/, (last) => String(Number(last) + 1));
    await change(directory, 'src/swarmd/version.ts', [
      [`VERSION = '${VERSION}'`, `VERSION = '${version}'`],
      [`: ${FEATURE_LEVEL};`, `: ${featureLevel};`],
    ]);
    const field = `  string next_release_note = ${FIELD_NUMBER};\n`;
    await change(directory, 'proto/swarm/v1/specs.proto', [
      ['message ClusterSpec {\n', `message ClusterSpec {\n${field}`],
      ['message ServiceSpec {\n', `message ServiceSpec {\n${field}`],
    ]);
    await change(directory, 'manager/control/feature-gates.ts', [
      [
        'FeatureGate<ClusterSpec>[] = [\n',
        `FeatureGate<ClusterSpec>[] = [\n  { field: 'next-release-note', level: ${featureLevel}, uses: ({ nextReleaseNote }) => nextReleaseNote !== '' },\n`,
      ],
    ]);
    for (const tool of [['tools/protogen/main.ts', 'proto', 'gen'], ['tools/build.ts']])
      await promisify(execFile)(process.execPath, tool, { cwd: directory, timeout: BUILD_MS });
    return { swarmd: join(directory, 'bin/swarmd'), version, featureLevel, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function change(directory: string, file: string, replacements: readonly (readonly [string, string])[]) {
  const path = join(directory, file);
  let text = await readFile(path, 'utf8');
  for (const [old, replacement] of replacements) {
    assert.equal(text.split(old).length, 2, `${file} has ${JSON.stringify(old)} once`);
    text = text.replace(old, () => replacement);
  }
  await writeFile(path, text);
}
