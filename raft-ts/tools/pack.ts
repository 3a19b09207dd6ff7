/**
 * What is published is JavaScript with types, since Node.js runs TypeScript anywhere but in node_modules; in the
 * repository the sources are used as they are. So packing builds `dist` and points `exports` at it for as long as
 * the package is being made; `--restore` puts the manifest back.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const at = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));
const MANIFEST = at('package.json');
const KEPT = at('dist/package.source.json');

const EXPORTS = {
  '.': { types: './dist/index.d.ts', default: './dist/index.js' },
  './package.json': './package.json',
};

if (process.argv.includes('--restore')) {
  if (existsSync(KEPT)) copyFileSync(KEPT, MANIFEST);
  rmSync(at('dist'), { recursive: true, force: true });
} else {
  if (existsSync(KEPT)) copyFileSync(KEPT, MANIFEST); // an earlier packing was broken off
  rmSync(at('dist'), { recursive: true, force: true });
  execFileSync(at('../node_modules/.bin/tsc'), ['-p', at('tsconfig.build.json')], { stdio: 'inherit' });
  copyFileSync(MANIFEST, KEPT);
  const manifest = JSON.parse(readFileSync(MANIFEST, 'utf8')) as Record<string, unknown>;
  writeFileSync(MANIFEST, `${JSON.stringify({ ...manifest, exports: EXPORTS }, undefined, 2)}\n`);
}
