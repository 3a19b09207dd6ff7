/** `make bench`: runs every benchmark in a process of its own, one after the other, and prints what they print. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = dirname(fileURLToPath(import.meta.url));
const wanted = process.argv.slice(2);
const names = readdirSync(folder)
  .filter((name) => name.endsWith('.bench.ts'))
  .filter((name) => wanted.length === 0 || wanted.some((word) => name.includes(word)));

console.log(
  `${cpus().length} cores (${cpus()[0]?.model ?? 'unknown'}), ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`,
);
let failed = 0;
for (const name of names) {
  console.log(`\n== ${name.replace('.bench.ts', '')}`);
  const child = spawn(process.execPath, ['--expose-gc', join(folder, name)], { stdio: 'inherit' });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) {
    failed++;
    console.log(`${name} ended with ${code ?? 'a signal'}`);
  }
}
process.exitCode = failed === 0 ? 0 : 1;
