/**
 * Fails the run when something still goes on after the last test: a timer, a server, a socket, a child process that
 * nobody has closed. Loaded by mocha (`require`), which then ends by itself or not at all.
 */
import { writeSync } from 'node:fs';

/** What is being closed may take a moment on a busy machine. */
const GRACE_MS = Number(process.env['STARLING_LEFT_OVER_MS'] ?? '10000');
const STDERR = 2;

function fail(): void {
  const counts = new Map<string, number>();
  for (const name of process.getActiveResourcesInfo()) counts.set(name, (counts.get(name) ?? 0) + 1);
  const names = [...counts].map(([name, count]) => `${count} ${name}`).join(', ');
  writeSync(STDERR, `left over ${GRACE_MS / 1000} s after the last test, so that the process does not end: ${names}\n`);
  // After mocha's own listener, which sets the number of failed tests.
  process.on('exit', () => {
    process.exitCode = process.exitCode === 0 ? 1 : process.exitCode;
  });
  process.exit();
}

export const mochaHooks = {
  afterAll(): void {
    // It keeps nobody waiting: when nothing is left over, the process has ended before.
    setTimeout(fail, GRACE_MS).unref();
  },
};
