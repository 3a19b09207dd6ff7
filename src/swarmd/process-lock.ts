/**
 * One daemon per run directory. The lock is a listening socket: it needs no clean-up after a crash, because a socket
 * whose owner is dead does not answer and is taken over.
 */

import { chmod, unlink } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { SwarmError } from '#common/errors.ts';
import { socketAnswers } from '#common/system/socket-answers.ts';

let lock: Server | undefined;

/** @throws SwarmError `in-use` when another daemon holds it. */
export async function acquireLock(runDir: string): Promise<void> {
  const path = `${runDir}/swarmd.lock`;
  if (await socketAnswers(path))
    throw new SwarmError({
      code: 'precondition',
      reason: 'in-use',
      message: `another swarmd runs with the run directory ${runDir}`,
      hint: 'stop it first, or give this one directories of its own: --state-dir, --run-dir',
    });
  await unlink(path).catch(() => {});
  lock = await new Promise<Server>((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', reject);
    server.listen(path, () => resolve(server));
  });
  await chmod(path, 0o600);
  lock.unref();
}

export async function releaseLock(): Promise<void> {
  const held = lock;
  lock = undefined;
  if (held !== undefined) await new Promise<void>((resolve) => held.close(() => resolve()));
}
