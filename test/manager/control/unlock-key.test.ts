/** Goal: there is an unlock key exactly while managers are locked, no two are of one version, and no read shows it. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseUnlockKey } from '#certs/unlock-key.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { UpdateClusterRequest } from '#gen/swarm/v1/control.ts';
import { Cluster } from '#gen/swarm/v1/objects.ts';
import { ClusterSpec, EncryptionConfig } from '#gen/swarm/v1/specs.ts';
import { ControlApi, redactCluster } from '#manager/control/index.ts';
import { IDENTITY_LEVEL } from '#manager/scheduler/index.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';

const caller = { author: 'test' };

function setUp(featureLevel = IDENTITY_LEVEL): { api: ControlApi; view: MemoryView } {
  const view = new MemoryView();
  const object = Cluster.create({ id: 'c', featureLevel, spec: ClusterSpec.create() });
  view.commit([{ kind: 'create', table: 'cluster', object }]);
  const api = new ControlApi({
    store: { view: () => view, decide: async (decide) => view.commit(decide(view)) },
    selfNodeId: () => 'self',
    members: () => [],
    random: new SeededRandom(1),
    images: { resolve: async () => undefined },
    tokens: () => 'token',
    now: () => 1_000,
    logger: silentLogger,
  });
  return { api, view };
}

function autolock({ view }: { view: MemoryView }, autoLockManagers: boolean): UpdateClusterRequest {
  const { version = 0, spec = ClusterSpec.create() } = view.cluster() ?? {};
  const encryption = EncryptionConfig.create({ autoLockManagers });
  return UpdateClusterRequest.create({ version, spec: { ...spec, encryption } });
}

describe('control API: the unlock key', () => {
  it('comes with the lock, is rotated, and goes with it', async () => {
    const swarm = setUp();
    const { api, view } = swarm;
    assert.deepEqual(await api.unlockKeys.get(caller), { unlockKey: '', keyVersion: 0 });
    await assert.rejects(api.unlockKeys.rotate(caller), { reason: 'not-supported', hint: /--autolock=true/ });
    const { cluster } = await api.updateCluster(caller, autolock(swarm, true));
    assert.equal(cluster?.unlockKey, undefined, 'not in the answer');
    const first = await api.unlockKeys.get(caller);
    assert.equal(first.keyVersion, 1);
    assert.deepEqual(Buffer.from(parseUnlockKey(first.unlockKey)), Buffer.from(view.cluster()?.unlockKey?.key ?? []));
    const second = await api.unlockKeys.rotate(caller);
    assert.equal(second.keyVersion, 2);
    assert.notEqual(second.unlockKey, first.unlockKey);
    assert.deepEqual(await api.unlockKeys.get(caller), second);
    await api.updateCluster(caller, autolock(swarm, false));
    assert.deepEqual(await api.unlockKeys.get(caller), { unlockKey: '', keyVersion: 0 });
    assert.equal(view.cluster()?.unlockKey?.key.length, 0);
  });

  it('is there exactly while managers are locked, and no two are of one version, whatever is done', async () => {
    const step = fc.constantFrom('on', 'off', 'rotate', 'other');
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
        const swarm = setUp();
        const { api, view } = swarm;
        const keys = new Map<number, string>();
        for (const one of steps) {
          const isOn = view.cluster()?.spec?.encryption?.autoLockManagers === true;
          if (one === 'rotate') await api.unlockKeys.rotate(caller).catch(() => assert.equal(isOn, false));
          else await api.updateCluster(caller, autolock(swarm, one === 'other' ? isOn : one === 'on'));
          const { unlockKey, keyVersion } = await api.unlockKeys.get(caller);
          assert.equal(unlockKey !== '', view.cluster()?.spec?.encryption?.autoLockManagers === true);
          if (unlockKey === '') continue;
          assert.equal(keys.get(keyVersion) ?? unlockKey, unlockKey);
          keys.set(keyVersion, unlockKey);
        }
        assert.equal(new Set(keys.values()).size, keys.size);
        const cluster = view.cluster();
        assert.ok(cluster !== undefined && redactCluster(cluster, true).unlockKey === undefined);
      }),
      { numRuns: 50 },
    );
  });

  it('waits for managers of an older release', async () => {
    const swarm = setUp(IDENTITY_LEVEL - 1);
    await assert.rejects(swarm.api.updateCluster(caller, autolock(swarm, true)), {
      reason: 'feature-level',
      field: 'autolock',
    });
    await assert.rejects(swarm.api.unlockKeys.rotate(caller), { reason: 'feature-level' });
    assert.equal(swarm.view.cluster()?.unlockKey, undefined);
  });
});
