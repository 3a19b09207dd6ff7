/**
 * The production build, into dist/: the command line as one minified file with its code cache, the daemon with source
 * maps and readable, every thread of the daemon as an entry of its own.
 */
import { execFile } from 'node:child_process';
import { copyFile, glob, mkdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { type BuildOptions, build, type Plugin } from 'esbuild';
import { CODEC_OF_DNS2 } from './codec-of-dns2.ts';

const ROOT = join(import.meta.dirname, '..');
const DIST = join(ROOT, 'dist');

const COMMON = {
  absWorkingDir: ROOT,
  bundle: true,
  platform: 'node',
  target: 'node24',
  // Has binaries of its own; found in node_modules beside dist/.
  external: ['koffi'],
  logLevel: 'warning',
} as const satisfies BuildOptions;

/** Modules that were written for require() and find themselves in an ES module. */
const REQUIRE_BANNER = `import { createRequire as __createRequire } from 'node:module';
const require = __createRequire(import.meta.url);
const __filename = import.meta.filename;
const __dirname = import.meta.dirname;`;

/** A module named `x-thread.ts` runs in a worker, which is started from the file of the same name beside the daemon. */
async function threadEntries(): Promise<readonly string[]> {
  const files: string[] = [];
  for await (const file of glob('{agent,manager,src}/**/*-thread.ts', { cwd: ROOT })) files.push(file);
  return files;
}

async function buildDaemon(): Promise<void> {
  const threads = await threadEntries();
  await build({
    ...COMMON,
    // Readable on purpose: an uncaught error prints the line it happened in.
    minify: false,
    sourcemap: 'linked',
    format: 'esm',
    banner: { js: REQUIRE_BANNER },
    plugins: [CODEC_OF_DNS2],
    outdir: DIST,
    outExtension: { '.js': '.mjs' },
    entryPoints: [
      { in: 'src/swarmd/main.ts', out: 'swarmd' },
      { in: 'src/doctor/main.ts', out: 'doctor' },
      { in: 'src/resolver/main.ts', out: 'resolver' },
      ...threads.map((file) => ({ in: file, out: basename(file, '.ts') })),
    ],
  });
}

/**
 * Commander loads node:child_process for commands that are programs of their own, of which there is none: 4 ms of every
 * start.
 */
const WITHOUT_PROGRAMS: Plugin = {
  name: 'commander-without-programs',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^node:child_process$/ }, ({ importer }) =>
      importer.includes('/commander/') ? { path: 'no-programs', namespace: 'empty' } : undefined,
    );
    onLoad({ filter: /.*/, namespace: 'empty' }, () => ({ contents: 'export default {};' }));
  },
};

async function buildCommandLine(): Promise<void> {
  await build({
    ...COMMON,
    minify: true,
    // The loader reads it as one byte a character.
    charset: 'ascii',
    legalComments: 'none',
    format: 'cjs',
    plugins: [WITHOUT_PROGRAMS],
    outfile: join(DIST, 'swarm.bundle'),
    entryPoints: ['src/cli/main.ts'],
  });
  await copyFile(join(ROOT, 'tools/swarm-loader.cjs'), join(DIST, 'swarm.cjs'));
  await promisify(execFile)(process.execPath, [join(ROOT, 'tools/write-code-cache.ts'), DIST], { timeout: 60_000 });
}

await rm(DIST, { recursive: true, force: true });
await mkdir(DIST);
await Promise.all([buildDaemon(), buildCommandLine()]);
