/** Goal: one manager that is left goes on alone with everything it has, and those that were lost cannot come back into it. */
import assert from 'node:assert/strict';
import { SeededRandom } from '#common/random.ts';
import { MemoryDisk } from '#manager/log/index.ts';
import { describeForcedAfterCrash, force } from './support/forced-after-crash.ts';
import { bytes, type Member, Members, until, WAIT } from './support/members.ts';

describe('manager/raft: force-new-cluster', function () {
  this.timeout(30_000);
  let members = new Members();

  beforeEach(() => {
    members = new Members();
  });
  afterEach(() => members.close());

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

  it('says that there is no way back before it writes, each time, and not where it refuses', async () => {
    const { b } = await lost();
    let said = 0;
    const count = (): Promise<void> => Promise.resolve(void said++);
    await assert.rejects(force(b.disk, 'c', 'c', count), { message: /log of node b/ });
    assert.equal(said, 0);
    await assert.rejects(
      force(b.disk, 'b', 'b', () => Promise.reject(new Error('nowhere to write it'))),
      /nowhere to write it/,
    );
    const before = members.begin('b', { disk: b.disk });
    await until(() => before.log.members().length === 3, 'the others are members as before');
    await before.log.close();
    members.forget(before);
    for (let times = 1; times <= 2; times++) {
      await force(b.disk, 'b', 'b', count);
      assert.equal(said, times);
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

// After a crash at every operation in test/long.
describeForcedAfterCrash(5);
