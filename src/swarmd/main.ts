/** Entry of the daemon. */
import { mkdir } from 'node:fs/promises';
import { forbidCoreDumps } from '#agent/kernel/core-dumps.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { fileError } from '#common/system/atomic-file.ts';
import { jsonLogger } from '#common/system/log.ts';
import { Daemon } from './daemon.ts';
import { destroyHost } from './destroy.ts';
import { enterOwnMounts, leaveMounts } from './mounts.ts';
import { type DaemonOptions, HELP, parseCommand } from './options.ts';
import { acquireLock, releaseLock } from './process-lock.ts';
import { stopTasks } from './stop-tasks.ts';
import { VERSION } from './version.ts';

/** Exit codes: 0 asked to stop, 1 cannot work, 2 bad command line, 3 a part failed for good (start it again). */
const EXIT = { cannotWork: 1, badCommandLine: 2, failed: 3 } as const;

/** A close that hangs must not keep a service manager waiting until it kills. */
const CLOSE_TIMEOUT_MS = 15_000;

function say(thrown: unknown): void {
  const error = SwarmError.from(thrown);
  process.stderr.write(`swarmd: ${error.message}\n${error.hint === undefined ? '' : `  ${error.hint}\n`}`);
}

async function run(options: DaemonOptions): Promise<void> {
  if (process.getuid?.() !== 0)
    throw new SwarmError({
      code: 'precondition',
      reason: 'preflight',
      message: 'containers, networks and mounts need root',
      hint: 'start swarmd as root',
    });
  for (const directory of [options.stateDir, options.runDir]) await makeDirectory(directory);
  if (options.executor === 'oci') await enterOwnMounts(options.runDir);
  forbidCoreDumps();
  const logger = jsonLogger(options.logLevel);
  await acquireLock(options.runDir);
  const daemon = new Daemon(options, logger, (error) => void end(daemon, logger, error));
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void end(daemon, logger, undefined));
  process.on('uncaughtException', (thrown) => {
    logger.error('uncaught exception', { error: thrown.message, stack: thrown.stack });
    process.exit(EXIT.failed);
  });
  try {
    await daemon.start();
  } catch (thrown) {
    await daemon.close().catch(() => {});
    await releaseLock();
    throw thrown;
  }
}

async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
  } catch (thrown) {
    throw fileError(thrown, `make the directory ${path}`);
  }
}

let ending = false;

async function end(daemon: Daemon, logger: Logger, error: SwarmError | undefined): Promise<void> {
  if (ending) return;
  ending = true;
  if (error === undefined) logger.info('stopping; containers stay');
  else logger.error('the daemon cannot go on; containers stay', { error: error.message, hint: error.hint });
  setTimeout(() => {
    logger.error('closing took too long');
    process.exit(EXIT.failed);
  }, CLOSE_TIMEOUT_MS).unref();
  await daemon.close().catch((thrown: unknown) => {
    logger.error('closing failed', { error: SwarmError.from(thrown).message });
  });
  await releaseLock();
  process.exit(error === undefined ? 0 : EXIT.failed);
}

async function main(): Promise<void> {
  const command = parseCommand(process.argv.slice(2));
  switch (command.kind) {
    case 'help':
      process.stdout.write(HELP);
      return;
    case 'version':
      process.stdout.write(`swarmd ${VERSION}\n`);
      return;
    case 'run':
      await run(command.options);
      return;
    case 'destroy':
      if (command.options.executor === 'oci') await enterOwnMounts(command.options.runDir);
      await destroyHost(command.options, jsonLogger('warn'));
      await leaveMounts(command.options.runDir);
      return;
    case 'stop-tasks':
      await stopTasks(command.options.socket, command.reason);
      return;
  }
}

main().catch((thrown: unknown) => {
  say(thrown);
  process.exit(SwarmError.from(thrown).reason === 'bad-flag' ? EXIT.badCommandLine : EXIT.cannotWork);
});
