/**
 * Goal: a running log gets another data key, and after that nothing on its disk needs the one of before; whenever the power
 * goes, one start with both keys finds everything. Method: logs on disks in memory, which crash at any operation.
 */
import assert from 'node:assert/strict';
import { SeededRandom } from '#common/random.ts';
import { type DataKeys, MemoryDisk } from '#manager/log/index.ts';
import { bytes, KEYS, type Member, Members, until, WAIT } from './support/members.ts';

const FORMER = KEYS.current;
const NEW_KEY = new Uint8Array(32).fill(9);
const BOTH: DataKeys = { current: NEW_KEY, previous: [FORMER] };
const ONLY_NEW: DataKeys = { current: NEW_KEY };

describe('manager/raft: another data key', function () {
  this.timeout(60_000);
  let members = new Members();

  beforeEach(() => {
    members = new Members();
  });
  afterEach(() => members.close());

  async function startsWith(member: Member, keys: DataKeys): Promise<Member> {
    const disk = await members.crash(member);
    return members.start(member.name, { disk, keys });
  }

  it('leaves nothing under the key of before', async () => {
    const a = await members.found('a', { config: { snapshotsKept: 2 } });
    for (let count = 0; count < 30; count++) await a.log.propose(bytes(`${count}`), WAIT);
    a.log.rekey(BOTH);
    assert.equal(await a.log.reseal(), true);
    await a.log.propose(bytes('behind'), WAIT);
    const again = await startsWith(a, ONLY_NEW);
    assert.equal(again.machine.applied.length, 31);
  });

  it('seals kept snapshots again, also where nothing was written since the last', async () => {
    const a = await members.found('a', { config: { snapshotsKept: 3, snapshotEntries: 5 } });
    for (let count = 0; count < 21; count++) await a.log.propose(bytes(`${count}`), WAIT);
    await a.log.reseal();
    a.log.rekey(BOTH);
    assert.equal(await a.log.reseal(), true);
    assert.equal(await a.log.reseal(), true);
    const again = await startsWith(a, ONLY_NEW);
    assert.equal(again.machine.applied.length, 21);
  });

  it('goes on while proposals come in', async () => {
    const a = await members.found('a');
    let proposed = 0;
    let ended = false;
    const load = (async () => {
      while (!ended) {
        await a.log.propose(bytes(`${proposed}`), WAIT);
        proposed++;
        await new Promise((resolve) => setImmediate(resolve)); // disks in memory never wait
      }
    })();
    await until(() => proposed > 20, 'proposals flow');
    a.log.rekey(BOTH);
    let attempts = 0;
    while (attempts < 10 && !(await a.log.reseal())) attempts++;
    ended = true;
    await load;
    assert.ok(attempts < 10, `${attempts} attempts`);
    const again = await startsWith(a, ONLY_NEW);
    assert.equal(again.machine.applied.length, proposed);
  });

  it('is done on a follower without the leader, and keys differ from manager to manager', async () => {
    const [a, b, c] = await members.swarm('a', 'b', 'c');
    assert.ok(a !== undefined && b !== undefined && c !== undefined);
    for (let count = 0; count < 10; count++) await a.log.propose(bytes(`${count}`), WAIT);
    await until(() => b.machine.applied.length === 10, 'b has everything');
    await members.crash(a);
    await members.crash(c);
    b.log.rekey(BOTH);
    assert.equal(await b.log.reseal(), true);
    const again = await startsWith(b, ONLY_NEW);
    await until(() => again.log.members().length === 3, 'b knows the members');
  });

  it('has both keys or needs one only, at whatever operation the power goes', async () => {
    const before = await members.found('a', { config: { snapshotsKept: 1, snapshotEntries: 4 } });
    for (let count = 0; count < 11; count++) await before.log.propose(bytes(`${count}`), WAIT);
    await before.log.close();
    members.forget(before);
    const files = before.disk.files();
    const counting = new MemoryDisk({ random: new SeededRandom(1) }, files);
    let from = 0;
    const rekeyed = async (disk: MemoryDisk): Promise<boolean> => {
      const member = await members.start('a', { disk });
      from = disk.operations;
      member.log.rekey(BOTH);
      const done = await member.log.reseal();
      await member.log.close();
      members.forget(member);
      return done;
    };
    assert.equal(await rekeyed(counting), true);
    let crashes = 0;
    for (let crashAt = from + 1; crashAt <= counting.operations; crashAt++) {
      const random = new SeededRandom(crashAt);
      const disk = new MemoryDisk({ random, crashAt }, files);
      const finished = await Promise.race([rekeyed(disk), disk.crashed.then(() => undefined)]);
      if (finished === undefined) crashes++;
      members.all.length = 0;
      const after = await members.start('a', { disk: disk.afterCrash({ random }), keys: BOTH });
      assert.equal(after.machine.applied.length, 11);
      assert.equal(await after.log.reseal(), true);
      const again = await startsWith(after, ONLY_NEW);
      assert.equal(again.machine.applied.length, 11);
      await again.log.close();
      members.forget(again);
    }
    assert.ok(crashes > 10, `${crashes} crashes`);
  });
});
