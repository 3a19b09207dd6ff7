/**
 * Fails the run when something still goes on after the last test: a timer, a server, a socket, a child process that
 * nobody has closed. Loaded by mocha (`require`). A process that runs all files ends by itself or not at all (`make
 * test-long`); one of several that share the files is looked at after each of them, for processes and servers.
 */
import { writeSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

/** What is being closed may take a moment on a busy machine. */
const GRACE_MS = Number(process.env['STARLING_LEFT_OVER_MS'] ?? '10000');
const POLL_MS = 5;
const STDERR = 2;
/** Processes that mocha shares its files out to hear from it by this. */
const IS_WORKER = process.env['MOCHA_WORKER_ID'] !== undefined && process.send !== undefined;

let before: ReadonlyMap<string, number> = new Map();

function activeResources(): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const name of process.getActiveResourcesInfo()) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

function describe(counts: ReadonlyMap<string, number>): string {
  return [...counts].map(([name, count]) => `${count} ${name}`).join(', ');
}

function fail(): void {
  const names = describe(activeResources());
  writeSync(STDERR, `left over ${GRACE_MS / 1000} s after the last test, so that the process does not end: ${names}\n`);
  // After mocha's own listener, which sets the number of failed tests.
  process.on('exit', () => {
    process.exitCode = process.exitCode === 0 ? 1 : process.exitCode;
  });
  process.exit();
}

/** What no later file can be blamed for. Connections and timers of one file may end, or be made again, in the next. */
const OF_ONE_FILE: ReadonlySet<string> = new Set(['ProcessWrap', 'TCPServerWrap', 'PipeServerWrap', 'UDPWrap']);

/** What there is now and was not there before the file. */
function leftOver(): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const [name, count] of activeResources()) {
    const more = count - (before.get(name) ?? 0);
    if (more > 0 && OF_ONE_FILE.has(name)) counts.set(name, more);
  }
  return counts;
}

async function failFile(file: string): Promise<void> {
  const endMs = performance.now() + GRACE_MS;
  while (leftOver().size > 0) {
    if (performance.now() >= endMs) throw new Error(`left over after ${file}: ${describe(leftOver())}`);
    await pause(POLL_MS, undefined, { ref: false });
  }
}

export const mochaHooks = {
  beforeAll(): void {
    if (IS_WORKER) before = activeResources();
  },
  async afterAll(this: Mocha.Context): Promise<void> {
    // It keeps nobody waiting: when nothing is left over, the process has ended before.
    if (!IS_WORKER) {
      setTimeout(fail, GRACE_MS).unref();
      return;
    }
    this.timeout(GRACE_MS * 2);
    await failFile(this.test?.parent?.suites[0]?.file ?? 'a file');
  },
};
