/**
 * Which certificate of a node is the newer one is decided by their starts, so these always advance. Method: the first
 * manager of a real cluster renews at times that are set by hand.
 */
import assert from 'node:assert/strict';
import { CERTIFICATE_CONFIG } from '#certs/config.ts';
import { generateKeyPair } from '#certs/key.ts';
import { NodeCertificate } from '#gen/swarm/v1/objects.ts';
import type { CaCaller } from '#manager/ca/index.ts';
import { must } from '#test/certs/rejects.ts';
import { csrOf, DAY_MS, Setup } from './authority-setup.ts';

describe('certificates of one node', () => {
  let setup: Setup;
  let nodeId: string;
  let caller: CaCaller;

  beforeEach(async () => {
    setup = await new Setup().init();
    nodeId = must(setup.store.nodes()[0]).id;
    caller = { identity: await setup.certified(nodeId), address: '192.0.2.1' };
    // So much later than the root that its own start bounds nothing; in the middle of a second, of which they count whole ones.
    setup.clock.advance(DAY_MS + 700);
  });

  /** Start of another certificate of the node, which holds now. */
  async function renewed(): Promise<number> {
    await setup.issue({ csrPem: csrOf(generateKeyPair()) }, caller);
    return (await setup.certified(nodeId)).notBeforeMs;
  }

  const backdatedMs = (): number => Math.floor((setup.clock.now() - CERTIFICATE_CONFIG.backdateMs) / 1000) * 1000;

  it('begin each a second later than the last while the clock stands still', async () => {
    const first = await renewed();
    assert.equal(first, backdatedMs());
    assert.equal(await renewed(), first + 1000);
    assert.equal(await renewed(), first + 2000);
  });

  it('begin later also after the clock was set back, and as ever once it has caught up', async () => {
    const first = await renewed();
    setup.clock.setWall(setup.clock.now() - CERTIFICATE_CONFIG.backdateMs / 2);
    assert.equal(await renewed(), first + 1000);
    setup.clock.advance(DAY_MS);
    assert.equal(await renewed(), backdatedMs());
  });

  it('never begin after now, however far the clock was set back', async () => {
    const first = await renewed();
    setup.clock.setWall(first + 1000 + 300);
    assert.equal(await renewed(), first + 1000, 'the last second that there is');
    assert.equal(await renewed(), first + 1000, 'none is left');
    setup.clock.setWall(first - 10_000);
    assert.equal(await renewed(), first - 10_000);
  });

  it('do not wait for one in the store that nobody can read', async () => {
    for (const broken of ['', 'no certificate']) {
      const certificate = NodeCertificate.create({ certificatePem: Buffer.from(broken) });
      const node = must(setup.store.view().get('node', nodeId));
      await setup.store.commit([{ kind: 'update', table: 'node', object: { ...node, certificate } }]);
      assert.equal(await renewed(), backdatedMs());
    }
  });
});
