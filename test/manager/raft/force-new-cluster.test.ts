/** Goal: one manager that is left goes on alone with everything it has, and those that were lost cannot come back into it. */
import assert from 'node:assert/strict';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { MemoryDisk } from '#manager/log/index.ts';
import { forceNewCluster } from '#manager/raft/index.ts';
import { bytes, DIRECTORY, KEYS, type Member, Members, until, WAIT } from './support/members.ts';

describe('manager/raft: force-new-cluster', function () {
  this.timeout(30_000);
  let members = new Members();

  beforeEach(() => {
    members = new Members();
  });
  afterEach(() => members.close());

  const force = (disk: MemoryDisk, nodeId = 'b', address = nodeId): Promise<void> =>
    forceNewCluster({ directory: DIRECTORY, keys: KEYS, logger: silentLogger, disk, nodeId, address, featureLevel: 1 });

  async function lost(): Promise<{ readonly b: Member; readonly c: Member }> {
    const [a, b, c] = await members.swarm('a', 'b', 'c');
    assert.ok(a !== undefined && b !== undefined && c !== undefined);
    for (let count = 0; count < 10; count++) await a.log.propose(bytes(`${count}`), WAIT);
    await until(() => [b, c].every(({ machine }) => machine.applied.length === 10), 'all have everything');
    await members.crash(a);
    await b.log.close();
    await c.log.close();
    members.all.length = 0;
    return { b, c };
  }

  it('makes a follower the only member, with all that it has', async () => {
    const { b, c } = await lost();
    await force(b.disk);
    await force(b.disk);
    const alone = await members.start('b', { disk: b.disk });
    assert.equal(alone.log.leadership().state, 'leader');
    assert.equal(alone.machine.applied.length, 10);
    assert.deepEqual(
      alone.log.members().map(({ nodeId }) => nodeId),
      ['b'],
    );
    await alone.log.propose(bytes('alone'), WAIT);
    // One that was thought lost comes back: it is told, and changes nothing.
    const back = members.begin('c', { disk: c.disk });
    await until(() => back.removed.length > 0, 'c is told');
    assert.equal(alone.log.leadership().state, 'leader');
    // Others join as ever, and the next crash changes nothing.
    await members.join('d');
    await members.join('e');
    const disk = await members.crash(alone);
    const again = await members.start('b', { disk });
    await until(() => again.machine.applied.length === 11, 'b has everything');
    assert.equal(again.log.members().length, 3);
  });

  it('works on a learner, with another address, and after a crash at any operation', async () => {
    const a = await members.found('a');
    await a.log.propose(bytes('x'), WAIT);
    members.network.passes = (_from, _to, message) => message.type !== 'MsgTimeoutNow';
    const b = await members.start('b', { origin: { kind: 'join', join: () => members.add('b') } });
    assert.equal(b.machine.applied.length, 1);
    await members.crash(a);
    await b.log.close();
    members.forget(b);
    const files = b.disk.files();
    const counting = new MemoryDisk({ random: new SeededRandom(1) }, files);
    await force(counting, 'b', 'moved');
    for (let crashAt = 1; crashAt <= counting.operations; crashAt++) {
      const random = new SeededRandom(crashAt);
      const disk = new MemoryDisk({ random, crashAt }, files);
      await Promise.race([force(disk, 'b', 'moved'), disk.crashed]);
      const after = disk.afterCrash({ random });
      await force(after, 'b', 'moved');
      const alone = await members.start('b', { disk: after, address: 'moved' });
      assert.deepEqual(alone.machine.applied, ['x']);
      assert.deepEqual(
        alone.log.members().map(({ address }) => address),
        ['moved'],
      );
      await alone.log.close();
      members.forget(alone);
    }
  });

  it('refuses a directory that holds no state, is another node’s, or is in use', async () => {
    await assert.rejects(force(new MemoryDisk({ random: new SeededRandom(1) })), { reason: 'corrupt-state' });
    const a = await members.found('a');
    await assert.rejects(force(a.disk, 'a'), { reason: 'in-use' });
    await a.log.close();
    await assert.rejects(force(a.disk, 'b'), { message: /log of node a/ });
  });
});
