/**
 * node test/proto/support/make-golden.ts
 *
 * Keeps the contract of this release as test data: messages of every type under test/golden/contract/VERSION, and the image that
 * `buf breaking` compares with. Run it when a release is made, never to make a failing test pass after one.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { contractCodecs } from './generated.ts';
import { writeGolden } from './golden.ts';
import { loadContract } from './reflection.ts';

const root = join(import.meta.dirname, '../../..');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { readonly version: string };
const typeNames = (await contractCodecs()).map((codec) => codec.typeName);
writeGolden(version, loadContract(), typeNames);
const buf = join(root, 'node_modules/.bin/buf');
execFileSync(buf, ['build', 'proto', '--exclude-source-info', '-o', 'test/golden/contract.binpb'], { cwd: root });
console.log(`kept ${typeNames.length} messages of ${version} and the image of the contract`);
