/** What a daemon has whether or not its host is in a swarm, in this process, with simulated containers. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { silentLogger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';
import { systemRandom } from '#common/system/random.ts';
import type { DaemonParts } from '#src/swarmd/daemon-parts.ts';
import { notAManager } from '#src/swarmd/handlers/manager-access.ts';
import { openEngine } from '#src/swarmd/open-engine.ts';
import { parseCommand } from '#src/swarmd/options.ts';
import { pathsOf } from '#src/swarmd/paths.ts';

export async function hostParts(directory: string, more: Partial<DaemonParts> = {}): Promise<DaemonParts> {
  const command = parseCommand([
    ...['--state-dir', directory, '--run-dir', join(directory, 'run'), '--executor', 'simulated'],
  ]);
  assert.ok(command.kind === 'run');
  const { options } = command;
  const paths = pathsOf(options.stateDir, options.runDir);
  const engine = await openEngine(options, paths, silentLogger);
  const { executor, networkAppliers, networkDoctor, volumes, networks, describe, pinner } = engine;
  return {
    ...{ executor, networkAppliers, networkDoctor, volumes, networks, describe, pinner, paths, notAManager },
    hostname: 'here',
    addresses: { listen: '', advertise: '' },
    dataPathAddress: undefined,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    onFailure: (error) => assert.fail(error.message),
    ...more,
  };
}
