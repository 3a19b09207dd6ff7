/**
 * Goal: an operator who turns autolock on hears when the keys are not encrypted, from init and from `swarm info`. Method:
 * a real daemon whose disk does not take its keys; and for init, which leaves no time to break a disk, a played membership.
 */
import assert from 'node:assert/strict';
import { mkdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { SwarmError } from '#common/errors.ts';
import { InitSwarmRequest } from '#gen/swarm/v1/node.ts';
import { ClusterSpec, EncryptionConfig } from '#gen/swarm/v1/specs.ts';
import { nodeHandlers } from '#src/swarmd/handlers/node-handlers.ts';
import { keysPending } from '#src/swarmd/key-locker.ts';
import { skipBecause } from '#test/support/skip-because.ts';
import { DaemonProcess, freePort, until } from './support/daemon-process.ts';

const SAID = /^the keys on the disk of this manager are not as the swarm wants them yet/;
const LOCKED = ClusterSpec.create({ encryption: EncryptionConfig.create({ autoLockManagers: true }) });

type Options = Parameters<typeof nodeHandlers>[0];

describe('keys that are not encrypted', function () {
  this.timeout(60_000);

  it('are told of by swarm info, as long as they are not', async function () {
    if (process.getuid?.() !== 0) skipBecause(this, 'daemons need root');
    const host = await DaemonProcess.create({ name: 'keys', host: '127.0.0.13', port: await freePort() });
    try {
      await host.start();
      await host.init();
      const inTheWay = join(host.state, 'node', 'relock.json');
      await mkdir(inTheWay);
      const { cluster } = await host.control.getCluster({});
      const spec = { ...(cluster?.spec ?? ClusterSpec.create()), encryption: LOCKED.encryption };
      await host.control.updateCluster({ version: cluster?.version ?? 0, spec });
      await until('the operator to be told', 20_000, async () => {
        assert.match(
          (await host.info()).warnings.find((text) => SAID.test(text)) ?? '',
          /relock\.json.*goes on trying/,
        );
      });
      await rmdir(inTheWay);
      await until('the keys to be encrypted', 40_000, async () => {
        assert.deepEqual(
          (await host.info()).warnings.filter((text) => SAID.test(text)),
          [],
        );
        assert.match(await host.read('raft.key'), /^format: 2\nlock-version/);
      });
      const { findings } = await host.node.runDoctor({});
      const said = findings.find(({ check }) => check === 'identity')?.message;
      assert.match(said ?? '', /^manager \w+, certified until/, 'the doctor is told by the daemon, which has the keys');
    } finally {
      await host.destroy();
    }
  });

  it('are told of by init, where autolock was asked for', async () => {
    const initWith = async (problem: SwarmError | undefined, spec: ClusterSpec | undefined) => {
      const membership = {
        requireInactive: () => {},
        init: async () => Promise.resolve({ nodeId: 'n', warnings: ['other'] }),
        keysSettled: async () => Promise.resolve(problem),
      };
      const preflight = { beforeInit: async () => Promise.resolve([]) };
      const handlers = nodeHandlers({ membership, preflight } as unknown as Options); // init asks for nothing else
      const context = {} as unknown as Parameters<typeof handlers.initSwarm>[1]; // which init does not look at
      const { warnings } = await handlers.initSwarm(InitSwarmRequest.create({ spec }), context);
      return warnings.filter((text) => SAID.test(text)).length;
    };
    assert.equal(await initWith(keysPending(), LOCKED), 1);
    assert.equal(await initWith(undefined, LOCKED), 0);
    assert.equal(await initWith(keysPending(), ClusterSpec.create()), 0);
  });
});
