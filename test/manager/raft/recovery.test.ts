/**
 * Goal: a member comes back with everything that it promised, whatever moment it ended at, or says clearly that it
 * cannot. Method: logs on disks in memory that crash at any operation and are cut at any byte; directories that were
 * wiped, copied or rolled back.
 */
import assert from 'node:assert/strict';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { systemClock } from '#common/system/clock.ts';
import {
  DEFAULT_LOG_CONFIG,
  MemoryDisk,
  RECORD_TYPES,
  SnapshotFiles,
  Wal,
  type WalRecord,
} from '#manager/log/index.ts';
import { recoverLog } from '#manager/raft/recovery.ts';
import { entryRecord, hardStateRecord, identityRecord, markRecord, restoredRecord } from '#manager/raft/wal-records.ts';
import { RecordingMachine } from '../log/support.ts';
import { bytes, DIRECTORY, KEYS, type Member, Members, until, WAIT } from './support/members.ts';

function diskOf(files: ReadonlyMap<string, Uint8Array>, seed = 1): MemoryDisk {
  return new MemoryDisk({ random: new SeededRandom(seed) }, files);
}

describe('manager/raft: recovery', function () {
  this.timeout(60_000);
  let members = new Members();

  beforeEach(() => {
    members = new Members();
  });
  afterEach(() => members.close());

  describe('of the records', () => {
    const identity = { raftId: 7, nodeId: 'a' };
    const entry = (index: number, term: number): WalRecord =>
      entryRecord({ type: 'EntryNormal', index, term, data: bytes(`${term}/${index}`) });
    const change = (index: number, term: number): WalRecord =>
      entryRecord({ type: 'EntryConfChangeV2', index, term, data: bytes('change') });

    async function recovered(...frames: readonly (readonly WalRecord[])[]) {
      const disk = diskOf(new Map());
      const snapshots = new SnapshotFiles({ disk, directory: DIRECTORY, keys: KEYS, syncBytes: 4096 });
      const config = { ...DEFAULT_LOG_CONFIG, allocateBytes: 0 };
      const options = { disk, directory: DIRECTORY, keys: KEYS, logger: silentLogger, config, clock: systemClock };
      const wal = await Wal.open(options, () => {});
      for (const records of frames) {
        for (const { type, index, term } of records)
          if (type === RECORD_TYPES.snapshotMark || type === RECORD_TYPES.restored)
            await snapshots.write({ index, term }, wal.logId, [bytes('x')]);
        await wal.append(records);
      }
      await wal.close();
      return recoverLog({ ...options, snapshots });
    }

    const hard = (term: number, commit: number): WalRecord => hardStateRecord({ term, vote: 3, commit });
    const first = [identityRecord(identity), markRecord({ index: 1, term: 1 }), hard(1, 1)];
    const names = (entries: readonly { term: number; index: number }[]): readonly string[] =>
      entries.map(({ term, index }) => `${term}/${index}`);

    it('entries take the place of earlier ones, and of what followed those', async () => {
      const log = await recovered(first, [entry(2, 1), entry(3, 1), change(4, 1)], [change(3, 2), hard(2, 2)]);
      assert.deepEqual(names(log.entries), ['1/2', '2/3']);
      assert.equal(log.entries[1]?.type, 'EntryConfChangeV2');
      assert.deepEqual(log.hardState, { term: 2, vote: 3, commit: 2 });
      assert.deepEqual({ ...log.identity }, identity);
    });

    it('a snapshot’s mark keeps what comes after it', async () => {
      const log = await recovered(first, [entry(2, 1), entry(3, 1), entry(4, 1)], [markRecord({ index: 3, term: 1 })]);
      assert.deepEqual(names(log.entries), ['1/4']);
      assert.equal(log.hardState.commit, 3, 'what is in a snapshot is committed');
    });

    it('a received snapshot voids all entries before it, also those above it', async () => {
      const restored = restoredRecord({ index: 3, term: 2 });
      const log = await recovered(first, [entry(2, 1), entry(3, 1), entry(4, 1), entry(5, 1)], [restored, hard(2, 3)]);
      assert.deepEqual(names(log.entries), []);
      assert.deepEqual(log.snapshot, { index: 3, term: 2 });
      const more = await recovered(
        first,
        [entry(2, 1), entry(9, 1)].slice(0, 1),
        [restored],
        [entry(4, 2), hard(2, 4)],
      );
      assert.deepEqual(names(more.entries), ['2/4']);
    });

    it('refuses what contradicts itself', async () => {
      const corrupt = { reason: 'corrupt-log' };
      await assert.rejects(recovered(first, [entry(2, 1), entry(4, 1)]), corrupt);
      await assert.rejects(recovered(first, [entry(3, 1)]), corrupt);
      await assert.rejects(recovered(first, [hard(3, 1)], [hard(2, 1)]), corrupt);
      await assert.rejects(recovered(first, [identityRecord({ raftId: 8, nodeId: 'a' })]), corrupt);
      await assert.rejects(recovered([entry(1, 1)]), corrupt);
      await assert.rejects(recovered(first, [hard(1, 5)]), { reason: 'corrupt-state' });
      const unknown = { type: 99 as WalRecord['type'], index: 1, term: 1, body: bytes('') };
      await assert.rejects(recovered(first, [unknown]), { reason: 'feature-level' });
    });
  });

  it('comes back after a crash at any operation, with all that was acknowledged', async () => {
    const history = async (member: Promise<Member>, acknowledged: string[]): Promise<void> => {
      const { log } = await member;
      for (let index = 0; index < 8; index++) {
        const text = `${index}`.padEnd(index * 900);
        await Promise.all([log.propose(bytes(text), WAIT), log.propose(bytes(`${text}!`), WAIT)]);
        acknowledged.push(text, `${text}!`);
      }
      await log.close();
    };
    const config = { snapshotEntries: 5, segmentBytes: 20 * 1024, allocateBytes: 4096 };
    const begin = (disk: MemoryDisk, kind: 'found' | 'resume'): Member =>
      members.begin('a', { disk, config, origin: { kind } });
    const count = diskOf(new Map());
    const whole = begin(count, 'found');
    await history(
      whole.started.then(() => whole),
      [],
    );
    for (let crashAt = 1; crashAt <= count.operations; crashAt++) {
      const random = new SeededRandom(crashAt);
      const disk = new MemoryDisk({ random, crashAt });
      const member = begin(disk, 'found');
      const acknowledged: string[] = [];
      const run = history(
        member.started.then(() => member),
        acknowledged,
      );
      run.catch(() => {});
      await Promise.race([run, disk.crashed]);
      const after = disk.afterCrash({ random });
      members.network
        .end('a')
        ?.close()
        .catch(() => {});
      const again = await resumeOrFound(begin, after);
      assert.deepEqual(again.machine.applied.slice(0, acknowledged.length), acknowledged, `operation ${crashAt}`);
      await again.log.propose(bytes('afterwards'), WAIT);
      const final = begin(after.afterCrash({ random }), 'resume');
      await final.started;
      assert.deepEqual(final.machine.applied, again.machine.applied, `operation ${crashAt}, second crash`);
      for (const one of [member, again, final]) members.forget(one);
    }
  });

  /** As the daemon does: a crash while the log was made leaves none, and it is made anew. */
  async function resumeOrFound(begin: (disk: MemoryDisk, kind: 'found' | 'resume') => Member, disk: MemoryDisk) {
    const resumed = begin(disk, 'resume');
    try {
      await resumed.started;
      return resumed;
    } catch (thrown) {
      assert.equal((thrown as { reason?: string }).reason, 'corrupt-state', String(thrown));
      members.forget(resumed);
      const founded = begin(disk, 'found');
      await founded.started;
      return founded;
    }
  }

  it('cut at any byte of the last segment, it comes back with what stands before the cut', async () => {
    const a = await members.found('a', { config: { allocateBytes: 0 } });
    for (let index = 0; index < 3; index++) await a.log.propose(bytes(`${index}`), WAIT);
    await members.crash(a);
    const files = a.disk.files();
    const name = `${DIRECTORY}/0000000000000001.wal`;
    const segment = files.get(name) ?? new Uint8Array(0);
    assert.ok(segment.length > 5 * 4096);
    let longest = 0;
    // The header's page is durable before anything else is written. Every byte of it, then steps that meet every page.
    for (let end = 4096; end <= segment.length; end += end % 4096 < 300 ? 1 : 97) {
      const disk = diskOf(new Map(files).set(name, segment.slice(0, end)));
      const machine = new RecordingMachine();
      const member = members.begin('a', { disk, machine });
      try {
        await member.started;
        assert.deepEqual(machine.applied, ['0', '1', '2'].slice(0, machine.applied.length));
        assert.ok(machine.applied.length >= longest, `${end}: ${machine.applied.length}`);
        longest = machine.applied.length;
        await member.log.propose(bytes('more'), WAIT);
      } catch (thrown) {
        // Before its first frame was whole there was no log.
        assert.equal((thrown as { reason?: string }).reason, 'corrupt-state', `${end}: ${String(thrown)}`);
        assert.ok(end < 2 * 4096);
      }
      await member.log.close();
      members.forget(member);
    }
    assert.equal(longest, 3);
  });

  it('refuses a directory that was damaged in the middle, and names the file', async () => {
    const a = await members.found('a');
    for (let index = 0; index < 5; index++) await a.log.propose(bytes(`${index}`), WAIT);
    await a.log.close();
    const files = new Map(a.disk.files());
    const name = `${DIRECTORY}/0000000000000001.wal`;
    const damaged = (files.get(name) ?? new Uint8Array(0)).slice();
    damaged[2 * 4096 + 100] = (damaged[2 * 4096 + 100] ?? 0) ^ 1;
    const member = members.begin('a', { disk: diskOf(files.set(name, damaged)) });
    await assert.rejects(member.started, { reason: 'corrupt-log', message: /0000000000000001\.wal/ });
  });

  it('refuses a directory that was wiped, or is another node’s, or holds a log already', async () => {
    const a = await members.found('a');
    await a.log.close();
    await assert.rejects(members.start('a', { disk: diskOf(new Map()) }), { reason: 'corrupt-state', hint: /demote/ });
    await assert.rejects(members.start('b', { disk: diskOf(a.disk.files()) }), { message: /log of node a/ });
    await assert.rejects(members.found('a', { disk: diskOf(a.disk.files()) }), { reason: 'already-in-swarm' });
  });

  it('a member with an old copy of its state stops with a clear error, and the others are not touched', async () => {
    const [a, b, c] = await members.swarm('a', 'b', 'c');
    assert.ok(a !== undefined && b !== undefined && c !== undefined);
    await a.log.propose(bytes('x'), WAIT);
    await until(() => c.machine.applied.length === 1, 'c has it');
    const copy = new Map(c.disk.files());
    for (let index = 0; index < 20; index++) await a.log.propose(bytes(`${index}`), WAIT);
    await until(() => c.machine.applied.length === 21, 'c has everything');
    await members.crash(c);
    const old = members.begin('c', { disk: diskOf(copy) });
    await old.started;
    await until(() => old.log.leadership().state === 'stopped', 'c has stopped');
    const leadership = old.log.leadership();
    assert.equal(leadership.state === 'stopped' && leadership.error?.reason, 'corrupt-state');
    await a.log.propose(bytes('after'), WAIT);
    await until(() => b.machine.applied.at(-1) === 'after', 'b goes on');
  });

  it('three members survive the loss of power, again and again', async () => {
    const three = await members.swarm('a', 'b', 'c');
    const acknowledged: string[] = [];
    const crashAll = async (): Promise<void> => {
      const disks: [string, MemoryDisk][] = [];
      for (const member of [...members.running()]) disks.push([member.name, await members.crash(member)]);
      for (const [name, disk] of disks) members.begin(name, { disk, config: { snapshotEntries: 7 } });
    };
    assert.equal(three.length, 3);
    for (let round = 0; round < 5; round++) {
      const leader = await members.untilLed();
      const burst = Array.from({ length: 10 }, (_, index) => `${round}-${index}`);
      const outcomes = burst.map((text) => leader.log.propose(bytes(text), WAIT).then(() => acknowledged.push(text)));
      await Promise.race(outcomes);
      await crashAll();
      for (const outcome of outcomes) outcome.catch(() => {});
    }
    const leader = await members.untilLed();
    await leader.log.propose(bytes('end'), WAIT);
    await until(() => members.running().every(({ machine }) => machine.applied.at(-1) === 'end'), 'all are at the end');
    const { applied } = leader.machine;
    for (const text of acknowledged) assert.ok(applied.includes(text), `${text} was acknowledged`);
    assert.equal(new Set(applied).size, applied.length, 'nothing is applied twice');
    for (const { machine } of members.running()) assert.deepEqual(machine.applied, applied);
  });
});
