/**
 * Entry of the resolver: answers names for the containers of a node, and published ports on [::1]. A process of its own,
 * so that both go on while the daemon is down.
 */
import { lstat } from 'node:fs/promises';
import { ControlServer, DEFAULT_RESOLVER_CONFIG, ResolverService, resolverFiles } from '#agent/dns/index.ts';
import { SwarmError } from '#common/errors.ts';
import { systemClock } from '#common/system/clock.ts';
import { systemRandom } from '#common/system/random.ts';
import { LogFile } from './log-file.ts';
import { parseResolverOptions, type ResolverOptions } from './options.ts';

/** Exit codes: 0 told to, 1 a defect, 2 bad command line, 3 another one is there. */
const EXIT = { done: 0, failed: 1, badCommandLine: 2, inUse: 3 } as const;

/** Nobody can reach a process whose socket is gone, and nobody would ever end it. */
async function isOrphaned(paths: readonly string[], inode: number): Promise<boolean> {
  const inodes = await Promise.all(
    paths.map((path) =>
      lstat(path).then(
        ({ ino }) => ino,
        () => undefined,
      ),
    ),
  );
  return !inodes.includes(inode);
}

async function run(options: ResolverOptions): Promise<void> {
  const files = resolverFiles(options.directory);
  const logger = new LogFile(files.log, { pid: process.pid, release: options.programVersion });
  process.on('uncaughtException', (thrown) => {
    logger.error('uncaught exception', { error: thrown.message, stack: thrown.stack });
    process.exit(EXIT.failed);
  });
  const config = DEFAULT_RESOLVER_CONFIG;
  const service = new ResolverService({
    config,
    statePath: files.state,
    clock: systemClock,
    random: systemRandom,
    logger,
  });
  const path = options.next ? files.nextSocket : files.socket;
  const control = new ControlServer({
    path,
    service,
    programVersion: options.programVersion,
    logger,
    onRetire: (now) => {
      clearInterval(orphanCheck);
      logger.info('retiring');
      void service.retire(now).finally(() => process.exit(EXIT.done));
    },
  });
  await control.listen();
  const { ino } = await lstat(path);
  const orphanCheck = setInterval(() => {
    void isOrphaned([files.socket, files.nextSocket], ino).then((orphaned) => {
      if (orphaned) process.exit(EXIT.done);
    });
  }, config.orphanCheckMs);
  process.once('SIGTERM', () => {
    control.close();
    service.close();
    process.exit(EXIT.done);
  });
  // The one that is to take over is told everything before it begins.
  if (!options.next) await service.restore();
  logger.info('ready');
}

process.title = 'starling-resolver';
for (const signal of ['SIGHUP', 'SIGINT'] as const) process.on(signal, () => {});
try {
  await run(parseResolverOptions(process.argv.slice(2)));
} catch (thrown) {
  const error = SwarmError.from(thrown);
  process.stderr.write(`resolver: ${error.message}\n`);
  process.exit(
    error.reason === 'bad-flag' ? EXIT.badCommandLine : error.reason === 'in-use' ? EXIT.inUse : EXIT.failed,
  );
}
